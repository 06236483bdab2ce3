"""GraphQL types of the automation domain."""

from datetime import datetime
from typing import Any

import strawberry
from sqlalchemy import Row

from gql_trader.automations.loaders import AutomationLoaders, RunsKey
from gql_trader.automations.schema_enums import (
    AutomationAction,
    AutomationRunStatus,
    AutomationStatus,
    AutomationTrigger,
)
from gql_trader.backtests.loaders import BacktestLoaders
from gql_trader.backtests.schema_backtest import Backtest
from gql_trader.backtests.schema_execution import Execution
from gql_trader.bots.loaders import BotLoaders
from gql_trader.bots.schema_bot import Bot
from gql_trader.core.intervals import Interval
from gql_trader.gql.context import Info
from gql_trader.gql.pagination import After, Before, Connection, First, Last, connection
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import Node, encode_id
from gql_trader.gql.scalars import JSON
from gql_trader.infra.keyset import page_request
from gql_trader.market_data.loaders import MarketDataLoaders
from gql_trader.market_data.schema_types import Market
from gql_trader.strategies.loaders import StrategyLoaders
from gql_trader.strategies.schema import Strategy

OWNER = "whoever made the automation"


@visible(OWNER)
@strawberry.type(description="One run of an automation.")
class AutomationRun(Node):
    """A run of the viewer's."""

    row: strawberry.Private[Row[Any]]
    trigger: AutomationTrigger = strawberry.field(description="Why it ran.")
    scheduled_for: datetime = strawberry.field(
        description="The moment that it stands for; the backtest ends there, however late it began."
    )
    missed: int = strawberry.field(
        description="Moments before it at which nothing happened because no worker was there; this run "
        "stands for them too."
    )
    status: AutomationRunStatus = strawberry.field(description="State of the run.")
    error: str | None = strawberry.field(description="Why it could not be done; null unless it failed.")
    started_at: datetime = strawberry.field(description="When it was queued.")
    finished_at: datetime | None = strawberry.field(description="When it was over.")

    @classmethod
    def from_row(cls, row: Row[Any]) -> "AutomationRun":
        """Return the GraphQL object of a run."""
        return cls(
            id=encode_id("AutomationRun", row.id),
            row=row,
            trigger=AutomationTrigger(row.trigger),
            scheduled_for=row.scheduled_for,
            missed=row.missed,
            status=AutomationRunStatus(row.status),
            error=row.error,
            started_at=row.created_at,
            finished_at=row.finished_at,
        )

    @strawberry.field(description="The backtest that it queued; null if there is none, or it was deleted.")
    async def backtest(self, info: Info) -> Backtest | None:
        if self.row.backtest_id is None:
            return None
        row = await info.context.loaders(BacktestLoaders).backtest.load(self.row.backtest_id)
        return Backtest.from_row(row) if row else None


@visible(OWNER)
@strawberry.type(name="AutomationRunConnection", description="One page of an automation's history.")
class AutomationRunConnection(Connection[AutomationRun]):
    """Runs of an automation."""


@visible(OWNER)
@strawberry.type(description="Something that happens by the clock.")
class Automation(Node):
    """An automation of the viewer's."""

    row: strawberry.Private[Row[Any]]
    name: str = strawberry.field(description="A name for people.")
    cron: str = strawberry.field(description="When it runs: minute, hour, day, month and weekday.")
    timezone: str = strawberry.field(
        description="The IANA time zone in which `cron` is read. Where clocks change, what falls into the "
        "hour left out runs as it ends, and what falls into the hour that comes twice runs once."
    )
    action: AutomationAction = strawberry.field(description="What it does.")
    status: AutomationStatus = strawberry.field(description="Whether it runs by the clock.")
    interval: Interval | None = strawberry.field(description="Length of a bar of its backtests.")
    lookback_days: int | None = strawberry.field(description="Days of candles of its backtests.")
    parameters: JSON = strawberry.field(
        description="Parameters that were given; the rest take the defaults of the version that runs."
    )
    next_run_at: datetime | None = strawberry.field(description="When it runs next; null while paused.")
    last_run_at: datetime | None = strawberry.field(description="When it ran last; null if it never has.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it was last changed.")

    @classmethod
    def from_row(cls, row: Row[Any]) -> "Automation":
        """Return the GraphQL object of an automation."""
        return cls(
            id=encode_id("Automation", row.id),
            row=row,
            name=row.name,
            cron=row.cron,
            timezone=row.timezone,
            action=AutomationAction(row.action),
            status=AutomationStatus(row.status),
            interval=Interval[row.interval] if row.interval else None,
            lookback_days=row.lookback_days,
            parameters=row.parameters,
            next_run_at=row.next_run_at,
            last_run_at=row.last_run_at,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    @strawberry.field(description="How signals of its backtests become fills.")
    def execution(self) -> Execution:
        return Execution.from_json(self.row.execution)

    @strawberry.field(description="The strategy, as it is now; each run takes the version of its moment.")
    async def strategy(self, info: Info) -> Strategy:
        strategy = await info.context.loaders(StrategyLoaders).strategy.load(self.row.strategy_id)
        assert strategy is not None, "the foreign key keeps it"
        return Strategy.from_record(strategy)

    @strawberry.field(description="The bot that it starts or stops; null for BACKTEST.")
    async def bot(self, info: Info) -> Bot | None:
        if self.row.bot_id is None:
            return None
        row = await info.context.loaders(BotLoaders).bot.load(self.row.bot_id)
        return Bot.from_row(row) if row else None

    @strawberry.field(description="The market of its backtests.")
    async def market(self, info: Info) -> Market | None:
        if self.row.market_id is None:
            return None
        market = await info.context.loaders(MarketDataLoaders).market.load(self.row.market_id)
        return Market.from_record(market) if market else None

    @strawberry.field(description="What became of it so far, the latest first.")
    async def runs(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> AutomationRunConnection:
        loaders = info.context.loaders(AutomationLoaders)
        page = await loaders.runs.load(RunsKey(self.row.id, page_request(first, after, last, before)))

        async def count() -> int:
            return await loaders.run_count.load(self.row.id)

        return connection(AutomationRunConnection, page, AutomationRun.from_row, count)


@visible(OWNER)
@strawberry.type(name="AutomationConnection", description="One page of your automations.")
class AutomationConnection(Connection[Automation]):
    """Automations of the viewer."""
