"""GraphQL mutations of trading by hand: sessions and their orders."""

from decimal import Decimal
from typing import Annotated

import strawberry

from gql_trader.accounts import limits
from gql_trader.accounts.live_trading import LiveTrading
from gql_trader.bots.by_hand import orders as hand_orders
from gql_trader.bots.by_hand import sessions as hand_sessions
from gql_trader.bots.live.checks import orders as order_checks
from gql_trader.bots.live.sessions import LivePermit
from gql_trader.bots.schema_enums import MarginMode, OrderSide, OrderType, SessionMode
from gql_trader.bots.schema_order import Order
from gql_trader.bots.schema_session import TradingSession
from gql_trader.bots.schema_types import OWNER
from gql_trader.bots.types import OrderRequest, SessionRequest
from gql_trader.core.actor import Role, TokenScope
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import decode_id


def _errors(description: str) -> list[UserError]:
    field: list[UserError] = strawberry.field(
        default_factory=list, description=f"{description}; empty on success."
    )
    return field


@strawberry.input(description="A session to trade by hand.")
class StartTradingSessionInput:
    """Input of startTradingSession."""

    mode: SessionMode | None = strawberry.field(
        default=SessionMode.PAPER,
        description="Whether orders are simulated or sent to an exchange. LIVE takes a server that trades "
        "live, a fresh login with a second factor, `totpCode` and `exchangeKeyId`; no API token starts it.",
    )
    exchange_key_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="Your key that a live session trades with: verified, with TRADE and without WITHDRAW.",
    )
    leverage: int | None = strawberry.field(
        default=None,
        description="Live only: trade contracts that are settled in the quote currency, with this leverage, "
        "in place of the currencies themselves; set at the exchange before the first order on a market. Only "
        "contracts can be sold short.",
    )
    margin_mode: MarginMode | None = strawberry.field(
        default=None,
        description="With `leverage`: what backs a position, set with it; left out: as the exchange has it.",
    )
    auto_transfer_funds: bool | None = strawberry.field(
        default=False,
        description="With `leverage`: before the first order, move from the account's spot wallet to that of "
        "contracts what is missing there. The key needs the permission to transfer.",
    )
    transfer_amount: Decimal | None = strawberry.field(
        default=None,
        description="With `autoTransferFunds`: what the wallet of contracts shall have; left out: `capital`.",
    )
    totp_code: str | None = strawberry.field(
        default=None,
        description="A code of your authenticator app, or a recovery code; only for LIVE. It works once.",
    )
    capital: Decimal | None = strawberry.field(
        default=None,
        description="What it begins with, in the quote currency of its first order; left out: what your "
        "preferences say. Live, it is what the session may spend of what is in the account.",
    )
    maker_fee: float | None = strawberry.field(
        default=None, description="Fee of orders that wait at their price, as a fraction; left out: 0.001."
    )
    taker_fee: float | None = strawberry.field(
        default=None, description="Fee of all other fills, as a fraction; left out: 0.001. Live, as above."
    )
    max_volume_share: float | None = strawberry.field(
        default=None,
        description="On paper: at most this fraction of a bar's volume fills of an order with a limit that "
        "waits, such as 0.1; the rest waits for the next bars. Left out: orders fill whole.",
    )
    slippage: float | None = strawberry.field(
        default=None,
        description="How much worse than the price market orders and stops fill, as a fraction; left out: 0.",
    )


@visible(OWNER)
@strawberry.type(description="Result of `startTradingSession`.")
class StartTradingSessionPayload:
    """Payload of startTradingSession."""

    trading_session: TradingSession | None = strawberry.field(
        default=None, description="The session; trade in it with `placeOrder`."
    )
    errors: list[UserError] = _errors("Why none was started")


