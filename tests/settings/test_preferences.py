"""Preferences from outside: what users begin with, what may be preferred, and what it prefills."""

from decimal import Decimal
from typing import Any

import pytest

from gql_trader.core.actor import Role
from gql_trader.settings import service
from gql_trader.settings.types import Preferences
from tests.accounts.accounts_api import Accounts, refusals
from tests.settings.settings_api import Member, make_member

FIELDS = "preferences { defaultMode defaultCapital riskPerTrade maxDrawdown notifications theme timezone }"
DEFAULTS = {
    "defaultMode": "PAPER",
    "defaultCapital": "10000",
    "riskPerTrade": 0.01,
    "maxDrawdown": 0.2,
    "notifications": True,
    "theme": "SYSTEM",
    "timezone": "UTC",
}


async def test_a_user_who_said_nothing_has_the_defaults(ada: Member) -> None:
    assert await ada.preferences() == DEFAULTS


async def test_only_what_is_given_changes(ada: Member) -> None:
    payload = await ada.send("updatePreferences", FIELDS, theme="DARK", timezone="Europe/Berlin")
    expected = {**DEFAULTS, "theme": "DARK", "timezone": "Europe/Berlin"}
    assert payload == {"preferences": expected, "errors": []}
    payload = await ada.send("updatePreferences", FIELDS, defaultCapital="2500.5", theme=None)
    expected |= {"defaultCapital": "2500.5"}
    assert payload == {"preferences": expected, "errors": []}
    assert await ada.preferences() == expected
    assert (await ada.send("updatePreferences", FIELDS))["preferences"] == expected


async def test_every_problem_is_told_and_nothing_changes(ada: Member) -> None:
    payload = await ada.send(
        "updatePreferences",
        FIELDS,
        defaultCapital="0",
        riskPerTrade=1.5,
        maxDrawdown=0,
        timezone="Mars/Olympus",
        theme="DARK",
    )
    assert payload["preferences"] is None
    assert refusals(payload) == [
        ("INVALID_INPUT", ["defaultCapital"]),
        ("INVALID_INPUT", ["riskPerTrade"]),
        ("INVALID_INPUT", ["maxDrawdown"]),
        ("INVALID_INPUT", ["timezone"]),
    ]
    assert await ada.preferences() == DEFAULTS


@pytest.mark.parametrize("zone", ["localtime", "Factory", "../UTC", "", "utc+1", "Europe"])
async def test_a_time_zone_is_one_of_the_iana_database(ada: Member, zone: str) -> None:
    payload = await ada.send("updatePreferences", FIELDS, timezone=zone)
    assert refusals(payload) == [("INVALID_INPUT", ["timezone"])]


async def test_a_viewer_has_preferences_but_none_for_live_trading(accounts: Accounts, ada: Member) -> None:
    viewer = await make_member(accounts, "vera", Role.VIEWER)
    payload = await viewer.send("updatePreferences", FIELDS, theme="LIGHT")
    assert payload["preferences"]["theme"] == "LIGHT"
    payload = await viewer.send("updatePreferences", FIELDS, defaultMode="LIVE")
    assert refusals(payload) == [("FORBIDDEN", ["defaultMode"])]
    assert (await viewer.preferences())["defaultMode"] == "PAPER"
    assert (await ada.send("updatePreferences", FIELDS, defaultMode="LIVE"))["errors"] == []
    assert await ada.preferences() == {**DEFAULTS, "defaultMode": "LIVE"}


async def test_other_domains_read_preferences(accounts: Accounts, ada: Member) -> None:
    other = await make_member(accounts, "bob")
    await ada.send("updatePreferences", FIELDS, notifications=False, defaultCapital="77")
    async with accounts.runtime.unit_of_work() as uow:
        found = await service.preferences_of_users(uow, [ada.actor.user_id, other.actor.user_id])
    assert found[ada.actor.user_id] == Preferences(notifications=False, default_capital=Decimal(77))
    assert found[other.actor.user_id] == Preferences()


async def test_an_administrator_does_not_see_what_others_prefer(accounts: Accounts, ada: Member) -> None:
    root = await make_member(accounts, "root", Role.ADMIN)
    client = accounts.client.signed_in(root.token)
    for field in ("preferences { theme }", "settings { dryRun }", "settingsPresets { name }"):
        answer = await client.execute(f"{{ users {{ nodes {{ username {field} }} }} }}")
        assert "FORBIDDEN" in answer.codes, field
        own: Any = await accounts.me(root.token, field)
        assert own is not None
