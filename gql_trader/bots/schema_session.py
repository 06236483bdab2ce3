"""A trading session as a GraphQL object."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import Row

from gql_trader.backtests.schema_backtest import EQUITY_COLUMNS, MaxPoints
from gql_trader.backtests.schema_execution import Execution
from gql_trader.backtests.schema_types import EquityColumns, points_of_curve
from gql_trader.bots.loaders import BotLoaders, CurveKey, PageKey
from gql_trader.bots.schema_enums import SessionMode, SessionStatus
from gql_trader.bots.schema_exports import TradesOwner, trades_link
from gql_trader.bots.schema_order import Order, OrderConnection
from gql_trader.bots.schema_types import (
    OWNER,
    Decision,
    DecisionConnection,
    Position,
    Trade,
    TradeConnection,
    market_of,
)
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.errors import InvalidInput
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_decimal, to_float
from gql_trader.gql.context import Info
from gql_trader.gql.cost import COLUMNS_COST, costs
from gql_trader.gql.pagination import After, Before, Connection, First, Last, connection
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import Node, encode_id
from gql_trader.gql.scalars import JSON
from gql_trader.infra.keyset import page_request
from gql_trader.market_data.schema_types import Market
from gql_trader.market_data.store.loading import range_bounds
from gql_trader.strategies.loaders import StrategyLoaders
from gql_trader.strategies.schema import Strategy

if TYPE_CHECKING:
    from gql_trader.bots.schema_bot import Bot


@visible(OWNER)
@strawberry.type(
    description="A time of trading with capital of its own: from a bot's start to its stop, or by hand."
)
class TradingSession(Node):
    """A session of the viewer."""

    row: strawberry.Private[Row[Any]]
    mode: SessionMode = strawberry.field(description="Whether orders are simulated or sent to an exchange.")
    status: SessionStatus = strawberry.field(description="Whether it still trades.")
    interval: Interval | None = strawberry.field(description="Length of a bar; null if traded by hand.")
    strategy_version: int | None = strawberry.field(
        description="Version of the strategy that it runs; null if traded by hand."
    )
    parameters: JSON | None = strawberry.field(
        description="All parameters of the strategy; null if traded by hand."
    )
    capital: Decimal = strawberry.field(description="What it began with, in the quote currency.")
    equity: Decimal = strawberry.field(
        description="Cash and position, valued at `markedAt`'s price, in the quote currency."
    )
    cash: Decimal = strawberry.field(description="What is not bound in a position, in the quote currency.")
    profit: Decimal = strawberry.field(description="Equity less capital.")
    profit_fraction: float = strawberry.field(description="Profit over capital.")
    max_volume_share: float | None = strawberry.field(
        description="Of a bar's volume, what an order with a limit can fill of it at most, by hand on paper; "
        "null: all of the order."
    )
    bars: int = strawberry.field(description="Bars that were traded.")
    last_bar_time: datetime | None = strawberry.field(
        description="Opening time of the last bar that was traded; null before the first. By hand: when the "
        "last bar closed at which positions were valued."
    )
    marked_at: datetime | None = strawberry.field(
        description="The moment of the price that the position is valued at: the close of the last bar that "
        "was traded or, while a bot holds a position, a newer one (`checkIntervalSeconds`). Null before the "
        "first."
    )
    started_at: datetime = strawberry.field(description="When it began.")
    ended_at: datetime | None = strawberry.field(description="When it ended; null while it has not.")

    @classmethod
    def from_row(cls, row: Row[Any]) -> "TradingSession":
        """Return the GraphQL object of a session."""
        figure = row.equity if row.mark_equity is None else row.mark_equity
        equity = to_decimal(figure)
        last, length = row.last_bar_time, 0 if row.interval is None else Interval[row.interval].milliseconds
        marked_at = None if last is None else last + length
        return cls(
            id=encode_id("TradingSession", row.id),
            row=row,
            mode=SessionMode[row.mode],
            status=SessionStatus.STOPPED if row.ended_at is not None else SessionStatus.ACTIVE,
            interval=None if row.interval is None else Interval[row.interval],
            strategy_version=row.strategy_version,
            parameters=row.parameters,
            capital=row.capital,
            equity=equity,
            cash=to_decimal(row.cash),
            profit=equity - row.capital,
            profit_fraction=figure / to_float(row.capital) - 1.0,
            max_volume_share=row.volume_share,
            bars=row.bars,
            last_bar_time=None if last is None else from_milliseconds(last),
            marked_at=None if marked_at is None else from_milliseconds(row.priced_at or marked_at),
            started_at=row.started_at,
            ended_at=row.ended_at,
        )

    @strawberry.field(description="How signals become fills, with the steps and minimums of the market.")
    def execution(self) -> Execution:
        return Execution.from_json(self.row.execution)

    @strawberry.field(description="The bot that runs it; null if it was deleted, or there was none.")
    async def bot(self, info: Info) -> Annotated["Bot", strawberry.lazy("gql_trader.bots.schema_bot")] | None:
        from gql_trader.bots.schema_bot import Bot

        if self.row.bot_id is None:
            return None
        row = await info.context.loaders(BotLoaders).bot.load(self.row.bot_id)
        return Bot.from_row(row) if row else None

    @strawberry.field(description="The market that it trades; null if traded by hand, on any of a currency.")
    async def market(self, info: Info) -> Market | None:
        return None if self.row.market_id is None else await market_of(info, self.row.market_id)

    @strawberry.field(description="The strategy that it runs; null if traded by hand.")
    async def strategy(self, info: Info) -> Strategy | None:
        if self.row.strategy_id is None:
            return None
        strategy = await info.context.loaders(StrategyLoaders).strategy.load(self.row.strategy_id)
        assert strategy is not None, "the foreign key keeps it"
        return Strategy.from_record(strategy)

    @strawberry.field(description="The positions that it holds: at most one on a market.")
    async def positions(self, info: Info) -> list[Position]:
        rows = await info.context.loaders(BotLoaders).positions.load(self.row.id)
        return [Position.of(self.row, row) for row in rows]

    @strawberry.field(description="Its orders, oldest first.")
    async def orders(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> OrderConnection:
        loaders = info.context.loaders(BotLoaders)
        key = PageKey(self.row.id, page_request(first, after, last, before))
        page = await loaders.orders_of_session.load(key)
        return connection(
            OrderConnection, page, Order.from_row, lambda: loaders.order_count.load(self.row.id)
        )

    @strawberry.field(description="Its trades, oldest first.")
    async def trades(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> TradeConnection:
        loaders = info.context.loaders(BotLoaders)
        key = PageKey(self.row.id, page_request(first, after, last, before))
        page = await loaders.trades_of_session.load(key)
        return connection(
            TradeConnection, page, Trade.from_row, lambda: loaders.trade_count.load(self.row.id)
        )

    @strawberry.field(
        description="Link to all of its trades as a CSV file, good for some minutes and for whoever has it."
    )
    def trades_csv_url(self, info: Info) -> str:
        context = info.context
        return trades_link(context.services, context.viewer.user_id, TradesOwner.SESSION, self.row.id)

    @strawberry.field(
        description="What its strategy said at every bar that it has traded, newest first, kept for a while "
        "(BOT_DECISION_DAYS). Empty for replays."
    )
    async def decisions(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> DecisionConnection:
        loaders = info.context.loaders(BotLoaders)
        key = PageKey(self.row.id, page_request(first, after, last, before))
        page = await loaders.decisions_of_session.load(key)
        return connection(
            DecisionConnection, page, Decision.from_row, lambda: loaders.decision_count.load(self.row.id)
        )

    @strawberry.field(
        description="Its equity, at every trade and now and then between. A replay keeps up to 5,000 points "
        "besides those of its trades, a session on the live market one an hour unless set otherwise.",
        metadata=costs(COLUMNS_COST),
    )
    async def equity_curve(
        self,
        info: Info,
        start: Annotated[
            datetime | None, strawberry.argument(description="Points of bars that open at or after this.")
        ] = None,
        end: Annotated[
            datetime | None, strawberry.argument(description="Points of bars that open before this.")
        ] = None,
        max_points: MaxPoints = None,
    ) -> EquityColumns:
        if start is not None and end is not None and start >= end:
            raise InvalidInput("end must be after start.", ("end",))
        points_of_curve(0, max_points)
        low, high = range_bounds(start, end)
        key = CurveKey(self.row.id, to_float(self.row.capital), low, high, max_points)
        columns = await info.context.loaders(BotLoaders).curve.load(key)
        info.context.spend(len(EQUITY_COLUMNS) * len(columns["time"]))
        return EquityColumns.from_columns(columns)


@visible(OWNER)
@strawberry.type(name="TradingSessionConnection", description="One page of sessions, newest first.")
class TradingSessionConnection(Connection[TradingSession]):
    """Sessions of the viewer."""
