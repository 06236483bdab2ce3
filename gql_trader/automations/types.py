"""Specs, enums and names of the automation domain."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from gql_trader.core.ids import StrategyId
from gql_trader.core.intervals import Interval
from gql_trader.engine.execution import ExecutionSpec

QUEUE = "automations"
RUN_AUTOMATION = "run_automation"

MAXIMUM_NAME = 100
LONGEST_LOOKBACK_DAYS = 3650


class AutomationAction(StrEnum):
    """What an automation does."""

    BACKTEST = "BACKTEST"
    BOT_START = "BOT_START"
    BOT_STOP = "BOT_STOP"


class AutomationStatus(StrEnum):
    """Whether an automation runs by the clock."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"


class AutomationTrigger(StrEnum):
    """Why an automation ran."""

    SCHEDULE = "SCHEDULE"
    MANUAL = "MANUAL"


class AutomationRunStatus(StrEnum):
    """State of one run of an automation."""

    QUEUED = "QUEUED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one user may have.

    Attributes
    ----------
    automations
        How many, paused ones too.
    distance_seconds
        Least time between two runs by the clock.
    """

    automations: int
    distance_seconds: int


@dataclass(frozen=True, slots=True)
class AutomationSpec:
    """An automation as asked for; nothing in it has been looked up yet.

    Attributes
    ----------
    market, interval, lookback_days
        What a backtest is run on; for the other actions they mean nothing.
    bot_id
        The bot to start or stop.
    """

    name: str
    strategy_id: StrategyId
    cron: str
    timezone: str = "UTC"
    action: AutomationAction = AutomationAction.BACKTEST
    active: bool = True
    bot_id: UUID | None = None
    market: str | None = None
    interval: Interval | None = None
    lookback_days: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    execution: ExecutionSpec = field(default_factory=ExecutionSpec)


@dataclass(frozen=True, slots=True)
class Due:
    """A moment at which an automation has to run.

    Attributes
    ----------
    scheduled_for
        The latest moment that is due.
    missed
        Moments before it at which nothing happened, since no worker was there.
    following
        The next one.
    """

    automation_id: UUID
    scheduled_for: datetime
    missed: int
    following: datetime
