"""GraphQL types of the backtest domain: what a run was asked for and what came of it."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any

import strawberry
from sqlalchemy import Row

from gql_trader.backtests.ledger import LedgerRows
from gql_trader.backtests.schema_enums import ExitReason, Side
from gql_trader.core.errors import InvalidInput
from gql_trader.engine import sampling
from gql_trader.engine.ledger import EXIT_REASONS
from gql_trader.engine.monthly import MonthlyReturns
from gql_trader.gql.permissions import visible
from gql_trader.gql.scalars import EpochSeries, FloatSeries
from gql_trader.infra.exact_columns import money_column, price_column, utc_datetimes

MOST_POINTS = 100_000

OWNER = "the user who requested the backtest"


def _metric(description: str) -> Any:
    return strawberry.field(description=description)


@visible(OWNER)
@strawberry.type(
    description="Figures of a completed run. Equity is marked to market at every close; daily figures use "
    "the last equity of each UTC day that counts. Every day counts, and a year has 365, for crypto and "
    "for currencies whose candles of this run show trading on Saturdays (UTC), at least half as often as on "
    "Fridays. Otherwise days from Monday to Friday count, with what closed at the weekend before, and a year "
    "has 252. Fractions are fractions, not percent. An undefined figure is null, never a stand-in such as 0 "
    "or infinity."
)
class Metrics:
    """Metrics, version 2; those of version 1 have the same fields."""

    total_return: float = _metric("Final equity over initial capital, less one.")
    cagr: float | None = _metric("Compound annual growth rate; null for less than a day or total loss.")
    annual_volatility: float | None = _metric(
        "Standard deviation of daily returns, annualised: times the root of the days of a year, 365 or 252."
    )
    sharpe_ratio: float | None = _metric(
        "Mean over standard deviation of daily returns, annualised by 365 or 252 days; risk-free 0."
    )
    sortino_ratio: float | None = _metric(
        "Mean over downside deviation of daily returns, annualised by 365 or 252 days."
    )
    calmar_ratio: float | None = _metric("CAGR over maximum drawdown.")
    omega_ratio: float | None = _metric("Sum of daily gains over sum of daily losses.")
    max_drawdown: float = _metric("Largest fall of equity from a running peak, over all bars; 0 to 1.")
    max_drawdown_duration_days: float | None = _metric(
        "Longest time from a peak until it was reached again, or until the end, in days."
    )
    ulcer_index: float | None = _metric("Root mean square of daily drawdowns.")
    value_at_risk_95: float | None = strawberry.field(
        name="valueAtRisk95",
        description="Loss that 95 % of days stay below, historical; positive is a loss. Null under 20 days.",
    )
    expected_shortfall_95: float | None = strawberry.field(
        name="expectedShortfall95",
        description="Mean loss of the days beyond valueAtRisk95; positive is a loss. Null under 20 days.",
    )
    trades: int = _metric("Closed trades.")
    win_rate: float | None = _metric("Share of trades with a profit after all costs.")
    profit_factor: float | None = _metric("Sum of profits over sum of losses; null without a losing trade.")
    expectancy: float | None = _metric("Mean profit of a trade, in the quote currency.")
    payoff_ratio: float | None = _metric("Mean profit of winners over mean loss of losers.")
    sqn: float | None = _metric(
        "System quality number: √trades × mean profit / standard deviation of profit."
    )
    kelly: float | None = _metric("Kelly fraction: winRate − (1 − winRate) / payoffRatio.")
    avg_trade_return: float | None = _metric("Mean profit of a trade over what it cost to enter.")
    best_trade: float | None = _metric("Best trade's profit over what it cost to enter.")
    worst_trade: float | None = _metric("Worst trade's profit over what it cost to enter.")
    avg_trade_duration_hours: float | None = _metric("Mean time in a trade, in hours.")
    max_consecutive_wins: int = _metric("Longest series of winners.")
    max_consecutive_losses: int = _metric("Longest series of losers, trades with a loss after all costs.")
    exposure: float = _metric("Share of bars with an open position.")
    turnover: float = _metric("Traded notional over mean equity.")
    fees_paid: Decimal = _metric("All fees, in the quote currency.")
    funding_paid: Decimal = _metric("All funding and borrow costs, in the quote currency.")
    final_equity: Decimal = _metric("Equity after the last bar, in the quote currency.")
    buy_and_hold_return: float = _metric("Return of the market itself from the first to the last close.")
    alpha: float | None = _metric("Annualised intercept of daily returns regressed on the market's.")
    beta: float | None = _metric("Slope of daily returns regressed on the market's.")
    version: int = _metric("Version of these definitions. In version 1 every currency's year had 365 days.")

    @classmethod
    def from_row(cls, row: Row[Any]) -> "Metrics":
        """Return the GraphQL object of a completed backtest's metric columns."""
        return cls(**{name: getattr(row, name) for name in METRIC_COLUMNS}, version=row.metrics_version)


METRIC_COLUMNS = tuple(name for name in Metrics.__annotations__ if name != "version")


