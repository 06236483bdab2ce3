"""How many trades there are, whatever they are chosen by: kept by months and years, and counted where not."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    any_,
    cast,
    column,
    extract,
    func,
    literal,
    or_,
    select,
    text,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.bots.models import TradeRow, TradingSessionRow
from gql_trader.bots.types import TradeStatus
from gql_trader.core.ids import UserId
from gql_trader.core.zones import UTC_ZONE
from gql_trader.infra.bulk import array_of, rows_of
from gql_trader.reports.models import KeptDaysRow, TradeCountRow
from gql_trader.reports.repository import conditions_of, markets_named, scoped, trades_of
from gql_trader.reports.types import TradeFilter

_COUNTS = TradeCountRow.__table__.c
_KEPT = KeptDaysRow.__table__.c
_SESSIONS = TradingSessionRow.__table__.c
_TRADES = TradeRow.__table__.c

_EVER = 0
_LAST = 2**31 - 1
_KEY = ("owner_id", "period", "is_replay", "market_id", "side")


async def count_trades(session: AsyncSession, user_id: UserId, wanted: TradeFilter) -> int:
    """Return how many trades a user has; all must be read as of one moment.

    One by one it counts those that were opened in the months in which the time that is asked for begins and
    ends, those that no worker has counted yet, and for a status those that are held.
    """
    if wanted.start is not None and wanted.end is not None and wanted.start >= wanted.end:
        return 0
    if wanted.status is None:
        return await _count_all(session, user_id, wanted)
    held = await _count_held(session, user_id, replace(wanted, status=TradeStatus.OPEN))
    if wanted.status is TradeStatus.OPEN:
        return held
    return await _count_all(session, user_id, replace(wanted, status=None)) - held


async def _count_all(session: AsyncSession, user_id: UserId, wanted: TradeFilter) -> int:
    whole = _whole_months(wanted)
    count = await _count_kept(session, user_id, whole, _COUNTS.trades)
    uncounted = _TRADES.number > func.coalesce(_KEPT.counted_trades, 0)
    count += await _count_of_sessions(session, user_id, whole, uncounted)
    return count + await _count_parts(session, user_id, wanted, true())


async def _count_held(session: AsyncSession, user_id: UserId, wanted: TradeFilter) -> int:
    count = await _count_kept(session, user_id, _whole_months(wanted), _COUNTS.held)
    count += await _count_of_sessions(session, user_id, wanted, true())
    return count + await _count_parts(session, user_id, wanted, _SESSIONS.is_summed)


def _whole_months(wanted: TradeFilter) -> TradeFilter:
    start = None if wanted.start is None else _month_of(wanted.start)
    return replace(wanted, start=start, end=None if wanted.end is None else _month_of(wanted.end))


def _month_of(moment: datetime) -> datetime:
    """Return when the month of a moment began."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


async def _count_kept(
    session: AsyncSession, user_id: UserId, wanted: TradeFilter, figure: ColumnElement[int]
) -> int:
    """Return how many trades of whole months are counted."""
    count = await session.scalar(_kept(user_id, wanted, _before(wanted.end), figure)) or 0
    if wanted.start is not None:
        count -= await session.scalar(_kept(user_id, wanted, _before(wanted.start), figure)) or 0
    return int(count)


def _before(month: datetime | None) -> ColumnElement[bool]:
    """Return which periods come before a month, so that each trade is in one of them; None: all of time."""
    if month is None:
        return _COUNTS.period == _EVER
    first = 100 * month.year
    years, months = (
        _COUNTS.period.between(1, month.year - 1),
        _COUNTS.period.between(first, first + month.month - 1),
    )
    return or_(years, months)


def _kept(
    user_id: UserId, wanted: TradeFilter, periods: ColumnElement[bool], figure: ColumnElement[int]
) -> Select[Any]:
    owner_id = wanted.session_id or wanted.bot_id or user_id
    statement = select(func.sum(figure)).where(
        _COUNTS.owner_id == owner_id, _COUNTS.user_id == user_id, periods
    )
    if wanted.session_id is not None and wanted.bot_id is not None:
        same = select(_SESSIONS.id).where(
            _SESSIONS.id == wanted.session_id, _SESSIONS.bot_id == wanted.bot_id
        )
        statement = statement.where(same.exists())
    if wanted.scope.leaves_replays_out:
        statement = statement.where(~_COUNTS.is_replay)
    if wanted.market is not None:
        statement = statement.where(_COUNTS.market_id.in_(markets_named(wanted.market)))
    if wanted.side is not None:
        statement = statement.where(_COUNTS.side == wanted.side.value)
    return statement


