"""The states of bots and sessions and who may change them: starts, stops, leases and ends.

Every change is an UPDATE that names the state it expects, so that of two workers, or a worker and a user,
exactly one wins. Leases are measured by the database's clock, since machines disagree about time.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, insert, or_, select, update

from gql_trader.accounts.models import UserRow
from gql_trader.accounts.types import UserStatus
from gql_trader.bots.announcing import announce, tell_failed
from gql_trader.bots.models import BotRow, SessionStateRow, TradingSessionRow
from gql_trader.bots.models_live import LiveSessionRow
from gql_trader.bots.types import (
    CLOSE_SESSION,
    CLOSING,
    LIVE_BOT,
    QUEUE,
    RUN_SESSION,
    STARTED,
    BotState,
    Held,
    SessionStatus,
)
from gql_trader.bots.types_live import LIVE_SESSION, ORDERS_QUEUE
from gql_trader.core.actor import Role
from gql_trader.core.ids import TradingSessionId
from gql_trader.core.money import to_float
from gql_trader.infra.unit_of_work import Job, UnitOfWork
from gql_trader.settings.types import SessionMode

SWEEP_ROWS = 1000
"""Most sessions looked at in one sweep."""

_SESSIONS = TradingSessionRow.__table__.c
_STATES = SessionStateRow.__table__.c


def run_job(session_id: UUID) -> Job:
    """Return the job that runs a session as far as it can go."""
    return Job(RUN_SESSION, QUEUE, f"{RUN_SESSION}:{session_id}", (str(session_id),))


def close_job(session_id: UUID) -> Job:
    """Return the job that closes a session."""
    return Job(CLOSE_SESSION, QUEUE, f"{CLOSE_SESSION}:{session_id}", (str(session_id),))


def live_bot_job(session_id: UUID) -> Job:
    """Return the job that acts on the bars of a live bot that have closed."""
    return Job(LIVE_BOT, QUEUE, f"{LIVE_BOT}:{session_id}", (str(session_id),))


def live_session_job(session_id: UUID) -> Job:
    """Return the job that goes on with a live session after something has happened to its orders."""
    return Job(LIVE_SESSION, ORDERS_QUEUE, f"{LIVE_SESSION}:{session_id}", (str(session_id),))


def _now() -> ColumnElement[Any]:
    return func.clock_timestamp()


async def open_session(uow: UnitOfWork, values: dict[str, Any]) -> None:
    """Store a session that begins now, and hand it to the workers."""
    await uow.session.execute(insert(TradingSessionRow).values(status=SessionStatus.ACTIVE.value, **values))
    capital = to_float(values["capital"])
    await uow.session.execute(
        insert(SessionStateRow).values(
            session_id=values["id"],
            revision=0,
            fence=0,
            bars=0,
            balance=capital,
            equity=capital,
            cash=capital,
            day=-1,
            day_start_equity=capital,
            day_entries=0,
            halted=False,
            resting_bars=0,
            peak_equity=0.0,
            drawn_down=False,
        )
    )
    is_live = values["mode"] == SessionMode.LIVE.value
    uow.enqueue(live_bot_job(values["id"]) if is_live else run_job(values["id"]))


async def change_state(
    uow: UnitOfWork,
    condition: ColumnElement[bool],
    expected: Sequence[BotState],
    state: BotState,
    error: str | None = None,
) -> list[Row[UUID, UUID, UUID | None, str]]:
    """Bring bots that are in one of the expected states into another; return id, user, session and name."""
    statement = (
        update(BotRow)
        .where(condition, BotRow.state.in_([each.value for each in expected]))
        .values(state=state.value, error=error, updated_at=uow.clock.now())
        .returning(BotRow.id, BotRow.user_id, BotRow.session_id, BotRow.name)
        .execution_options(synchronize_session=False)
    )
    changed = list((await uow.session.execute(statement)).all())
    for row in changed:
        announce(uow, row.user_id, row.id, state)
    return changed


async def begin_closing(uow: UnitOfWork, session_ids: Sequence[UUID], *, sell_live: bool = True) -> None:
    """Take sessions from whoever trades them, and have a worker close them.

    Parameters
    ----------
    sell_live
        Whether what live ones hold is sold.
    """
    closing = await uow.session.execute(
        update(TradingSessionRow)
        .where(TradingSessionRow.id.in_(session_ids), TradingSessionRow.status == SessionStatus.ACTIVE.value)
        .values(status=CLOSING)
        .returning(TradingSessionRow.id, TradingSessionRow.mode)
        .execution_options(synchronize_session=False)
    )
    live = {row.id for row in closing if row.mode == SessionMode.LIVE.value}
    await uow.session.execute(
        update(LiveSessionRow)
        .where(LiveSessionRow.session_id.in_(live))
        .values(close_positions=sell_live)
        .execution_options(synchronize_session=False)
    )
    # Another fence: what a worker has computed of one of them meanwhile is not written any more.
    await uow.session.execute(
        update(SessionStateRow)
        .where(SessionStateRow.session_id.in_(session_ids))
        .values(fence=SessionStateRow.fence + 1, lease_expires_at=None, due_at=None)
        .execution_options(synchronize_session=False)
    )
    for session_id in session_ids:
        uow.enqueue(live_session_job(session_id) if session_id in live else close_job(session_id))


async def stop_bots(
    uow: UnitOfWork, condition: ColumnElement[bool], error: str | None = None, *, sell_live: bool = True
) -> list[UUID]:
    """Have bots that run stopped; return which. Arguments as of `begin_closing`."""
    stopped = await change_state(uow, condition, STARTED, BotState.STOPPING, error)
    if stopped:
        sessions = [row.session_id for row in stopped if row.session_id is not None]
        await begin_closing(uow, sessions, sell_live=sell_live)
    return [row.id for row in stopped]


async def stop_bots_of_idle_users(uow: UnitOfWork) -> list[UUID]:
    """Have bots stopped whose users may not trade any more; return which.

    Nothing is sold at an exchange in the name of somebody who may not trade.
    """
    return await stop_bots(uow, BotRow.user_id.in_(idle_users()), sell_live=False)


async def stop_live_bots(uow: UnitOfWork) -> list[UUID]:
    """Have all bots stopped that trade live, since this server does not any more; nothing is sold."""
    return await stop_bots(uow, BotRow.mode == SessionMode.LIVE.value, sell_live=False)


def idle_users() -> Select[UUID]:
    """Return the statement that finds the users who may not trade."""
    return select(UserRow.id).where(
        or_(UserRow.status != UserStatus.ACTIVE.value, UserRow.role == Role.VIEWER.value)
    )


async def claim(
    uow: UnitOfWork, session_id: UUID, status: str, lease_seconds: float
) -> tuple[Held, Row[Any]] | None:
    """Take a session that nobody is at; return it with its state, or None if there is nothing to take."""
    free = or_(SessionStateRow.lease_expires_at.is_(None), SessionStateRow.lease_expires_at < _now())
    statement = (
        update(SessionStateRow)
        .where(
            SessionStateRow.session_id == session_id,
            free,
            TradingSessionRow.id == SessionStateRow.session_id,
            TradingSessionRow.status == status,
        )
        .values(
            fence=SessionStateRow.fence + 1,
            due_at=None,
            lease_expires_at=_now() + timedelta(seconds=lease_seconds),
        )
        .returning(*_SESSIONS, *(column for column in _STATES if column.name != "session_id"))
        .execution_options(synchronize_session=False)
    )
    row = (await uow.session.execute(statement)).one_or_none()
    if row is None:
        return None
    return Held(TradingSessionId(row.id), row.fence), row


def _held(held: Held) -> ColumnElement[bool]:
    return (SessionStateRow.session_id == held.session_id) & (SessionStateRow.fence == held.fence)


async def renew(uow: UnitOfWork, held: Held, lease_seconds: float) -> bool:
    """Extend a lease; return False if the session is no longer this worker's."""
    statement = (
        update(SessionStateRow)
        .where(_held(held))
        .values(lease_expires_at=_now() + timedelta(seconds=lease_seconds))
        .returning(SessionStateRow.session_id)
    )
    return await uow.session.scalar(statement) is not None


