"""Orders by hand: placed once under a key, handed to the session's broker, cancelled."""

import hashlib
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from gql_trader.accounts.audit import record_event
from gql_trader.accounts.types_credentials import AuditAction
from gql_trader.backtests.execution import execution_from_json
from gql_trader.bots import repository
from gql_trader.bots.by_hand.brokers import broker_of
from gql_trader.bots.by_hand.checks import check_key, check_means, check_on_market, check_order
from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.storing import add_order, lock_ledger, write_ledger
from gql_trader.bots.live import stopping
from gql_trader.bots.live.checks.orders import LiveAnswers, check_live
from gql_trader.bots.live.orders import following
from gql_trader.bots.models import OrderRow
from gql_trader.bots.quotes import quotes
from gql_trader.bots.service import lock_user
from gql_trader.bots.types import OrderRequest, SessionStatus
from gql_trader.core.actor import Actor
from gql_trader.core.errors import (
    Conflict,
    DomainError,
    DomainErrors,
    ErrorCode,
    InvalidInput,
    InvalidState,
    NotFound,
    QuotaExceeded,
)
from gql_trader.core.money import to_exact
from gql_trader.infra import json_codec
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data
from gql_trader.settings.types import SessionMode

MAXIMUM_WAITING = 100
"""Orders of one session that may wait at a time."""


async def place_order(
    uow: UnitOfWork,
    arrays: ArrayCache,
    actor: Actor,
    request: OrderRequest,
    answers: LiveAnswers | None = None,
) -> Row[Any]:
    """Place an order in a session that is traded by hand.

    On paper it is filled, if it can be filled at once. Live it is stored, and a worker sends it once this
    transaction has committed. Under a key that was used before, the order that was placed then is returned,
    and none is placed.

    Parameters
    ----------
    answers
        What the exchange has said, for a live session.

    Raises
    ------
    Conflict
        IDEMPOTENCY_MISMATCH, if the key was used for another order.
    DomainErrors, InvalidInput
        If the order is malformed, breaks the market's steps, or cannot be paid for.
    NotFound
        If there is no such session of the user's, or no such market.
    InvalidState
        If the session has ended, or a bot trades it.
    DomainError
        NO_DATA, if no price of the market is known.
    QuotaExceeded
        If too many orders wait.
    """
    check_key(request.idempotency_key)
    await lock_user(uow, actor)
    hashed = _request_hash(request)
    before = await uow.session.execute(
        select(OrderRow.id, OrderRow.request_hash).where(
            OrderRow.user_id == actor.user_id, OrderRow.idempotency_key == request.idempotency_key
        )
    )
    if (known := before.one_or_none()) is not None:
        if known.request_hash != hashed:
            raise Conflict(
                "This idempotency key was used before with another order.",
                ("idempotencyKey",),
                ErrorCode.IDEMPOTENCY_MISMATCH,
            )
        return await own_order(uow, actor, known.id)
    ledger = await lock_own(uow, actor, request.session_id, ("sessionId",))
    if problems := check_order(request, contracts=ledger.contracts):
        raise DomainErrors(problems)
    market = await market_data.find_market(uow, request.market)
    if not market.active:
        raise InvalidState(f"{market.name} is not traded any more.", ("market",))
    quote = (await quotes(uow, arrays, {market.id: None})).get(market.id)
    if quote is None:
        raise DomainError(f"No price of {market.name} is known.", ("market",), ErrorCode.NO_DATA)
    close = to_exact(quote.close)
    if problems := check_on_market(request, market, close):
        raise DomainErrors(problems)
    references = None
    if ledger.session.mode == SessionMode.LIVE.value:
        await check_live(uow, request, market, close, answers or LiveAnswers())
        references = await following.reference_prices(uow, ledger.waiting)
    if ledger.session.quote_id not in (None, market.quote_id):
        raise InvalidInput(
            "All orders of a session are in the currency of its first; start another session for this one.",
            ("market",),
        )
    if len(ledger.waiting) >= MAXIMUM_WAITING:
        raise QuotaExceeded(f"{MAXIMUM_WAITING} orders of this session wait; cancel one first.")
    costs = execution_from_json(ledger.session.execution)
    closes = check_means(ledger, request, market, close, costs, references)
    ledger.session.quote_id = market.quote_id
    order = add_order(uow, ledger, request, market.id)
    # At the exchange of contracts it must not do anything else, whatever fills first.
    order.reduce_only = request.reduce_only or (closes and ledger.contracts)
    order.idempotency_key, order.request_hash = request.idempotency_key, hashed
    await broker_of(ledger.session).place(uow, ledger, order, quote, costs)
    ledger.mark(market.id, quote)
    await write_ledger(uow, ledger)
    note(
        uow,
        AuditAction.ORDER_PLACED,
        actor,
        request.session_id,
        orderId=str(order.id),
        market=market.name,
        side=order.side,
        type=order.type,
        quantity=f"{order.quantity:f}",
    )
    return await own_order(uow, actor, order.id)


