"""GraphQL types of what is looked at: the plot of a backtest, and its lookahead report."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

import numpy as np
import strawberry
from sqlalchemy import Row

from gql_trader.backtests.charts import (
    Line,
    Lookahead,
    Plot,
    lookahead_job,
    plot_job,
    read_lookahead,
    read_plot,
)
from gql_trader.backtests.ledger import LedgerFilter, LedgerRows, window
from gql_trader.backtests.loaders import BacktestLoaders, LedgerKey
from gql_trader.backtests.schema_enums import ExitReason, Side, SignalKind
from gql_trader.backtests.schema_types import OWNER
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.errors import InvalidInput, InvalidState
from gql_trader.engine import sampling
from gql_trader.engine.bars import Bars
from gql_trader.engine.ledger import EXIT_REASONS
from gql_trader.gql.context import Info
from gql_trader.gql.errors import ApiError
from gql_trader.gql.permissions import visible
from gql_trader.gql.scalars import EpochSeries, FloatSeries
from gql_trader.infra.answers import AnswerTimeoutError, QuestionRefusedError
from gql_trader.infra.job_queue import JobTransportError
from gql_trader.infra.keyset import page_request
from gql_trader.infra.rate_limits import Policy, Subject
from gql_trader.infra.unit_of_work import Job
from gql_trader.market_data.schema_series import CANDLE_COLUMNS, CandleColumns
from gql_trader.market_data.store.loading import range_bounds

CHART_COST = 500
"""A worker computes all indicators of the run for it."""

DEFAULT_POINTS = 1_000
MOST_POINTS = 5_000

ANSWER_SECONDS = 20.0

CHARTS_PER_MINUTE = 120
"""Plots and lookahead reports that one user may ask for."""

NUMBERS_PER_TRADE = 8
"""Two markers of a time, a price, a side and a reason or number."""

PlotPoints = Annotated[
    int | None,
    strawberry.argument(
        description="Join neighbouring bars into at most this many candles; 4 to 5,000, by default 1,000."
    ),
]
PlotStart = Annotated[
    datetime | None, strawberry.argument(description="Only bars that open at or after this moment.")
]
PlotEnd = Annotated[
    datetime | None, strawberry.argument(description="Only bars that open before this moment.")
]


@visible(OWNER)
@strawberry.type(description="An indicator as a line of a chart.")
class PlotLine:
    """A line."""

    label: str = strawberry.field(description="The expression, in the rule language.")
    plot: bool = strawberry.field(
        description="Whether it is one of the strategy's plots; if not, its rules use it."
    )
    values: FloatSeries = strawberry.field(
        description="Its value at the close of each candle's last bar; null while it warms up."
    )

    @classmethod
    def from_line(cls, line: Line) -> "PlotLine":
        """Return the GraphQL object of a line."""
        return cls(label=line.label, plot=line.plot, values=FloatSeries(line.values))


@visible(OWNER)
@strawberry.type(description="Where positions were opened or closed, as columns of equal length.")
class PlotMarkers:
    """Entries, or exits."""

    time: EpochSeries = strawberry.field(description="When it filled.")
    price: FloatSeries = strawberry.field(description="The price, slippage included.")
    side: list[Side] = strawberry.field(description="The position's side.")
    number: list[int] = strawberry.field(description="The trade's number in the ledger.")
    exit_reason: list[ExitReason] | None = strawberry.field(
        description="Why the position was closed; null for entries."
    )


@visible(OWNER)
@strawberry.type(description="All that a chart of a backtest needs.")
class BacktestPlot:
    """A plot."""

    candles: CandleColumns = strawberry.field(
        description="The bars of the run; neighbours joined into one candle that keeps their first open, "
        "highest high, lowest low, last close and total volume, where there are more than asked for."
    )
    bars_per_candle: int = strawberry.field(
        description="How many bars each candle joins; 1: none were joined."
    )
    lines: list[PlotLine] = strawberry.field(
        description="The strategy's plots, then the indicators that its rules use; at most 40 in all."
    )
    entries: PlotMarkers = strawberry.field(description="Where positions were opened.")
    exits: PlotMarkers = strawberry.field(description="Where positions were closed.")

    @classmethod
    def from_plot(cls, plot: Plot, trades: LedgerRows) -> "BacktestPlot":
        """Return the GraphQL object of a plot, with the trades that touch what it shows."""
        inside = {name: _shown(plot, trades, name) for name in ("entry_time", "exit_time")}
        return cls(
            candles=CandleColumns.from_bars(plot.candles),
            bars_per_candle=plot.bars_per_candle,
            lines=list(map(PlotLine.from_line, plot.lines)),
            entries=_markers(inside["entry_time"], "entry"),
            exits=_markers(inside["exit_time"], "exit"),
        )


def _shown(plot: Plot, trades: LedgerRows, name: str) -> LedgerRows:
    bars: Bars = plot.candles
    if not len(bars):
        return trades.take(slice(0, 0))
    # A fill may be stamped with the closing time of its bar.
    time = trades.columns[name]
    return trades.take((time >= bars.time[0]) & (time <= bars.time[-1] + bars.interval))


def _markers(trades: LedgerRows, kind: str) -> PlotMarkers:
    columns = trades.columns
    reasons = [EXIT_REASONS[code] for code in columns["exit_reason"].tolist()] if kind == "exit" else None
    return PlotMarkers(
        time=EpochSeries(columns[f"{kind}_time"].astype(np.int64)),
        price=FloatSeries(columns[f"{kind}_price"].astype(np.float64)),
        side=[Side.LONG if side > 0 else Side.SHORT for side in columns["side"].tolist()],
        number=trades.number.tolist(),
        exit_reason=reasons,
    )


@visible(OWNER)
@strawberry.type(description="A signal that is another one when later bars are left out: it knew the future.")
class LookaheadChange:
    """A change."""

    signal: SignalKind = strawberry.field(description="Which signal.")
    time: datetime = strawberry.field(description="Opening time of the bar whose signal changes.")
    cut: datetime = strawberry.field(description="Opening time of the first bar that was left out.")
    with_future: bool = strawberry.field(description="The signal when later bars are there, as in the run.")
    without_future: bool = strawberry.field(
        description="The signal without them, as it would be in real life."
    )
    changed_bars: int = strawberry.field(description="How many bars before the cut have another signal.")


@visible(OWNER)
@strawberry.type(
    description="Whether the signals of a run know the future: they are computed again on bars that end "
    "earlier, and must not change."
)
class LookaheadReport:
    """A report."""

    clean: bool = strawberry.field(description="Whether no signal changed at any of the cuts.")
    cuts: int = strawberry.field(
        description="How many times the bars were cut short: right behind signals, and at equal distances."
    )
    planned_cuts: int = strawberry.field(
        description="How many cuts there are when time allows; more than `cuts` if it did not."
    )
    changes: list[LookaheadChange] = strawberry.field(
        description="The signals that changed, by time; the first hundred."
    )

    @classmethod
    def from_report(cls, report: Lookahead) -> "LookaheadReport":
        """Return the GraphQL object of a report."""
        return cls(
            clean=not report.changes,
            cuts=report.cuts,
            planned_cuts=report.planned,
            changes=[
                LookaheadChange(
                    signal=change.signal,
                    time=from_milliseconds(bar),
                    cut=from_milliseconds(cut),
                    with_future=change.with_future,
                    without_future=change.without,
                    changed_bars=change.changed,
                )
                for change, (bar, cut) in zip(report.changes, report.times, strict=True)
            ],
        )


async def resolve_plot(
    info: Info, row: Row[Any], max_points: int | None, start: datetime | None, end: datetime | None
) -> BacktestPlot | None:
    """Return the plot of a completed backtest; None if it was deleted meanwhile."""
    points = DEFAULT_POINTS if max_points is None else max_points
    if not sampling.FEWEST_POINTS <= points <= MOST_POINTS:
        raise InvalidInput(
            f"maxPoints is between {sampling.FEWEST_POINTS} and {MOST_POINTS}; got {points}.", ("maxPoints",)
        )
    low, high = range_bounds(start, end)
    answer = await _ask(info, plot_job(row.id, low, high, points))
    plot = await asyncio.to_thread(read_plot, answer)
    info.context.spend((len(CANDLE_COLUMNS) + len(plot.lines)) * len(plot.candles))
    whole = window(page_request()).segments(row.trades, LedgerFilter(side=Side.LONG))
    trades = await info.context.loaders(BacktestLoaders).ledger.load(
        LedgerKey(row.id, whole.start, whole.stop)
    )
    if trades is None:
        return None
    shown = BacktestPlot.from_plot(plot, trades)
    info.context.spend(NUMBERS_PER_TRADE * (len(shown.entries.number) + len(shown.exits.number)) // 2)
    return shown


async def resolve_lookahead(info: Info, row: Row[Any]) -> LookaheadReport:
    """Return the lookahead report of a completed backtest."""
    return LookaheadReport.from_report(read_lookahead(await _ask(info, lookahead_job(row.id))))


async def _ask(info: Info, job: Job) -> bytes:
    services = info.context.services
    policy = Policy("charts", CHARTS_PER_MINUTE, 60.0)
    await services.rate_limits.count(Subject(policy, str(info.context.viewer.user_id)))
    try:
        return await services.answers.ask(job, ANSWER_SECONDS)
    except QuestionRefusedError as error:
        raise InvalidState(str(error)) from error
    except AnswerTimeoutError as error:
        raise ApiError("No worker has computed this in time; ask again in a moment.", "TIMEOUT") from error
    except JobTransportError as error:
        raise ApiError("The workers cannot be reached; try again later.", "UNAVAILABLE") from error
