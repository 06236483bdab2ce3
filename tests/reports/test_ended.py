"""Sessions that are over, by sums: the same figures as one by one, and as much to read for any number."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, null, select, text, update

from gql_trader.app import create_app
from gql_trader.bots.ledger.storing import lock_ledger
from gql_trader.bots.models import BotRow, SessionStateRow, TradeRow, TradingSessionRow
from gql_trader.bots.models_live import LiveSessionRow
from gql_trader.bots.models_rollups import SessionRollupRow, SessionTotalsRow
from gql_trader.bots.service import own_bot
from gql_trader.bots.types import SessionStatus
from gql_trader.config import Settings
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.ids import uuid7
from gql_trader.gql.relay import decode_id, encode_id
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data.models import AssetRow
from gql_trader.market_data.service import ensure_market
from gql_trader.reports import daily, keeping, periods, repository, repository_ended, service
from gql_trader.reports.capital import Asked, changes_of, microseconds, stretches
from gql_trader.reports.daily import Selection
from gql_trader.reports.jobs import keep_days
from gql_trader.reports.models import DaySeriesRow, KeptDaysRow
from gql_trader.reports.models_ended import EndedSeriesRow
from gql_trader.reports.types import Day, Level, Scope
from gql_trader.reports.types_books import Book
from gql_trader.settings.types import SessionMode
from tests.bots.live.desk import make_key
from tests.factories.actors import make_access_token
from tests.factories.books import every_session
from tests.factories.bots import BotDesk
from tests.factories.statements import executed_statements, rows_read
from tests.graphql_client import graphql_client

BEGIN = datetime(2023, 3, 24, 22, 15, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


@dataclass(frozen=True)
class Past:
    """A session: when it was, of what, and what changed in which of its quarters of an hour."""

    begin: int
    length: int
    microseconds: int
    bot: int | None
    currency: str
    is_live: bool
    is_replay: bool
    is_by_hand: bool
    has_ended: bool
    holds: bool
    capital: int
    gains: tuple[tuple[int, int, bool], ...]


# Often at the same moment, and over days on which clocks change.
PASTS = st.builds(
    Past,
    begin=st.one_of(st.sampled_from((0, 96, 200)), st.integers(0, 1500)),
    length=st.one_of(st.sampled_from((0, 1, 96, 104)), st.integers(0, 2500)),
    microseconds=st.one_of(st.just(0), st.integers(0, 899_999_999)),
    bot=st.sampled_from((0, 0, 1, None)),
    currency=st.sampled_from(("USD", "USD", "USD", "EUR")),
    is_live=st.booleans(),
    is_replay=st.booleans(),
    is_by_hand=st.booleans(),
    has_ended=st.sampled_from((True, True, True, False)),
    holds=st.booleans(),
    capital=st.integers(1, 4),
    gains=st.lists(st.tuples(st.integers(0, 2500), st.integers(-9, 9), st.booleans()), max_size=8).map(tuple),
)


@dataclass(frozen=True)
class Archive:
    """Bots, and a session like which others can be written as if they had traded."""

    bots: BotDesk
    bot_ids: list[UUID]
    session: dict[str, Any]
    state: dict[str, Any]

    async def write(self, uow: UnitOfWork, of: Past) -> UUID:
        """Write a session, with all that it would have left behind; return its key."""
        key = uuid7()
        begin = BEGIN + of.begin * QUARTER
        started = begin + timedelta(microseconds=of.microseconds)
        values = self.session | {
            "id": key,
            "bot_id": None if of.bot is None else self.bot_ids[of.bot],
            "mode": (SessionMode.LIVE if of.is_live else SessionMode.PAPER).value,
            "status": (SessionStatus.STOPPED if of.has_ended else SessionStatus.ACTIVE).value,
            "capital": Decimal(100 * of.capital),
            "started_at": started,
            "trade_from": begin,
            "ended_at": started + of.length * QUARTER if of.has_ended else None,
        }
        if not of.is_replay:
            values |= dict.fromkeys(("replay_start", "replay_end", "replay_speed"))
        if of.is_by_hand:
            values |= dict.fromkeys(("market_id", "interval", "strategy_id", "strategy_version"))
            quote = select(AssetRow.id).where(AssetRow.symbol == of.currency)
            values |= {"parameters": null(), "quote_id": quote.scalar_subquery()}
        await uow.session.execute(insert(TradingSessionRow).values(values))
        await self._write_figures(uow, of, key, begin)
        if of.holds:
            trade = {"id": uuid7(), "session_id": key, "user_id": self.bots.trader.user_id, "number": 1}
            trade |= {"side": "LONG", "quantity": 1, "entry_price": 1, "fees": 0}
            await uow.session.execute(insert(TradeRow).values(**trade, entry_time=begin, changed_at=begin))
        return key

    async def _write_figures(self, uow: UnitOfWork, of: Past, key: UUID, begin: datetime) -> None:
        equity, totals = 100 * of.capital, Level()
        rows: list[dict[str, Any]] = []
        last = to_milliseconds(begin + of.length * QUARTER)
        changes: dict[int, tuple[int, bool]] = {
            min(at, of.length): (gain, closes) for at, gain, closes in of.gains
        }
        for at, (gain, closes) in sorted(changes.items()):
            equity += gain
            if closes:
                totals += Level(Decimal(0), Decimal(gain), Decimal(1), 1, int(gain > 0))
            sums = {
                "profit": totals.realized,
                "fees": totals.fees,
                "trades": totals.trades,
                "wins": totals.wins,
            }
            time = to_milliseconds(begin + at * QUARTER)
            rows.append({"session_id": key, "time": time, "equity": equity} | sums)
        state = {"session_id": key, "equity": float(equity), "last_bar_time": last, "due_at": None}
        await uow.session.execute(insert(SessionStateRow).values(self.state | state))
        # Where it stood at the end of the last quarter is its state, but by hand.
        before = [row for row in rows if of.is_by_hand or row["time"] < last]
        if before:
            await uow.session.execute(insert(SessionRollupRow), before)
        if totals.trades:
            names = ("session_id", "profit", "fees", "trades", "wins")
            values = {name: rows[-1][name] for name in names}
            await uow.session.execute(insert(SessionTotalsRow).values(values))


async def _archive(bots: BotDesk) -> Archive:
    begun = [await bots.begin() for _ in range(2)]
    async with bots.runtime.unit_of_work() as uow:
        await ensure_market(uow, "test", "BTC/EUR")
        columns = TradingSessionRow.__table__.c, SessionStateRow.__table__.c
        [session] = await uow.session.execute(select(*columns[0]).where(columns[0].id == begun[0][1]))
        [state] = await uow.session.execute(select(*columns[1]).where(columns[1].session_id == begun[0][1]))
    return Archive(bots, [bot_id for bot_id, _ in begun], dict(session._mapping), dict(state._mapping))


def _scopes(bot_ids: list[UUID]) -> Iterator[Scope]:
    for mode in (None, SessionMode.PAPER, SessionMode.LIVE):
        for bot_id in (None, *bot_ids):
            yield Scope(bot_id, currency="USD", mode=mode, replays=True)
        yield Scope(currency="USD", mode=mode)
    yield Scope(currency="EUR", replays=True)
    yield Scope()


async def _compare(uow: UnitOfWork, bots: BotDesk, scope: Scope) -> Book:
    """Check that all figures of a scope are the same as one by one."""
    user_id = bots.trader.user_id
    book = await service.book_of(uow, user_id, scope)
    single = await every_session(uow, user_id, scope, book.currency or scope.currency)
    assert (book.level, book.baseline, book.currency) == (single.level, single.baseline, single.currency)
    start = BEGIN - timedelta(days=2)
    curve = await periods.curve(uow, book, start, start + timedelta(days=7))
    assert curve == await periods.curve(uow, single, start, start + timedelta(days=7))
    assert await periods.summary(uow, user_id, book) == await periods.summary(uow, user_id, single)
    first, last = date(2023, 3, 20), date(2023, 5, 20)
    for zone in ("UTC", "Europe/Berlin"):
        days = await periods.days(uow, single, first, last, zone)
        selection = Selection(user_id, scope, book, zone)
        assert await periods.days(uow, book, first, last, zone) == days
        assert await daily.days_between(uow, selection, first, last) == days
        assert await daily.best_and_worst(uow, selection) == _extremes(days)
    moments = [(BEGIN + timedelta(days=at / 2), BEGIN + timedelta(days=at / 2 + 1)) for at in range(-3, 40)]
    found = await service.were_at_work(uow, [(book, *each) for each in moments])
    assert found == await service.were_at_work(uow, [(single, *each) for each in moments])
    return book


def _extremes(days: list[Day]) -> tuple[date, date] | None:
    changes = {day.date: day.level.change for day in days if day.level.change}
    if not changes:
        return None
    return max(changes, key=changes.__getitem__), min(changes, key=changes.__getitem__)


async def test_figures_of_sessions_that_are_over_are_the_same_as_one_by_one(bots: BotDesk) -> None:
    archive = await _archive(bots)
    cases: list[list[Past]] = []

    @settings(max_examples=3, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(PASTS, min_size=6, max_size=14))
    def collect(pasts: list[Past]) -> None:
        cases.append(pasts)

    collect()
    summed = 0
    for pasts in cases:
        async with bots.runtime.unit_of_work() as uow:
            await uow.session.execute(text("TRUNCATE trading_sessions, ended_series, day_series CASCADE"))
        for at, past in enumerate(pasts):
            async with bots.runtime.unit_of_work() as uow:
                await archive.write(uow, past)
            # Some at a time, whichever was earlier.
            if at % 4 == 3:
                await keep_days(bots.runtime)
        for scope in _scopes(archive.bot_ids):
            async with bots.runtime.unit_of_work() as uow:
                book = await _compare(uow, bots, scope)
                summed += 0 if book.ended is None else book.ended.sessions
    assert summed > 30


async def test_the_most_at_work_is_found_in_any_stretch_of_years(bots: BotDesk) -> None:
    archive, random = await _archive(bots), Random(7)
    quarters = 3 * 365 * 96
    user_id, scope = bots.trader.user_id, Scope(replays=True)
    async with bots.runtime.unit_of_work() as uow:
        for _ in range(40):
            usual = _past(random.randrange(quarters), random.choice((0, 3, 500, 20_000)))
            await archive.write(uow, replace(usual, capital=random.randrange(1, 9)))
    for _ in range(2):
        await keep_days(bots.runtime)
        async with bots.runtime.unit_of_work() as uow:
            book = await service.book_of(uow, user_id, scope)
            single = await every_session(uow, user_id, scope, None)
            assert book.ended is not None
            over = [each for each in single.accounts if each.ended_at is not None]
            begin, end = microseconds(BEGIN), microseconds(BEGIN + quarters * QUARTER)
            asked = [
                Asked(book.ended.id, *sorted((random.randrange(begin, end), random.randrange(begin, end))))
                for _ in range(200)
            ]
            # Where one of them begins or ends, too.
            cuts = [change.time for each in over for change in changes_of(each)]
            asked += [Asked(book.ended.id, low, low + random.randrange(1, 10**13)) for low in cuts]
            found = await repository_ended.most_at_work(uow.session, asked)
        parts = stretches(over)
        for each, most in zip(asked, found, strict=True):
            assert most == max(
                part.at_work for part in parts if part.low < each.high and each.low < part.high
            )
        assert book.baseline == single.baseline
        # Of years before those that are summed already.
        async with bots.runtime.unit_of_work() as uow:
            await archive.write(uow, replace(_past(96, quarters // 2), capital=5))


def _past(begin: int, length: int) -> Past:
    return Past(
        begin, length, 0, 0, "USD", False, False, True, True, False, 1, ((0, 3, True), (length, 2, False))
    )


REPORTS = """
query($botId: ID) {
  profit(botId: $botId, replays: true) {
    balance realizedProfit trades openTrades today bestDay { date profit } worstDay { date profit }
  }
  calendar(botId: $botId, replays: true, end: "2023-04-10") { date profit trades }
  quarter: calendar(botId: $botId, replays: true, start: "2023-01-01", end: "2023-04-10") { date profit }
  other: calendar(botId: $botId, replays: true, end: "2023-04-10", timezone: "Asia/Kolkata") { date profit }
  equityCurve(botId: $botId, replays: true, end: "2023-04-10T00:00:00Z") { time equity }
}
"""


async def test_reports_over_many_sessions_that_are_over_read_as_many_rows_as_over_few(
    bots: BotDesk, settings: Settings
) -> None:
    archive = await _archive(bots)
    engine = bots.runtime.database.engine
    token = await make_access_token(bots.runtime, bots.trader)
    read, summing, sessions = [], [], 0
    async with graphql_client(create_app(settings, bots.runtime)) as client:
        for count in (20, 180):
            # The last of them by itself.
            for more in (count - sessions - 1, 1):
                async with bots.runtime.unit_of_work() as uow:
                    for _ in range(more):
                        # Each after the one before.
                        await archive.write(uow, _past(100 * sessions, 96))
                        sessions += 1
                with executed_statements(engine) as executed:
                    await keep_days(bots.runtime)
                async with bots.runtime.unit_of_work() as uow:
                    await uow.session.execute(text("ANALYZE"))
            sums = [each for each in executed if "INTO ended_" in each[0]]
            summing.append(await rows_read(engine, sums, writes=True))
            for bot_id in (None, encode_id("Bot", archive.bot_ids[0])):
                with executed_statements(engine) as executed:
                    answer = await client.signed_in(token).execute(REPORTS, {"botId": bot_id})
                profit = answer.data["profit"]
                assert profit["trades"] == count
                assert Decimal(profit["realizedProfit"]) == 3 * count
                read.append(await rows_read(engine, executed))
    assert all(many <= 1.02 * few for few, many in zip(read[:2], read[2:], strict=True)), read
    # What is older than a session is not read when it is summed.
    assert summing[1] <= summing[0], summing


async def test_what_is_read_as_of_one_moment_has_a_session_once_that_is_summed_meanwhile(
    bots: BotDesk,
) -> None:
    archive, user_id = await _archive(bots), bots.trader.user_id
    async with bots.runtime.unit_of_work() as uow:
        await archive.write(uow, _past(0, 96))
    async with bots.runtime.unit_of_work() as uow:
        await uow.read_one_moment()
        accounts = await repository.accounts(uow.session, [user_id], Scope())
        await keep_days(bots.runtime)
        assert await repository_ended.ended(uow.session, [user_id], Scope()) == {user_id: []}
        book = await service.book_of(uow, user_id, Scope())
        assert (book.accounts, book.level.change) == (accounts[user_id], 5)
    async with bots.runtime.unit_of_work() as uow:
        book = await service.book_of(uow, user_id, Scope())
        assert (book.accounts, book.level.change) == ([], 5)


async def test_nothing_is_summed_while_balances_are_noted(bots: BotDesk) -> None:
    archive, user_id = await _archive(bots), bots.trader.user_id
    async with bots.runtime.unit_of_work() as uow:
        await archive.write(uow, _past(0, 96))
    async with bots.runtime.unit_of_work() as uow:
        await service.hold_sums(uow)
        summing = asyncio.create_task(keep_days(bots.runtime))
        await _somebody_waits(bots, "advisory")
        assert not summing.done()
        assert len((await service.book_of(uow, user_id, Scope())).accounts) == 1
        # Who comes now waits until it is summed.
        noting = asyncio.create_task(_hold_and_read(bots))
        await _somebody_waits(bots, "advisory", 2)
    await summing
    book = await noting
    assert (book.accounts, book.level.change) == ([], 5)


async def _somebody_waits(bots: BotDesk, event: str, count: int = 1) -> None:
    """Wait until so many transactions wait for a lock of a kind."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = :event"
    )
    async with asyncio.timeout(60), bots.runtime.unit_of_work() as uow:
        while await uow.session.scalar(waiting, {"event": event}) != count:
            await uow.session.rollback()


