"""Specs, enums and names of the optimization domain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from gql_trader.core.ids import OptimizationId, StrategyId
from gql_trader.core.intervals import Interval
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.search.scoring import Goal, Objective

RUN_CHUNK = "run_chunk"
QUEUE = "optimizations"

DEFAULT_TRIALS = 100


def stream_of(optimization_id: UUID) -> str:
    """Return the name of the stream that carries an optimization's events."""
    return f"optimization:{optimization_id}"


class SearchMethod(StrEnum):
    """How combinations are chosen."""

    GRID = "GRID"
    RANDOM = "RANDOM"
    TPE = "TPE"


class ChunkStatus(StrEnum):
    """State of a part of a search."""

    WAITING = "WAITING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"


class ChunkKind(StrEnum):
    """What a part of a search is."""

    TRIALS = "TRIALS"
    REPORT = "REPORT"
    """The last one: what the whole search amounts to."""


@dataclass(frozen=True, slots=True)
class ParameterRange:
    """What a parameter may be, as asked for.

    Attributes
    ----------
    name
        A parameter of the strategy, or a field of the execution, such as ``execution.stopLoss``.
    """

    name: str
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    values: Sequence[object] | None = None
    logarithmic: bool = False


@dataclass(frozen=True, slots=True)
class WalkForward:
    """Windows of training and test, one behind the other.

    Attributes
    ----------
    anchored
        Whether every training begins with the first bar; else it has always the same length.
    """

    train_days: int
    test_days: int
    anchored: bool = False


@dataclass(frozen=True, slots=True)
class OptimizationRequest:
    """A search as asked for; nothing in it has been looked up yet.

    Attributes
    ----------
    parameters
        Values of the parameters that are not searched.
    trials
        How many combinations to try, in each window; None: all of a grid, else `DEFAULT_TRIALS`.
    states_capital
        Whether the client has said with how much to begin; else it is the user's preference of the moment,
        which does not make it another request under the same idempotency key.
    stated_execution
        What the client named of the execution, without its user's preferences; None: all of it.
    force
        Search even if an equal search has completed.
    """

    strategy_id: StrategyId
    market: str
    interval: Interval
    ranges: Sequence[ParameterRange]
    start: datetime | None = None
    end: datetime | None = None
    initial_capital: Decimal = Decimal(10_000)
    states_capital: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)
    execution: ExecutionSpec = field(default_factory=ExecutionSpec)
    stated_execution: ExecutionSpec | None = None
    method: SearchMethod = SearchMethod.GRID
    trials: int | None = None
    seed: int = 1
    goal: Goal = field(default_factory=lambda: Goal(((Objective.SHARPE_RATIO, 1.0),)))
    walk_forward: WalkForward | None = None
    label: str | None = None
    idempotency_key: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to work on a part of a search.

    Attributes
    ----------
    attempt
        Fencing token: whatever the worker writes names it, so that one that lost its lease changes
        nothing.
    """

    optimization_id: OptimizationId
    number: int
    attempt: int

    @property
    def key(self) -> tuple[OptimizationId, int]:
        """The primary key."""
        return (self.optimization_id, self.number)


class TrialOrderField(StrEnum):
    """What trials may be ordered by."""

    OBJECTIVE = "OBJECTIVE"
    NUMBER = "NUMBER"
