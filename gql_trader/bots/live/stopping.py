"""How live sessions by hand end: what waits is cancelled, what is held closed, and what is left is told."""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import delete, select, update

from gql_trader.accounts.audit import record_event
from gql_trader.accounts.types_credentials import AuditAction
from gql_trader.bots.announcing import tell_not_closed
from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.fills import closing_order, sign_of
from gql_trader.bots.ledger.storing import add_order, lock_ledger, write_ledger
from gql_trader.bots.lifecycle import change_state, idle_users
from gql_trader.bots.live import exits, sessions
from gql_trader.bots.live.checks import amounts, doubts
from gql_trader.bots.live.orders import following, placing, states
from gql_trader.bots.models import BotRow, OrderRow, TradeRow, TradingSessionRow
from gql_trader.bots.models_live import LiveMarketRow, LiveSessionRow
from gql_trader.bots.models_live_bot import LiveBotRow
from gql_trader.bots.types import (
    CLOSING,
    BotState,
    OrderRequest,
    OrderStatus,
    OrderType,
    SessionStatus,
)
from gql_trader.core.errors import InvalidState
from gql_trader.engine.execution import Side
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data
from gql_trader.market_data.types import MarketRecord
from gql_trader.settings.types import SessionMode

_STOPPED = "The session was stopped."


async def begin_stopping(uow: UnitOfWork, ledger: HandLedger, reason: str, close_positions: bool) -> None:
    """Have what waits in a live session cancelled, and the session end after that.

    Parameters
    ----------
    close_positions
        Whether what is held is to be sold at the market before. Stops of it stay until it may be.
    """
    held = await uow.session.get(LiveSessionRow, ledger.session.id)
    assert held is not None, "an active live session has one"
    held.close_positions = close_positions
    ledger.session.status = CLOSING
    await uow.session.execute(
        update(LiveMarketRow)
        .where(LiveMarketRow.session_id == ledger.session.id)
        .values(closings=0, left_stop=None)
        .execution_options(synchronize_session=False)
    )
    for order in list(ledger.waiting):
        stays = close_positions and order.market_id in ledger.held and exits.protects(ledger, order)
        if not stays:
            await placing.request_cancel(uow, ledger, order, reason)
    await uow.session.flush()
    uow.enqueue(states.session_job(ledger.session.id))


async def has_failed_to_close(uow: UnitOfWork, session: TradingSessionRow) -> bool:
    """Return whether a live session that is being ended could not close all that it holds.

    It goes on for as long as stops of that are at the exchange, and may be told to stop again.
    """
    if session.status != CLOSING:
        return False
    left = select(LiveMarketRow.market_id).where(
        LiveMarketRow.session_id == session.id, LiveMarketRow.left_stop.is_not(None)
    )
    return await uow.session.scalar(left.limit(1)) is not None


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
    if held.close_positions:
        for order in list(ledger.waiting):
            # A stop whose position is gone closes nothing any more.
            gone = order.market_id not in ledger.held and exits.protects(ledger, order)
            if gone and order.cancel_requested_at is None:
                await placing.request_cancel(uow, ledger, order, _STOPPED)
        if any([await _close(uow, ledger, trade) for trade in list(ledger.held.values())]):
            return
    if ledger.waiting:
        return
    if any([await doubts.awaits_looks(uow, session.id, key) for key in ledger.held]):
        # Once it has ended, nobody would book what has become of it.
        return
    if await following.are_looked_for(uow, session_id):
        # One that was given up may have filled after all: then there is more to close.
        return
    session.status, session.ended_at = SessionStatus.STOPPED.value, uow.clock.now()
    await write_ledger(uow, ledger)
    await _tell_unprotected(uow, ledger)
    await sessions.detach(uow, session_id)


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
    await sessions.detach(uow, session.id)


