"""Live sessions: what they trade with, and how those by hand end."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy import delete, insert, select

from gql_trader.accounts.audit import record_event
from gql_trader.accounts.live_trading import LiveTrading, check_live_rights, require_live_rights
from gql_trader.accounts.types_credentials import AuditAction
from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.fills import closing_order
from gql_trader.bots.ledger.storing import add_order, lock_ledger, write_ledger
from gql_trader.bots.lifecycle import change_state, idle_users
from gql_trader.bots.live.checks import doubts, markets, rights
from gql_trader.bots.live.checks.orders import key_to_trade_with
from gql_trader.bots.live.orders import following, placing, states
from gql_trader.bots.models import BotRow, TradeRow, TradingSessionRow
from gql_trader.bots.models_live import LiveSessionRow
from gql_trader.bots.models_live_bot import LiveBotRow
from gql_trader.bots.types import (
    CLOSING,
    BotState,
    OrderRequest,
    OrderStatus,
    OrderType,
    SessionRequest,
    SessionStatus,
)
from gql_trader.core.actor import Actor
from gql_trader.core.errors import Forbidden, InvalidState
from gql_trader.engine.execution import Side
from gql_trader.exchange_keys.types import ExchangeKeyRecord
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data
from gql_trader.market_data.types import MarketRecord
from gql_trader.settings.types import MarginMode, SessionMode

MOST_CLOSINGS = 3
"""How often it is tried to close what a session holds, each time after it is known what came of the last."""


@dataclass(frozen=True, slots=True)
class LivePermit:
    """By what somebody proves that they may trade live; see `require_live_rights`."""

    keys: KeyRing
    live: LiveTrading
    totp_code: str | None


async def permitted_key(
    uow: UnitOfWork, actor: Actor, request: SessionRequest, permit: LivePermit | None
) -> ExchangeKeyRecord:
    """Return the key that a live session shall trade with, using up the user's code of the second factor.

    Raises
    ------
    InvalidInput, NotFound
        If the request names no key, or not one of the user's.
    InvalidState
        If the key is not verified, may not trade, or may withdraw.
    Forbidden, DomainError
        As `require_live_rights` does.
    """
    if permit is None:
        raise Forbidden("This does not start live trading.", ("mode",))
    await check_live_rights(uow, permit.live, actor, ("mode",))
    key = await key_to_trade_with(uow, actor, request.exchange_key_id)
    if problem := rights.problem_of_key(key):
        raise InvalidState(problem, ("exchangeKeyId",))
    await require_live_rights(uow, permit.keys, permit.live, actor, permit.totp_code, ("mode",))
    return key


async def attach(
    uow: UnitOfWork,
    session_id: UUID,
    key: ExchangeKeyRecord,
    leverage: int | None = None,
    margin_mode: MarginMode | None = None,
    funds: Decimal | None = None,
) -> None:
    """Let a live session trade with a key, which cannot be deleted until it ends.

    Parameters
    ----------
    leverage, margin_mode
        For contracts, set at the exchange before the first order on a market; None: it trades the currencies
        themselves.
    funds
        What the contracts' wallet has to have then; what is missing is moved there. None: nothing is.
    """
    await uow.session.execute(
        insert(LiveSessionRow).values(
            session_id=session_id,
            exchange_key_id=key.id,
            exchange=key.exchange,
            closings=0,
            leverage=leverage,
            margin_mode=margin_mode.value if margin_mode else None,
            funds=funds,
        )
    )


async def detach(uow: UnitOfWork, session_id: UUID) -> None:
    """Let go of a session's key, once the session has ended and nothing of it is with the exchange.

    As long as the exchange is to be asked once more for an order, whoever asks needs it, and lets go after.
    """
    await following.let_go(uow, session_id)


async def begin_stopping(uow: UnitOfWork, ledger: HandLedger, reason: str, close_positions: bool) -> None:
    """Have what waits in a live session cancelled, and the session end after that.

    Parameters
    ----------
    close_positions
        Whether what is held is to be sold at the market before.
    """
    held = await uow.session.get(LiveSessionRow, ledger.session.id)
    assert held is not None, "an active live session has one"
    held.close_positions = close_positions
    ledger.session.status = CLOSING
    for order in list(ledger.waiting):
        await placing.request_cancel(uow, ledger, order, reason)
    await uow.session.flush()
    uow.enqueue(states.session_job(ledger.session.id))


async def advance(uow: UnitOfWork, session_id: UUID) -> None:
    """Go on with ending a live session by hand, if it is told to and nothing of it is with the exchange.

    May be called any number of times: the session is locked, and what waits is waited for.
    """
    locked = await lock_ledger(uow, session_id)
    if locked is None or (ledger := locked[1]) is None:
        return
    session = locked[0]
    if session.market_id is not None or session.status != CLOSING:
        return
    held = await uow.session.get_one(LiveSessionRow, session_id, populate_existing=True)
    if ledger.waiting:
        return
    if held.close_positions and held.closings < MOST_CLOSINGS:
        if not all([await markets.is_compared(uow, session.id, key) for key in ledger.held]):
            # Its key was rotated: a worker compares the account again, and then this is asked again.
            return
        sent = [await _close(uow, ledger, trade) for trade in ledger.held.values()]
        if any(sent):
            held.closings += 1
            return
    if any([await doubts.awaits_looks(uow, session.id, key) for key in ledger.held]):
        # Once it has ended, nobody would book what has become of it.
        return
    if await following.are_looked_for(uow, session_id):
        # One that was given up may have filled after all: then there is more to close.
        return
    session.status, session.ended_at = SessionStatus.STOPPED.value, uow.clock.now()
    await write_ledger(uow, ledger)
    await detach(uow, session_id)


async def abandon(uow: UnitOfWork, ledger: HandLedger) -> None:
    """End a live session that is being ended although it is not known what became of its orders.

    Raises
    ------
    InvalidState
        If it is not live, or was not told to stop before.
    """
    session = ledger.session
    if session.mode != SessionMode.LIVE.value or session.status != CLOSING:
        raise InvalidState("Only a live session that was told to stop can be abandoned.", ("abandon",))
    reason = "It was given up; your account at the exchange tells what became of it."
    for order in ledger.waiting:
        order.reason = reason
    await following.give_up(uow, session.id)
    session.status, session.ended_at = SessionStatus.STOPPED.value, uow.clock.now()
    await write_ledger(uow, ledger)
    if session.market_id is not None:
        await change_state(uow, BotRow.session_id == session.id, [BotState.STOPPING], BotState.FAILED, reason)
        await uow.session.execute(delete(LiveBotRow).where(LiveBotRow.session_id == session.id))
    await detach(uow, session.id)


async def _close(uow: UnitOfWork, ledger: HandLedger, trade: TradeRow) -> bool:
    """Close a position at the market, as far as it takes orders of that size; return whether it does."""
    assert trade.market_id is not None
    market, _ = await market_data.market_with_base(uow, trade.market_id)
    step = await markets.step_of(uow, trade.session_id, trade.market_id)
    quantity = sellable(market, trade.quantity, step, contracts=ledger.contracts)
    price = trade.mark_price or trade.entry_price
    if not is_worth_closing(market, quantity, price, contracts=ledger.contracts):
        return False
    side = closing_order(Side(trade.side))
    request = OrderRequest(ledger.session.id, "", side, OrderType.MARKET, quantity, "", reduce_only=True)
    placing.stage(uow, ledger, add_order(uow, ledger, request, market.id), price)
    return True


async def leave_unsold(uow: UnitOfWork, ledger: HandLedger, trade: TradeRow, reason: str) -> None:
    """Let a session end with what it holds; an order that was never sent says why."""
    assert trade.market_id is not None
    held = await uow.session.get_one(LiveSessionRow, ledger.session.id, populate_existing=True)
    held.close_positions = False
    side = closing_order(Side(trade.side))
    request = OrderRequest(
        ledger.session.id, "", side, OrderType.MARKET, trade.quantity, "", reduce_only=True
    )
    order = add_order(uow, ledger, request, trade.market_id)
    order.status, order.reason = OrderStatus.REJECTED.value, reason
    await uow.session.flush()


def sellable(
    market: MarketRecord, quantity: Decimal, step: Decimal | None, *, contracts: bool = False
) -> Decimal:
    """Return how much of a quantity a market takes: whole steps, and nothing below its minimum.

    Parameters
    ----------
    step
        As the exchange states it; None: one of the last decimal that quantities have.
    contracts
        Whether contracts on the pair are traded: the minimum is that of the pair itself.
    """
    step = step or Decimal(1).scaleb(-market.amount_precision)
    whole = quantity // step * step
    return whole if contracts or whole >= (market.min_amount or 0) else Decimal(0)


def is_worth_closing(market: MarketRecord, quantity: Decimal, price: Decimal, *, contracts: bool) -> bool:
    """Whether a market takes an order that closes so much; of contracts any, however little it is worth."""
    return quantity > 0 and (contracts or quantity * price >= (market.min_notional or 0))


async def to_advance(uow: UnitOfWork) -> list[UUID]:
    """Return the live sessions by hand that are being ended."""
    statement = select(TradingSessionRow.id).where(
        TradingSessionRow.mode == SessionMode.LIVE.value,
        TradingSessionRow.market_id.is_(None),
        TradingSessionRow.status == CLOSING,
    )
    return list(await uow.session.scalars(statement))


async def stop_barred(uow: UnitOfWork, *, enabled: bool) -> list[UUID]:
    """Have live sessions by hand end whose users may not trade live any more; return which.

    Their orders are cancelled; nothing is sold in the name of somebody who may not trade.

    Parameters
    ----------
    enabled
        Whether this server trades live.
    """
    statement = select(TradingSessionRow.id).where(
        TradingSessionRow.mode == SessionMode.LIVE.value,
        TradingSessionRow.market_id.is_(None),
        TradingSessionRow.status == SessionStatus.ACTIVE.value,
    )
    if enabled:
        statement = statement.where(TradingSessionRow.user_id.in_(idle_users()))
    barred = list(await uow.session.scalars(statement))
    for session_id in barred:
        locked = await lock_ledger(uow, session_id)
        if locked is not None and locked[1] is not None and locked[0].status == SessionStatus.ACTIVE.value:
            await begin_stopping(uow, locked[1], "Live trading is not allowed any more.", False)
            record_event(
                uow,
                AuditAction.TRADING_SESSION_STOPPED,
                actor_id=None,
                target_id=locked[0].user_id,
                tradingSessionId=str(session_id),
                closed=False,
            )
    return barred