async def _hold_and_read(bots: BotDesk) -> Book:
    async with bots.runtime.unit_of_work() as uow:
        await service.hold_sums(uow)
        return await service.book_of(uow, bots.trader.user_id, Scope())


async def test_a_session_whose_bot_is_being_deleted_is_summed_without_it(bots: BotDesk) -> None:
    archive, user_id = await _archive(bots), bots.trader.user_id
    [bot_id, _] = archive.bot_ids
    async with bots.runtime.unit_of_work() as uow:
        await archive.write(uow, _past(0, 96))
    summing = bots.runtime.unit_of_work()
    async with summing:
        async with bots.runtime.unit_of_work() as deleting:
            await deleting.session.execute(delete(BotRow).where(BotRow.id == bot_id))
            kept = asyncio.create_task(keeping.keep(summing, None, 10))
            await _somebody_waits(bots, "transactionid")
        assert await kept is not None
    async with bots.runtime.unit_of_work() as uow:
        book = await service.book_of(uow, user_id, Scope())
        assert (book.accounts, book.level.change) == ([], 5)
        of_bot = select(func.count()).where(EndedSeriesRow.bot_id == bot_id)
        assert await uow.session.scalar(of_bot) == 0


async def test_a_bot_can_be_started_again_while_its_last_session_is_summed(bots: BotDesk) -> None:
    archive = await _archive(bots)
    async with bots.runtime.unit_of_work() as uow:
        key = await archive.write(uow, replace(_past(0, 96), is_live=True, is_by_hand=True, bot=None))
        await archive.write(uow, _past(0, 96))
        running = await archive.write(uow, replace(_past(0, 3000), has_ended=False))
    async with bots.runtime.unit_of_work() as summing:
        assert await keeping.keep(summing, None, 10) is not None
        async with asyncio.timeout(60), bots.runtime.unit_of_work() as uow:
            assert await own_bot(uow, bots.trader, archive.bot_ids[0], locked=True)
            # Nor do orders wait.
            assert await lock_ledger(uow, running) is not None
        assert await _is_summed(bots, key) is False
    assert await _is_summed(bots, key) is True


