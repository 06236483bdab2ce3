"""Reads of the reports domain; every one names the user, so that others' sessions do not exist."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Row,
    Select,
    and_,
    any_,
    column,
    func,
    select,
    true,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.bots.models import BotRow, SessionMarkRow, SessionStateRow, TradeRow, TradingSessionRow
from gql_trader.bots.models_rollups import SessionRollupRow, SessionTotalsRow
from gql_trader.bots.types import BotState, SessionStatus, TradeStatus
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.ids import UserId
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_decimal
from gql_trader.infra.bulk import array_of, rows_of
from gql_trader.infra.keyset import PageRequest, Slice, SortKey, fetch_page
from gql_trader.market_data.models import AssetRow, MarketRow
from gql_trader.market_data.models_feeds import MarketFeedRow
from gql_trader.market_data.names import split_name
from gql_trader.reports.repository_ended import levels_of
from gql_trader.reports.types import Level, Scope, SystemCounts, TradeFilter
from gql_trader.reports.types_books import Account, Book
from gql_trader.settings.types import SessionMode

_SESSIONS = TradingSessionRow.__table__.c
_STATES = SessionStateRow.__table__.c
_TRADES = TradeRow.__table__.c
_MARKS = SessionMarkRow.__table__.c
_ROLLUPS = SessionRollupRow.__table__.c
_TOTALS = SessionTotalsRow.__table__.c

_SUMS = ("profit", "fees", "trades", "wins")
_LAST_OPENED_FIRST = [SortKey(_TRADES.entry_time, descending=True), SortKey(_TRADES.id, descending=True)]
_NOTHING = Decimal(0)

LevelGroup = tuple[Book, Sequence[int]]
"""What a report is over, and the moments at which it is asked how far that had come."""


def scoped(statement: Select[Any], user_ids: Sequence[UserId], scope: Scope) -> Select[Any]:
    """Return a statement over sessions for those of a scope alone."""
    statement = statement.where(_SESSIONS.user_id == any_(array_of(_SESSIONS.user_id, user_ids)))
    if scope.bot_id is not None:
        statement = statement.where(_SESSIONS.bot_id == scope.bot_id)
    if scope.session_id is not None:
        statement = statement.where(_SESSIONS.id == scope.session_id)
    if scope.mode is not None:
        statement = statement.where(_SESSIONS.mode == scope.mode.value)
    if scope.leaves_replays_out:
        statement = statement.where(_SESSIONS.replay_start.is_(None))
    return statement


def _unsummed(statement: Select[Any], scope: Scope) -> Select[Any]:
    """Return a statement over sessions without those that are summed, but the one that a scope names."""
    return statement if scope.session_id is not None else statement.where(~_SESSIONS.is_summed)


async def accounts(
    session: AsyncSession, user_ids: Sequence[UserId], scope: Scope
) -> dict[UserId, list[Account]]:
    """Return the sessions of a scope in whatever currency by user, oldest first.

    Those that are summed are left out, but where one is named.
    """
    found: dict[UserId, list[Account]] = {each: [] for each in user_ids}
    for row in await session.execute(_unsummed(scoped(_accounts(), user_ids, scope), scope)):
        found[row.user_id].append(_account(row))
    return found


async def accounts_by_ids(session: AsyncSession, session_ids: Sequence[UUID]) -> dict[UUID, Account]:
    """Return sessions of anybody, for work that is nobody's."""
    named = _SESSIONS.id == any_(array_of(_SESSIONS.id, session_ids))
    return {row.id: _account(row) for row in await session.execute(_accounts().where(named))}


