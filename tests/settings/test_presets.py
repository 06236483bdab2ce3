"""Presets from outside: saved, applied, listed, deleted; one's own, without secrets, not without bound."""

import asyncio

from sqlalchemy import text

from gql_trader.settings import presets
from tests.accounts.accounts_api import Accounts, refusals
from tests.factories.statements import counted_statements
from tests.settings.live_trader import Trader
from tests.settings.settings_api import CHANGED, Member, make_member

PRESET = "preset { id name settings { maxOpenTrades stoploss exchange { name keyMasked } } }"
APPLIED = f"preset {{ name }} {CHANGED}"
KEY = "AbCdEfGhIjKlMnOpQrStUvWx"


async def names(member: Member) -> list[str]:
    """Return the names of somebody's presets, as the API lists them."""
    me = await member.accounts.me(member.token, "settingsPresets { name }")
    return [preset["name"] for preset in me["settingsPresets"]]


async def test_a_preset_brings_back_what_was_saved_but_for_secrets(ada: Member) -> None:
    await ada.change(maxOpenTrades=9, exchange={"name": "okx", "key": KEY})
    saved = await ada.send("saveSettingsPreset", PRESET, name=" Calm ")
    assert saved["errors"] == []
    assert saved["preset"]["name"] == "Calm"
    assert saved["preset"]["settings"] == {
        "maxOpenTrades": 9,
        "stoploss": -0.1,
        "exchange": {"name": "okx", "keyMasked": None},
    }
    await ada.send("resetSettings", "settings { isDefault }")
    await ada.change(stoploss=-0.3, exchange={"key": f"{KEY}-2"})
    before = await ada.settings()
    previewed = await ada.send("applySettingsPreset", APPLIED, id=saved["preset"]["id"], preview=True)
    assert await ada.settings() == before
    applied = await ada.send("applySettingsPreset", APPLIED, id=saved["preset"]["id"])
    assert (
        applied["changes"]
        == previewed["changes"]
        == [
            {"field": "maxOpenTrades", "old": 3, "new": 9, "secret": False},
            {"field": "stoploss", "old": -0.3, "new": -0.1, "secret": False},
            {"field": "exchange.name", "old": "binance", "new": "okx", "secret": False},
        ]
    )
    assert applied["errors"] == []
    settings = await ada.settings()
    assert settings == applied["settings"]
    assert (settings["maxOpenTrades"], settings["stoploss"]) == (9, -0.1)
    assert (settings["exchange"]["name"], settings["exchange"]["keyMasked"]) == ("okx", "AbCd********Wx-2")


async def test_settings_that_changed_meanwhile_are_not_replaced(ada: Member) -> None:
    saved = await ada.send("saveSettingsPreset", PRESET, name="x")
    await ada.change(maxOpenTrades=4)
    refused = await ada.send(
        "applySettingsPreset", APPLIED, id=saved["preset"]["id"], expectedUpdatedAt="2026-01-01T00:00:00Z"
    )
    assert refusals(refused) == [("INVALID_STATE", ["expectedUpdatedAt"])]
    assert (await ada.settings("maxOpenTrades")) == {"maxOpenTrades": 4}


async def test_a_name_is_taken_once_ignoring_case_and_listed_in_order(ada: Member) -> None:
    for name in ("beta", "Alpha", "gamma"):
        assert (await ada.send("saveSettingsPreset", PRESET, name=name))["errors"] == []
    assert await names(ada) == ["Alpha", "beta", "gamma"]
    await ada.change(maxOpenTrades=8)
    refused = await ada.send("saveSettingsPreset", PRESET, name="ALPHA")
    assert (refused["preset"], refusals(refused)) == (None, [("ALREADY_EXISTS", ["name"])])
    replaced = await ada.send("saveSettingsPreset", PRESET, name="ALPHA", overwrite=True)
    assert replaced["preset"]["settings"]["maxOpenTrades"] == 8
    assert await names(ada) == ["ALPHA", "beta", "gamma"]
    for name in ("", "  ", "x" * 101, "a\u0007b"):
        refused = await ada.send("saveSettingsPreset", PRESET, name=name)
        assert refusals(refused) == [("INVALID_INPUT", ["name"])]


