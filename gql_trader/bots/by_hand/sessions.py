"""Sessions by hand: started with capital of their own, and ended."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select

from gql_trader.accounts.audit import record_event
from gql_trader.accounts.types_credentials import AuditAction
from gql_trader.backtests.execution import execution_from_json, execution_to_json
from gql_trader.bots import repository
from gql_trader.bots.by_hand.brokers import broker_of
from gql_trader.bots.by_hand.checks import check_contracts, check_session, check_share
from gql_trader.bots.by_hand.orders import lock_own, note
from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.storing import add_order, lock_ledger, write_ledger
from gql_trader.bots.lifecycle import SWEEP_ROWS, idle_users
from gql_trader.bots.live import sessions as live_sessions
from gql_trader.bots.live import stopping
from gql_trader.bots.live.sessions import LivePermit
from gql_trader.bots.models import SessionStateRow, TradingSessionRow
from gql_trader.bots.quotes import quotes
from gql_trader.bots.service import lock_user
from gql_trader.bots.types import OrderRequest, OrderSide, OrderType, SessionRequest, SessionStatus
from gql_trader.core.actor import Actor
from gql_trader.core.errors import DomainErrors, InvalidState, NotFound, QuotaExceeded
from gql_trader.core.ids import uuid7
from gql_trader.core.money import to_float
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.settings.service import preferences_of
from gql_trader.settings.types import SessionMode


async def start_session(
    uow: UnitOfWork,
    actor: Actor,
    request: SessionRequest,
    maximum: int,
    equity_minutes: int,
    permit: LivePermit | None = None,
) -> Row[Any]:
    """Open a session that is traded by hand.

    Parameters
    ----------
    maximum
        How many of them a user may have at a time.
    equity_minutes
        Its equity is noted at most so often between fills.
    permit
        By what the user proves that they may trade live, used up if that is what is asked for.

    Raises
    ------
    DomainErrors
        Everything that is wrong with the request.
    InvalidInput, NotFound, InvalidState
        If it is to trade live, and with no key, another user's, or one that may not be traded with.
    Forbidden, DomainError
        If it is to trade live, and `require_live_rights` says no.
    QuotaExceeded
        If the user has too many.
    """
    prefers = await preferences_of(uow, actor.user_id)
    mode = request.mode or SessionMode.PAPER
    capital = prefers.default_capital if request.capital is None else request.capital
    given = {name: getattr(request, name) for name in ("maker_fee", "taker_fee", "slippage")}
    costs = replace(ExecutionSpec(), **{name: value for name, value in given.items() if value is not None})
    if problems := [
        *check_session(capital, costs),
        *check_contracts(request, mode),
        *check_share(request, mode),
    ]:
        raise DomainErrors(problems)
    await lock_user(uow, actor)
    key = await live_sessions.permitted_key(uow, actor, request, permit) if mode is SessionMode.LIVE else None
    active = await uow.session.scalar(
        select(func.count()).where(
            TradingSessionRow.user_id == actor.user_id,
            TradingSessionRow.market_id.is_(None),
            TradingSessionRow.status != SessionStatus.STOPPED.value,
        )
    )
    if (active or 0) >= maximum:
        raise QuotaExceeded(f"You trade {maximum} sessions by hand, the most there may be; stop one first.")
    session_id, now, figure = uuid7(), uow.clock.now(), to_float(capital)
    await uow.session.execute(
        insert(TradingSessionRow).values(
            id=session_id,
            user_id=actor.user_id,
            mode=mode.value,
            status=SessionStatus.ACTIVE.value,
            execution=execution_to_json(costs),
            capital=capital,
            shard=0,
            equity_every=equity_minutes,
            volume_share=request.max_volume_share,
            started_at=now,
            trade_from=now,
        )
    )
    await uow.session.execute(
        insert(SessionStateRow).values(
            session_id=session_id,
            revision=0,
            fence=0,
            bars=0,
            balance=figure,
            equity=figure,
            cash=figure,
            day=-1,
            day_start_equity=figure,
            day_entries=0,
            halted=False,
            resting_bars=0,
            peak_equity=0.0,
            drawn_down=False,
        )
    )
    about = {"mode": mode.value}
    if key is not None:
        funds = (request.transfer_amount or capital) if request.auto_transfer_funds else None
        await live_sessions.attach(uow, session_id, key, request.leverage, request.margin_mode, funds)
        about |= {"exchangeKeyId": str(key.id), "exchange": key.exchange}
    note(uow, AuditAction.TRADING_SESSION_STARTED, actor, session_id, **about)
    return await _session(uow, actor, session_id)


async def stop_session(
    uow: UnitOfWork, arrays: ArrayCache, actor: Actor, session_id: UUID, *, close_positions: bool
) -> Row[Any]:
    """End a session that is traded by hand: cancel what waits and, if asked to, sell what is held.

    A live session takes no more orders from now on, and ends once the exchange has said what became of all.
    One that could not close what it holds may be told again.

    Raises
    ------
    NotFound
        If the user has no such session.
    InvalidState
        If it has ended, or a bot trades it.
    """
    ledger = await lock_own(uow, actor, session_id, ("id",), again=True)
    reason = "The session was stopped."
    if ledger.session.mode == SessionMode.LIVE.value:
        await stopping.begin_stopping(uow, ledger, reason, close_positions)
    else:
        await _end(uow, arrays, ledger, reason, close_positions=close_positions)
    note(uow, AuditAction.TRADING_SESSION_STOPPED, actor, session_id, closed=close_positions)
    return await _session(uow, actor, session_id)


async def abandon_session(uow: UnitOfWork, actor: Actor, session_id: UUID) -> Row[Any]:
    """End a live session that was told to stop although the exchange has not told of all its orders.

    Raises
    ------
    NotFound
        If the user has no such session.
    InvalidState
        If it is not live, or was not told to stop before.
    """
    locked = await lock_ledger(uow, session_id, actor.user_id)
    if locked is None:
        raise NotFound("There is no such session.", ("id",))
    if locked[1] is None:
        raise InvalidState("A bot trades this session.", ("id",))
    await stopping.abandon(uow, locked[1])
    note(uow, AuditAction.TRADING_SESSION_STOPPED, actor, session_id, closed=False, abandoned=True)
    return await _session(uow, actor, session_id)


async def of_idle_users(uow: UnitOfWork) -> list[UUID]:
    """Return the sessions by hand on paper of users who may not trade any more."""
    statement = (
        select(TradingSessionRow.id)
        .where(
            TradingSessionRow.user_id.in_(idle_users()),
            TradingSessionRow.market_id.is_(None),
            TradingSessionRow.mode == SessionMode.PAPER.value,
            TradingSessionRow.status == SessionStatus.ACTIVE.value,
        )
        .limit(SWEEP_ROWS)
    )
    return list(await uow.session.scalars(statement))


async def end_of_idle_user(uow: UnitOfWork, arrays: ArrayCache, session_id: UUID) -> None:
    """End a session as a bot's is ended whose user may not trade any more; one that has ended is left."""
    locked = await lock_ledger(uow, session_id)
    if locked is None or locked[1] is None or locked[0].status != SessionStatus.ACTIVE.value:
        return
    ledger = locked[1]
    await _end(uow, arrays, ledger, "You may not trade any more.", close_positions=True)
    record_event(
        uow,
        AuditAction.TRADING_SESSION_STOPPED,
        actor_id=None,
        target_id=ledger.session.user_id,
        tradingSessionId=str(session_id),
        closed=True,
    )


