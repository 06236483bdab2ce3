"""Days that are kept: the same as those that figures at midnights make, whoever keeps them and when."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update
from structlog.testing import capture_logs

from gql_trader.accounts.live_trading import LiveTrading
from gql_trader.bots import service as bots_service
from gql_trader.bots.models import TradingSessionRow
from gql_trader.config import Settings
from gql_trader.core.actor import Actor
from gql_trader.reports import daily, jobs, keeping, periods, service
from gql_trader.reports.daily import Selection
from gql_trader.reports.models import DaySeriesRow, KeptDaysRow, SeriesDayRow, SessionDayRow
from gql_trader.reports.types import Day, DayColor, Level, Scope
from gql_trader.runtime import open_runtime
from gql_trader.settings.preferences import update_preferences
from gql_trader.settings.types import SessionMode
from tests.balances.conftest import Office
from tests.factories.books import every_session
from tests.factories.bots import BotDesk
from tests.factories.clock import SetClock

BEGIN = datetime(2026, 2, 20, 7, 30, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
# Clocks change in the half year that is looked at, by an hour or by half of one, or the zone is far away.
ZONES = ("UTC", "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati", "Asia/Kathmandu")


@dataclass(frozen=True)
class Step:
    """What happens next: quarters of an hour later and what was gained in each, by session; then a look.

    ``restarts``: the second session ends, and so many quarters later another one begins.
    """

    gains: tuple[tuple[int, int, int], ...]
    moves_to: str | None
    is_swept: bool
    restarts: int | None


STEPS = st.lists(
    st.builds(
        Step,
        st.lists(
            # Of one day, or of weeks later.
            st.tuples(
                st.one_of(st.integers(1, 12), st.integers(13, 2500)), st.integers(0, 1), st.integers(-9, 9)
            ),
            min_size=1,
            max_size=6,
        ).map(tuple),
        st.one_of(st.none(), st.sampled_from(ZONES)),
        st.booleans(),
        st.one_of(st.none(), st.integers(0, 5)),
    ),
    min_size=3,
    max_size=5,
)


@pytest.fixture
async def office(settings: Settings) -> AsyncIterator[Office]:
    """People who trade by hand, and the time."""
    clock = SetClock(BEGIN)
    async with open_runtime(settings, clock) as runtime:
        yield Office(runtime, clock)


async def _both(office: Office, actor: Actor, zone: str, scope: Scope) -> tuple[list[Day], Level]:
    """Return all days of somebody, having looked at all of them in each way that there is."""
    first, last = date(2026, 2, 1), office.clock.moment.date() + timedelta(days=1)
    async with office.runtime.unit_of_work() as uow:
        book = await service.book_of(uow, actor.user_id, scope)
        selection = Selection(actor.user_id, scope, book, zone)
        one_by_one = await every_session(uow, actor.user_id, scope, book.currency)
        expected = await periods.days(uow, one_by_one, first, last, zone)
        assert await periods.days(uow, book, first, last, zone) == expected
        assert (book.level, book.baseline) == (one_by_one.level, one_by_one.baseline)
        start = datetime(2026, 2, 1, tzinfo=UTC)
        curve = await periods.curve(uow, book, start, None)
        assert curve == await periods.curve(uow, one_by_one, start, None)
        extremes = await periods.best_and_worst(uow, selection)
        assert await daily.days_between(uow, selection, first, last) == expected
        # The first of equal ones, and none on which nothing changed.
        eventful = [day for day in expected if day.color is not DayColor.NEUTRAL]
        changes = [day.level.change for day in eventful]
        assert extremes == (
            (eventful[changes.index(max(changes))], eventful[changes.index(min(changes))])
            if eventful
            else None
        )
        part = expected[20:-2]
        if part:
            assert await daily.days_between(uow, selection, part[0].date, part[-1].date) == part
        return expected, book.level


async def test_what_is_kept_is_what_figures_at_midnights_make_whatever_happens_in_between(
    office: Office,
) -> None:
    cases: list[list[Step]] = []

    @settings(max_examples=4, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(STEPS)
    def collect(steps: list[Step]) -> None:
        cases.append(steps)

    collect()
    kept = 0
    for number, steps in enumerate(cases):
        office.clock.moment = BEGIN
        trader = await office.trader(f"trader{number}")
        sessions = [await office.trade(trader), await office.trade(trader)]
        equity = [1000, 1000]
        for step in steps:
            for later, which, gain in step.gains:
                office.clock.moment += later * QUARTER
                equity[which] += gain
                await office.stand(sessions[which], {office.clock.moment: equity[which]})
                await office.set_equity(sessions[which], equity[which])
            office.clock.moment += QUARTER
            if step.restarts is not None:
                await office.stop(trader, sessions[1])
                office.clock.moment += step.restarts * QUARTER
                sessions[1], equity[1] = await office.trade(trader, str(700 + 100 * step.restarts)), 1000
            if step.moves_to is not None:
                await office.move_to(trader, step.moves_to)
            if step.is_swept:
                await jobs.keep_days(office.runtime)
            async with office.runtime.unit_of_work() as uow:
                zone = await periods.zone_of(uow, trader.user_id, None)
            everything = Scope()
            for each, scope in (
                (zone, everything),
                ("Europe/Berlin", everything),
                (zone, Scope(session_id=sessions[0])),
                (zone, Scope(mode=SessionMode.PAPER, replays=True)),
            ):
                days, whole = await _both(office, trader, each, scope)
                assert sum((day.level for day in days), Level()) == whole
        async with office.runtime.unit_of_work() as uow:
            kept += await uow.session.scalar(select(func.count()).select_from(SessionDayRow)) or 0
    assert kept > 20


async def _kept(office: Office, session_id: UUID) -> KeptDaysRow | None:
    async with office.runtime.unit_of_work() as uow:
        return await uow.session.get(KeptDaysRow, session_id)


async def test_days_are_kept_when_they_are_over_by_one_worker_at_a_time(office: Office) -> None:
    ada = await office.trader("ada", "America/New_York")
    session = await office.trade(ada)
    await office.stand(session, {BEGIN: 1010, BEGIN + timedelta(hours=22): 1005})
    # Half past two in the morning there, then some minutes past midnight, when another worker may be behind.
    for hours in (0, 21.9):
        office.clock.moment = BEGIN + timedelta(hours=hours)
        await asyncio.gather(*(jobs.keep_days(office.runtime) for _ in range(3)))
        assert await _days(office, session) == []
    office.clock.moment += keeping.LOOK_AGAIN + QUARTER
    await asyncio.gather(*(jobs.keep_days(office.runtime) for _ in range(3)))
    [day] = await _days(office, session)
    assert (day.day, day.change) == ((date(2026, 2, 20) - date(1970, 1, 1)).days, Decimal(10))
    # A week after its end nothing of a live session will change.
    await office.stop(ada, session)
    await _be_live(office, session)
    office.clock.move(days=6, hours=23)
    await jobs.keep_days(office.runtime)
    assert not (await _kept_days(office, session)).is_final
    office.clock.move(hours=7)
    await jobs.keep_days(office.runtime)
    assert (await _kept_days(office, session)).is_final
    assert [day.change for day in await _days(office, session)] == [Decimal(10), Decimal(-10)]
    # On paper that is so at once, however lately it was looked at.
    session = await office.trade(ada)
    await jobs.keep_days(office.runtime)
    await office.stop(ada, session)
    await jobs.keep_days(office.runtime)
    assert (await _kept_days(office, session)).is_final


async def _be_live(office: Office, session_id: UUID) -> None:
    async with office.runtime.unit_of_work() as uow:
        named = TradingSessionRow.id == session_id
        await uow.session.execute(update(TradingSessionRow).where(named).values(mode=SessionMode.LIVE.value))


async def _kept_days(office: Office, session_id: UUID) -> KeptDaysRow:
    found = await _kept(office, session_id)
    assert found is not None
    return found


async def _days(office: Office, session_id: UUID) -> list[SessionDayRow]:
    async with office.runtime.unit_of_work() as uow:
        statement = select(SessionDayRow).where(SessionDayRow.session_id == session_id)
        return list(await uow.session.scalars(statement.order_by(SessionDayRow.day)))


async def test_one_sessions_trouble_keeps_no_other_waiting(office: Office) -> None:
    ada = await office.trader("ada")
    sessions = [await office.trade(ada) for _ in range(5)]
    await office.set_equity(sessions[2], float("nan"))
    with capture_logs() as logs:
        await jobs.keep_days(office.runtime)
    assert [(each["event"], each["session_id"]) for each in logs if each["log_level"] == "error"] == [
        ("days_not_kept", str(sessions[2]))
    ]
    assert [await _kept(office, each) is not None for each in sessions] == [True, True, False, True, True]


async def test_a_day_that_is_kept_of_one_session_counts_with_what_another_did_on_it(office: Office) -> None:
    ada, first, second = await office.trader("ada"), date(2026, 2, 20), date(2026, 2, 21)
    office.clock.moment = BEGIN.replace(hour=17)
    one = await office.trade(ada)
    await jobs.keep_days(office.runtime)
    office.clock.moment = BEGIN.replace(hour=23)
    other = await office.trade(ada)
    await jobs.keep_days(office.runtime)
    midnight = BEGIN.replace(hour=0, minute=0) + timedelta(days=1)
    await office.stand(one, {midnight - 5 * QUARTER: 1010, midnight: 1009})
    await office.stand(other, {midnight - QUARTER: 985})
    await office.set_equity(one, 1009)
    await office.set_equity(other, 985)
    # One's turn comes, while the other was looked at lately.
    office.clock.moment = midnight + timedelta(hours=2)
    await jobs.keep_days(office.runtime)
    assert [len(await _days(office, each)) for each in (one, other)] == [1, 0]
    async with office.runtime.unit_of_work() as uow:
        book = await service.book_of(uow, ada.user_id, Scope())
        selection = Selection(ada.user_id, Scope(), book, "UTC")
        best, worst = await periods.best_and_worst(uow, selection) or (None, None)
    assert best is not None
    assert worst is not None
    # 10 less 15, then 1 less.
    assert (best.date, best.level.change) == (second, Decimal(-1))
    assert (worst.date, worst.level.change) == (first, Decimal(-5))


async def test_a_deleted_bot_leaves_the_days_of_its_sessions_to_its_user(bots: BotDesk) -> None:
    begun = [await bots.begin() for _ in range(2)]
    for _, session_id in begun:
        await bots.run(session_id)
    await jobs.keep_days(bots.runtime)
    async with bots.runtime.unit_of_work() as uow:
        assert await uow.session.scalar(_SERIES_OF_BOTS) == 4
        await bots_service.delete_bot(uow, bots.trader, begun[0][0])
    for zone in ("UTC", "Asia/Kathmandu"):
        # All days are kept anew in the other zone, and taken out of what the first bot was part of.
        async with bots.runtime.unit_of_work() as uow:
            live = LiveTrading.of(bots.runtime.settings)
            await update_preferences(uow, live, bots.trader, {"timezone": zone})
        await jobs.keep_days(bots.runtime)
        for scope in (Scope(replays=True), Scope(bot_id=begun[1][0])):
            async with bots.runtime.unit_of_work() as uow:
                book = await service.book_of(uow, bots.trader.user_id, scope)
                selection = Selection(bots.trader.user_id, scope, book, zone)
                kept = await daily.days_between(uow, selection, date(2024, 1, 1), date(2024, 4, 1))
                assert kept == await periods.days(uow, book, date(2024, 1, 1), date(2024, 4, 1), zone)
                best, _ = await daily.best_and_worst(uow, selection) or (None, None)
                assert best == max(kept, key=lambda day: day.level.change).date
            assert book.ended is not None
            assert (book.accounts, book.ended.sessions) == ([], 1 if scope.bot_id else 2)
    async with bots.runtime.unit_of_work() as uow:
        # The other bot's on paper and in both modes, in each zone.
        assert await uow.session.scalar(_SERIES_OF_BOTS) == 4
        left = select(func.count()).where(
            SeriesDayRow.series_id == DaySeriesRow.id, DaySeriesRow.timezone == "UTC"
        )
        assert await uow.session.scalar(left) == 0


_SERIES_OF_BOTS = select(func.count()).where(DaySeriesRow.bot_id.is_not(None))