async def release(uow: UnitOfWork, held: Held, due_at: datetime | None = None) -> bool:
    """Let go of a session, until it is due again or, without a time, at once; False if it was not held."""
    statement = (
        update(SessionStateRow)
        .where(_held(held))
        .values(lease_expires_at=None, due_at=due_at, fence=SessionStateRow.fence + 1)
        .returning(SessionStateRow.session_id)
    )
    return await uow.session.scalar(statement) is not None


async def hand_back(uow: UnitOfWork, held: Held, status: str) -> bool:
    """Let go of a session whose worker is stopping, and hand it to another; False if it was not held."""
    released = await release(uow, held)
    if released:
        uow.enqueue(close_job(held.session_id) if status == CLOSING else run_job(held.session_id))
    return released


async def mark_running(uow: UnitOfWork, session_ids: Sequence[UUID]) -> None:
    """Note that the bots of sessions are at work now."""
    await change_state(uow, BotRow.session_id.in_(session_ids), [BotState.PENDING], BotState.RUNNING)


async def end_session(uow: UnitOfWork, held: Held, error: str | None = None) -> bool:
    """End a session and stop its bot, or let it fail with a reason; return False if it was not held."""
    found = await uow.session.scalar(
        update(SessionStateRow)
        .where(_held(held))
        .values(lease_expires_at=None, due_at=None, fence=SessionStateRow.fence + 1)
        .returning(SessionStateRow.session_id)
    )
    if found is None:
        return False
    await uow.session.execute(
        update(TradingSessionRow)
        .where(TradingSessionRow.id == held.session_id)
        .values(status=SessionStatus.STOPPED.value, ended_at=uow.clock.now())
        .execution_options(synchronize_session=False)
    )
    of_session = BotRow.session_id == held.session_id
    if error is not None:
        failed = await change_state(uow, of_session, [*STARTED, BotState.STOPPING], BotState.FAILED, error)
        for bot in failed:
            await tell_failed(uow, bot.user_id, bot.id, bot.name, error)
    else:
        await change_state(uow, of_session, [*STARTED, BotState.STOPPING], BotState.STOPPED)
    return True


