"""Days and curves against every bar's equity, whichever way they are cut and summed."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from gql_trader.bots import jobs
from gql_trader.bots.by_hand import orders as hand_orders
from gql_trader.bots.by_hand import sessions as hand_sessions
from gql_trader.bots.models import SessionMarkRow, TradeRow
from gql_trader.bots.models_rollups import SessionRollupRow
from gql_trader.bots.ticks import booking, ticking
from gql_trader.bots.types import Feed, OrderRequest, OrderSide, OrderType, Replay, SessionRequest
from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.errors import InvalidInput
from gql_trader.core.intervals import DAY
from gql_trader.core.money import to_decimal
from gql_trader.core.zones import time_zones
from gql_trader.engine.execution import ExecutionSpec, ExitReason
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.reports import daily, periods, service
from gql_trader.reports.daily import Selection
from gql_trader.reports.jobs import keep_days
from gql_trader.reports.types import Day, Level, Scope
from tests.factories.books import every_session
from tests.factories.bots import BotDesk, LiveMarket, bar_time
from tests.factories.statements import counted_statements

UTC_NAME = "UTC"
# Ahead of and behind UTC, by hours, halves and quarters, with and without daylight saving in the range.
ZONES = (
    "UTC",
    "America/New_York",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
)


async def _calendar(bots: BotDesk, first: date, last: date, zone: str, **scope: Any) -> list[Day]:
    async with bots.runtime.unit_of_work() as uow:
        found = await periods.calendar(
            uow, bots.trader.user_id, Scope(**{"replays": True, **scope}), first, last, zone
        )
    assert found is not None
    return found


async def _all_the_same(
    bots: BotDesk, first: date, last: date, zone: str, expected: list[Day], **scope: Any
) -> None:
    """Check that days are the same from figures at midnights and from what is kept, now and before."""
    for _ in range(2):
        async with bots.runtime.unit_of_work() as uow:
            wanted = Scope(**{"replays": True, **scope})
            book = await service.book_of(uow, bots.trader.user_id, wanted)
            selection = Selection(bots.trader.user_id, wanted, book, zone)
            one_by_one = await every_session(uow, bots.trader.user_id, wanted, None)
            assert (book.level, book.baseline) == (one_by_one.level, one_by_one.baseline)
            assert await periods.days(uow, one_by_one, first, last, zone) == expected
            assert await periods.days(uow, book, first, last, zone) == expected
            assert await daily.days_between(uow, selection, first, last) == expected
        await keep_days(bots.runtime)


async def _level(bots: BotDesk, **scope: Any) -> Level:
    async with bots.runtime.unit_of_work() as uow:
        book = await service.book_of(uow, bots.trader.user_id, Scope(**{"replays": True, **scope}))
    return book.level


async def _expected(bots: BotDesk, session_ids: Sequence[UUID], zone: str) -> dict[date, Decimal]:
    """Return what sessions gained on each day of a zone, from the equity of every bar."""
    gained: Counter[date] = Counter()
    for session_id in session_ids:
        before = (await bots.session(session_id)).capital
        for point in await bots.points(session_id):
            day = from_milliseconds(point.time).astimezone(ZoneInfo(zone)).date()
            equity = to_decimal(point.equity)
            gained[day] += equity - before
            before = equity
    return {day: Decimal(amount) for day, amount in gained.items()}


@pytest.fixture
async def replays(bots: BotDesk, monkeypatch: pytest.MonkeyPatch) -> list[tuple[UUID, UUID]]:
    """Two bots that have replayed overlapping parts of a winter, in many steps."""
    monkeypatch.setattr(jobs, "STEP_BARS", 333)
    found = []
    for start, end, fast in ((0, 2000, 5), (700, 1400, 3)):
        feed = Feed(Replay(bar_time(start), bar_time(end)))
        bot_id, session_id = await bots.begin(feed=feed, parameters={"fast": fast, "slow": 20})
        await bots.run(session_id)
        found.append((bot_id, session_id))
    return found


async def test_days_have_the_gains_of_the_bars_that_opened_on_them(
    bots: BotDesk, replays: list[tuple[UUID, UUID]]
) -> None:
    session_ids = [session_id for _, session_id in replays]
    first, last = date(2023, 12, 30), date(2024, 3, 26)
    for zone in ZONES:
        days = await _calendar(bots, first, last, zone)
        await _all_the_same(bots, first, last, zone, days)
        assert [day.date for day in days] == [first + timedelta(days=at) for at in range(88)]
        expected = await _expected(bots, session_ids, zone)
        assert {day.date: day.level.change for day in days if day.level.change} == {
            day: gained for day, gained in expected.items() if gained
        }
        trades = [trade for each in session_ids for trade in await bots.trades(each)]
        closed = Counter(_exit_day(trade, zone) for trade in trades)
        assert {day.date: day.level.trades for day in days if day.level.trades} == closed
        assert {day.color.value for day in days} == {"GREEN", "RED", "NEUTRAL"}
        for before, after in pairwise(days):
            assert after.before == before.before + before.level.change


def _exit_day(trade: TradeRow, zone: str) -> date:
    assert trade.exit_time is not None
    # What was closed at the end was closed by the close of its bar.
    within = timedelta(milliseconds=trade.exit_reason == ExitReason.END_OF_DATA.value)
    return (trade.exit_time - within).astimezone(ZoneInfo(zone)).date()


async def test_a_live_bot_has_the_same_days_as_its_bars(
    live: LiveMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def book_twice(uow: UnitOfWork, bookings: Sequence[booking.Booking]) -> set[UUID]:
        written = await booking.book(uow, bookings)
        # Another worker that has taken the same steps is too late, and counts nothing again.
        assert await booking.book(uow, bookings) == set()
        return written

    monkeypatch.setattr(ticking, "book", book_twice)
    bots = live.bots
    often = ExecutionSpec(stop_loss=0.02, trailing_stop=0.03)
    bot_id, session_id = await bots.begin(
        market="LIVE/USD", feed=Feed(), execution=often, parameters={"fast": 3, "slow": 7}
    )
    await bots.run(session_id)
    for count in (1, 1, 1, 30, 1, 1, 60, 1, 1, 1, 1):
        await live.close_bars(count)
        await live.advance()
    trades = await bots.trades(session_id)
    assert len(trades) > 5
    first = (await bots.session(session_id)).started_at.date() - timedelta(days=1)
    for zone in ("UTC", "Asia/Kathmandu"):
        days = await _calendar(bots, first, first + timedelta(days=8), zone, bot_id=bot_id)
        await _all_the_same(bots, first, first + timedelta(days=8), zone, days, bot_id=bot_id)
        expected = await _expected(bots, [session_id], zone)
        assert {day.date: day.level.change for day in days if day.level.change} == {
            day: gained for day, gained in expected.items() if gained
        }
    # Stopping closes the position in the quarter of the last bar, which is nobody's row.
    await bots.stop(bot_id)
    await bots.close(session_id)
    found = await _level(bots)
    session = await bots.session(session_id)
    trades = await bots.trades(session_id)
    assert found.change == to_decimal(session.equity) - session.capital
    assert found.realized == sum(trade.profit or 0 for trade in trades)
    assert (found.trades, found.wins) == (len(trades), sum((trade.profit or 0) > 0 for trade in trades))
    assert found.fees == sum(trade.fees for trade in trades)
    days = await _calendar(bots, first, first + timedelta(days=8), UTC_NAME)
    await _all_the_same(bots, first, first + timedelta(days=8), UTC_NAME, days)
    assert sum((day.level for day in days), Level()) == found


async def test_the_newest_price_counts_on_the_day_on_which_the_bar_under_way_has_opened(
    live: LiveMarket,
) -> None:
    bots = live.bots
    bot_id, session_id = await bots.begin(market="LIVE/USD", feed=Feed(), parameters={"fast": 3, "slow": 7})
    await bots.run(session_id)
    await live.close_bars(30)
    await live.advance()
    before, last = await _level(bots), (await bots.session(session_id)).last_bar_time
    opening = from_milliseconds(last + 3_600_000)
    async with bots.runtime.unit_of_work() as uow:
        equity = (await bots.session(session_id)).equity
        mark = {"equity": equity + 7.5, "price": 100.0, "priced_at": last + 4_000_000}
        uow.session.add(
            SessionMarkRow(session_id=session_id, last_bar_time=last, checked_at=uow.clock.now(), **mark)
        )
    now = await _level(bots, bot_id=bot_id)
    assert now - before == Level(Decimal("7.5"))
    # Where the bar under way has opened at midnight, all that came before was another day's.
    hour = opening.hour
    zone = f"Etc/GMT+{hour}" if hour <= 12 else f"Etc/GMT-{24 - hour}"
    today = opening.astimezone(ZoneInfo(zone)).date()
    days = await _calendar(bots, today - timedelta(days=9), today, zone)
    for each in (zone, "UTC"):
        again = await _calendar(bots, today - timedelta(days=9), today, each)
        await _all_the_same(bots, today - timedelta(days=9), today, each, again)
    assert days[-1].level == Level(Decimal("7.5"))
    assert sum((day.level for day in days), Level()) == now
    await live.close_bars(1)
    await live.advance()
    session = await bots.session(session_id)
    assert (await _level(bots)).change == to_decimal(session.equity) - session.capital


async def test_a_bar_within_a_quarter_of_an_hour_writes_no_row(bots: BotDesk, live: LiveMarket) -> None:
    _, session_id = await bots.begin(market="LIVE/USD", feed=Feed())
    await bots.run(session_id)
    await live.close_bars(2)
    await live.advance()
    assert await _rows(bots, session_id) == []
    await live.close_bars(1)
    await live.advance()
    [row] = await _rows(bots, session_id)
    assert row.time == int(live.bars.time[live.stored - 2])


async def test_a_quarter_in_which_nothing_changes_has_no_row(bots: BotDesk, live: LiveMarket) -> None:
    _, session_id = await bots.begin(market="LIVE/USD", feed=Feed())
    await bots.run(session_id)
    for _ in range(20):
        await live.close_bars(1)
        await live.advance()
    rows = await _rows(bots, session_id)
    assert 1 <= len(rows) < 15
    assert all(before.equity != after.equity for before, after in pairwise(rows))
    # Neither has one that a step of many bars passes through.
    await live.close_bars(120)
    await live.advance()
    more = await _rows(bots, session_id)
    assert len(rows) < len(more) < len(rows) + 115
    changes = [(row.equity, row.trades) for row in more[len(rows) + 1 :]]
    assert all(before != after for before, after in pairwise(changes))


async def _rows(bots: BotDesk, session_id: UUID) -> list[SessionRollupRow]:
    async with bots.runtime.unit_of_work() as uow:
        statement = select(SessionRollupRow).where(SessionRollupRow.session_id == session_id)
        return list(await uow.session.scalars(statement.order_by(SessionRollupRow.time)))


async def test_figures_are_the_same_whichever_way_they_are_summed(
    bots: BotDesk, replays: list[tuple[UUID, UUID]]
) -> None:
    hand = await _trade_by_hand(bots)
    sessions = [*(session_id for _, session_id in replays), hand]
    whole = await _level(bots)
    parts = [await _level(bots, session_id=each) for each in sessions]
    assert sum(parts, Level()) == whole
    by_bot = [await _level(bots, bot_id=bot_id) for bot_id, _ in replays]
    assert by_bot == parts[:2]
    trades = [trade for each in sessions for trade in await bots.trades(each)]
    assert whole.realized == sum(trade.profit or 0 for trade in trades)
    equity = [(await bots.session(each)) for each in sessions]
    assert whole.change == sum(to_decimal(each.equity) - each.capital for each in equity)
    # Nothing is held any more: what was gained is what the trades have gained, to the last place kept.
    assert abs(whole.change - whole.realized) < Decimal("0.000001")
    today = bots.runtime.clock.now().date()
    cases: list[tuple[str, list[int]]] = []

    @settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(sorted(time_zones())),
        st.lists(st.integers(1, 900), max_size=3, unique=True),
    )
    def collect(zone: str, cuts: list[int]) -> None:
        cases.append((zone, sorted(cuts)))

    collect()
    start, length = date(2023, 12, 30), (today - date(2023, 12, 30)).days + 2
    assert length > 900
    for zone, cuts in cases:
        ends = [0, *cuts, length]
        total = Level()
        for low, high in pairwise(ends):
            low_day, high_day = start + timedelta(days=low), start + timedelta(days=high - 1)
            days = await _calendar(bots, low_day, high_day, zone)
            total = sum((day.level for day in days), total)
        assert total == whole, (zone, cuts)


async def _trade_by_hand(bots: BotDesk) -> UUID:
    runtime = bots.runtime
    async with runtime.unit_of_work() as uow:
        request = SessionRequest(capital=Decimal(10_000))
        session = await hand_sessions.start_session(uow, bots.trader, request, 5, 60)
    for number, (side, quantity) in enumerate(
        [("BUY", "2"), ("SELL", "0.7"), ("BUY", "0.1"), ("SELL", "1.4")]
    ):
        async with runtime.unit_of_work() as uow:
            await hand_orders.place_order(
                uow,
                runtime.arrays,
                bots.trader,
                OrderRequest(
                    session_id=session.id,
                    market="test:BTC/USD",
                    side=OrderSide(side),
                    type=OrderType.MARKET,
                    quantity=Decimal(quantity),
                    idempotency_key=str(number),
                ),
            )
    return UUID(str(session.id))


async def test_trading_by_hand_counts_when_it_is_done(bots: BotDesk) -> None:
    session_id = await _trade_by_hand(bots)
    session = await bots.session(session_id)
    [closed, other] = await bots.trades(session_id)
    found = await _level(bots, session_id=session_id)
    assert found.change == to_decimal(session.equity) - session.capital
    assert (found.trades, found.realized) == (2, (closed.profit or 0) + (other.profit or 0))
    today = bots.runtime.clock.now().date()
    days = await _calendar(bots, today - timedelta(days=1), today + timedelta(days=1), UTC_NAME)
    assert sum((day.level for day in days), Level()) == found
    assert [day.level.change for day in days if day.date > today] == [Decimal(0)]


async def test_days_cost_the_same_however_much_was_traded_on_them(
    bots: BotDesk, replays: list[tuple[UUID, UUID]]
) -> None:
    counts = []
    for first in (date(2024, 3, 20), date(2024, 2, 5), date(2024, 1, 5), date(2014, 1, 1)):
        with counted_statements(bots.desk.engine) as statements:
            await _calendar(bots, first, date(2024, 3, 21), UTC_NAME)
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 3
    # Of many days, some may be kept.
    assert counts[2] == counts[3] <= 5


async def test_an_equity_curve_begins_at_the_baseline_and_ends_at_the_balance(
    bots: BotDesk, replays: list[tuple[UUID, UUID]]
) -> None:
    async with bots.runtime.unit_of_work() as uow:
        book = await service.book_of(uow, bots.trader.user_id, Scope(replays=True))
        balance = service.balance_of(book)
        whole = await periods.curve(uow, book, bar_time(-5), None)
        part = await periods.curve(uow, book, bar_time(800), bar_time(900))
        lately = await periods.curve(uow, book, None, None)
    assert (whole.equity[0], whole.equity[-1]) == (balance.baseline, balance.balance)
    assert len(whole.times) <= periods.CURVE_POINTS + 2
    assert 0 <= lately.times[-1] - lately.times[0] - 30 * DAY < 900_000
    assert set(lately.equity) == {balance.balance}
    # Quarters of an hour; each point has what the bars that opened before it have gained.
    low = to_milliseconds(bar_time(800))
    assert part.times == [low + 900_000 * at for at in range(401)]
    expected = balance.baseline
    marks = {}
    for _, session_id in replays:
        capital = (await bots.session(session_id)).capital
        equity = {point.time: to_decimal(point.equity) - capital for point in await bots.points(session_id)}
        marks[session_id] = equity
    for time, found in zip(part.times, part.equity, strict=True):
        expected = balance.baseline + sum(
            equity[max(at for at in equity if at < time)] for equity in marks.values()
        )
        assert found == expected


async def test_ranges_that_make_no_sense_are_refused(bots: BotDesk) -> None:
    for arguments, path in (
        ((date(2024, 1, 2), date(2024, 1, 1), None), ["end"]),
        ((date(2000, 1, 1), date(2024, 1, 1), None), ["start"]),
        ((date(1, 1, 1), None, None), ["start"]),
        ((None, date(9999, 12, 31), None), ["end"]),
        ((None, None, "Mars/Olympus"), ["timezone"]),
    ):
        with pytest.raises(InvalidInput) as raised:
            async with bots.runtime.unit_of_work() as uow:
                await periods.calendar(uow, bots.trader.user_id, Scope(replays=True), *arguments)
        assert list(raised.value.path) == path
