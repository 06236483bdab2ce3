"""GraphQL types of what sessions trade: positions, trades, orders, guards."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import Row

from gql_trader.backtests.schema_enums import ExitReason, Side
from gql_trader.bots import explaining
from gql_trader.bots.guarding import Guard, guards_then
from gql_trader.bots.loaders import BotLoaders
from gql_trader.bots.schema_enums import GuardKind, TradeStatus
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.money import MONEY_DIGITS, to_decimal, to_exact, to_price
from gql_trader.gql.context import Info
from gql_trader.gql.pagination import Connection
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import Node, encode_id
from gql_trader.gql.scalars import JSON
from gql_trader.market_data.loaders import MarketDataLoaders
from gql_trader.market_data.schema_types import Market

if TYPE_CHECKING:
    from gql_trader.bots.schema_bot import Bot
    from gql_trader.bots.schema_session import TradingSession

OWNER = "the user whose bot or session it is"


async def market_of(info: Info, market_id: Any) -> Market:
    """Return a market that is known to exist."""
    market = await info.context.loaders(MarketDataLoaders).market.load(market_id)
    assert market is not None, "the foreign key keeps it"
    return Market.from_record(market)


async def session_row(info: Info, session_id: Any) -> Row[Any]:
    """Return a session of the viewer that is known to exist."""
    row = await info.context.loaders(BotLoaders).session.load(session_id)
    assert row is not None, "the foreign key keeps it"
    return row


async def market_id_of(info: Info, row: Row[Any]) -> UUID:
    """Return the key of the market of an order or trade: its own by hand, else its session's."""
    found: UUID = row.market_id or (await session_row(info, row.session_id)).market_id
    return found


@visible(OWNER)
@strawberry.type(description="A limit that keeps a bot from trading on. Days are UTC, as in backtests.")
class GuardState:
    """A guard, and how much of it is used."""

    kind: GuardKind = strawberry.field(description="What it limits.")
    limit: float = strawberry.field(
        description="A fraction for the daily loss and target, a number of trades or bars for the others."
    )
    used: float = strawberry.field(
        description="How much of the limit is used; of the cooldown, the bars still to wait."
    )
    resets_at: datetime | None = strawberry.field(
        description="When it begins anew: at the next midnight UTC, or when the cooldown is over, if no "
        "candles are missing. Null while nothing is counted."
    )
    tripped: bool = strawberry.field(description="Whether it keeps positions from being opened now.")
    tripped_by: str | None = strawberry.field(description="Why it does; null unless it does.")

    @classmethod
    def from_guard(cls, guard: Guard) -> "GuardState":
        """Return the GraphQL object of a guard."""
        return cls(
            kind=guard.kind,
            limit=guard.limit,
            used=guard.used,
            resets_at=guard.resets_at,
            tripped=guard.tripped_by is not None,
            tripped_by=guard.tripped_by,
        )


@visible(OWNER)
@strawberry.type(description="How a position will be closed when the bar that is under way has closed.")
class ExitDue:
    """What the newest price has reached."""

    reason: ExitReason = strawberry.field(
        description="Why. A stop or a liquidation that was reached stays; a target gives way to a stop that "
        "the same bar reaches later."
    )
    price: Decimal = strawberry.field(description="At what price, slippage included.")
    since: datetime = strawberry.field(description="The moment of the price that showed it first.")

    @classmethod
    def of(cls, session: Row[Any]) -> "ExitDue | None":
        """Return what is due in a session."""
        if session.due_reason is None:
            return None
        return cls(
            reason=ExitReason[session.due_reason],
            price=to_price(session.due_price),
            since=from_milliseconds(session.due_since),
        )


@visible(OWNER)
@strawberry.type(description="A position that a session holds.")
class Position:
    """An open position."""

    market_id: strawberry.Private[UUID]
    side: Side = strawberry.field(description="Direction of the position.")
    quantity: Decimal = strawberry.field(description="Quantity in the base currency.")
    entry_time: datetime = strawberry.field(description="When it was opened.")
    entry_price: Decimal = strawberry.field(description="Price of the entry fill, slippage included.")
    mark_price: Decimal = strawberry.field(
        description="What it is valued at: the close of the last bar or, of a bot's, a newer price "
        "(`TradingSession.markedAt`)."
    )
    exit_due: ExitDue | None = strawberry.field(
        description="How the bar that is under way will close it, as far as is known: a stop that was "
        "reached for example. It is booked when the bar has closed. Null if nothing closes it yet, and by "
        "hand."
    )
    unrealized_profit: Decimal = strawberry.field(
        description="What closing it at `markPrice` would bring, before the exit's own costs, in the quote "
        "currency; the entry's fee and the funding so far are deducted."
    )

    @classmethod
    def of(cls, session: Row[Any], trade: Row[Any]) -> "Position":
        """Return the position of a trade that is open."""
        if trade.market_id is not None:
            mark = trade.mark_price
            gain = trade.quantity * mark - trade.cost
            gain = gain if Side[trade.side] is Side.LONG else -gain
            unrealized = round(gain - trade.fees - (trade.funding or 0), MONEY_DIGITS)
        else:
            is_newer = session.mark_price is not None
            mark = to_exact(session.mark_price if is_newer else session.last_close)
            equity = session.mark_equity if is_newer else session.equity
            unrealized = to_decimal(equity - session.balance)
        return cls(
            market_id=trade.market_id or session.market_id,
            side=Side[trade.side],
            quantity=trade.quantity,
            entry_time=trade.entry_time,
            entry_price=trade.entry_price,
            mark_price=mark,
            exit_due=None if trade.market_id is not None else ExitDue.of(session),
            unrealized_profit=unrealized,
        )

    @strawberry.field(description="The market that is traded.")
    async def market(self, info: Info) -> Market:
        return await market_of(info, self.market_id)


