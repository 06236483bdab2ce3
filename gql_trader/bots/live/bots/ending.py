"""How the sessions of live bots end, and what their users are told of what is left."""

from decimal import Decimal
from uuid import UUID

import structlog
from sqlalchemy import select

from gql_trader.bots import lifecycle
from gql_trader.bots.announcing import tell_failed
from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.fills import closing_order, sign_of
from gql_trader.bots.ledger.storing import lock_ledger, write_ledger
from gql_trader.bots.live.bots.entering import place
from gql_trader.bots.live.bots.stops import keep_stop
from gql_trader.bots.live.checks import amounts, doubts
from gql_trader.bots.live.exits import AT_EXCHANGE, TOO_LITTLE, prepare, words_of_position, words_of_stop
from gql_trader.bots.live.orders import placing
from gql_trader.bots.live.sessions import detach
from gql_trader.bots.models import BotRow, OrderRow, TradeRow
from gql_trader.bots.models_live import LiveMarketRow, LiveSessionRow
from gql_trader.bots.models_live_bot import LiveBotRow
from gql_trader.bots.types import CLOSING, STARTED, WAITING, BotState, OrderStatus, OrderType, SessionStatus
from gql_trader.engine.execution import ExitReason, Side
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data
from gql_trader.market_data.types import MarketRecord
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

_NONE = -1
"""In place of a stop's number: the exchange has not taken one."""


async def fail(uow: UnitOfWork, ledger: HandLedger, live: LiveBotRow, reason: str) -> None:
    """Let a bot fail: what is held stays in the account, with its stop at the exchange; tell its user.

    What else waits is cancelled. The session ends with that stop. Even if it is doubtful whether all of it is
    still in the account the stop stays: it only ever reduces what is there.
    """
    session = ledger.session
    assert session.market_id is not None
    market, _ = await market_data.market_with_base(uow, session.market_id)
    trade = ledger.held.get(session.market_id)
    quantity = await amounts.tradable(uow, market, trade)
    whole = await amounts.whole_steps(uow, market, trade)
    stop = _left(ledger) if whole else None
    if quantity or stop is not None:
        undone = "bought back" if trade and sign_of(trade) < 0 else "sold"
        reason += f" Nothing was {undone}: {await _told(uow, market, trade, whole)}"
    if stop is not None and stop.status in AT_EXCHANGE:
        reason += f" {words_of_stop(stop)}"
    changed = await lifecycle.change_state(
        uow, BotRow.session_id == session.id, [*STARTED, BotState.STOPPING], BotState.FAILED, reason
    )
    for bot in changed:
        await tell_failed(uow, bot.user_id, bot.id, bot.name, reason)
    _log.warning("live_bot_failed", session_id=str(session.id))
    held = await uow.session.get_one(LiveSessionRow, session.id)
    held.close_positions, session.status = False, CLOSING
    live.check_at, live.left_stop = None, stop.number if stop else 0
    await uow.session.flush()
    await end(uow, ledger, live, market, trade, quantity)


async def _told(uow: UnitOfWork, market: MarketRecord, trade: TradeRow | None, quantity: Decimal) -> str:
    return await words_of_position(uow, market, trade, quantity, "bot")


async def tell_more(uow: UnitOfWork, session_id: UUID, more: str) -> None:
    """Tell of what has become of a bot's position since it failed, once."""
    of_session = BotRow.session_id == session_id
    failed = select(BotRow.error).where(of_session, BotRow.state == BotState.FAILED.value)
    error = await uow.session.scalar(failed)
    if error is None or more in error:
        return
    error = f"{error} {more}"
    for bot in await lifecycle.change_state(uow, of_session, [BotState.FAILED], BotState.FAILED, error):
        await tell_failed(uow, bot.user_id, bot.id, bot.name, error)


def _left(ledger: HandLedger) -> OrderRow | None:
    """Return the stop that stays with the exchange after a bot has failed."""
    return next(
        (
            each
            for each in ledger.waiting
            if each.type == OrderType.STOP.value and each.cancel_requested_at is None
        ),
        None,
    )


async def _last_stop(uow: UnitOfWork, session_id: UUID) -> int | None:
    """Return the number of the stop of a session that waits."""
    statement = (
        select(OrderRow.number)
        .where(
            OrderRow.session_id == session_id,
            OrderRow.type == OrderType.STOP.value,
            OrderRow.status.in_([each.value for each in WAITING]),
        )
        .limit(1)
    )
    return await uow.session.scalar(statement)