@strawberry.input(description="A session to end.")
class StopTradingSessionInput:
    """Input of stopTradingSession."""

    id: strawberry.ID = strawberry.field(
        description="The session; it must be active and traded by hand. A live one that could not close what "
        "it holds may be told again."
    )
    close_positions: bool | None = strawberry.field(
        default=True,
        description="true: what it holds is sold at the last close, with slippage and fee, or live at the "
        "market, their stops cancelled only as that may be done; false: it ends with its positions as they "
        "are, valued at the last close.",
    )
    abandon: bool | None = strawberry.field(
        default=False,
        description="true: end a live session that was told to stop and does not end, as the exchange does "
        "not say what became of an order. Look at your account there first: nothing is cancelled or sold.",
    )


@visible(OWNER)
@strawberry.type(description="Result of `stopTradingSession`.")
class StopTradingSessionPayload:
    """Payload of stopTradingSession."""

    trading_session: TradingSession | None = strawberry.field(
        default=None,
        description="The session, ended; a live one takes no more orders and is ended once the exchange has "
        "said what became of those it had.",
    )
    errors: list[UserError] = _errors("Why it was not ended")


@strawberry.input(description="An order to place in a session that is traded by hand.")
class PlaceOrderInput:
    """Input of placeOrder."""

    session_id: strawberry.ID = strawberry.field(description="The session.")
    market: str = strawberry.field(
        description='"BTC/USD", or "coinbase:BTC/USD" where several exchanges have the pair.'
    )
    side: OrderSide = strawberry.field(description="Whether to buy or sell.")
    type: OrderType = strawberry.field(description="How it fills.")
    quantity: Decimal = strawberry.field(description="Quantity in the base currency.")
    price: Decimal | None = strawberry.field(
        default=None, description="The limit of a LIMIT or STOP_LIMIT order; else left out."
    )
    stop_price: Decimal | None = strawberry.field(
        default=None, description="Where a STOP or STOP_LIMIT order becomes active; else left out."
    )
    reduce_only: bool | None = strawberry.field(
        default=False,
        description="true: sell at most what is held when it fills, and reserve nothing until then; so a "
        "stop and a target can wait for the same position. Live, it is a sale of what is held and not "
        "promised to other orders, or a purchase of what was sold short: the exchange locks what each "
        "closes.",
    )
    idempotency_key: str = strawberry.field(
        description="A text of your choice, 1 to 200 characters, new for each order: the same order sent "
        "again under it is not placed again, another one is IDEMPOTENCY_MISMATCH."
    )

    acknowledge_mismatch: bool | None = strawberry.field(
        default=False,
        description="true: trade although the account at the exchange is not what the session takes it for, "
        "which a refused order has told: foreign orders that are open, or other holdings. It is compared "
        "before a live session's first order on each market.",
    )

    def to_request(self) -> OrderRequest:
        """Return the request, its parts not yet looked up."""
        return OrderRequest(
            session_id=decode_id(self.session_id, "TradingSession", ("sessionId",)),
            market=self.market,
            side=self.side,
            type=self.type,
            quantity=self.quantity,
            price=self.price,
            stop_price=self.stop_price,
            reduce_only=bool(self.reduce_only),
            idempotency_key=self.idempotency_key,
        )


@visible(OWNER)
@strawberry.type(description="Result of `placeOrder`.")
class PlaceOrderPayload:
    """Payload of placeOrder."""

    order: Order | None = strawberry.field(
        default=None,
        description="The order: on paper FILLED, or OPEN if it waits for its price; live NEW, to be sent.",
    )
    errors: list[UserError] = _errors("Why it was not placed")


@strawberry.input(description="An order to take back.")
class CancelOrderInput:
    """Input of cancelOrder."""

    id: strawberry.ID = strawberry.field(description="The order; it must be waiting.")


@visible(OWNER)
@strawberry.type(description="Result of `cancelOrder`.")
class CancelOrderPayload:
    """Payload of cancelOrder."""

    order: Order | None = strawberry.field(
        default=None,
        description="The order, cancelled; live, one whose cancellation the exchange is being asked for: its "
        "status tells whether it was, or had filled before.",
    )
    errors: list[UserError] = _errors("Why it was not cancelled")


