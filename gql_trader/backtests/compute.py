"""From bars to a stored result: signals, simulation, metrics, encoding. Runs in a thread of its own."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from gql_trader.backtests.ledger import encode_ledger
from gql_trader.backtests.lifecycle import Outcome
from gql_trader.backtests.progress import MEASURE, SIGNALS, SIMULATE, Stage
from gql_trader.core.money import to_decimal
from gql_trader.engine import metrics, simulation
from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.plugins import StrategyCode
from gql_trader.engine.trading_days import TradingDays
from gql_trader.infra.column_codec import encode_columns

Report = Callable[[Stage, float, int | None, float | None], None]


@dataclass(frozen=True, slots=True)
class RunInput:
    """All that a result depends on.

    Attributes
    ----------
    bars
        Bars for warming up, then those of the run.
    start
        Index of the first bar that may trade.
    trading_days
        Which days count for daily figures, and by how many a year they are annualised.
    metrics_version
        Version of the metrics by whose rules the days were chosen.
    """

    bars: Bars
    start: int
    rules: StrategyCode
    parameters: dict[str, Any]
    execution: ExecutionSpec
    initial_capital: float
    trading_days: TradingDays
    metrics_version: int
    content_hash: str


def compute(run: RunInput, report: Report) -> Outcome:
    """Run a backtest and return what is to be stored.

    Parameters
    ----------
    report
        Called with a stage, its fraction, the opening time of the bar reached and the equity there; what
        it raises ends the run.
    """
    bars = run.bars
    signals = run.rules.signals(bars, run.parameters, lambda done: report(SIGNALS, done, None, None))
    report(SIGNALS, 1.0, None, None)
    traded = len(bars) - run.start

    def advanced(bar: int, equity: float) -> None:
        report(SIMULATE, (bar + 1 - run.start) / traded, int(bars.time[bar]), equity)

    result = simulation.run(bars, signals, run.execution, run.initial_capital, run.start, advanced)
    del signals
    traded_bars = bars.slice(run.start, len(bars))
    daily = metrics.daily_curve(
        traded_bars.time, result.equity, bars.interval, run.initial_capital, run.trading_days
    )
    measured = metrics.compute(result, traded_bars, run.trading_days, daily)
    report(MEASURE, 0.5, int(bars.time[-1]), result.final_equity)
    return Outcome(
        metrics=_columns(measured, run.metrics_version),
        equity=encode_columns({"time": traded_bars.time, "equity": result.equity}),
        daily=encode_columns({"time": daily.time, "equity": daily.value, "return": daily.returns}),
        ledger=encode_ledger(result.ledger),
        bars=traded,
        content_hash=run.content_hash,
    )


_MONEY = ("fees_paid", "funding_paid", "final_equity")


def _columns(measured: metrics.Metrics, version: int) -> dict[str, float | int | Decimal | None]:
    values = asdict(measured) | {"metrics_version": version}
    return values | {name: to_decimal(values[name]) for name in _MONEY}