@visible(OWNER)
@strawberry.type(description="One closed trade.")
class LedgerEntry:
    """A row of the ledger."""

    number: int = strawberry.field(description="1 for the first trade of the run.")
    side: Side = strawberry.field(description="Direction of the position.")
    quantity: Decimal = strawberry.field(description="Quantity in the base currency.")
    entry_time: datetime = strawberry.field(
        description="When it was opened: the bar's opening time for a fill at the open, else its close."
    )
    entry_price: Decimal = strawberry.field(description="Price of the entry fill, slippage included.")
    exit_time: datetime = strawberry.field(
        description="When it was closed: the bar's opening time for a fill at the open, else its close."
    )
    exit_price: Decimal = strawberry.field(description="Price of the exit fill, slippage included.")
    profit: Decimal = strawberry.field(
        description="Net of all fees, slippage and funding, in the quote currency."
    )
    profit_fraction: float = strawberry.field(
        description="Profit over what was put in: margin and entry fee, which is all that can be lost."
    )
    fees: Decimal = strawberry.field(
        description="Fees of both fills, in the quote currency; a liquidation takes the rest of the margin."
    )
    funding: Decimal = strawberry.field(
        description="Funding and borrow cost of holding the position, in the quote currency."
    )
    bars: int = strawberry.field(description="Bars during which the position was open.")
    exit_reason: ExitReason = strawberry.field(description="Why the position was closed.")
    max_favorable: float = strawberry.field(
        description="Largest move in favour while open, as a fraction of the entry price; not negative."
    )
    max_adverse: float = strawberry.field(
        description="Largest move against while open, as a fraction of the entry price; not negative."
    )
    equity_after: Decimal = strawberry.field(description="Equity after the exit, in the quote currency.")


def ledger_entries(rows: LedgerRows) -> list[LedgerEntry]:
    """Return GraphQL objects of ledger rows."""
    columns = rows.columns
    return [
        LedgerEntry(
            number=number,
            side=Side.LONG if side > 0 else Side.SHORT,
            quantity=quantity,
            entry_time=entry_time,
            entry_price=entry_price,
            exit_time=exit_time,
            exit_price=exit_price,
            profit=profit,
            profit_fraction=profit_fraction,
            fees=fees,
            bars=bars,
            exit_reason=EXIT_REASONS[exit_reason],
            max_favorable=max_favorable,
            max_adverse=max_adverse,
            equity_after=equity_after,
            funding=funding,
        )
        for (
            number,
            side,
            quantity,
            entry_time,
            entry_price,
            exit_time,
            exit_price,
            profit,
            profit_fraction,
            fees,
            bars,
            exit_reason,
            max_favorable,
            max_adverse,
            equity_after,
            funding,
        ) in zip(
            rows.number.tolist(),
            columns["side"].tolist(),
            price_column(columns["quantity"]),
            utc_datetimes(columns["entry_time"]),
            price_column(columns["entry_price"]),
            utc_datetimes(columns["exit_time"]),
            price_column(columns["exit_price"]),
            money_column(columns["profit"]),
            columns["profit_fraction"].tolist(),
            money_column(columns["fees"]),
            columns["bars"].tolist(),
            columns["exit_reason"].tolist(),
            columns["max_favorable"].tolist(),
            columns["max_adverse"].tolist(),
            money_column(columns["equity_after"]),
            money_column(columns["funding"]),
            strict=True,
        )
    ]


@visible(OWNER)
@strawberry.type(description="An equity curve as columns of equal length.")
class EquityColumns:
    """Equity and drawdown."""

    time: EpochSeries = strawberry.field(
        description="Opening time of each bar; over several sessions, a moment."
    )
    equity: FloatSeries = strawberry.field(
        description="Equity at the bar's close, or at that moment, in the quote currency."
    )
    drawdown: FloatSeries = strawberry.field(description="Fall from the running peak, 0 to 1.")

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> "EquityColumns":
        """Return the GraphQL object of a curve."""
        return cls(
            time=EpochSeries(columns["time"]),
            equity=FloatSeries(columns["equity"]),
            drawdown=FloatSeries(columns["drawdown"]),
        )


def points_of_curve(bars: int, max_points: int | None) -> int:
    """Return how many points of an equity curve are shown at most.

    Raises
    ------
    InvalidInput
        If ``max_points`` is out of range.
    """
    if max_points is None:
        return bars
    if not sampling.FEWEST_POINTS <= max_points <= MOST_POINTS:
        raise InvalidInput(
            f"maxPoints is between {sampling.FEWEST_POINTS} and {MOST_POINTS}; got {max_points}.",
            ("maxPoints",),
        )
    return min(bars, max_points)


@visible(OWNER)
@strawberry.type(
    description="Daily equity as columns of equal length, one value a UTC day, flat days included."
)
class DailyColumns:
    """Daily equity and returns."""

    time: EpochSeries = strawberry.field(description="Midnight UTC at which each day begins.")
    equity: FloatSeries = strawberry.field(description="Last equity of the day, in the quote currency.")
    return_: FloatSeries = strawberry.field(
        name="return",
        description="Equity over the day before's, less one; the first over the initial capital.",
    )

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> "DailyColumns":
        """Return the daily curve."""
        return cls(
            time=EpochSeries(columns["time"]),
            equity=FloatSeries(columns["equity"]),
            return_=FloatSeries(columns["return"]),
        )


@visible(OWNER)
@strawberry.type(description="What the account gained or lost in one calendar month, UTC.")
class MonthlyReturn:
    """A month's return."""

    year: int = strawberry.field(description="The year, such as 2026.")
    month: int = strawberry.field(description="The month, 1 January to 12 December.")
    return_: float | None = strawberry.field(
        name="return",
        description="Equity at the month's end over that at its beginning, less one; the first over the "
        "initial capital. All of them compound to `totalReturn`. Null if nothing was left at its beginning.",
    )

    @classmethod
    def list_of(cls, returns: MonthlyReturns) -> "list[MonthlyReturn]":
        """Return the GraphQL objects of months, oldest first."""
        return [
            cls(year=year, month=month, return_=value if isfinite(value) else None)
            for year, month, value in zip(
                returns.year.tolist(), returns.month.tolist(), returns.value.tolist(), strict=True
            )
        ]