@strawberry.type
class HandMutation:
    """Mutations of trading by hand."""

    @mutation(
        StartTradingSessionPayload,
        Role.TRADER,
        "Start a session to trade by hand, with capital of its own, on paper or live.",
        TokenScope.TRADE,
        limited=limits.LIVE_TRADING_CODE,
    )
    async def start_trading_session(
        self,
        info: Info,
        input: Annotated[StartTradingSessionInput, strawberry.argument(description="The session.")],
    ) -> StartTradingSessionPayload:
        services = info.context.services
        settings = services.settings
        key = input.exchange_key_id
        request = SessionRequest(
            input.mode,
            input.capital,
            input.maker_fee,
            input.taker_fee,
            input.slippage,
            decode_id(key, "ExchangeKey", ("exchangeKeyId",)) if key else None,
            input.leverage,
            input.margin_mode,
            bool(input.auto_transfer_funds),
            input.transfer_amount,
            input.max_volume_share,
        )
        permit = LivePermit(services.keys, LiveTrading.of(settings), input.totp_code)
        async with info.context.uow() as uow:
            row = await hand_sessions.start_session(
                uow,
                info.context.viewer,
                request,
                settings.max_trading_sessions_per_user,
                settings.bot_equity_minutes,
                permit,
            )
        return StartTradingSessionPayload(trading_session=TradingSession.from_row(row))

    @mutation(
        StopTradingSessionPayload,
        Role.TRADER,
        "End a session that is traded by hand: orders that wait are cancelled, positions are sold unless "
        "you say otherwise. A session of a bot ends with `stopBot`.",
        TokenScope.TRADE,
    )
    async def stop_trading_session(
        self,
        info: Info,
        input: Annotated[StopTradingSessionInput, strawberry.argument(description="What to end.")],
    ) -> StopTradingSessionPayload:
        key = decode_id(input.id, "TradingSession")
        async with info.context.uow() as uow:
            if input.abandon:
                row = await hand_sessions.abandon_session(uow, info.context.viewer, key)
                return StopTradingSessionPayload(trading_session=TradingSession.from_row(row))
            row = await hand_sessions.stop_session(
                uow,
                info.context.services.arrays,
                info.context.viewer,
                key,
                close_positions=input.close_positions is not False,
            )
        return StopTradingSessionPayload(trading_session=TradingSession.from_row(row))

    @mutation(
        PlaceOrderPayload,
        Role.TRADER,
        "Place an order in a session that is traded by hand. On paper a market order fills at the last "
        "close; others wait for bars that open from now on, unless the last close fills them. Live it is "
        "stored first and then sent to the exchange, once.",
        TokenScope.TRADE,
    )
    async def place_order(
        self, info: Info, input: Annotated[PlaceOrderInput, strawberry.argument(description="The order.")]
    ) -> PlaceOrderPayload:
        request, services, viewer = input.to_request(), info.context.services, info.context.viewer
        async with info.context.uow() as uow:
            plan = await order_checks.plan_of_live_order(uow, services.keys, viewer, request)
        answers = None
        if plan is not None:
            # No transaction is open while the exchange is asked.
            answers = await order_checks.answers_for(
                services.exchanges, info.context.uow, plan, acknowledged=bool(input.acknowledge_mismatch)
            )
        async with info.context.uow() as uow:
            row = await hand_orders.place_order(uow, services.arrays, viewer, request, answers)
        return PlaceOrderPayload(order=Order.from_row(row))

    @mutation(
        CancelOrderPayload,
        Role.TRADER,
        "Take back an order that waits. One that has filled meanwhile stays filled: INVALID_STATE. Live, the "
        "exchange is asked to cancel it.",
        TokenScope.TRADE,
    )
    async def cancel_order(
        self, info: Info, input: Annotated[CancelOrderInput, strawberry.argument(description="The order.")]
    ) -> CancelOrderPayload:
        key = decode_id(input.id, "Order")
        async with info.context.uow() as uow:
            row = await hand_orders.cancel_order(uow, info.context.viewer, key)
        return CancelOrderPayload(order=Order.from_row(row))