async def _close(uow: UnitOfWork, ledger: HandLedger, trade: TradeRow) -> bool:
    """Go on with closing a position at the market; return whether that is still under way."""
    assert trade.market_id is not None
    closed = await uow.session.get(LiveMarketRow, (trade.session_id, trade.market_id), populate_existing=True)
    if closed is None or closed.left_stop is not None:
        return False
    market, _ = await market_data.market_with_base(uow, trade.market_id)
    quantity = await amounts.tradable(uow, market, trade)
    if not quantity:
        return await _keep_stop_of_little(uow, ledger, trade, market)
    exit_ = await exits.prepare(uow, ledger, market.id, closed.closings, _STOPPED)
    if exit_.problem is not None:
        if any(each.market_id == market.id and each.cancel_requested_at for each in ledger.waiting):
            # What becomes of a stop that was taken back says whether it has to be placed again.
            return True
        await leave(uow, ledger, trade, exit_.problem)
        return False
    if exit_.may_place:
        side, price = closing_order(Side(trade.side)), trade.mark_price or trade.entry_price
        request = OrderRequest(ledger.session.id, "", side, OrderType.MARKET, quantity, "", reduce_only=True)
        placing.stage(uow, ledger, add_order(uow, ledger, request, market.id), price)
        closed.closings += exit_.counts
        await uow.session.flush()
    return True


async def _keep_stop_of_little(
    uow: UnitOfWork, ledger: HandLedger, trade: TradeRow, market: MarketRecord
) -> bool:
    """Let a position be that is too little for an order at the market, with its stop if it has one.

    Returns
    -------
    Whether it is not known yet if it has.
    """
    stops = exits.standing_stops(ledger, market.id)
    if not stops or not await amounts.whole_steps(uow, market, trade):
        for order in stops:
            await placing.request_cancel(uow, ledger, order, _STOPPED)
        return False
    if any(each.status not in exits.AT_EXCHANGE for each in stops):
        return True
    await leave(uow, ledger, trade, f"The position could not be closed. {exits.TOO_LITTLE}")
    return False


async def leave(uow: UnitOfWork, ledger: HandLedger, trade: TradeRow, reason: str) -> None:
    """Let a position be that cannot be closed, with its stops, those that were taken back too; tell its user.

    The session ends once none of these waits any more. An order that was never sent says why, unless others
    do that the exchange has refused.
    """
    assert trade.market_id is not None
    closed = await uow.session.get_one(LiveMarketRow, (trade.session_id, trade.market_id))
    market, _ = await market_data.market_with_base(uow, trade.market_id)
    if not closed.closings:
        side = closing_order(Side(trade.side))
        request = OrderRequest(
            ledger.session.id, "", side, OrderType.MARKET, trade.quantity, "", reduce_only=True
        )
        order = add_order(uow, ledger, request, market.id)
        order.status, order.reason = OrderStatus.REJECTED.value, f"{reason} Nothing was sent."
    stops = exits.standing_stops(ledger, market.id)
    whole = await amounts.whole_steps(uow, market, trade)
    undone = "bought back" if sign_of(trade) < 0 else "sold"
    left = await exits.words_of_position(uow, market, trade, whole or trade.quantity, "session")
    words = [f"{_STOPPED} {reason} Nothing was {undone}: {left}"]
    words += [exits.words_of_stop(each) for each in stops if each.status in exits.AT_EXCHANGE]
    free = whole - sum((each.quantity - each.filled_quantity for each in stops), Decimal(0))
    for again in await placing.put_back(uow, ledger, market.id, free):
        assert again.stop_price is not None, "stops have one"
        words.append(f"Its stop at {again.stop_price.normalize():f} is placed again.")
        stops.append(again)
    closed.left_stop = max((each.number for each in stops), default=0)
    await uow.session.flush()
    session = ledger.session
    await tell_not_closed(uow, session.user_id, session.id, market.name, " ".join(words))


async def _tell_unprotected(uow: UnitOfWork, ledger: HandLedger) -> None:
    """Tell of positions that a session has left whose last stop is not at the exchange any more."""
    statement = (
        select(OrderRow)
        .join(
            LiveMarketRow,
            (LiveMarketRow.session_id == OrderRow.session_id)
            & (LiveMarketRow.market_id == OrderRow.market_id)
            & (LiveMarketRow.left_stop == OrderRow.number),
        )
        .where(OrderRow.session_id == ledger.session.id, OrderRow.status != OrderStatus.FILLED.value)
    )
    for stop in list(await uow.session.scalars(statement)):
        if stop.market_id in ledger.held:
            market, _ = await market_data.market_with_base(uow, stop.market_id)
            reason = f"{_STOPPED} The position has no stop at the exchange. {stop.reason or ''}".strip()
            await tell_not_closed(uow, ledger.session.user_id, ledger.session.id, market.name, reason)


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