def _accounts() -> Select[Any]:
    quote = func.coalesce(MarketRow.quote_id, TradingSessionRow.quote_id)
    # A mark holds until the session trades the next bar.
    marked = and_(
        _MARKS.session_id == _STATES.session_id,
        _MARKS.last_bar_time == _STATES.last_bar_time,
        _SESSIONS.status == SessionStatus.ACTIVE.value,
    )
    return (
        select(
            _SESSIONS.id,
            _SESSIONS.user_id,
            AssetRow.symbol,
            _SESSIONS.mode,
            _SESSIONS.capital,
            _STATES.equity,
            _SESSIONS.started_at,
            _SESSIONS.ended_at,
            _SESSIONS.market_id,
            _SESSIONS.trade_from,
            _SESSIONS.interval,
            _STATES.last_bar_time,
            _MARKS.equity.label("mark_equity"),
            _TOTALS.profit,
            _TOTALS.fees,
            _TOTALS.trades,
            _TOTALS.wins,
        )
        .select_from(TradingSessionRow)
        .join(SessionStateRow, _STATES.session_id == _SESSIONS.id)
        .outerjoin(SessionMarkRow, marked)
        .outerjoin(SessionTotalsRow, _TOTALS.session_id == _SESSIONS.id)
        .outerjoin(MarketRow, MarketRow.id == _SESSIONS.market_id)
        .outerjoin(AssetRow, AssetRow.id == quote)
        .order_by(_SESSIONS.id)
    )


def _account(row: Row[Any]) -> Account:
    since = Interval.M15.floor(to_milliseconds(row.trade_from))
    if row.market_id is not None and row.mode == SessionMode.PAPER.value:
        until = since - 1 if row.last_bar_time is None else row.last_bar_time
    else:
        # By hand, and on an exchange, something may happen at any moment.
        until = None if row.ended_at is None else to_milliseconds(row.ended_at)
    closed = Level() if row.trades is None else Level(_NOTHING, row.profit, row.fees, row.trades, row.wins)
    equity, forming, formed_since = to_decimal(row.equity), _NOTHING, None
    if row.mark_equity is not None:
        forming = to_decimal(row.mark_equity) - equity
        formed_since = row.last_bar_time + Interval[row.interval].milliseconds
    return Account(
        id=row.id,
        currency=row.symbol,
        capital=row.capital,
        equity=equity + forming,
        started_at=row.started_at,
        ended_at=row.ended_at,
        since=since,
        until=until,
        closed=closed,
        forming=forming,
        formed_since=formed_since,
    )


async def levels(session: AsyncSession, groups: Sequence[LevelGroup]) -> list[dict[int, Level]]:
    """Return how far sessions had come together at moments, by moment.

    A moment that is left out: nowhere yet. The caller has checked the access.

    Parameters
    ----------
    groups
        Sessions, and moments in Unix milliseconds. What is between the quarters of an hour is not told apart.
        Of those that are not summed, what did nothing before a moment, or nothing after it, does not count.
    """
    found: list[dict[int, Level]] = [{} for _ in groups]
    for place, at, *sums in await session.execute(levels_statement(groups)):
        level = Level(*sums)
        found[place][at] = found[place][at] + level if at in found[place] else level
    return found


def levels_statement(groups: Sequence[LevelGroup]) -> Select[Any]:
    """Return the statement that `levels` runs.

    It reads one row for each session and moment, whatever was traded between, and one for all sessions that
    are summed.
    """
    number, place, at = column("number", Integer), column("place", Integer), column("at", BigInteger)
    first, last = column("first", Integer), column("last", Integer)
    asked: list[tuple[int, int, int]] = []
    rows: list[tuple[UUID, Decimal, int, int]] = []
    of_series: list[tuple[int, UUID, int]] = []
    for which, (book, moments) in enumerate(groups):
        ordered, begin = sorted(set(moments)), len(asked)
        asked += [(begin + index, which, each) for index, each in enumerate(ordered)]
        if book.ended is not None:
            of_series += [(which, book.ended.id, each) for each in ordered]
        for each in book.accounts:
            # Which of the moments it was trading at.
            low = bisect_right(ordered, each.since)
            high = len(ordered) if each.until is None else bisect_right(ordered, each.until)
            if low < high:
                rows.append((each.id, each.capital, begin + low, begin + high - 1))
    wanted = rows_of((number, place, at), asked, "wanted")
    given = rows_of((_SESSIONS.id, _SESSIONS.capital, first, last), rows, "trading")
    series = func.generate_series(given.c.first, given.c.last)
    numbers = series.table_valued("number", name="numbers").render_derived()
    # Made first: else the figures might be looked up for all moments of each session.
    pairs = (
        select(wanted.c.place, wanted.c.at, given.c.id, given.c.capital)
        .select_from(given)
        .join(numbers, true())
        .join(wanted, wanted.c.number == numbers.c.number)
        .cte("pairs")
        .prefix_with("MATERIALIZED")
    )
    then = (
        select(*(_ROLLUPS[name] for name in ("equity", *_SUMS)))
        .where(_ROLLUPS.session_id == pairs.c.id, _ROLLUPS.time < pairs.c.at)
        .order_by(_ROLLUPS.time.desc())
        .limit(1)
        .lateral("then")
    )
    of_sessions = (
        select(
            pairs.c.place,
            pairs.c.at,
            func.sum(then.c.equity - pairs.c.capital).label("change"),
            *(func.sum(then.c[name]).label(name) for name in _SUMS),
        )
        .select_from(pairs)
        .join(then, true())
        .group_by(pairs.c.place, pairs.c.at)
    )
    # Without a group of its own: a row of each is soon added.
    return select(*union_all(of_sessions, levels_of(of_series)).subquery().c) if of_series else of_sessions


