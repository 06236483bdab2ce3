"""Reads and writes of the days of series: sums over a user's or a bot's sessions, whatever their number."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, and_, any_, column, delete, false, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from gql_trader.core.ids import uuid7
from gql_trader.infra.bulk import array_of, insert_rows, rows_of
from gql_trader.infra.database import Base
from gql_trader.reports.models import DaySeriesRow, SeriesDayRow, SessionDayRow
from gql_trader.reports.types_books import Member

FIGURES = ("change", "realized", "fees", "trades", "wins")
FOREVER = (-(2**31), 2**31 - 1)
"""All days that there are."""

_KEY = ("user_id", "bot_id", "currency", "mode", "replays", "timezone")

_SERIES = DaySeriesRow.__table__.c
_DAYS = SessionDayRow.__table__.c
_SUMS = SeriesDayRow.__table__.c


class ZonedSeries(NamedTuple):
    """A series as in `SeriesKey`, and the time zone of its days."""

    user_id: UUID
    bot_id: UUID | None
    currency: str | None
    mode: str | None
    replays: bool
    timezone: str


class Days(NamedTuple):
    """Days of a session, from ``first`` to ``last``, as they are kept in a time zone.

    ``are_final``: with them all are kept, or were, that there will ever be.
    """

    member: Member
    timezone: str
    first: int
    last: int
    are_final: bool

    @property
    def series(self) -> list[ZonedSeries]:
        """Those that they count in."""
        return [ZonedSeries(*key, self.timezone) for key in self.member.series()]


def stored(of: UUID | ZonedSeries | None) -> tuple[ReadOnlyColumnCollection[str, Any], ColumnElement[bool]]:
    """Return the columns of the days that are kept of a session, or of a series, and which rows are its.

    None: of nothing.
    """
    if of is None:
        return _DAYS, false()
    if isinstance(of, UUID):
        return _DAYS, _DAYS.session_id == of
    return _SUMS, _SUMS.series_id == select(_SERIES.id).where(_is(of)).scalar_subquery()


def _is(of: ZonedSeries) -> ColumnElement[bool]:
    return and_(*(is_same(_SERIES[name], value) for name, value in of._asdict().items()))


def is_same(column: ColumnElement[Any], value: Any) -> ColumnElement[bool]:
    """Return whether a column has a value, or null; found by an index, unlike IS NOT DISTINCT FROM."""
    return column.is_(None) if value is None else column == value


async def final_sessions(session: AsyncSession, of: ZonedSeries) -> int:
    """Return of how many sessions of a series all days are kept that there will ever be."""
    return await session.scalar(select(_SERIES.final_sessions).where(_is(of))) or 0


async def add(session: AsyncSession, days: Sequence[Days]) -> None:
    """Add days of sessions, which were just kept, to the series that they count in."""
    await _add(session, days, 1)


async def subtract(session: AsyncSession, days: Sequence[Days]) -> None:
    """Take days of sessions, which are still kept, out of the series that they count in."""
    changed = await _add(session, days, -1)
    if changed:
        statement = delete(SeriesDayRow).where(
            _SUMS.series_id == any_(array_of(_SUMS.series_id, changed)),
            *(_SUMS[name] == 0 for name in FIGURES),
        )
        await session.execute(statement)


async def _add(session: AsyncSession, days: Sequence[Days], sign: int) -> list[UUID]:
    """Add or subtract; return the series."""
    given = [each for each in days if each.first <= each.last or each.are_final]
    if not given:
        return []
    ids = await named_series(session, DaySeriesRow, {of for each in given for of in each.series})
    await _add_days(session, given, ids, sign)
    await _count(session, given, ids, sign)
    return list(ids.values())


async def _add_days(
    session: AsyncSession, days: Sequence[Days], ids: Mapping[tuple[Any, ...], UUID], sign: int
) -> None:
    columns = (_SUMS.series_id, _DAYS.session_id, column("first", Integer), column("last", Integer))
    rows = [
        (ids[of], each.member.session_id, each.first, each.last)
        for each in days
        if each.first <= each.last
        for of in each.series
    ]
    if not rows:
        return
    given = rows_of(columns, rows)
    sums = (
        select(given.c.series_id, _DAYS.day, *(func.sum(_DAYS[name]) * sign for name in FIGURES))
        .join(SessionDayRow, _DAYS.session_id == given.c.session_id)
        .where(_DAYS.day.between(given.c.first, given.c.last))
        .group_by(given.c.series_id, _DAYS.day)
    )
    statement = insert(SeriesDayRow).from_select(["series_id", "day", *FIGURES], sums)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["series_id", "day"],
            set_={name: _SUMS[name] + statement.excluded[name] for name in FIGURES},
        )
    )


async def _count(
    session: AsyncSession, days: Sequence[Days], ids: Mapping[tuple[Any, ...], UUID], sign: int
) -> None:
    counts = Counter(ids[of] for each in days if each.are_final for of in each.series)
    if not counts:
        return
    given = rows_of((_SERIES.id, _SERIES.final_sessions), list(counts.items()))
    await session.execute(
        update(DaySeriesRow)
        .where(_SERIES.id == given.c.id)
        .values(final_sessions=_SERIES.final_sessions + sign * given.c.final_sessions)
        .execution_options(synchronize_session=False)
    )


async def named_series(
    session: AsyncSession, model: type[Base], wanted: Collection[tuple[Any, ...]]
) -> dict[tuple[Any, ...], UUID]:
    """Return the rows of series in a table, by what they have in common; made where there are none.

    Parameters
    ----------
    wanted
        As of `SeriesKey`, with or without a time zone, as the table has it.
    """
    table = model.__table__.c
    names = [name for name in _KEY if name in table]
    rows = [(uuid7(), *each) for each in sorted(wanted, key=str)]
    inserted = insert_rows(model, ("id", *names), rows)
    # What is there is changed to what it is: so it is found by the index, for which nulls are equal.
    same = inserted.on_conflict_do_update(index_elements=names, set_={"user_id": inserted.excluded.user_id})
    statement = same.returning(table.id, *(table[name] for name in names))
    return {tuple(row[1:]): row[0] for row in await session.execute(statement)}
