"""Whose days are to be kept next, and keeping them. Whoever calls holds the lock on summing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    Select,
    and_,
    any_,
    delete,
    exists,
    func,
    not_,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.bots.models import BotRow, TradingSessionRow
from gql_trader.bots.models_live import LiveSessionRow
from gql_trader.bots.models_rollups import SessionRollupRow
from gql_trader.core.zones import UTC_ZONE
from gql_trader.infra.bulk import array_of, insert_rows
from gql_trader.reports.models import DaySeriesRow, KeptDaysRow, SessionDayRow
from gql_trader.reports.repository_days import Span, days_made_of
from gql_trader.reports.repository_series import FIGURES
from gql_trader.reports.types_books import Member
from gql_trader.settings.models import PreferencesRow
from gql_trader.settings.types import SessionMode

_SESSIONS = TradingSessionRow.__table__.c
_ROLLUPS = SessionRollupRow.__table__.c
_DAYS = SessionDayRow.__table__.c
_KEPT = KeptDaysRow.__table__.c

_SERIES = DaySeriesRow.__table__.c

_ZONE = func.coalesce(PreferencesRow.timezone, UTC_ZONE)

_MARK = ("session_id", "timezone", "until", "is_final", "looked_at", "counted_trades")


class Candidate(NamedTuple):
    """A session of which days may be over that are not kept; ``until`` is as in `KeptDays`, if any are.

    With ``is_followed`` an exchange may still tell of its orders, however long ago it has ended.
    """

    session_id: UUID
    user_id: UUID
    bot_id: UUID | None
    mode: str
    is_replay: bool
    ended_at: datetime | None
    is_followed: bool
    timezone: str
    is_summed: bool
    kept_timezone: str | None
    until: int | None
    counted_trades: int

    def member(self, currency: str | None) -> Member:
        """Return what decides in which series its days count."""
        return Member(self.session_id, self.user_id, self.bot_id, currency, self.mode, self.is_replay)


async def candidates(
    session: AsyncSession, looked_before: datetime, after: UUID | None, limit: int
) -> list[Candidate]:
    """Return sessions whose days are not kept, in another zone than their user's, or as of some time ago.

    Those on paper that are over at once, since nothing is found out about them later.
    """
    followed = exists().where(LiveSessionRow.session_id == _SESSIONS.id)
    over_at_once = and_(_SESSIONS.ended_at.is_not(None), _SESSIONS.mode == SessionMode.PAPER.value)
    # Those that are summed are many, and looked at again only for users who have moved.
    parts = [select(_SESSIONS.id).where(~_SESSIONS.is_summed)]
    if moved := list(await session.scalars(_moved())):
        of_moved = _SESSIONS.user_id == any_(array_of(_SESSIONS.user_id, moved))
        parts.append(select(_SESSIONS.id).where(_SESSIONS.is_summed, of_moved))
    if after is not None:
        parts = [each.where(_SESSIONS.id > after) for each in parts]
    looked_at = union_all(*parts).subquery("looked_at")
    statement = (
        select(
            *(_SESSIONS.id, _SESSIONS.user_id, _SESSIONS.bot_id, _SESSIONS.mode),
            *(_SESSIONS.replay_start.is_not(None), _SESSIONS.ended_at, followed, _ZONE),
            *(_SESSIONS.is_summed, _KEPT.timezone, _KEPT.until, func.coalesce(_KEPT.counted_trades, 0)),
        )
        .select_from(looked_at)
        .join(TradingSessionRow, _SESSIONS.id == looked_at.c.id)
        .outerjoin(PreferencesRow, PreferencesRow.user_id == _SESSIONS.user_id)
        .outerjoin(KeptDaysRow, _KEPT.session_id == _SESSIONS.id)
        .where(
            or_(
                _KEPT.session_id.is_(None),
                _KEPT.timezone != _ZONE,
                and_(not_(_SESSIONS.is_summed), or_(_KEPT.looked_at < looked_before, over_at_once)),
            )
        )
        .order_by(_SESSIONS.id)
        .limit(limit)
    )
    return [Candidate(*row) for row in await session.execute(statement)]


def _moved() -> Select[Any]:
    """Return the statement for users of whom days of sessions that are summed are kept in another zone."""
    return (
        select(_SERIES.user_id)
        .outerjoin(PreferencesRow, PreferencesRow.user_id == _SERIES.user_id)
        .where(_SERIES.final_sessions > 0, _SERIES.timezone != _ZONE)
        .distinct()
    )


async def lock(session: AsyncSession, bot_ids: Sequence[UUID], session_ids: Sequence[UUID]) -> set[UUID]:
    """Let nobody delete bots, nor change sessions, until the transaction ends; return the bots that are left.

    In the order in which whoever deletes a bot locks them: else both might wait for each other.
    """
    bots = select(BotRow.id).where(BotRow.id == any_(array_of(_SESSIONS.bot_id, bot_ids)))
    found = await session.scalars(bots.order_by(BotRow.id).with_for_update(read=True, key_share=True))
    left = set(found)
    sessions = select(_SESSIONS.id).where(_SESSIONS.id == any_(array_of(_SESSIONS.id, session_ids)))
    await session.execute(sessions.order_by(_SESSIONS.id).with_for_update(key_share=True))
    return left


async def forget(session: AsyncSession, session_ids: Sequence[UUID]) -> None:
    """Delete all days that are kept of sessions."""
    if session_ids:
        await session.execute(
            delete(SessionDayRow).where(_DAYS.session_id == any_(array_of(_DAYS.session_id, session_ids)))
        )


async def keep(session: AsyncSession, spans: Sequence[Span], marks: Sequence[tuple[Any, ...]]) -> None:
    """Keep days of sessions, and note which are kept.

    Parameters
    ----------
    marks
        Columns of `KeptDaysRow`, in their order.
    """
    if any(each.days for each in spans):
        names = ["session_id", "day", *FIGURES]
        await session.execute(insert(SessionDayRow).from_select(names, days_made_of(spans)))
    statement = insert_rows(KeptDaysRow, _MARK, marks)
    changed = {name: statement.excluded[name] for name in _MARK[1:]}
    await session.execute(statement.on_conflict_do_update(index_elements=["session_id"], set_=changed))