async def knows_currency(session: AsyncSession, symbol: str) -> bool:
    """Return whether there is anything of this symbol that a market could be quoted in."""
    return await session.scalar(select(AssetRow.id).where(AssetRow.symbol == symbol)) is not None


async def count_open(session: AsyncSession, session_ids: Sequence[UUID]) -> int:
    """Return how many positions sessions hold. The caller has checked the access."""
    named = _TRADES.session_id == any_(array_of(_TRADES.session_id, session_ids))
    statement = select(func.count()).where(named, _TRADES.exit_time.is_(None))
    return await session.scalar(statement) or 0


async def exists(session: AsyncSession, user_id: UserId, scope: Scope) -> bool:
    """Return whether the bot and the session that a scope names are the user's."""
    if scope.bot_id is not None:
        bot = select(BotRow.id).where(BotRow.id == scope.bot_id, BotRow.user_id == user_id)
        if await session.scalar(bot) is None:
            return False
    if scope.session_id is not None:
        found = select(_SESSIONS.id).where(_SESSIONS.id == scope.session_id, _SESSIONS.user_id == user_id)
        if await session.scalar(found) is None:
            return False
    return True


def trades_of(user_id: UserId, wanted: TradeFilter, *columns: Any) -> Select[Any]:
    """Return the statement for columns of a user's trades, with their sessions."""
    statement = (
        select(*columns)
        .select_from(TradeRow)
        .join(TradingSessionRow, _SESSIONS.id == _TRADES.session_id)
        .where(_TRADES.user_id == user_id, *conditions_of(wanted))
    )
    return scoped(statement, [user_id], wanted.scope)


def conditions_of(wanted: TradeFilter) -> Iterator[ColumnElement[bool]]:
    """Return what chooses trades of sessions, but for the sessions."""
    if wanted.market is not None:
        traded = func.coalesce(_TRADES.market_id, _SESSIONS.market_id)
        yield traded.in_(markets_named(wanted.market))
    if wanted.side is not None:
        yield _TRADES.side == wanted.side.value
    if wanted.status is not None:
        held = _TRADES.exit_time.is_(None)
        yield held if wanted.status is TradeStatus.OPEN else ~held
    if wanted.start is not None:
        yield _TRADES.entry_time >= wanted.start
    if wanted.end is not None:
        yield _TRADES.entry_time < wanted.end


def markets_named(name: str) -> Select[Any]:
    """Return the statement for the keys of markets of a name, with its exchange or without."""
    exchange, symbol = split_name(name)
    markets = select(MarketRow.id).where(MarketRow.symbol == symbol)
    return markets if exchange is None else markets.where(MarketRow.exchange == exchange)


async def page_of_trades(
    session: AsyncSession, user_id: UserId, wanted: TradeFilter, page: PageRequest
) -> Slice[Row[Any]]:
    """Return one page of a user's trades, the last opened first."""
    return await fetch_page(session, trades_of(user_id, wanted, *_TRADES), _LAST_OPENED_FIRST, page)


async def system_counts(session: AsyncSession) -> SystemCounts:
    """Return what is at work for all users."""
    idle = [state.value for state in BotState if state.is_idle]
    bots = await session.scalar(select(func.count()).where(BotRow.state.not_in(idle)))
    feeds = await session.execute(
        select(MarketFeedRow.state, func.count())
        .where(MarketFeedRow.wanted_until > func.now())
        .group_by(MarketFeedRow.state)
    )
    return SystemCounts(running_bots=bots or 0, **{state.lower(): count for state, count in feeds})
