"""Specs, enums and names of the backtest domain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from gql_trader.core.ids import BacktestId, StrategyId
from gql_trader.core.intervals import Interval
from gql_trader.core.runs import RunStatus as RunStatus
from gql_trader.engine.execution import ExecutionSpec

RUN_BACKTEST = "run_backtest"
VERIFY_BACKTEST = "verify_backtest"
QUEUE = "backtests"

DRAW_PLOT = "draw_plot"
CHECK_LOOKAHEAD = "check_lookahead"
CHARTS = "charts"
"""The queue of what somebody waits for."""


def stream_of(backtest_id: UUID) -> str:
    """Return the name of the stream that carries a backtest's events."""
    return f"backtest:{backtest_id}"


@dataclass(frozen=True, slots=True)
class BacktestRequest:
    """A backtest as asked for; nothing in it has been looked up yet.

    Attributes
    ----------
    market
        ``BTC/USD`` or ``coinbase:BTC/USD``.
    start, end
        First opening time and the moment before which the last bar opens; None: all there is.
    states_capital
        Whether the client named the capital, and not its user's preferences.
    stated_execution
        What the client named of the execution, without its user's preferences; None: all of it.
    idempotency_key
        The same key returns the same backtest, whatever became of it.
    force
        Run even if an equal backtest has completed.
    warmup_bars
        Warm the indicators up over at least this many bars, as the search did that a trial is taken from.
    strategy_version
        None: the present one.
    """

    strategy_id: StrategyId
    market: str
    interval: Interval
    start: datetime | None = None
    end: datetime | None = None
    initial_capital: Decimal = Decimal(10_000)
    states_capital: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)
    execution: ExecutionSpec = field(default_factory=ExecutionSpec)
    stated_execution: ExecutionSpec | None = None
    label: str | None = None
    tags: tuple[str, ...] = ()
    idempotency_key: str | None = None
    force: bool = False
    warmup_bars: int | None = None
    strategy_version: int | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to run a backtest.

    Attributes
    ----------
    attempt
        Fencing token: whatever the worker writes names it, so that one that lost its lease changes
        nothing.
    """

    backtest_id: BacktestId
    attempt: int

    @property
    def key(self) -> tuple[BacktestId]:
        """The primary key."""
        return (self.backtest_id,)


class BacktestOrderField(StrEnum):
    """What backtests may be ordered by."""

    CREATED_AT = "CREATED_AT"
    TOTAL_RETURN = "TOTAL_RETURN"
    CAGR = "CAGR"
    SHARPE_RATIO = "SHARPE_RATIO"
    SORTINO_RATIO = "SORTINO_RATIO"
    CALMAR_RATIO = "CALMAR_RATIO"
    MAX_DRAWDOWN = "MAX_DRAWDOWN"
    WIN_RATE = "WIN_RATE"
    PROFIT_FACTOR = "PROFIT_FACTOR"
    TRADES = "TRADES"


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a column's value; None: no bound."""

    gt: Any = None
    gte: Any = None
    lt: Any = None
    lte: Any = None


@dataclass(frozen=True, slots=True)
class BacktestQuery:
    """A filter: every part that is given must hold.

    Attributes
    ----------
    ranges
        Bounds by column name.
    """

    all_of: Sequence["BacktestQuery"] = ()
    any_of: Sequence["BacktestQuery"] | None = None
    none_of: "BacktestQuery | None" = None
    status: Sequence[RunStatus] | None = None
    asset: Sequence[str] | None = None
    market: Sequence[str] | None = None
    strategy_ids: Sequence[UUID] | None = None
    interval: Sequence[Interval] | None = None
    tags: Sequence[str] | None = None
    ranges: Mapping[str, Range] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BacktestOrdering:
    """One key of an ordering."""

    field: BacktestOrderField
    descending: bool = True
