"""An order of a session as a GraphQL object."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import Row

from gql_trader.backtests.schema_enums import ExitReason
from gql_trader.bots.loaders import BotLoaders
from gql_trader.bots.schema_enums import OrderSide, OrderStatus, OrderType
from gql_trader.bots.schema_types import OWNER, market_id_of, market_of, session_row
from gql_trader.gql.context import Info
from gql_trader.gql.pagination import Connection
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import Node, encode_id
from gql_trader.market_data.schema_types import Market

if TYPE_CHECKING:
    from gql_trader.bots.schema_session import TradingSession


@visible(OWNER)
@strawberry.type(description="A fee in a currency whose price was not known.")
class OtherFee:
    """A fee that is counted nowhere."""

    currency: str = strawberry.field(description="What it was taken in, such as BNB.")
    amount: Decimal = strawberry.field(description="How much of that; negative if it was paid out.")


@visible(OWNER)
@strawberry.type(
    description="An order of a session. A bot's orders on paper are known once they have filled."
)
class Order(Node):
    """An order."""

    row: strawberry.Private[Row[Any]]
    client_order_id: str = strawberry.field(description="Our own id of it, unique among your orders.")
    side: OrderSide = strawberry.field(description="What it does with the base asset.")
    type: OrderType = strawberry.field(description="How it fills.")
    status: OrderStatus = strawberry.field(description="What has become of it.")
    reduce_only: bool = strawberry.field(description="Whether it may only make a position smaller.")
    quantity: Decimal = strawberry.field(description="Quantity in the base currency.")
    filled_quantity: Decimal = strawberry.field(description="How much of it has filled.")
    price: Decimal | None = strawberry.field(description="Its limit; null for an order without one.")
    stop_price: Decimal | None = strawberry.field(
        description="Where it becomes active; null for an order that is from the start."
    )
    average_price: Decimal | None = strawberry.field(
        description="Mean price of its fills, slippage included; null while nothing has filled."
    )
    fee: Decimal = strawberry.field(
        description="Fees of its fills, in the quote currency: what was taken in the base currency at "
        "the fill's price, in a third one at the exchange's price of it then, or the last stored close."
    )
    exit_reason: ExitReason | None = strawberry.field(
        description="Why it closes a position; null if it opens one, and by hand."
    )
    reason: str | None = strawberry.field(description="Why it was cancelled or rejected; null unless it was.")
    exchange_order_id: str | None = strawberry.field(
        description="The exchange's id of it; null on paper, and until the exchange is known to have it."
    )
    cancel_requested_at: datetime | None = strawberry.field(
        description="When it was asked to be cancelled at the exchange; null if it was not."
    )
    created_at: datetime = strawberry.field(description="When it was placed; a bot's, in the market's time.")
    filled_at: datetime | None = strawberry.field(description="When it filled, in the market's time.")

    @classmethod
    def from_row(cls, row: Row[Any]) -> "Order":
        """Return the GraphQL object of an order."""
        return cls(
            id=encode_id("Order", row.id),
            row=row,
            client_order_id=row.client_order_id,
            side=OrderSide[row.side],
            type=OrderType[row.type],
            status=OrderStatus[row.status],
            reduce_only=row.reduce_only,
            quantity=row.quantity,
            filled_quantity=row.filled_quantity,
            price=row.price,
            stop_price=row.stop_price,
            average_price=row.average_price,
            fee=row.fee,
            exit_reason=ExitReason[row.exit_reason] if row.exit_reason else None,
            reason=row.reason,
            exchange_order_id=row.exchange_order_id,
            cancel_requested_at=row.cancel_requested_at,
            created_at=row.created_at,
            filled_at=row.filled_at,
        )

    @strawberry.field(description="The session that it belongs to.")
    async def session(
        self, info: Info
    ) -> Annotated["TradingSession", strawberry.lazy("gql_trader.bots.schema_session")]:
        from gql_trader.bots.schema_session import TradingSession

        return TradingSession.from_row(await session_row(info, self.row.session_id))

    @strawberry.field(
        description="Fees of its fills in third currencies whose price was not known: they are no part of "
        "`fee`, nor of any other figure."
    )
    async def other_fees(self, info: Info) -> list[OtherFee]:
        rows = await info.context.loaders(BotLoaders).unpriced_fees.load(self.row.id)
        return [OtherFee(currency=row.fee_currency, amount=row.amount) for row in rows]

    @strawberry.field(description="The market that it is sent to.")
    async def market(self, info: Info) -> Market:
        return await market_of(info, await market_id_of(info, self.row))


@visible(OWNER)
@strawberry.type(name="OrderConnection", description="One page of orders, oldest first.")
class OrderConnection(Connection[Order]):
    """Orders of the viewer."""