@visible(OWNER)
@strawberry.type(description="A position from its opening to its closing.")
class Trade(Node):
    """A trade of a session."""

    row: strawberry.Private[Row[Any]]
    number: int = strawberry.field(description="1 for the first trade of the session.")
    side: Side = strawberry.field(description="Direction of the position.")
    quantity: Decimal = strawberry.field(description="Quantity in the base currency.")
    entry_time: datetime = strawberry.field(
        description="When it was opened: the bar's opening time for a fill at the open, else its close."
    )
    entry_price: Decimal = strawberry.field(description="Price of the entry fill, slippage included.")
    exit_time: datetime | None = strawberry.field(description="When it was closed; null while it is held.")
    exit_price: Decimal | None = strawberry.field(description="Price of the exit fill, slippage included.")
    profit: Decimal | None = strawberry.field(
        description="Net of fees, slippage and funding, in the quote currency; null while it is held."
    )
    profit_fraction: float | None = strawberry.field(description="Profit over what it cost to enter.")
    fees: Decimal = strawberry.field(
        description="Fees in the quote currency; those of the entry alone while it is held."
    )
    funding: Decimal | None = strawberry.field(
        description="Funding and borrow cost in the quote currency; null while it is held, and by hand."
    )
    bars: int | None = strawberry.field(
        description="Bars during which it was held; null while it is, and by hand."
    )
    max_favorable: float | None = strawberry.field(
        description="Largest move in favour, as a fraction of the entry price; null by hand and while "
        "it is held."
    )
    max_adverse: float | None = strawberry.field(
        description="Largest move against, as a fraction of the entry price; null by hand and while it "
        "is held."
    )
    equity_after: Decimal | None = strawberry.field(
        description="Equity after the exit, in the quote currency; null while it is held."
    )
    status: TradeStatus = strawberry.field(description="Whether the position is still held.")
    exit_reason: ExitReason | None = strawberry.field(
        description="Why it was closed; null while it is held, and by hand."
    )

    @classmethod
    def from_row(cls, row: Row[Any]) -> "Trade":
        """Return the GraphQL object of a trade."""
        return cls(
            id=encode_id("Trade", row.id),
            row=row,
            side=Side[row.side],
            status=TradeStatus.OPEN if row.exit_time is None else TradeStatus.CLOSED,
            exit_reason=ExitReason[row.exit_reason] if row.exit_reason else None,
            **{name: getattr(row, name) for name in _PLAIN_TRADE},
        )

    @strawberry.field(description="The session that it belongs to.")
    async def session(
        self, info: Info
    ) -> Annotated["TradingSession", strawberry.lazy("gql_trader.bots.schema_session")]:
        from gql_trader.bots.schema_session import TradingSession

        return TradingSession.from_row(await session_row(info, self.row.session_id))

    @strawberry.field(description="The bot that made it; null if it was deleted, or there was none.")
    async def bot(self, info: Info) -> Annotated["Bot", strawberry.lazy("gql_trader.bots.schema_bot")] | None:
        from gql_trader.bots.schema_bot import Bot

        session = await session_row(info, self.row.session_id)
        if session.bot_id is None:
            return None
        row = await info.context.loaders(BotLoaders).bot.load(session.bot_id)
        return Bot.from_row(row) if row else None

    @strawberry.field(description="The market that was traded.")
    async def market(self, info: Info) -> Market:
        return await market_of(info, await market_id_of(info, self.row))


_PLAIN_TRADE = (
    "number",
    "quantity",
    "entry_time",
    "entry_price",
    "exit_time",
    "exit_price",
    "profit",
    "profit_fraction",
    "fees",
    "funding",
    "bars",
    "max_favorable",
    "max_adverse",
    "equity_after",
)


@visible(OWNER)
@strawberry.type(
    description="What a session's strategy said at the close of a bar of a live market, and what its guards "
    "allowed. A signal takes effect with the next fill."
)
class Decision:
    """A bar of a session."""

    time: datetime = strawberry.field(description="Opening time of the bar.")
    entry_long: bool = strawberry.field(description="Whether `entryLong` held.")
    exit_long: bool = strawberry.field(description="Whether `exitLong` held.")
    entry_short: bool = strawberry.field(description="Whether `entryShort` held.")
    exit_short: bool = strawberry.field(description="Whether `exitShort` held.")
    values: JSON = strawberry.field(
        description="Values of the number series that the rules are made of, by their text; null while "
        "one is undefined."
    )
    guards: list[GuardState] = strawberry.field(
        description="The guards when the bar had closed; the equity behind them is that of the last bar on "
        "which one of them changed."
    )

    @classmethod
    def from_row(cls, row: Row[Any]) -> "Decision":
        """Return the GraphQL object of a bar."""
        return cls(
            time=from_milliseconds(row.time),
            entry_long=bool(row.signals & explaining.ENTRY_LONG),
            exit_long=bool(row.signals & explaining.EXIT_LONG),
            entry_short=bool(row.signals & explaining.ENTRY_SHORT),
            exit_short=bool(row.signals & explaining.EXIT_SHORT),
            values=JSON(row.said),
            guards=[GuardState.from_guard(each) for each in guards_then(row)],
        )


@visible(OWNER)
@strawberry.type(name="DecisionConnection", description="One page of decisions, newest first.")
class DecisionConnection(Connection[Decision]):
    """Decisions of a session of the viewer."""


@visible(OWNER)
@strawberry.type(name="TradeConnection", description="One page of trades.")
class TradeConnection(Connection[Trade]):
    """Trades of the viewer."""
