"""Reads and writes of the days of sessions that are kept. Whoever calls has checked the access."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Numeric,
    Select,
    and_,
    any_,
    case,
    column,
    delete,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.bots.models import BotRow, TradingSessionRow
from gql_trader.bots.models_live import LiveSessionRow
from gql_trader.bots.models_rollups import SessionRollupRow
from gql_trader.core.zones import UTC_ZONE
from gql_trader.infra.bulk import array_of, insert_rows, rows_of
from gql_trader.reports.models import KeptDaysRow, SessionDayRow
from gql_trader.reports.repository_series import FIGURES, ZonedSeries, stored
from gql_trader.reports.types import Level
from gql_trader.reports.types_books import Account, Member
from gql_trader.settings.models import PreferencesRow
from gql_trader.settings.types import SessionMode

_SESSIONS = TradingSessionRow.__table__.c
_ROLLUPS = SessionRollupRow.__table__.c
_DAYS = SessionDayRow.__table__.c
_KEPT = KeptDaysRow.__table__.c

_MARK = ("session_id", "timezone", "until", "is_final", "looked_at", "counted_trades")


@dataclass(frozen=True, slots=True)
class Span:
    """Days of a session, counted from 1970-01-01, and when each begins and the last ends.

    Attributes
    ----------
    moments
        Unix milliseconds; one or none: there are no days.
    """

    account: Account
    first: int
    moments: list[int]

    @property
    def days(self) -> int:
        """How many there are."""
        return max(0, len(self.moments) - 1)


class KeptDays(NamedTuple):
    """Days before ``until`` are kept; ``is_final``: and there are no others."""

    until: int
    is_final: bool


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


async def kept(session: AsyncSession, session_ids: Sequence[UUID], zone: str) -> dict[UUID, KeptDays]:
    """Return which days of a zone are kept, by session."""
    statement = select(_KEPT.session_id, _KEPT.until, _KEPT.is_final).where(
        _KEPT.session_id == any_(array_of(_KEPT.session_id, session_ids)), _KEPT.timezone == zone
    )
    return {row[0]: KeptDays(row[1], row[2]) for row in await session.execute(statement)}


async def candidates(
    session: AsyncSession, looked_before: datetime, after: UUID | None, limit: int
) -> list[Candidate]:
    """Return sessions whose days are not kept, in another zone than their user's, or as of some time ago.

    Those on paper that are over at once, since nothing is found out about them later.
    """
    zone = func.coalesce(PreferencesRow.timezone, UTC_ZONE)
    followed = exists().where(LiveSessionRow.session_id == _SESSIONS.id)
    over_at_once = and_(_SESSIONS.ended_at.is_not(None), _SESSIONS.mode == SessionMode.PAPER.value)
    statement = (
        select(
            *(_SESSIONS.id, _SESSIONS.user_id, _SESSIONS.bot_id, _SESSIONS.mode),
            *(_SESSIONS.replay_start.is_not(None), _SESSIONS.ended_at, followed, zone),
            *(_SESSIONS.is_summed, _KEPT.timezone, _KEPT.until, func.coalesce(_KEPT.counted_trades, 0)),
        )
        .select_from(TradingSessionRow)
        .outerjoin(PreferencesRow, PreferencesRow.user_id == _SESSIONS.user_id)
        .outerjoin(KeptDaysRow, _KEPT.session_id == _SESSIONS.id)
        .where(
            or_(
                _KEPT.session_id.is_(None),
                _KEPT.timezone != zone,
                and_(not_(_SESSIONS.is_summed), or_(_KEPT.looked_at < looked_before, over_at_once)),
            )
        )
        .order_by(_SESSIONS.id)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(_SESSIONS.id > after)
    return [Candidate(*row) for row in await session.execute(statement)]


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


def _made(spans: Sequence[Span]) -> Select[Any]:
    """Return the days that sessions' figures make, those without any change left out.

    It reads one row of the figures for each session and midnight.
    """
    asked = rows_of(
        (_ROLLUPS.session_id, column("day", Integer), column("at", BigInteger)),
        [
            (each.account.id, each.first + place, moment)
            for each in spans
            if each.days
            for place, moment in enumerate(each.moments)
        ],
        "asked",
    )
    money = Numeric(38, 18)
    columns = (
        *(_ROLLUPS.session_id, column("until", BigInteger), _SESSIONS.capital, column("change", money)),
        *(column("realized", money), column("fees", money)),
        *(column("trades", Integer), column("wins", Integer)),
    )
    rows = []
    for account in (each.account for each in spans if each.days):
        # What is forming belongs to a bar that opens later.
        end = account.level - Level(account.forming)
        figures = (end.change, end.realized, end.fees, end.trades, end.wins)
        rows.append((account.id, account.until, account.capital, *figures))
    given = rows_of(columns, rows, "given")
    is_over = func.coalesce(asked.c.at > given.c.until, False)
    then = (
        select(_ROLLUPS.equity, _ROLLUPS.profit, _ROLLUPS.fees, _ROLLUPS.trades, _ROLLUPS.wins)
        .where(_ROLLUPS.session_id == asked.c.session_id, _ROLLUPS.time < asked.c.at, not_(is_over))
        .order_by(_ROLLUPS.time.desc())
        .limit(1)
        .lateral("then")
    )
    sums = (then.c.equity - given.c.capital, then.c.profit, then.c.fees, then.c.trades, then.c.wins)
    reached = (
        select(
            asked.c.session_id,
            asked.c.day,
            *(
                case((is_over, given.c[name]), else_=func.coalesce(each, 0)).label(name)
                for name, each in zip(FIGURES, sums, strict=True)
            ),
        )
        .select_from(asked)
        .join(given, given.c.session_id == asked.c.session_id)
        .outerjoin(then, true())
        .subquery("reached")
    )
    changes = select(
        reached.c.session_id,
        reached.c.day,
        *((_after(reached, name) - reached.c[name]).label(name) for name in FIGURES),
    ).subquery("changes")
    return select(*changes.c).where(or_(*(changes.c[name] != 0 for name in FIGURES)))


def _after(reached: FromClause, name: str) -> ColumnElement[Any]:
    following = func.lead(reached.c[name])
    return following.over(partition_by=reached.c.session_id, order_by=reached.c.day)


async def changes(
    session: AsyncSession, of: UUID | ZonedSeries | None, spans: Sequence[Span], low: int, high: int
) -> dict[int, Level]:
    """Return what sessions gained and closed together, by day.

    Parameters
    ----------
    of
        The session or the series whose days are kept.
    spans
        Days of sessions that are not.
    low, high
        Only kept days from ``low`` to ``high``, both included.
    """
    statement = changes_statement(of, spans, low, high)
    return {row[0]: Level(*row[1:]) for row in await session.execute(statement)}


def changes_statement(
    of: UUID | ZonedSeries | None, spans: Sequence[Span], low: int, high: int
) -> Select[Any]:
    """Return the statement that `changes` runs."""
    days, named = stored(of)
    kept_days = select(days.day, *(days[name] for name in FIGURES)).where(named, days.day.between(low, high))
    made = _made(spans).subquery("made")
    both = union_all(kept_days, select(made.c.day, *(made.c[name] for name in FIGURES))).subquery("both")
    return select(both.c.day, *(func.sum(both.c[name]) for name in FIGURES)).group_by(both.c.day)


async def best_and_worst(
    session: AsyncSession,
    of: UUID | ZonedSeries | None,
    spans: Sequence[Span],
    forming: Sequence[tuple[int, Decimal]],
) -> tuple[int, int] | None:
    """Return the days on which sessions together gained most and least; None: they never did either.

    The first of several.

    Parameters
    ----------
    of, spans
        As in `changes`.
    forming
        What was gained besides, with its day.
    """
    rows = await session.execute(best_and_worst_statement(of, spans, forming))
    return next(((best, worst) for best, worst in rows if best is not None), None)


def best_and_worst_statement(
    of: UUID | ZonedSeries | None, spans: Sequence[Span], forming: Sequence[tuple[int, Decimal]]
) -> Select[Any]:
    """Return the statement that `best_and_worst` runs.

    Of the days that are kept it reads those on which something else was gained, too, and by an index the
    best and the worst of the others.
    """
    made = _made(spans).subquery("made")
    besides = rows_of((_DAYS.day, _DAYS.change), forming, "besides")
    parts = (select(made.c.day, made.c.change), select(besides.c.day, besides.c.change))
    both = union_all(*parts).subquery("both")
    more = select(both.c.day, func.sum(both.c.change).label("change")).group_by(both.c.day).cte("more")
    days, named = stored(of)
    touched = (
        select(more.c.day, (more.c.change + func.coalesce(days.change, 0)).label("change"))
        .select_from(more)
        .outerjoin(days.day.table, and_(named, days.day == more.c.day))
    )
    # As a literal: the index has no other days.
    others = and_(named, days.change != literal_column("0"), days.day.not_in(select(more.c.day)))
    found = []
    for order in (days.change.desc(), days.change):
        extreme = select(days.change).where(others).order_by(order).limit(1).scalar_subquery()
        first = (
            select(days.day, days.change).where(others, days.change == extreme).order_by(days.day).limit(1)
        )
        all_ = union_all(touched, first).subquery()
        ranked = all_.c.change.desc() if order is not days.change else all_.c.change
        found.append(
            select(all_.c.day)
            .where(all_.c.change != 0)
            .order_by(ranked, all_.c.day)
            .limit(1)
            .scalar_subquery()
        )
    return select(*found)


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
        await session.execute(insert(SessionDayRow).from_select(names, _made(spans)))
    statement = insert_rows(KeptDaysRow, _MARK, marks)
    changed = {name: statement.excluded[name] for name in _MARK[1:]}
    await session.execute(statement.on_conflict_do_update(index_elements=["session_id"], set_=changed))