async def _tell_ended(uow: UnitOfWork, session_id: UUID, number: int, *, is_held: bool) -> None:
    """Tell what has become of the stop that a failed bot had left."""
    stop = (
        await uow.session.scalars(
            select(OrderRow).where(OrderRow.session_id == session_id, OrderRow.number == number)
        )
    ).one()
    if stop.status == OrderStatus.FILLED.value:
        assert stop.average_price is not None
        more = f"Its stop was filled at {stop.average_price.normalize():f}."
    elif not is_held:
        return
    else:
        more = f"It has no stop at the exchange. {stop.reason or ''}".strip()
    await tell_more(uow, session_id, more)


async def end(
    uow: UnitOfWork,
    ledger: HandLedger,
    live: LiveBotRow,
    market: MarketRecord,
    trade: TradeRow | None,
    quantity: Decimal,
) -> None:
    """Go on with ending a session: cancel what waits, sell what is held if that was asked for, end it."""
    session = ledger.session
    held = await uow.session.get_one(LiveSessionRow, session.id, populate_existing=True)
    wanted = bool(held.close_positions) and quantity > 0
    whole, stop = await amounts.whole_steps(uow, market, trade), _left(ledger)
    if held.close_positions and whole and not quantity and stop is not None and stop.status in AT_EXCHANGE:
        await fail(uow, ledger, live, f"The position could not be closed. {TOO_LITTLE}")
        return
    # Nor is the stop taken back before what follows may be sent.
    kept = stop if wanted or (whole and live.left_stop is not None) else None
    for order in list(ledger.waiting):
        # What closes it already is on its way: another one in its place would count as one more.
        sells = wanted and order.reduce_only and order.type == OrderType.MARKET.value
        if order is not kept and not sells and order.cancel_requested_at is None:
            await placing.request_cancel(uow, ledger, order, "The bot was stopped.")
    if kept is not None and live.left_stop is not None:
        live.left_stop = kept.number
        if kept.status in AT_EXCHANGE:
            await tell_more(uow, session.id, words_of_stop(kept))
    if wanted:
        await _sell(uow, ledger, live, market, trade, quantity)
        return
    if ledger.waiting:
        return
    if live.left_stop == 0 and quantity:
        # None was there when it failed; this is tried once.
        await keep_stop(uow, ledger, live, quantity)
        live.left_stop = await _last_stop(uow, session.id) or _NONE
        await uow.session.flush()
        if live.left_stop > 0:
            return
    if quantity and await doubts.awaits_looks(uow, session.id, market.id):
        # Once it has ended, nobody would book what has become of it.
        return
    session.status, session.ended_at = SessionStatus.STOPPED.value, uow.clock.now()
    await write_ledger(uow, ledger)
    of_session = BotRow.session_id == session.id
    ending = [*STARTED, BotState.STOPPING]
    await lifecycle.change_state(uow, of_session, ending, BotState.STOPPED)
    if quantity:
        await tell_more(uow, session.id, await _told(uow, market, trade, quantity))
    if live.left_stop is not None and live.left_stop > 0:
        await _tell_ended(uow, session.id, live.left_stop, is_held=bool(whole))
    await uow.session.delete(live)
    await uow.session.flush()
    await detach(uow, session.id)


async def _sell(
    uow: UnitOfWork,
    ledger: HandLedger,
    live: LiveBotRow,
    market: MarketRecord,
    trade: TradeRow | None,
    quantity: Decimal,
) -> None:
    """Go on with closing the position of a bot that was told to stop."""
    session = ledger.session
    closed = await uow.session.get(LiveMarketRow, (session.id, market.id), populate_existing=True)
    exit_ = await prepare(uow, ledger, market.id, closed.closings if closed else 0, "The bot was stopped.")
    if exit_.problem is not None:
        await fail(uow, ledger, live, exit_.problem)
    elif exit_.may_place:
        assert trade is not None, "something is held"
        assert closed is not None, "it was compared"
        closed.closings += exit_.counts
        price = trade.mark_price or trade.entry_price
        key = f"bot:{session.id}:close:{ledger.orders + 1}"
        side = closing_order(Side(trade.side))
        await place(uow, ledger, market, side, quantity, price, key, ExitReason.END_OF_DATA)


async def fail_session(runtime: Runtime, session_id: UUID, reason: str) -> None:
    """Let a bot fail, unless it was told to stop meanwhile."""
    async with runtime.unit_of_work() as uow:
        locked = await lock_ledger(uow, session_id)
        live = await uow.session.get(LiveBotRow, session_id)
        if locked is None or locked[1] is None or live is None:
            return
        # One that was told to stop meanwhile goes on selling what it holds.
        if locked[0].status == SessionStatus.ACTIVE.value:
            await fail(uow, locked[1], live, reason)
