"""Writes of the sums over sessions that are over. Whoever calls holds the lock on summing."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    FromClause,
    Integer,
    Select,
    Subquery,
    any_,
    column,
    func,
    literal_column,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.selectable import CTE

from gql_trader.bots.models import TradeRow, TradingSessionRow
from gql_trader.bots.models_rollups import SessionRollupRow
from gql_trader.core.intervals import Interval
from gql_trader.infra.bulk import array_of, rows_of
from gql_trader.infra.database import Base
from gql_trader.reports.capital import BLOCK_BITS, block_begins, block_of, changes_of
from gql_trader.reports.models_ended import (
    EndedCapitalPeakRow,
    EndedCapitalRow,
    EndedLevelRow,
    EndedSeriesRow,
)
from gql_trader.reports.repository_series import FIGURES, named_series
from gql_trader.reports.types_books import Account, Member, SeriesKey

_SERIES = EndedSeriesRow.__table__.c
_LEVELS = EndedLevelRow.__table__.c
_CAPITAL = EndedCapitalRow.__table__.c
_PEAKS = EndedCapitalPeakRow.__table__.c
_ROLLUPS = SessionRollupRow.__table__.c
_SESSIONS = TradingSessionRow.__table__.c
_TRADES = TradeRow.__table__.c


class Over(NamedTuple):
    """A session that is over: what it has come to, and in which series it counts."""

    account: Account
    member: Member


async def add(session: AsyncSession, over: Sequence[Over]) -> None:
    """Add sessions to the sums; the caller sees to it that none is added twice.

    What changes is rewritten from the earliest of them on, so that it is best to add them in the order in
    which they were at work.
    """
    if not over:
        return
    keys = {each.account.id: list(each.member.series()) for each in over}
    ids = await named_series(session, EndedSeriesRow, {key for found in keys.values() for key in found})
    members = [(ids[key], each.account.id) for each in over for key in keys[each.account.id]]
    await _accumulate(session, EndedLevelRow, FIGURES, _more_levels(over, members))
    changes = [
        (ids[key], change.time, change.amount)
        for each in over
        for change in changes_of(each.account)
        for key in keys[each.account.id]
    ]
    given = rows_of((_CAPITAL.series_id, _CAPITAL.time, _CAPITAL.at_work), changes)
    await _accumulate(session, EndedCapitalRow, ("at_work",), select(*given.c))
    await _find_peaks(session, changes)
    await _count(session, over, keys, ids)


def _more_levels(over: Sequence[Over], members: Sequence[tuple[UUID, UUID]]) -> Select[Any]:
    """Return by how much the sums of series change, and when."""
    columns = (
        *(_ROLLUPS.session_id, _ROLLUPS.time, _SESSIONS.capital),
        *(column(name, _LEVELS[name].type) for name in FIGURES),
    )
    rows = []
    for account in (each.account for each in over):
        assert account.until is not None, "what is over has an end"
        level = account.level
        figures = (level.change, level.realized, level.fees, level.trades, level.wins)
        rows.append((account.id, Interval.M15.floor(account.until), account.capital, *figures))
    last = rows_of(columns, rows, "last_of")
    reached = union_all(
        select(
            _ROLLUPS.session_id,
            _ROLLUPS.time,
            (_ROLLUPS.equity - last.c.capital).label("change"),
            _ROLLUPS.profit.label("realized"),
            *(_ROLLUPS.fees, _ROLLUPS.trades, _ROLLUPS.wins),
        )
        .select_from(last)
        # After its last bar a session stands as at its end.
        .join(SessionRollupRow, (_ROLLUPS.session_id == last.c.session_id) & (_ROLLUPS.time < last.c.time)),
        select(last.c.session_id, last.c.time, *(last.c[name] for name in FIGURES)),
    ).subquery("reached")
    since = [(reached.c[name] - func.coalesce(_before(reached, name), 0)).label(name) for name in FIGURES]
    more = select(reached.c.session_id, reached.c.time, *since).cte("more").prefix_with("MATERIALIZED")
    given = rows_of((_LEVELS.series_id, _ROLLUPS.session_id), members, "member")
    return select(given.c.series_id, more.c.time, *(more.c[name] for name in FIGURES)).join(
        more, more.c.session_id == given.c.session_id
    )


def _before(rows: Subquery, name: str) -> Any:
    """Return a figure of the row before, of rows whose first columns are what they are of and their time."""
    of, time = list(rows.c)[:2]
    return func.lag(rows.c[name]).over(partition_by=of, order_by=time)


async def _accumulate(
    session: AsyncSession, model: type[Base], figures: Sequence[str], more: Select[Any]
) -> None:
    """Add changes to running sums that are kept by series and time.

    Parameters
    ----------
    more
        Series, time, and by how much each figure changes then.
    """
    kept = model.__table__.c
    changes: CTE = select(*more.subquery().c).cte("changes").prefix_with("MATERIALIZED")
    earliest = func.min(changes.c.time).label("time")
    begun = select(changes.c.series_id, earliest).group_by(changes.c.series_id).subquery("begun")
    earlier = model.__table__.alias("earlier").c
    # The row before them stands for all that was earlier.
    before = (
        select(earlier.time)
        .where(earlier.series_id == begun.c.series_id, earlier.time < begun.c.time)
        .order_by(earlier.time.desc())
        .limit(1)
        .scalar_subquery()
    )
    first = select(begun.c.series_id, func.coalesce(before, begun.c.time).label("time")).subquery("first")
    rows = _following(model, figures, first)
    steps = select(
        rows.c.series_id,
        rows.c.time,
        *((rows.c[name] - func.coalesce(_before(rows, name), 0)).label(name) for name in figures),
    )
    both = union_all(steps, select(*changes.c)).subquery("both")
    sums = (
        select(both.c.series_id, both.c.time, *(func.sum(both.c[name]).label(name) for name in figures))
        .group_by(both.c.series_id, both.c.time)
        .subquery("sums")
    )
    running = select(
        sums.c.series_id,
        sums.c.time,
        *(
            func.sum(sums.c[name]).over(partition_by=sums.c.series_id, order_by=sums.c.time)
            for name in figures
        ),
    )
    statement = insert(model).from_select(["series_id", "time", *figures], running)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["series_id", "time"],
            set_={name: statement.excluded[name] for name in figures},
            where=or_(*(kept[name] != statement.excluded[name] for name in figures)),
        )
    )


def _following(model: type[Base], figures: Sequence[str], first: FromClause) -> Subquery:
    """Return the sums of series from a time on; ``first`` has it for each series."""
    kept = model.__table__.c
    # For each series by itself: else those that are older might be read, too.
    following = (
        select(kept.series_id, kept.time, *(kept[name] for name in figures))
        .where(kept.series_id == first.c.series_id, kept.time >= first.c.time)
        .offset(literal_column("0"))
        .lateral("following")
    )
    return select(*following.c).select_from(first).join(following, true()).subquery("rows")


async def _find_peaks(session: AsyncSession, changes: Sequence[tuple[UUID, int, Decimal]]) -> None:
    """Find the peaks of blocks anew from the first one on in which something has changed."""
    first: dict[UUID, int] = {}
    for series_id, time, _ in changes:
        first[series_id] = min(block_begins(block_of(time)), first.get(series_id, time))
    given = rows_of((_CAPITAL.series_id, _CAPITAL.time), list(first.items()))
    following = _following(EndedCapitalRow, ("at_work",), given).c
    block = (
        following.time.bitwise_rshift(literal_column(str(BLOCK_BITS), Integer)).cast(Integer).label("block")
    )
    peaks = select(following.series_id, block, func.max(following.at_work)).group_by(
        following.series_id, block
    )
    statement = insert(EndedCapitalPeakRow).from_select(["series_id", "block", "at_work"], peaks)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["series_id", "block"],
            set_={"at_work": statement.excluded.at_work},
            where=_PEAKS.at_work != statement.excluded.at_work,
        )
    )


async def _count(
    session: AsyncSession,
    over: Sequence[Over],
    keys: Mapping[UUID, Sequence[SeriesKey]],
    ids: Mapping[tuple[Any, ...], UUID],
) -> None:
    named = _TRADES.session_id == any_(array_of(_TRADES.session_id, list(keys)))
    open_ = select(_TRADES.session_id, func.count()).where(named, _TRADES.exit_time.is_(None))
    rows = await session.execute(open_.group_by(_TRADES.session_id))
    held: dict[UUID, int] = {row[0]: row[1] for row in rows}
    more: dict[UUID, tuple[int, int, UUID]] = {}
    for session_id in (each.account.id for each in over):
        for key in keys[session_id]:
            sessions, positions, newest = more.get(ids[key], (0, 0, session_id))
            positions += held.get(session_id, 0)
            more[ids[key]] = (sessions + 1, positions, max(newest, session_id))
    columns = (_SERIES.id, _SERIES.sessions, _SERIES.held, _SERIES.newest)
    given = rows_of(columns, [(key, *counts) for key, counts in more.items()])
    await session.execute(
        update(EndedSeriesRow)
        .where(_SERIES.id == given.c.id)
        .values(
            sessions=_SERIES.sessions + given.c.sessions,
            held=_SERIES.held + given.c.held,
            newest=func.greatest(_SERIES.newest, given.c.newest),
        )
        .execution_options(synchronize_session=False)
    )