async def unattended(uow: UnitOfWork) -> tuple[list[UUID], list[UUID]]:
    """Return sessions that a worker should be at and none is: those to run, and those to close.

    Replays are to run unless they wait for their time; live sessions until their bot is told to run.
    """
    free = or_(SessionStateRow.lease_expires_at.is_(None), SessionStateRow.lease_expires_at < _now())
    waits = TradingSessionRow.replay_start.is_not(None) & SessionStateRow.due_at.is_(None)
    pending = (BotRow.state == BotState.PENDING.value) & SessionStateRow.due_at.is_(None)
    statement = (
        select(TradingSessionRow.id, TradingSessionRow.status)
        .join(SessionStateRow, SessionStateRow.session_id == TradingSessionRow.id)
        .outerjoin(BotRow, BotRow.id == TradingSessionRow.bot_id)
        .where(
            TradingSessionRow.status != SessionStatus.STOPPED.value,
            # What is traded by hand or live has closings of its own.
            TradingSessionRow.market_id.is_not(None),
            TradingSessionRow.mode == SessionMode.PAPER.value,
            free,
            or_(TradingSessionRow.status == CLOSING, waits, pending),
        )
        .order_by(TradingSessionRow.id)
        .limit(SWEEP_ROWS)
    )
    rows = (await uow.session.execute(statement)).all()
    return (
        [row.id for row in rows if row.status != CLOSING],
        [row.id for row in rows if row.status == CLOSING],
    )


async def due(uow: UnitOfWork) -> list[UUID]:
    """Return the sessions whose time has come."""
    statement = (
        select(SessionStateRow.session_id)
        .where(SessionStateRow.due_at <= uow.clock.now())
        .order_by(SessionStateRow.due_at)
        .limit(SWEEP_ROWS)
    )
    return list(await uow.session.scalars(statement))