async def _end(
    uow: UnitOfWork, arrays: ArrayCache, ledger: HandLedger, reason: str, *, close_positions: bool
) -> None:
    session_id = ledger.session.id
    newest = await quotes(uow, arrays, dict.fromkeys(ledger.held))
    now, broker = uow.clock.now(), broker_of(ledger.session)
    for order in list(ledger.waiting):
        await broker.cancel(uow, ledger, order, reason)
    costs = execution_from_json(ledger.session.execution)
    for market_id, trade in list(ledger.held.items()):
        quote = newest.get(market_id)
        if quote is None:
            # Its candles are gone: it stays as it was valued last.
            continue
        ledger.mark(market_id, quote)
        if close_positions:
            request = OrderRequest(
                session_id, "", OrderSide.SELL, OrderType.MARKET, trade.quantity, "", reduce_only=True
            )
            order = add_order(uow, ledger, request, market_id)
            await broker.place(uow, ledger, order, quote, costs)
    ledger.session.status, ledger.session.ended_at = SessionStatus.STOPPED.value, now
    await write_ledger(uow, ledger)


async def _session(uow: UnitOfWork, actor: Actor, key: UUID) -> Row[Any]:
    return (await repository.sessions_by_ids(uow.session, actor.user_id, [key]))[key]
