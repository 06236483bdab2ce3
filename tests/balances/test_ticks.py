"""What workers do by the clock: once, whatever their number, and later if there was none."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text, update
from structlog.testing import capture_logs

from gql_trader import migrate
from gql_trader.balances import jobs
from gql_trader.bots.models import TradingSessionRow
from gql_trader.cli import doctor
from gql_trader.config import Settings
from gql_trader.core.actor import Actor
from gql_trader.runtime import open_runtime
from gql_trader.settings.models import PreferencesRow
from tests.balances.conftest import NOON, Office
from tests.factories.clock import SetClock
from tests.factories.statements import counted_statements

# Times are noted to the millisecond.
SHOWN = NOON.replace(microsecond=123_000)


async def test_the_balance_of_those_who_trade_is_noted_every_ten_minutes(office: Office) -> None:
    ada, idle = await office.trader("ada"), await office.trader("idle")
    session = await office.trade(ada)
    await office.tick()
    # The clock was started; nothing is due yet.
    assert await office.noted(ada) == []
    await office.set_equity(session, 1012.5)
    await office.tick(minutes=7)
    await office.tick(seconds=5)
    await office.set_equity(session, 990.0)
    await office.tick(minutes=10)
    first, second = SHOWN + timedelta(minutes=7), SHOWN + timedelta(minutes=17, seconds=5)
    assert await office.noted(ada) == [
        (first, "SNAPSHOT", Decimal("12.5")),
        (second, "SNAPSHOT", Decimal(-10)),
    ]
    assert await office.noted(idle) == []
    assert await office.clock_of(idle) is None
    assert (await office.clock_of(ada)).snapshot_at == datetime(2026, 11, 22, 12, 30, tzinfo=UTC)


async def test_a_heartbeat_is_noted_and_told_at_the_hours_of_the_day(office: Office) -> None:
    # It is 13:03 in Berlin.
    ada = await office.trader("ada", "Europe/Berlin")
    session = await office.trade(ada, "10000")
    await office.tick()
    await office.set_equity(session, 10_123.456)
    await office.tick(minutes=56)
    assert await office.told(ada) == []
    await office.tick(minutes=1)
    assert await office.told(ada) == ["Balance: 10,123.46, P/L: +123.46 (+1.23%)"]
    assert [kind for _, kind, _ in await office.noted(ada)] == ["SNAPSHOT", "HEARTBEAT"]
    await office.tick(hours=5)
    assert len(await office.told(ada)) == 1
    await office.set_equity(session, 9_999.995)
    await office.tick(hours=1)
    # Half a cent lost: what is below one is told in all its places.
    assert (await office.told(ada))[1:] == ["Balance: 10,000.00, P/L: -0.005 (-0.00%)"]


async def test_everything_happens_once_whatever_the_number_of_workers(office: Office) -> None:
    people = [await office.trader(f"trader{number}") for number in range(4)]
    for each in people:
        await office.trade(each)
    await asyncio.gather(*(jobs.tick(office.runtime) for _ in range(4)))
    for hours in (2, 6):
        # 14 and 20 o'clock are over; they all look at the same moment.
        office.clock.move(hours=hours)
        await asyncio.gather(*(jobs.tick(office.runtime) for _ in range(4)))
    for each in people:
        assert [(time, kind) for time, kind, _ in await office.noted(each)] == [
            (SHOWN + timedelta(hours=2), "HEARTBEAT"),
            (SHOWN + timedelta(hours=8), "HEARTBEAT"),
        ]
        assert len(await office.told(each)) == 2


async def test_many_users_are_settled_by_as_many_statements_as_one(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    for count in (1, 4):
        for number in range(count):
            trader = await office.trader(f"trader{count}{number}", "Europe/Berlin")
            session = await office.trade(trader)
            await office.stand(session, {office.clock.moment - timedelta(hours=9): 1000 + number})
        await office.tick()
        # Snapshots, then heartbeats, then days.
        for hour, minute in ((12, 50), (13, 0), (23, 6)):
            office.clock.moment = office.clock.moment.replace(hour=hour, minute=minute)
            with counted_statements(office.runtime.database.engine) as statements:
                await office.tick()
            counts.append(len(statements))
        office.clock.move(hours=13)
    assert counts[:3] == counts[3:]
    # However few are settled at a time, it comes out the same.
    monkeypatch.setattr(jobs, "_SETTLED_AT_ONCE", 2)
    await office.tick(hours=1)
    assert await _kinds(office, trader) == ["SNAPSHOT", "HEARTBEAT", "HEARTBEAT", "HEARTBEAT"]
    assert await office.told(trader, "DAILY_PROFIT") == ["2026-11-23: +3.00 (+0.30%); trades closed: 0"]


async def _kinds(office: Office, actor: Actor) -> list[str]:
    return [kind for _, kind, _ in await office.noted(actor)]


async def test_who_only_runs_replays_is_told_nothing(office: Office) -> None:
    ada = await office.trader("ada")
    session = await office.trade(ada)
    past = {"replay_start": NOON - timedelta(days=9), "replay_end": NOON, "replay_speed": 10.0}
    async with office.runtime.unit_of_work() as uow:
        await uow.session.execute(
            update(TradingSessionRow).where(TradingSessionRow.id == session).values(**past)
        )
    await office.tick()
    await office.tick(hours=2)
    assert await office.clock_of(ada) is None
    assert (await office.noted(ada), await office.told(ada)) == ([], [])


async def test_after_a_time_without_workers_the_present_is_told_once(office: Office) -> None:
    ada = await office.trader("ada")
    await office.trade(ada)
    await office.tick()
    # Twelve heartbeats and 432 snapshots were missed.
    await office.tick(days=3)
    await office.tick()
    assert [kind for _, kind, _ in await office.noted(ada)] == ["HEARTBEAT"]
    assert len(await office.told(ada)) == 1
    row = await office.clock_of(ada)
    assert row.heartbeat_at == datetime(2026, 11, 25, 14, tzinfo=UTC)
    assert (str(row.day), row.day_at) == ("2026-11-25", datetime(2026, 11, 26, 0, 5, tzinfo=UTC))


async def test_heartbeats_follow_the_clocks_of_the_zone(office: Office) -> None:
    office.clock.moment = datetime(2027, 3, 27, 22, tzinfo=UTC)
    ada = await office.trader("ada", "Europe/Berlin")
    await office.trade(ada)
    await office.tick()
    # A minute before clocks jump from two to three, as they do; a minute before eight, and at eight.
    for minutes in (179, 1, 299, 1):
        await office.tick(minutes=minutes)
    # Two o'clock, which that day leaves out, and eight.
    beats = [time for time, kind, _ in await office.noted(ada) if kind == "HEARTBEAT"]
    assert beats == [datetime(2027, 3, 28, hour, tzinfo=UTC) for hour in (1, 6)]


async def test_who_moves_to_another_zone_is_told_at_the_hours_there(office: Office) -> None:
    ada = await office.trader("ada")
    await office.trade(ada)
    await office.tick()
    before = await office.clock_of(ada)
    assert before.heartbeat_at == datetime(2026, 11, 22, 14, tzinfo=UTC)
    await office.move_to(ada, "Asia/Tokyo")
    await office.tick()
    after = await office.clock_of(ada)
    # 21:03 in Tokyo; the day that was begun is the next to be summed up, as it is there.
    assert after.heartbeat_at == datetime(2026, 11, 22, 17, tzinfo=UTC)
    assert (str(after.day), after.day_at) == ("2026-11-22", datetime(2026, 11, 22, 15, 5, tzinfo=UTC))
    assert after.snapshot_at == before.snapshot_at


async def test_who_trades_no_more_is_noted_once_more_and_then_left_alone(office: Office) -> None:
    ada = await office.trader("ada")
    session = await office.trade(ada)
    await office.tick()
    await office.stop(ada, session)
    await office.tick(minutes=10)
    assert len(await office.noted(ada)) == 1
    row = await office.clock_of(ada)
    assert (row.snapshot_at, row.heartbeat_at) == (None, None)
    await office.tick(hours=8)
    assert len(await office.noted(ada)) == 1
    assert await office.told(ada) == []
    # The last day is over and summed up, and with it the clock.
    await office.tick(hours=8)
    assert await office.clock_of(ada) is None


async def test_who_begins_again_goes_on(office: Office) -> None:
    ada = await office.trader("ada")
    await office.stop(ada, await office.trade(ada))
    await office.trade(ada)
    await office.tick()
    await office.tick(minutes=10)
    assert len(await office.noted(ada)) == 1


async def test_a_zone_that_is_known_no_more_is_taken_for_utc(office: Office) -> None:
    ada = await office.trader("ada", "Europe/Berlin")
    await office.trade(ada)
    async with office.runtime.unit_of_work() as uow:
        await uow.session.execute(update(PreferencesRow).values(timezone="Atlantis/Capital"))
    await office.tick()
    await office.tick(hours=12, minutes=2)
    assert len(await office.told(ada)) == 1
    row = await office.clock_of(ada)
    assert (row.timezone, row.heartbeat_at) == ("Atlantis/Capital", datetime(2026, 11, 23, 2, tzinfo=UTC))
    assert row.day_at == datetime(2026, 11, 24, 0, 5, tzinfo=UTC)


async def test_ones_trouble_keeps_no_other_waiting(office: Office) -> None:
    broken, ada = await office.trader("broken"), await office.trader("ada")
    session = await office.trade(broken)
    await office.trade(ada)
    others = [await office.trader(f"trader{number}") for number in range(5)]
    for each in others:
        await office.trade(each)
    await office.tick()
    # No equity is such; nothing of it can be told.
    await office.set_equity(session, float("nan"))
    with capture_logs() as logs:
        await office.tick(minutes=10)
    assert [len(await office.noted(each)) for each in (ada, *others)] == [1] * 6
    assert await office.noted(broken) == []
    assert [(each["event"], each["user_id"]) for each in logs if each["log_level"] == "error"] == [
        ("balance_not_settled", str(broken.user_id))
    ]
    await office.set_equity(session, 1000.0)
    await office.tick(seconds=5)
    assert len(await office.noted(broken)) == 1


async def test_hours_and_pause_are_settings(settings: Settings, clock: SetClock) -> None:
    seldom = settings.model_copy(update={"heartbeat_hours": (), "balance_snapshot_minutes": 60})
    async with open_runtime(seldom, clock) as runtime:
        office = Office(runtime, clock)
        ada = await office.trader("ada")
        await office.trade(ada)
        await office.tick()
        await office.tick(minutes=50)
        assert await office.noted(ada) == []
        await office.tick(days=1)
        assert [kind for _, kind, _ in await office.noted(ada)] == ["SNAPSHOT"]
        assert await office.told(ada) == []


async def test_the_doctor_says_if_nobody_looks_at_the_clocks(office: Office, settings: Settings) -> None:
    healthy = ("balances are noted and told in time", True)
    assert await doctor._outcome(doctor._clocks, settings) == healthy
    office.clock.moment = datetime.now(UTC) - timedelta(hours=1)
    await office.trade(await office.trader("ada"))
    await office.tick()
    told, good = await doctor._outcome(doctor._clocks, settings)
    assert not good
    assert told.startswith("the balances of 1 user(s) are overdue, the first since 20")
    await office.tick(hours=1)
    assert await doctor._outcome(doctor._clocks, settings) == healthy


async def _partitions(office: Office) -> list[str]:
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'balance_snapshots'::regclass"
    async with office.runtime.unit_of_work() as uow:
        return sorted(await uow.session.scalars(text(query)))


async def test_months_are_made_as_they_come_and_dropped_when_they_are_old(
    office: Office, database_url: str
) -> None:
    ada: Actor = await office.trader("ada")
    await office.trade(ada)
    await asyncio.gather(*(jobs.tick(office.runtime) for _ in range(3)))
    assert await _partitions(office) == ["balance_snapshots_2026_11", "balance_snapshots_2026_12"]
    await office.tick(minutes=10)
    # No month is a difference from the models.
    assert await asyncio.to_thread(migrate.differences, database_url) == []
    # January next: nothing of its December was made, since no worker was there.
    office.clock.moment = datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC)
    await office.tick()
    assert (await _partitions(office))[2:] == ["balance_snapshots_2027_01", "balance_snapshots_2027_02"]
    assert [time.month for time, _, _ in await office.noted(ada)] == [11, 1]
    await jobs.drop_old_partitions(office.runtime)
    assert len(await _partitions(office)) == 4
    # 400 days after the end of November 2026 it goes; what is newer stays.
    for _ in range(2):
        office.clock.moment = datetime(2028, 1, 6, tzinfo=UTC)
        await jobs.drop_old_partitions(office.runtime)
        assert (await _partitions(office))[0] == "balance_snapshots_2026_12"
    assert [time.month for time, _, _ in await office.noted(ada)] == [1]
