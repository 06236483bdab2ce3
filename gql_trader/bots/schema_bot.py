"""A bot as a GraphQL object."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import strawberry
from sqlalchemy import Row

from gql_trader.backtests.schema_execution import Execution
from gql_trader.bots.guarding import guards_of, waits_for
from gql_trader.bots.loaders import BotLoaders, PageKey
from gql_trader.bots.schema_enums import BotState, SessionMode
from gql_trader.bots.schema_exports import TradesOwner, trades_link
from gql_trader.bots.schema_session import TradingSession, TradingSessionConnection
from gql_trader.bots.schema_types import OWNER, GuardState, market_of
from gql_trader.core.intervals import Interval
from gql_trader.exchange_keys.loaders import ExchangeKeyLoaders
from gql_trader.exchange_keys.schema_types import ExchangeKey
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


@visible(OWNER)
@strawberry.type(description="History that a bot trades in place of the live market.")
class Replay:
    """A replay."""

    start: datetime = strawberry.field(description="Bars open at or after this moment.")
    end: datetime = strawberry.field(description="Bars open before this moment.")
    speed: float = strawberry.field(
        description="Market time over real time: at 60, a bar of an hour takes a minute. 0: as fast as "
        "possible."
    )


@visible(OWNER)
@strawberry.type(description="A strategy that trades a market bar after bar, while it is started.")
class Bot(Node):
    """A bot of the viewer."""

    row: strawberry.Private[Row[Any]]
    name: str = strawberry.field(description="A name for people.")
    interval: Interval = strawberry.field(description="Length of a bar.")
    strategy_version: int = strawberry.field(
        description="Version of the strategy: the one that was current when the bot was made, or when its "
        "strategy or parameters were last changed."
    )
    parameters: JSON = strawberry.field(description="All parameters of the strategy, defaults filled in.")
    mode: SessionMode = strawberry.field(description="Whether orders are simulated or sent to an exchange.")
    state: BotState = strawberry.field(description="What it is doing.")
    error: str | None = strawberry.field(description="Why it failed; null unless it did.")
    initial_capital: Decimal = strawberry.field(
        description="What each of its sessions begins with, in the quote currency."
    )
    check_interval_seconds: int = strawberry.field(
        description="While it holds a position on the live market: how often that is looked at between the "
        "closes of bars, with the newest price that is known. As long as a bar or longer: at closes only."
    )
    transfer_amount: Decimal | None = strawberry.field(
        description="How much of the quote currency the wallet of contracts shall have when it starts, with "
        "`autoTransferFunds`; null: its capital."
    )
    auto_transfer_funds: bool = strawberry.field(
        description="Whether what the wallet of contracts lacks is moved there before a live session's first "
        "order."
    )
    contracts: bool = strawberry.field(
        description="Whether it trades contracts in the mode LIVE even without leverage. With a leverage "
        "above 1 it does so anyway."
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it last changed, its state included.")

    @classmethod
    def from_row(cls, row: Row[Any]) -> "Bot":
        """Return the GraphQL object of a bot."""
        return cls(
            id=encode_id("Bot", row.id),
            row=row,
            name=row.name,
            interval=Interval[row.interval],
            strategy_version=row.strategy_version,
            parameters=row.parameters,
            mode=SessionMode[row.mode],
            state=BotState[row.state],
            error=row.error,
            initial_capital=row.initial_capital,
            check_interval_seconds=row.check_interval_seconds,
            transfer_amount=row.transfer_amount,
            auto_transfer_funds=row.auto_transfer_funds,
            contracts=row.contracts,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    @strawberry.field(description="The key that it trades with in the mode LIVE; null if it has none.")
    async def exchange_key(self, info: Info) -> ExchangeKey | None:
        if self.row.exchange_key_id is None:
            return None
        key = await info.context.loaders(ExchangeKeyLoaders).key.load(self.row.exchange_key_id)
        return None if key is None else ExchangeKey.from_record(key)

    @strawberry.field(description="How signals become fills.")
    def execution(self) -> Execution:
        return Execution.from_json(self.row.execution)

    @strawberry.field(description="The history that it trades; null if it trades the live market.")
    def replay(self) -> Replay | None:
        row = self.row
        if row.replay_start is None:
            return None
        return Replay(start=row.replay_start, end=row.replay_end, speed=row.replay_speed)

    @strawberry.field(description="The market that it trades.")
    async def market(self, info: Info) -> Market:
        return await market_of(info, self.row.market_id)

    @strawberry.field(description="The strategy that it runs.")
    async def strategy(self, info: Info) -> Strategy:
        strategy = await info.context.loaders(StrategyLoaders).strategy.load(self.row.strategy_id)
        assert strategy is not None, "the foreign key keeps it"
        return Strategy.from_record(strategy)

    @strawberry.field(
        description="The candle that it waits for, if one that has closed is not stored yet: prices are "
        "never made up. Null unless it runs on the live market."
    )
    async def waiting_for(self, info: Info) -> datetime | None:
        if self.state is not BotState.RUNNING or self.row.replay_start is not None:
            return None
        key = (self.row.market_id, self.interval)
        series = await info.context.loaders(MarketDataLoaders).series.load(key)
        newest = None
        if series is not None:
            # The last whole bar, where bars are made of shorter ones.
            end = series.source.last + series.source.interval.milliseconds
            newest = self.interval.floor(end) - self.interval.milliseconds
        return waits_for(self.interval, newest, info.context.services.clock.now())

    async def _session(self, info: Info) -> Row[Any] | None:
        if self.row.session_id is None:
            return None
        return await info.context.loaders(BotLoaders).session.load(self.row.session_id)

    @strawberry.field(
        description="The limits that keep it from trading on, in its last session; empty without any."
    )
    async def guards(self, info: Info) -> list[GuardState]:
        session = await self._session(info)
        now = info.context.services.clock.now()
        execution = self.row.execution if session is None else session.execution
        return [GuardState.from_guard(each) for each in guards_of(execution, session, now)]

    @strawberry.field(description="Its present session, or its last one; null before its first start.")
    async def session(self, info: Info) -> TradingSession | None:
        row = await self._session(info)
        return TradingSession.from_row(row) if row else None

    @strawberry.field(
        description="Link to the trades of all of its sessions as a CSV file, good for some minutes and for "
        "whoever has it."
    )
    def trades_csv_url(self, info: Info) -> str:
        context = info.context
        return trades_link(context.services, context.viewer.user_id, TradesOwner.BOT, self.row.id)

    @strawberry.field(description="All of its sessions, newest first.")
    async def sessions(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> TradingSessionConnection:
        loaders = info.context.loaders(BotLoaders)
        key = PageKey(self.row.id, page_request(first, after, last, before))
        page = await loaders.sessions_of_bot.load(key)
        return connection(
            TradingSessionConnection,
            page,
            TradingSession.from_row,
            lambda: loaders.session_count.load(self.row.id),
        )


@visible(OWNER)
@strawberry.type(name="BotConnection", description="One page of your bots, newest first.")
class BotConnection(Connection[Bot]):
    """Bots of the viewer."""
