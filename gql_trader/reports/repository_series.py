"""Reads and writes of the days of series: sums over a user's or a bot's sessions, whatever their number."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, and_, any_, column, delete, false, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from gql_trader.core.ids import uuid7
from gql_trader.infra.bulk import array_of, insert_rows, rows_of
from gql_trader.reports.models import DaySeriesRow, SeriesDayRow, SessionDayRow

FIGURES = ("change", "realized", "fees", "trades", "wins")
FOREVER = (-(2**31), 2**31 - 1)
"""All days that there are."""

_KEY = ("user_id", "bot_id", "currency", "mode", "replays", "timezone")

_SERIES = DaySeriesRow.__table__.c
_DAYS = SessionDayRow.__table__.c
_SUMS = SeriesDayRow.__table__.c


class SeriesKey(NamedTuple):
    """What the sessions of a series have in common; see `gql_trader.reports.models.DaySeriesRow`."""

    user_id: UUID
    bot_id: UUID | None
    currency: str | None
    mode: str | None
    replays: bool
    timezone: str


class Member(NamedTuple):
    """A session, and what decides of which series it is; ``currency`` is that of its amounts."""

    session_id: UUID
    user_id: UUID
    bot_id: UUID | None
    currency: str | None
    mode: str
    is_replay: bool

    def series(self, timezone: str) -> Iterator[SeriesKey]:
        """Return the series that its days of a time zone count in."""
        for mode in (None, self.mode):
            yield SeriesKey(self.user_id, None, self.currency, mode, True, timezone)
            if not self.is_replay:
                yield SeriesKey(self.user_id, None, self.currency, mode, False, timezone)
            if self.bot_id is not None:
                yield SeriesKey(self.user_id, self.bot_id, self.currency, mode, True, timezone)


class Days(NamedTuple):
    """Days of a session, from ``first`` to ``last``, as they are kept in a time zone."""

    member: Member
    timezone: str
    first: int
    last: int


def stored(of: UUID | SeriesKey | None) -> tuple[ReadOnlyColumnCollection[str, Any], ColumnElement[bool]]:
    """Return the columns of the days that are kept of a session, or of a series, and which rows are its.

    None: of nothing.
    """
    if of is None:
        return _DAYS, false()
    if isinstance(of, UUID):
        return _DAYS, _DAYS.session_id == of
    same = [_SERIES[name].is_not_distinct_from(value) for name, value in of._asdict().items()]
    same[0] = _SERIES.user_id == of.user_id
    return _SUMS, _SUMS.series_id == select(_SERIES.id).where(*same).scalar_subquery()


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
    keys = {each: list(each.member.series(each.timezone)) for each in days if each.first <= each.last}
    if not keys:
        return []
    ids = await _series(session, {key for found in keys.values() for key in found})
    columns = (_SUMS.series_id, _DAYS.session_id, column("first", Integer), column("last", Integer))
    rows = [
        (ids[key], each.member.session_id, each.first, each.last)
        for each, found in keys.items()
        for key in found
    ]
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
    return list(ids.values())


async def _series(session: AsyncSession, keys: set[SeriesKey]) -> dict[SeriesKey, UUID]:
    """Return the series of keys, made where there are none."""
    rows = [(uuid7(), *key) for key in sorted(keys, key=str)]
    made = insert_rows(DaySeriesRow, ("id", *_KEY), rows).on_conflict_do_nothing()
    await session.execute(made)
    given = rows_of([_SERIES[name] for name in _KEY], [row[1:] for row in rows])
    same = [_SERIES.user_id == given.c.user_id]
    same += [_SERIES[name].is_not_distinct_from(given.c[name]) for name in _KEY[1:]]
    statement = select(_SERIES.id, *(_SERIES[name] for name in _KEY)).join(given, and_(*same))
    return {SeriesKey(*row[1:]): row[0] for row in await session.execute(statement)}