async def cancel_order(uow: UnitOfWork, actor: Actor, order_key: UUID) -> Row[Any]:
    """Cancel an order that waits; live, have the exchange asked to, unless it was not sent yet.

    Raises
    ------
    NotFound
        If the user has no such order.
    InvalidState
        If it waits no more.
    """
    row = await own_order(uow, actor, order_key)
    locked = await lock_ledger(uow, row.session_id, actor.user_id)
    assert locked is not None, "the foreign key keeps it"
    ledger = locked[1]
    order = next((each for each in ledger.waiting if each.id == order_key), None) if ledger else None
    # A bot's are the bot's own until it has failed and left one.
    by_bot = ledger is not None and ledger.session.market_id is not None
    if ledger is None or order is None or (by_bot and ledger.session.status == SessionStatus.ACTIVE.value):
        row = await own_order(uow, actor, order_key)
        raise InvalidState(f"This order is {row.status}.", ("id",))
    await broker_of(ledger.session).cancel(uow, ledger, order, "You have cancelled it.")
    await uow.session.flush()
    note(uow, AuditAction.ORDER_CANCELLED, actor, row.session_id, orderId=str(order_key))
    return await own_order(uow, actor, order_key)


async def own_order(uow: UnitOfWork, actor: Actor, key: UUID) -> Row[Any]:
    """Return one of the user's orders; raise NotFound if there is none."""
    found = await repository.orders_by_ids(uow.session, actor.user_id, [key])
    if key not in found:
        raise NotFound("There is no such order.", ("id",))
    return found[key]


async def lock_own(
    uow: UnitOfWork, actor: Actor, session_id: UUID, path: tuple[str, ...], *, again: bool = False
) -> HandLedger:
    """Return the account of a session of the user's, locked until the transaction ends.

    Parameters
    ----------
    again
        Whether it may be one that is being ended and could not close what it holds.

    Raises
    ------
    NotFound
        If the user has no such session.
    InvalidState
        If it has ended, or a bot trades it.
    """
    locked = await lock_ledger(uow, session_id, actor.user_id)
    if locked is None:
        raise NotFound("There is no such session.", path)
    session, ledger = locked
    if ledger is None or session.market_id is not None:
        raise InvalidState("A bot trades this session; stop the bot, or trade in one of your own.", path)
    ended = session.status != SessionStatus.ACTIVE.value
    if ended and not (again and await stopping.has_failed_to_close(uow, session)):
        raise InvalidState("This session has ended.", path)
    return ledger


def _request_hash(request: OrderRequest) -> str:
    def plain(number: Decimal | None) -> str | None:
        return None if number is None else f"{number.normalize():f}" if number.is_finite() else str(number)

    content = {
        "session": str(request.session_id),
        "market": request.market.strip().upper(),
        "side": request.side.value,
        "type": request.type.value,
        "quantity": plain(request.quantity),
        "price": plain(request.price),
        "stopPrice": plain(request.stop_price),
        "reduceOnly": request.reduce_only,
    }
    return hashlib.sha256(json_codec.dumps_canonical(content)).hexdigest()


def note(uow: UnitOfWork, action: AuditAction, actor: Actor, session_id: UUID, **metadata: Any) -> None:
    """Write down in the audit log what a user has done in a session."""
    record_event(
        uow,
        action,
        actor_id=actor.user_id,
        target_id=actor.user_id,
        tradingSessionId=str(session_id),
        **metadata,
    )
