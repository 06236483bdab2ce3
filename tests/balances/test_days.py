"""Days, summed up once they are over where the user lives."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from gql_trader.app import create_app
from gql_trader.balances import jobs
from gql_trader.core.actor import Actor
from gql_trader.reports.jobs import keep_days
from tests.balances.conftest import Office
from tests.factories.actors import make_access_token
from tests.graphql_client import graphql_client

DAYS = """
query($first: Int, $after: String) {
  dailyProfits(first: $first, after: $after) {
    totalCount
    pageInfo { endCursor hasNextPage }
    nodes { timezone currency summedAt day { date profit profitFraction trades color } }
  }
}
"""
CALENDAR = """
{ calendar(start: "2027-03-26", end: "2027-03-29", timezone: "Europe/Berlin")
  { date profit profitFraction trades color } }
"""


def _hourly(begin: datetime, hours: int) -> dict[datetime, int]:
    """Return the equity of a session that began with 1000 and gains 1 in each hour."""
    return {begin + timedelta(hours=hour): 1001 + hour for hour in range(hours)}


async def test_a_day_is_summed_up_five_minutes_after_midnight_where_the_user_lives(office: Office) -> None:
    ada = await office.trader("ada", "Europe/Berlin")
    session = await office.trade(ada)
    await office.tick()
    # Half past eleven at night, and midnight itself, which is in the next day.
    await office.stand(
        session,
        {datetime(2026, 11, 22, 22, 30, tzinfo=UTC): 1010, datetime(2026, 11, 22, 23, tzinfo=UTC): 1030},
    )
    await office.set_equity(session, 1030.0)
    office.clock.moment = datetime(2026, 11, 22, 23, 4, 59, tzinfo=UTC)
    await office.tick()
    assert await office.days(ada) == []
    for _ in range(2):
        await office.tick(seconds=1)
    assert await office.days(ada) == [("2026-11-22", "Europe/Berlin", Decimal(1000), Decimal(10))]
    assert await office.told(ada, "DAILY_PROFIT") == ["2026-11-22: +10.00 (+1.00%); trades closed: 0"]


async def test_a_day_on_which_nothing_changed_is_noted_and_not_told(office: Office) -> None:
    ada, idle = await office.trader("ada"), await office.trader("idle")
    await office.trade(ada)
    await office.stop(idle, await office.trade(idle))
    await office.tick()
    await office.tick(hours=13)
    assert await office.days(ada) == [("2026-11-22", "UTC", Decimal(1000), Decimal(0))]
    assert await office.told(ada, "DAILY_PROFIT") == []
    assert await office.days(idle) == []


async def test_a_day_counts_on_which_only_a_session_was_at_work_that_is_summed_by_then(
    office: Office,
) -> None:
    ada, bob = await office.trader("ada"), await office.trader("bob")
    sessions = [(who, await office.trade(who)) for who in (ada, bob)]
    await office.tick()
    for who, session in sessions:
        await office.stop(who, session)
    await keep_days(office.runtime)
    await office.tick(hours=13)
    for who in (ada, bob):
        assert await office.days(who) == [("2026-11-22", "UTC", Decimal(1000), Decimal(0))]
    # Bob goes on after a day of nothing.
    office.clock.move(hours=24)
    await office.trade(bob)
    await office.tick(hours=13)
    await office.tick(hours=13)
    assert [day for day, *_ in await office.days(bob)] == ["2026-11-22", "2026-11-24"]


@pytest.fixture
def berlin_in_spring(office: Office) -> datetime:
    """The beginning of 26 March 2027 in Berlin, where clocks change two nights later."""
    begin = datetime(2027, 3, 25, 23, tzinfo=UTC)
    office.clock.moment = begin
    return begin


async def _trades_for_days(office: Office, begin: datetime) -> Actor:
    ada = await office.trader("ada", "Europe/Berlin")
    session = await office.trade(ada)
    await office.tick()
    await office.stand(session, _hourly(begin, 100))
    await office.set_equity(session, 1100.0)
    return ada


async def test_days_have_the_hours_that_clocks_show(office: Office, berlin_in_spring: datetime) -> None:
    ada = await _trades_for_days(office, berlin_in_spring)
    for _ in range(4):
        await office.tick(days=1)
    gained = [(day, int(change)) for day, _, _, change in await office.days(ada)]
    assert gained == [
        ("2027-03-26", 24),
        ("2027-03-27", 24),
        ("2027-03-28", 23),
        ("2027-03-29", 24),
    ]


async def test_days_without_a_worker_are_summed_up_later_and_once(
    office: Office, berlin_in_spring: datetime
) -> None:
    ada = await _trades_for_days(office, berlin_in_spring)
    office.clock.move(days=4)
    await asyncio.gather(*(jobs.tick(office.runtime) for _ in range(3)))
    assert [int(change) for _, _, _, change in await office.days(ada)] == [24, 24, 23, 24]
    # Of several, the last is told.
    assert await office.told(ada, "DAILY_PROFIT") == ["2027-03-29: +24.00 (+2.24%); trades closed: 0"]


async def test_what_comes_to_be_known_later_is_added_and_not_told_again(
    office: Office, berlin_in_spring: datetime
) -> None:
    ada = await office.trader("ada", "Europe/Berlin")
    session = await office.trade(ada)
    await office.tick()
    await office.tick(days=1, minutes=5)
    assert [int(change) for _, _, _, change in await office.days(ada)] == [0]
    # A bar that was open over midnight belongs to the day on which it opened.
    await office.stand(session, {berlin_in_spring + timedelta(hours=20): 1007})
    await office.set_equity(session, 1007.0)
    await office.tick(days=1)
    assert [(before, change) for _, _, before, change in await office.days(ada)] == [(1000, 7), (1007, 0)]
    assert await office.told(ada, "DAILY_PROFIT") == []


async def _asked(office: Office, actor: Actor, query: str, **variables: Any) -> Any:
    async with graphql_client(create_app(office.runtime.settings, office.runtime)) as client:
        signed_in = client.signed_in(await make_access_token(office.runtime, actor))
        return (await signed_in.execute(query, variables)).data


async def test_days_are_listed_newest_first_and_agree_with_the_calendar(
    office: Office, berlin_in_spring: datetime
) -> None:
    ada, bob = await _trades_for_days(office, berlin_in_spring), await office.trader("bob")
    await office.tick(days=4)
    first = (await _asked(office, ada, DAYS, first=3))["dailyProfits"]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (4, True)
    rest = (await _asked(office, ada, DAYS, after=first["pageInfo"]["endCursor"]))["dailyProfits"]
    assert (rest["pageInfo"]["hasNextPage"], len(rest["nodes"])) == (False, 1)
    listed = first["nodes"] + rest["nodes"]
    calendar = (await _asked(office, ada, CALENDAR))["calendar"]
    assert [each["day"] for each in reversed(listed)] == calendar
    assert calendar[2] == {
        "date": "2027-03-28",
        "profit": "23",
        "profitFraction": 23 / 1048,
        "trades": 0,
        "color": "GREEN",
    }
    assert {each["timezone"] for each in listed} == {"Europe/Berlin"}
    assert (await _asked(office, bob, DAYS))["dailyProfits"]["nodes"] == []