async def test_a_live_session_is_summed_once_nothing_more_can_be_told_of_its_orders(bots: BotDesk) -> None:
    archive = await _archive(bots)
    key_id = decode_id(await make_key(bots.runtime, bots.trader), "ExchangeKey", ())
    async with bots.runtime.unit_of_work() as uow:
        # Ended years ago, while the exchange could not be asked what had become of an order.
        key = await archive.write(uow, replace(_past(0, 96), is_live=True))
        held = {"session_id": key, "exchange_key_id": key_id, "exchange": "binance"}
        await uow.session.execute(insert(LiveSessionRow).values(held))
    await keep_days(bots.runtime)
    assert await _is_summed(bots, key) is False
    async with bots.runtime.unit_of_work() as uow:
        await uow.session.execute(delete(LiveSessionRow))
        await uow.session.execute(update(KeptDaysRow).values(looked_at=BEGIN))
    await keep_days(bots.runtime)
    assert await _is_summed(bots, key) is True


async def test_a_session_is_summed_whose_last_days_a_worker_of_an_older_release_has_kept(
    bots: BotDesk,
) -> None:
    archive = await _archive(bots)
    async with bots.runtime.unit_of_work() as uow:
        key = await archive.write(uow, _past(0, 96))
    await keep_days(bots.runtime)
    async with bots.runtime.unit_of_work() as uow:
        for table in ("ended_series", "trade_counts"):
            await uow.session.execute(text(f"TRUNCATE {table} CASCADE"))
        await uow.session.execute(update(TradingSessionRow).values(is_summed=False))
        await uow.session.execute(update(DaySeriesRow).values(final_sessions=0))
    await keep_days(bots.runtime)
    assert await _is_summed(bots, key) is True
    async with bots.runtime.unit_of_work() as uow:
        await _compare(uow, bots, Scope(replays=True))


async def _is_summed(bots: BotDesk, key: UUID) -> bool | None:
    async with bots.runtime.unit_of_work() as uow:
        return await uow.session.scalar(
            select(TradingSessionRow.is_summed).where(TradingSessionRow.id == key)
        )