async def _count_of_sessions(
    session: AsyncSession, user_id: UserId, wanted: TradeFilter, which: ColumnElement[bool]
) -> int:
    """Return how many trades the sessions have that are not summed, looked up in each of them."""
    own = (
        select(func.count())
        .select_from(TradeRow)
        .where(_TRADES.session_id == _SESSIONS.id, which, *conditions_of(wanted))
        .correlate(TradingSessionRow, KeptDaysRow)
        .scalar_subquery()
    )
    statement = (
        select(func.sum(own))
        .select_from(TradingSessionRow)
        .outerjoin(KeptDaysRow, _KEPT.session_id == _SESSIONS.id)
        .where(~_SESSIONS.is_summed)
    )
    return int(await session.scalar(scoped(statement, [user_id], wanted.scope)) or 0)


async def _count_parts(
    session: AsyncSession, user_id: UserId, wanted: TradeFilter, which: ColumnElement[bool]
) -> int:
    """Return how many trades more there are in parts of months: of the last one, less those of the first."""
    count = 0
    for moment, sign in ((wanted.end, 1), (wanted.start, -1)):
        if moment is not None and moment != (begin := _month_of(moment)):
            part = replace(wanted, start=begin, end=moment)
            found = await session.scalar(trades_of(user_id, part, func.count()).where(which))
            count += sign * (found or 0)
    return count


class Counting(NamedTuple):
    """A session, whose trades are counted up to the number ``counted``."""

    session_id: UUID
    user_id: UUID
    bot_id: UUID | None
    is_replay: bool
    counted: int


async def count_more(session: AsyncSession, sessions: Sequence[Counting]) -> dict[UUID, int]:
    """Count the trades that sessions have opened since; return up to which number, by session."""
    keys = array_of(_TRADES.session_id, [each.session_id for each in sessions])
    last = select(_TRADES.session_id, func.max(_TRADES.number)).where(_TRADES.session_id == any_(keys))
    found = {row[0]: row[1] for row in await session.execute(last.group_by(_TRADES.session_id))}
    upto = {each.session_id: max(each.counted, found.get(each.session_id, 0)) for each in sessions}
    more = [each for each in sessions if upto[each.session_id] > each.counted]
    if more:
        rows = [(*each, upto[each.session_id]) for each in more]
        await _add(session, rows, _COUNTS.trades, true())
    return upto


async def count_held(session: AsyncSession, sessions: Sequence[Counting]) -> None:
    """Count the trades that sessions hold which are over, and will not be closed any more."""
    if sessions:
        rows = [(*each._replace(counted=0), _LAST) for each in sessions]
        await _add(session, rows, _COUNTS.held, _TRADES.exit_time.is_(None))


async def _add(
    session: AsyncSession,
    rows: Sequence[tuple[Any, ...]],
    figure: ColumnElement[int],
    which: ColumnElement[bool],
) -> None:
    columns = (
        *(_TRADES.session_id, _COUNTS.user_id, _SESSIONS.bot_id, _COUNTS.is_replay),
        *(column(name, Integer) for name in ("counted", "upto")),
    )
    given = rows_of(columns, rows)
    year, month = (extract(name, func.timezone(UTC_ZONE, _TRADES.entry_time)) for name in ("year", "month"))
    market_id = func.coalesce(_TRADES.market_id, _SESSIONS.market_id)
    opened = (
        select(
            *(given.c.session_id, given.c.user_id, given.c.bot_id, given.c.is_replay),
            market_id.label("market_id"),
            *(_TRADES.side, cast(100 * year + month, Integer).label("month"), func.count().label("count")),
        )
        .select_from(given)
        .join(TradingSessionRow, _SESSIONS.id == given.c.session_id)
        .join(TradeRow, _TRADES.session_id == given.c.session_id)
        .where(_TRADES.number > given.c.counted, _TRADES.number <= given.c.upto, which)
        .group_by(*(given.c[name] for name in ("session_id", "user_id", "bot_id", "is_replay")))
        .group_by(market_id, _TRADES.side, text("month"))
        .cte("opened")
    )
    same = [opened.c[name] for name in ("is_replay", "market_id", "side", "month", "user_id", "count")]
    owners = (opened.c.user_id, opened.c.bot_id, opened.c.session_id)
    owned = union_all(
        *(select(owner.label("owner_id"), *same).where(owner.is_not(None)) for owner in owners)
    ).cte("owned")
    periods = (literal(_EVER, Integer), owned.c.month // literal(100, Integer), owned.c.month)
    each = [
        select(
            *(owned.c.owner_id, period.label("period"), owned.c.is_replay, owned.c.market_id),
            *(owned.c.side, owned.c.user_id, owned.c["count"]),
        )
        for period in periods
    ]
    found = union_all(*each).subquery("found")
    key = [found.c[name] for name in _KEY]
    none = literal(0, Integer)
    count = cast(func.sum(found.c["count"]), Integer)
    counts = (count, none) if figure is _COUNTS.trades else (none, count)
    statement = insert(TradeCountRow).from_select(
        [*_KEY, "user_id", "trades", "held"],
        select(*key, found.c.user_id, *counts).group_by(*key, found.c.user_id),
    )
    added = {name: _COUNTS[name] + statement.excluded[name] for name in ("trades", "held")}
    await session.execute(statement.on_conflict_do_update(index_elements=list(_KEY), set_=added))
