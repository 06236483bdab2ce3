"""Reads of the days of sessions that are kept. Whoever calls has checked the access."""

from collections.abc import Sequence
from dataclasses import dataclass
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
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.bots.models import TradingSessionRow
from gql_trader.bots.models_rollups import SessionRollupRow
from gql_trader.core.zones import UTC_ZONE
from gql_trader.infra.bulk import array_of, rows_of
from gql_trader.reports.models import DaySeriesRow, KeptDaysRow, SessionDayRow
from gql_trader.reports.repository_series import FIGURES, ZonedSeries, stored
from gql_trader.reports.types import Level
from gql_trader.reports.types_books import Account
from gql_trader.settings.models import PreferencesRow

_SESSIONS = TradingSessionRow.__table__.c
_ROLLUPS = SessionRollupRow.__table__.c
_DAYS = SessionDayRow.__table__.c
_KEPT = KeptDaysRow.__table__.c

_SERIES = DaySeriesRow.__table__.c

_ZONE = func.coalesce(PreferencesRow.timezone, UTC_ZONE)

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


async def kept(session: AsyncSession, session_ids: Sequence[UUID], zone: str) -> dict[UUID, KeptDays]:
    """Return which days of a zone are kept, by session."""
    statement = select(_KEPT.session_id, _KEPT.until, _KEPT.is_final).where(
        _KEPT.session_id == any_(array_of(_KEPT.session_id, session_ids)), _KEPT.timezone == zone
    )
    return {row[0]: KeptDays(row[1], row[2]) for row in await session.execute(statement)}


def days_made_of(spans: Sequence[Span]) -> Select[Any]:
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
    made = days_made_of(spans).subquery("made")
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
    made = days_made_of(spans).subquery("made")
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
