"""Checks of live orders and sessions before anything is stored."""

from decimal import Decimal
from uuid import UUID

import structlog
from sqlalchemy import select

from gql_trader.bots.models import TradingSessionRow
from gql_trader.bots.models_live import LiveSessionRow
from gql_trader.bots.types import OrderRequest, SessionStatus
from gql_trader.core.actor import Actor
from gql_trader.core.errors import DomainError, InvalidInput, NotFound
from gql_trader.exchange_keys import repository as exchange_keys
from gql_trader.exchange_keys.types import ExchangeKeyRecord
from gql_trader.infra.exchange import orders
from gql_trader.infra.exchange.errors import ExchangeFailure
from gql_trader.infra.exchange.exchanges import Exchanges
from gql_trader.infra.exchange.markets import MarketRules
from gql_trader.infra.exchange.pacing import IMPATIENT
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data
from gql_trader.market_data.fetching import spot_market
from gql_trader.market_data.types import MarketRecord

_log = structlog.get_logger(__name__)


async def check_live(
    uow: UnitOfWork, request: OrderRequest, market: MarketRecord, close: Decimal, rules: MarketRules | None
) -> None:
    """Raise InvalidInput unless a live session's exchange takes an order on a market.

    Parameters
    ----------
    rules
        What the exchange says of the market; None: nothing is known, and it is asked before it is sent.
    """
    held = await uow.session.get(LiveSessionRow, request.session_id)
    assert held is not None, "an active live session has one"
    if market.exchange != held.exchange:
        raise InvalidInput(
            f"This session trades with a key to {held.exchange}, the market is on {market.exchange}.",
            ("market",),
        )
    if rules is None:
        return
    problem = rules.problem(
        orders.OrderRequest(
            symbol=rules.symbol,
            client_order_id="",
            side=orders.Side(request.side.value.lower()),
            kind=orders.OrderKind(request.type.value),
            amount=request.quantity,
            price=request.price,
            stop_price=request.stop_price,
            reference_price=close,
        )
    )
    if problem is not None:
        raise InvalidInput(problem)


async def market_of_live_order(uow: UnitOfWork, actor: Actor, request: OrderRequest) -> MarketRecord | None:
    """Return the market of an order that would be sent to an exchange; None if it is not one, or wrong."""
    held = await uow.session.scalar(
        select(LiveSessionRow)
        .join(TradingSessionRow, TradingSessionRow.id == LiveSessionRow.session_id)
        .where(
            TradingSessionRow.id == request.session_id,
            TradingSessionRow.user_id == actor.user_id,
            TradingSessionRow.status == SessionStatus.ACTIVE.value,
        )
    )
    if held is None:
        return None
    try:
        market = await market_data.find_market(uow, request.market)
    except DomainError:
        # Told by whoever places it, beside the rest.
        return None
    return market if market.exchange == held.exchange else None


async def ask_rules(exchanges: Exchanges, market: MarketRecord) -> MarketRules | None:
    """Return what an exchange says of a market; None if it does not answer. No transaction may be open."""
    try:
        return await spot_market(await exchanges.public(market.exchange, IMPATIENT), market.symbol)
    except ExchangeFailure as failure:
        _log.info("market_rules_unknown", exchange=market.exchange, failure=type(failure).__name__)
        return None


async def key_to_trade_with(uow: UnitOfWork, actor: Actor, key_id: UUID | None) -> ExchangeKeyRecord:
    """Return one of the user's keys.

    Raises
    ------
    InvalidInput
        If none is named.
    NotFound
        If the user has no such key.
    """
    if key_id is None:
        raise InvalidInput("Live trading needs one of your exchange keys.", ("exchangeKeyId",))
    row = await exchange_keys.key_of(uow.session, actor.user_id, key_id)
    if row is None:
        raise NotFound("There is no such exchange key.", ("exchangeKeyId",))
    return exchange_keys.record(row)
