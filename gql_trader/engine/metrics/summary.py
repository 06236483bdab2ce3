"""All metrics of a run."""

from dataclasses import dataclass
from math import isfinite

from gql_trader.engine.bars import Bars
from gql_trader.engine.metrics import returns as of_returns
from gql_trader.engine.metrics import trades as of_trades
from gql_trader.engine.metrics.daily import DailyCurve, daily_curve
from gql_trader.engine.metrics.drawdowns import drawdown, ulcer_index
from gql_trader.engine.results import Result
from gql_trader.engine.trading_days import DAY, TradingDays


@dataclass(frozen=True, slots=True)
class Metrics:
    """Metrics of a run; None where one is not defined. Fractions are fractions, not percent.

    The functions of `returns`, `trades` and `drawdowns` say what each is. Besides:

    Attributes
    ----------
    avg_trade_return, best_trade, worst_trade
        Mean, largest and smallest profit fraction of a trade.
    exposure
        Bars during which a position was open over all bars, in [0, 1].
    turnover
        Σ quantity × price of all fills over the mean equity.
    buy_and_hold_return
        Last close over the first bar's, less 1.
    """

    total_return: float
    cagr: float | None
    annual_volatility: float | None
    sharpe_ratio: float | None
    sortino_ratio: float | None
    calmar_ratio: float | None
    omega_ratio: float | None
    max_drawdown: float
    max_drawdown_duration_days: float | None
    ulcer_index: float | None
    value_at_risk_95: float | None
    expected_shortfall_95: float | None
    trades: int
    win_rate: float | None
    profit_factor: float | None
    expectancy: float | None
    payoff_ratio: float | None
    sqn: float | None
    kelly: float | None
    avg_trade_return: float | None
    best_trade: float | None
    worst_trade: float | None
    avg_trade_duration_hours: float | None
    max_consecutive_wins: int
    max_consecutive_losses: int
    exposure: float
    turnover: float
    fees_paid: float
    funding_paid: float
    final_equity: float
    buy_and_hold_return: float
    alpha: float | None
    beta: float | None


def compute(result: Result, bars: Bars, counted: TradingDays, daily: DailyCurve | None = None) -> Metrics:
    """Return all metrics of a finished run.

    Parameters
    ----------
    result
        Of a finished simulation of at least one bar.
    bars
        The n bars that ``result.equity`` belongs to, from `Result.start`; their closes are the market's.
    counted
        Which days count as days of the curve, by which also depends how many are taken for a year.
    daily
        The daily curve of ``result.equity``, if it is at hand.

    Raises
    ------
    ValueError
        If there are more or fewer bars than values of equity, or none.
    """
    if not 0 < len(bars) == len(result.equity):
        raise ValueError(f"{len(result.equity)} values of equity need as many bars; got {len(bars)}")
    initial, final, ledger = result.initial_capital, result.final_equity, result.ledger
    if daily is None:
        daily = daily_curve(bars.time, result.equity, bars.interval, initial, counted)
    first_close = float(bars.close[0])
    market = daily.of(bars.close, first_close)
    days_per_year = counted.per_year
    calendar_days = (int(bars.time[-1]) + bars.interval - int(bars.time[0])) / DAY
    worst = drawdown(bars.time, result.equity, bars.interval, initial)
    mean_equity = worst.mean_equity or initial
    growth = of_returns.cagr(final, initial, calendar_days)
    returns = of_returns.return_sums(daily.returns)
    trades = of_trades.trade_sums(ledger.profit, ledger.profit_fraction, ledger.entry_time, ledger.exit_time)
    alpha, beta = of_returns.alpha_beta(daily.returns, market.returns, days_per_year)
    rate, payoff = of_trades.win_rate(trades), of_trades.payoff_ratio(trades)
    traded = len(ledger) > 0
    return Metrics(
        total_return=of_returns.total_return(final, initial),
        cagr=_finite(growth),
        annual_volatility=_finite(of_returns.annual_volatility(returns, days_per_year)),
        sharpe_ratio=_finite(of_returns.sharpe_ratio(returns, days_per_year)),
        sortino_ratio=_finite(of_returns.sortino_ratio(returns, days_per_year)),
        calmar_ratio=_finite(of_returns.calmar_ratio(growth, worst.deepest)),
        omega_ratio=_finite(of_returns.omega_ratio(returns)),
        max_drawdown=worst.deepest,
        max_drawdown_duration_days=worst.longest_days,
        ulcer_index=_finite(ulcer_index(daily.value, initial)),
        value_at_risk_95=_finite(of_returns.value_at_risk(returns)),
        expected_shortfall_95=_finite(of_returns.expected_shortfall(returns)),
        trades=len(ledger),
        win_rate=_finite(rate),
        profit_factor=_finite(of_trades.profit_factor(trades)),
        expectancy=_finite(of_trades.expectancy(trades)),
        payoff_ratio=_finite(payoff),
        sqn=_finite(of_trades.system_quality_number(trades)),
        kelly=_finite(of_trades.kelly(rate, payoff)),
        avg_trade_return=trades.mean_fraction if traded else None,
        best_trade=trades.best_fraction if traded else None,
        worst_trade=trades.worst_fraction if traded else None,
        avg_trade_duration_hours=of_trades.average_duration_hours(trades),
        max_consecutive_wins=trades.longest_wins,
        max_consecutive_losses=trades.longest_losses,
        exposure=result.bars_in_position / len(result.equity),
        turnover=result.traded_notional / mean_equity,
        fees_paid=result.fees_paid,
        funding_paid=result.funding_paid,
        final_equity=final,
        buy_and_hold_return=float(bars.close[-1]) / first_close - 1.0,
        alpha=_finite(alpha),
        beta=_finite(beta),
    )


def _finite(value: float | None) -> float | None:
    """Return None for what is too large to be a number."""
    return value if value is not None and isfinite(value) else None