async def test_of_saves_at_once_under_one_name_one_succeeds(ada: Member) -> None:
    payloads = await asyncio.gather(
        *(ada.send("saveSettingsPreset", PRESET, name=name) for name in ("one", "ONE", "One"))
    )
    assert sorted(len(payload["errors"]) for payload in payloads) == [0, 1, 1]


async def test_a_user_has_no_more_presets_than_the_bound(accounts: Accounts, ada: Member) -> None:
    async with accounts.runtime.unit_of_work() as uow:
        for number in range(presets.MOST_PRESETS - 1):
            await presets.save_preset(uow, ada.actor, f"preset {number}", overwrite=False)
    payloads = await asyncio.gather(
        *(ada.send("saveSettingsPreset", PRESET, name=name) for name in ("last", "too many"))
    )
    assert sorted(refusals(payload) for payload in payloads) == [[], [("QUOTA_EXCEEDED", [])]]
    assert len(await names(ada)) == presets.MOST_PRESETS
    # Replacing one adds none.
    assert (await ada.send("saveSettingsPreset", PRESET, name="preset 0", overwrite=True))["errors"] == []


async def test_a_deleted_preset_is_gone_and_anothers_never_was(accounts: Accounts, ada: Member) -> None:
    eve = await make_member(accounts, "eve")
    preset = (await ada.send("saveSettingsPreset", PRESET, name="mine"))["preset"]["id"]
    query = "query($id: ID!) { node(id: $id) { __typename ... on SettingsPreset { name } } }"
    for member, expected in ((ada, {"__typename": "SettingsPreset", "name": "mine"}), (eve, None)):
        answer = await accounts.client.signed_in(member.token).execute(query, {"id": preset})
        assert answer.data["node"] == expected
    for mutation, fields in (("deleteSettingsPreset", "deletedId"), ("applySettingsPreset", APPLIED)):
        refused = await eve.send(mutation, fields, id=preset)
        assert refusals(refused) == [("NOT_FOUND", ["id"])]
    assert await names(ada) == ["mine"]
    deleted = await ada.send("deleteSettingsPreset", "deletedId", id=preset)
    assert deleted == {"deletedId": preset, "errors": []}
    assert await names(ada) == []
    again = await ada.send("deleteSettingsPreset", "deletedId", id=preset)
    assert refusals(again) == [("NOT_FOUND", ["id"])]


async def test_what_is_wrong_with_a_preset_is_told_of_the_preset(accounts: Accounts, ada: Member) -> None:
    """Such as a preset from before an exchange was gone."""
    preset = (await ada.send("saveSettingsPreset", PRESET, name="old"))["preset"]["id"]
    async with accounts.runtime.database.session() as session:
        await session.execute(
            text('UPDATE settings_presets SET settings = settings || \'{"exchange_name": "mtgox"}\'')
        )
        await session.commit()
    refused = await ada.send("applySettingsPreset", APPLIED, id=preset)
    assert refusals(refused) == [("INVALID_INPUT", ["id"])]
    assert refused["errors"][0]["message"].startswith("exchange.name: An exchange is named by its id")
    assert (await ada.settings("isDefault"))["isDefault"] is True


async def test_a_preset_that_trades_live_takes_the_right_to(accounts: Accounts) -> None:
    tess = await Trader.make(accounts)
    assert (await tess.go_live(totpCode=tess.code()))["errors"] == []
    preset = (await tess.member.send("saveSettingsPreset", PRESET, name="live"))["preset"]["id"]
    await tess.member.change(dryRun=True)
    accounts.clock.move(seconds=30)
    refused = await tess.member.send("applySettingsPreset", APPLIED, id=preset)
    assert refusals(refused) == [("TOTP_REQUIRED", ["totpCode"])]
    assert await tess.member.settings("dryRun") == {"dryRun": True}
    applied = await tess.member.send("applySettingsPreset", APPLIED, id=preset, totpCode=tess.code())
    assert applied["errors"] == []
    assert await tess.member.settings("dryRun") == {"dryRun": False}


async def test_a_list_takes_the_same_statements_however_long(accounts: Accounts, ada: Member) -> None:
    counts = []
    for number in range(3):
        await ada.send("saveSettingsPreset", PRESET, name=f"preset {number}")
        with counted_statements(accounts.runtime.database.engine) as statements:
            await names(ada)
        counts.append(len(statements))
    assert counts[0] == counts[1] == counts[2]
