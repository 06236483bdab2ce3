"""Reads of the sums over sessions that are over. Whoever calls has checked the access."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Integer,
    Select,
    any_,
    column,
    func,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.bots.models import TradeRow, TradingSessionRow
from gql_trader.bots.models_rollups import SessionRollupRow
from gql_trader.core.ids import UserId
from gql_trader.infra.bulk import array_of, rows_of
from gql_trader.reports.capital import Asked, block_begins, block_of
from gql_trader.reports.models_ended import (
    EndedCapitalPeakRow,
    EndedCapitalRow,
    EndedLevelRow,
    EndedSeriesRow,
)
from gql_trader.reports.repository_series import FIGURES, is_same
from gql_trader.reports.types import Level, Scope
from gql_trader.reports.types_books import Ended

_SERIES = EndedSeriesRow.__table__.c
_LEVELS = EndedLevelRow.__table__.c
_CAPITAL = EndedCapitalRow.__table__.c
_PEAKS = EndedCapitalPeakRow.__table__.c
_ROLLUPS = SessionRollupRow.__table__.c
_SESSIONS = TradingSessionRow.__table__.c
_TRADES = TradeRow.__table__.c


async def ended(session: AsyncSession, user_ids: Sequence[UserId], scope: Scope) -> dict[UserId, list[Ended]]:
    """Return the sums over users' sessions that are over, one for each currency; none of a single session."""
    found: dict[UserId, list[Ended]] = {each: [] for each in user_ids}
    if scope.session_id is not None:
        return found
    last = (
        select(*(_LEVELS[name] for name in FIGURES))
        .where(_LEVELS.series_id == _SERIES.id)
        .order_by(_LEVELS.time.desc())
        .limit(1)
        .lateral("last")
    )
    statement = (
        select(
            *(_SERIES.user_id, _SERIES.id, _SERIES.currency, _SERIES.sessions, _SERIES.newest, _SERIES.held),
            *(func.coalesce(last.c[name], 0) for name in FIGURES),
        )
        .outerjoin(last, true())
        .where(
            _SERIES.user_id == any_(array_of(_SERIES.user_id, user_ids)),
            is_same(_SERIES.bot_id, scope.bot_id),
            is_same(_SERIES.mode, None if scope.mode is None else scope.mode.value),
            _SERIES.replays == (not scope.leaves_replays_out),
            _SERIES.sessions > 0,
        )
        .order_by(_SERIES.id)
    )
    for user_id, key, currency, sessions, newest, held, *sums in await session.execute(statement):
        found[user_id].append(Ended(key, currency, sessions, newest, Level(*sums), held))
    return found


def levels_of(asked: Sequence[tuple[int, UUID, int]]) -> Select[Any]:
    """Return the statement for how far series had come: place, moment and the sums, for each.

    Parameters
    ----------
    asked
        A place, a series and a moment, Unix milliseconds. It reads one row for each.
    """
    columns = column("place", Integer), _LEVELS.series_id, column("at", BigInteger)
    given = rows_of(columns, asked, "of_series")
    then = (
        select(*(_LEVELS[name] for name in FIGURES))
        .where(_LEVELS.series_id == given.c.series_id, _LEVELS.time < given.c.at)
        .order_by(_LEVELS.time.desc())
        .limit(1)
        .lateral("of_ended")
    )
    return (
        select(given.c.place, given.c.at, *(then.c[name] for name in FIGURES))
        .select_from(given)
        .join(then, true())
    )


async def first_time(session: AsyncSession, series_id: UUID) -> int | None:
    """Return when a series' sessions first gained or lost something, Unix milliseconds; None: never."""
    statement = select(func.min(_LEVELS.time)).where(_LEVELS.series_id == series_id)
    found: int | None = await session.scalar(statement)
    return found


async def most_at_work(session: AsyncSession, asked: Sequence[Asked]) -> list[Decimal]:
    """Return the most capital of series' sessions that was at work at one time of each stretch of time."""
    if not asked:
        return []
    rows = await session.execute(most_at_work_statement(asked))
    found = {row[0]: row[1] for row in rows}
    return [found[number] for number in range(len(asked))]


def most_at_work_statement(asked: Sequence[Asked]) -> Select[Any]:
    """Return the statement that `most_at_work` runs.

    It reads a row for each block of time within, and those of the blocks that a stretch begins and ends in.
    """
    names = ("low", "first_ends", "last_begins", "high")
    columns = (
        *(column("number", Integer), _CAPITAL.series_id),
        *(column(name, BigInteger) for name in names),
        *(column(name, Integer) for name in ("first", "last")),
    )
    rows = [
        (
            *(number, each.series_id, each.low, block_begins(block_of(each.low) + 1)),
            *(block_begins(block_of(each.high)), each.high, block_of(each.low), block_of(each.high)),
        )
        for number, each in enumerate(asked)
    ]
    given = rows_of(columns, rows, "stretch")
    own, of_peaks = _CAPITAL.series_id == given.c.series_id, _PEAKS.series_id == given.c.series_id
    at_first = (
        select(_CAPITAL.at_work)
        .where(own, _CAPITAL.time <= given.c.low)
        .order_by(_CAPITAL.time.desc())
        .limit(1)
        .scalar_subquery()
    )
    most = select(func.max(_CAPITAL.at_work))
    then = most.where(
        own, _CAPITAL.time > given.c.low, _CAPITAL.time < func.least(given.c.high, given.c.first_ends)
    )
    between = select(func.max(_PEAKS.at_work)).where(
        of_peaks, _PEAKS.block > given.c.first, _PEAKS.block < given.c.last
    )
    at_last = most.where(
        own,
        _CAPITAL.time >= func.greatest(given.c.last_begins, given.c.first_ends),
        _CAPITAL.time < given.c.high,
    )
    parts = (at_first, *(each.scalar_subquery() for each in (then, between, at_last)))
    return select(given.c.number, func.coalesce(func.greatest(*parts), 0))
