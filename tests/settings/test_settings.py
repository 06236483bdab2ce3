"""Trading settings from outside: defaults, partial changes, previews, concurrency, secrets, reset."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from gql_trader.accounts import api_tokens
from gql_trader.accounts.types_credentials import ApiTokenSpec
from gql_trader.core.actor import Role, TokenScope
from gql_trader.infra.key_ring import DecryptionError, add_key, key_number
from gql_trader.infra.reencryption import reencrypt
from gql_trader.metadata import metadata
from gql_trader.runtime import key_ring_file, open_key_ring
from gql_trader.settings import service
from gql_trader.settings.types import Secret
from tests.accounts.accounts_api import Accounts, refusals
from tests.factories.statements import counted_statements
from tests.settings.settings_api import CHANGED, SETTINGS, Member, audited, make_member

DEFAULTS: dict[str, Any] = {
    "maxOpenTrades": 3,
    "stakeCurrency": "USDT",
    "stakeAmount": {"__typename": "FixedStake", "amount": "100"},
    "tradableBalanceRatio": 0.99,
    "tradingMode": "SPOT",
    "marginMode": None,
    "dryRun": True,
    "dryRunWallet": "1000",
    "timeframe": "M5",
    "minimalRoi": {"0": 0.04, "30": 0.02, "60": 0.01},
    "stoploss": -0.1,
    "trailingStop": False,
    "trailingStopPositive": None,
    "trailingStopPositiveOffset": 0.0,
    "trailingOnlyOffsetIsReached": False,
    "fiatDisplayCurrency": "USD",
    "botName": "gql_trader",
    "exchange": {
        "name": "binance",
        "keyMasked": None,
        "secretSet": False,
        "passwordSet": False,
        "pairWhitelist": ["BTC/USDT", "ETH/USDT"],
        "pairBlacklist": [],
    },
    "telegram": {"enabled": False, "tokenSet": False, "chatId": None},
    "isDefault": True,
    "updatedAt": None,
}
KEY, SECRET, TOKEN = "AbCdEfGhIjKlMnOpQrStUvWx", "a-secret-of-binance", "123456:ABC-DEF1234ghIkl"


def without_time(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "updatedAt"}


async def test_a_user_who_has_changed_nothing_sees_the_defaults(accounts: Accounts, ada: Member) -> None:
    assert await ada.settings() == DEFAULTS
    query = f"{{ defaultSettings {{ {SETTINGS} }} }}"
    answer = await accounts.client.signed_in(ada.token).execute(query)
    assert answer.data["defaultSettings"] == DEFAULTS


async def test_a_change_touches_only_what_is_given(ada: Member) -> None:
    payload = await ada.change(maxOpenTrades=7, exchange={"name": "kraken"}, minimalRoi={"0": 0.1})
    assert payload["errors"] == []
    expected = {
        **without_time(DEFAULTS),
        "maxOpenTrades": 7,
        "minimalRoi": {"0": 0.1},
        "exchange": {**DEFAULTS["exchange"], "name": "kraken"},
        "isDefault": False,
    }
    assert without_time(payload["settings"]) == expected
    assert payload["settings"]["updatedAt"] is not None
    assert payload["changes"] == [
        {"field": "maxOpenTrades", "old": 3, "new": 7, "secret": False},
        {"field": "minimalRoi", "old": DEFAULTS["minimalRoi"], "new": {"0": 0.1}, "secret": False},
        {"field": "exchange.name", "old": "binance", "new": "kraken", "secret": False},
    ]
    payload = await ada.change(stakeAmount={"fixed": "12.5"}, dryRunWallet="5000.25", timeframe="H1")
    expected |= {
        "stakeAmount": {"__typename": "FixedStake", "amount": "12.5"},
        "dryRunWallet": "5000.25",
        "timeframe": "H1",
    }
    assert without_time(payload["settings"]) == expected
    assert await ada.settings() == payload["settings"]


async def test_nothing_given_changes_nothing(ada: Member) -> None:
    assert await ada.change() == {"settings": DEFAULTS, "changes": [], "errors": []}
    assert await ada.settings() == DEFAULTS
    changed = (await ada.change(botName="mine"))["settings"]
    assert await ada.change(botName="mine") == {"settings": changed, "changes": [], "errors": []}


async def test_null_takes_away_what_may_be_without_a_value_and_leaves_the_rest(ada: Member) -> None:
    await ada.change(
        tradingMode="FUTURES",
        marginMode="ISOLATED",
        trailingStopPositive=0.01,
        telegram={"token": TOKEN, "chatId": "42", "enabled": True},
        exchange={"key": KEY, "secret": SECRET},
    )
    payload = await ada.change(maxOpenTrades=None, stoploss=None, exchange=None, telegram=None, dryRun=None)
    assert payload["changes"] == payload["errors"] == []
    payload = await ada.change(
        tradingMode="SPOT",
        marginMode=None,
        timeframe=None,
        trailingStopPositive=None,
        exchange={"name": None, "secret": None},
        telegram={"enabled": False, "token": None, "chatId": None},
    )
    assert payload["errors"] == []
    settings = payload["settings"]
    assert settings["marginMode"] is settings["timeframe"] is settings["trailingStopPositive"] is None
    assert settings["exchange"]["name"] == "binance"
    assert (settings["exchange"]["keyMasked"], settings["exchange"]["secretSet"]) == (
        "AbCd********UvWx",
        False,
    )
    assert settings["telegram"] == {"enabled": False, "tokenSet": False, "chatId": None}


async def test_a_preview_tells_the_difference_and_changes_nothing(ada: Member) -> None:
    payload = await ada.change(
        preview=True, stoploss=-0.2, stakeAmount={"unlimited": True}, exchange={"key": KEY}
    )
    assert payload["errors"] == []
    assert payload["settings"]["stakeAmount"] == {"__typename": "UnlimitedStake", "unlimited": True}
    assert payload["settings"]["exchange"]["keyMasked"] == "AbCd********UvWx"
    assert payload["settings"]["updatedAt"] is None
    assert payload["settings"]["isDefault"] is False
    assert payload["changes"] == [
        {"field": "stakeAmount", "old": "100", "new": "unlimited", "secret": False},
        {"field": "stoploss", "old": -0.1, "new": -0.2, "secret": False},
        {"field": "exchange.key", "old": None, "new": None, "secret": True},
    ]
    assert await ada.settings() == DEFAULTS
    refused = await ada.change(preview=True, stoploss=0.2)
    assert (refused["settings"], refusals(refused)) == (None, [("INVALID_INPUT", ["stoploss"])])


async def test_settings_that_changed_meanwhile_are_not_overwritten(ada: Member) -> None:
    first = (await ada.change(maxOpenTrades=4))["settings"]["updatedAt"]
    second = (await ada.change(maxOpenTrades=5, expectedUpdatedAt=first))["settings"]["updatedAt"]
    assert second > first
    changes: list[dict[str, Any]] = [{"maxOpenTrades": 6}, {"maxOpenTrades": 6, "preview": True}]
    for given in changes:
        refused = await ada.change(expectedUpdatedAt=first, **given)
        assert (refused["settings"], refused["changes"]) == (None, [])
        assert refusals(refused) == [("INVALID_STATE", ["expectedUpdatedAt"])]
    refused = await ada.send("resetSettings", CHANGED, expectedUpdatedAt=first)
    assert refusals(refused) == [("INVALID_STATE", ["expectedUpdatedAt"])]
    settings = await ada.settings()
    assert (settings["maxOpenTrades"], settings["updatedAt"]) == (5, second)


async def test_the_first_change_can_be_kept_from_overwriting_another(ada: Member) -> None:
    assert (await ada.settings("updatedAt"))["updatedAt"] is None
    payloads = await asyncio.gather(
        *(ada.change(maxOpenTrades=10 + number, expectedUpdatedAt=None) for number in range(4))
    )
    assert sorted(refusals(payload) for payload in payloads) == [
        [],
        *[[("INVALID_STATE", ["expectedUpdatedAt"])]] * 3,
    ]
    [saved] = [payload["settings"] for payload in payloads if payload["settings"]]
    assert await ada.settings() == saved
    refused = await ada.send("resetSettings", CHANGED, expectedUpdatedAt=None)
    assert refusals(refused) == [("INVALID_STATE", ["expectedUpdatedAt"])]
    # Left out, nobody looks.
    assert (await ada.change(maxOpenTrades=3))["errors"] == []


async def test_what_was_read_before_a_change_is_never_taken_for_what_is_after_it(accounts: Accounts) -> None:
    """The clock stands still, or goes back."""
    ada, root = await make_member(accounts, "ada"), await make_member(accounts, "root", Role.ADMIN)
    seen = [(await ada.settings("updatedAt"))["updatedAt"] or ""]
    changes: list[tuple[Member, str, dict[str, Any]]] = [
        (root, "updateDefaultSettings", {"botName": "house"}),
        (ada, "updateSettings", {"maxOpenTrades": 4}),
        (root, "updateDefaultSettings", {"botName": "home"}),
        (ada, "updateSettings", {"maxOpenTrades": 5}),
    ]
    for member, mutation, given in changes:
        assert (await member.send(mutation, CHANGED, **given))["errors"] == []
        seen.append((await ada.settings("updatedAt"))["updatedAt"])
        accounts.clock.move(seconds=-1)
    assert seen == sorted(set(seen))


async def test_secrets_and_the_chat_take_a_login_session(accounts: Accounts, ada: Member) -> None:
    """Who has got hold of an API token cannot have orders or messages go elsewhere."""
    given: dict[str, Any] = {
        "exchange": {"key": "a-key", "secret": "hidden"},
        "telegram": {"chatId": "1", "token": "1:A"},
    }
    assert (await ada.change(**given))["errors"] == []
    preset = (await ada.send("saveSettingsPreset", "preset { id }", name="x"))["preset"]["id"]
    assert (await ada.change(telegram={"chatId": "2"}))["errors"] == []
    kept = await ada.settings()
    async with accounts.runtime.unit_of_work() as uow:
        spec = ApiTokenSpec("bot", frozenset({TokenScope.READ, TokenScope.TRADE}))
        _, secret = await api_tokens.create_token(uow, ada.actor, spec)

    async def send(mutation: str, **given: Any) -> Any:
        kind, shown = f"{mutation[0].upper()}{mutation[1:]}Input!", "errors { __typename code path }"
        query = f"mutation($input: {kind}) {{ {mutation}(input: $input) {{ {shown} }} }}"
        headers = {"authorization": f"Token {secret}"}
        answer = await accounts.client.execute(query, {"input": given}, headers=headers)
        assert all(each["__typename"] == "ForbiddenError" for each in answer.data[mutation]["errors"])
        return refusals(answer.data[mutation])

    paths = [["exchange", "key"], ["exchange", "secret"], ["telegram", "token"], ["telegram", "chatId"]]
    forbidden = [("FORBIDDEN", path) for path in paths]
    other = {"exchange": {"key": "b-key", "secret": None}, "telegram": {"chatId": "3", "token": "3:B"}}
    for preview in (True, False):
        assert await send("updateSettings", **other, preview=preview, botName="x") == forbidden
    config = {"exchange": {"key": "b-key"}, "telegram": {"chat_id": 3}}
    assert await send("importFreqtradeConfig", config=config) == [forbidden[0], forbidden[3]]
    assert await send("applySettingsPreset", id=preset) == [("FORBIDDEN", ["id"])]
    assert await send("resetSettings") == [("FORBIDDEN", [])]
    assert await ada.settings() == kept
    # All else is what the scope is for.
    assert await send("updateSettings", botName="x", telegram={"chatId": "2"}) == []
    assert (await ada.settings("botName"))["botName"] == "x"


async def test_changes_at_once_to_different_settings_all_hold(ada: Member) -> None:
    given: list[dict[str, Any]] = [
        {"maxOpenTrades": 9},
        {"stoploss": -0.3},
        {"botName": "swarm"},
        {"exchange": {"name": "okx"}},
        {"trailingStop": True},
    ]
    payloads = await asyncio.gather(*(ada.change(**each) for each in given))
    assert [payload["errors"] for payload in payloads] == [[]] * len(given)
    settings = await ada.settings("maxOpenTrades stoploss botName trailingStop exchange { name }")
    assert settings == {
        "maxOpenTrades": 9,
        "stoploss": -0.3,
        "botName": "swarm",
        "trailingStop": True,
        "exchange": {"name": "okx"},
    }
    moments = {payload["settings"]["updatedAt"] for payload in payloads}
    assert len(moments) == len(given)


async def test_of_changes_at_once_that_expect_one_state_one_succeeds(ada: Member) -> None:
    moment = (await ada.change(maxOpenTrades=4))["settings"]["updatedAt"]
    payloads = await asyncio.gather(
        *(ada.change(maxOpenTrades=10 + number, expectedUpdatedAt=moment) for number in range(4))
    )
    assert sorted(bool(payload["settings"]) for payload in payloads) == [False, False, False, True]


async def test_secrets_go_in_and_never_come_out(accounts: Accounts, ada: Member) -> None:
    payload = await ada.change(
        exchange={"key": KEY, "secret": SECRET, "password": "pass-phrase"},
        telegram={"enabled": True, "token": TOKEN, "chatId": "-42"},
    )
    assert payload["errors"] == []
    assert payload["settings"]["exchange"] == {
        **DEFAULTS["exchange"],
        "keyMasked": "AbCd********UvWx",
        "secretSet": True,
        "passwordSet": True,
    }
    assert payload["settings"]["telegram"] == {"enabled": True, "tokenSet": True, "chatId": "-42"}
    shown = str(payload) + str(await ada.settings(f"{SETTINGS} freqtradeConfig"))
    async with accounts.runtime.database.session() as session:
        row = (await session.execute(text("SELECT * FROM user_settings"))).one()
        stored = b" ".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
    for secret in (KEY, SECRET, "pass-phrase", TOKEN):
        assert secret not in shown
        assert secret.encode() not in stored
    assert await audited(accounts) == [
        (
            "TRADING_SECRETS_CHANGED",
            {"fields": ["exchange.key", "exchange.secret", "exchange.password", "telegram.token"]},
        )
    ]
    async with accounts.runtime.unit_of_work() as uow:
        opened = await service.secrets_of(uow, accounts.runtime.keys, ada.actor.user_id)
    assert opened == {
        Secret.EXCHANGE_KEY: KEY,
        Secret.EXCHANGE_SECRET: SECRET,
        Secret.EXCHANGE_PASSWORD: "pass-phrase",
        Secret.TELEGRAM_TOKEN: TOKEN,
    }


async def test_a_short_key_is_not_shown_at_all(ada: Member) -> None:
    payload = await ada.change(exchange={"key": "short-key-12345"})
    assert payload["settings"]["exchange"]["keyMasked"] == "********"


async def test_a_secret_in_anothers_row_does_not_open(accounts: Accounts, ada: Member) -> None:
    eve = await make_member(accounts, "eve")
    for member in (ada, eve):
        await member.change(telegram={"enabled": True, "token": TOKEN, "chatId": "1"})
    async with accounts.runtime.database.session() as session:
        await session.execute(
            text(
                "UPDATE user_settings SET telegram_token = "
                "(SELECT telegram_token FROM user_settings WHERE user_id = :ada) WHERE user_id = :eve"
            ),
            {"ada": ada.actor.user_id, "eve": eve.actor.user_id},
        )
        await session.commit()
    async with accounts.runtime.unit_of_work() as uow:
        keys = accounts.runtime.keys
        assert await service.telegram_target(uow, keys, ada.actor.user_id) == (TOKEN, "1")
        with pytest.raises(DecryptionError):
            await service.telegram_target(uow, keys, eve.actor.user_id)


async def test_secrets_are_sealed_anew_when_keys_are_rotated(accounts: Accounts, ada: Member) -> None:
    await ada.change(exchange={"key": KEY, "secret": SECRET})
    runtime = accounts.runtime
    path = key_ring_file(runtime.settings)
    assert path is not None
    newest = add_key(path)
    ring = open_key_ring(runtime.settings)
    done = {each.column: each.rows for each in await reencrypt(runtime.database, ring, metadata)}
    assert (done["user_settings.exchange_key"], done["user_settings.exchange_password"]) == (1, 0)
    async with runtime.database.session() as session:
        row = (await session.execute(text("SELECT * FROM user_settings"))).one()
    assert key_number(row.exchange_key) == key_number(row.exchange_secret) == newest
    assert row.exchange_password is row.telegram_token is None
    async with runtime.unit_of_work() as uow:
        opened = await service.secrets_of(uow, runtime.keys, ada.actor.user_id)
    assert opened == {Secret.EXCHANGE_KEY: KEY, Secret.EXCHANGE_SECRET: SECRET}


async def test_messages_go_to_telegram_only_where_it_is_on(accounts: Accounts, ada: Member) -> None:
    async def target() -> tuple[str, str] | None:
        async with accounts.runtime.unit_of_work() as uow:
            return await service.telegram_target(uow, accounts.runtime.keys, ada.actor.user_id)

    assert await target() is None
    await ada.change(telegram={"token": TOKEN, "chatId": "42"})
    assert await target() is None
    await ada.change(telegram={"enabled": True})
    assert await target() == (TOKEN, "42")
    refused = await ada.change(telegram={"token": None})
    assert refusals(refused) == [("INVALID_INPUT", ["telegram", "token"])]
    assert await target() == (TOKEN, "42")
    await ada.change(telegram={"enabled": False})
    assert await target() is None


async def test_a_reset_forgets_everything_secrets_too(accounts: Accounts, ada: Member) -> None:
    await ada.change(maxOpenTrades=9, exchange={"key": KEY})
    previewed = await ada.send("resetSettings", CHANGED, preview=True)
    payload = await ada.send("resetSettings", CHANGED)
    assert previewed == payload
    assert payload == {
        "settings": DEFAULTS,
        "changes": [
            {"field": "maxOpenTrades", "old": 9, "new": 3, "secret": False},
            {"field": "exchange.key", "old": None, "new": None, "secret": True},
        ],
        "errors": [],
    }
    assert await ada.settings() == DEFAULTS
    assert await ada.send("resetSettings", CHANGED) == {"settings": DEFAULTS, "changes": [], "errors": []}
    async with accounts.runtime.unit_of_work() as uow:
        assert await service.secrets_of(uow, accounts.runtime.keys, ada.actor.user_id) == {}
    assert [action for action, _ in await audited(accounts)] == ["TRADING_SECRETS_CHANGED"] * 2


async def test_defaults_reach_whoever_has_not_changed_a_setting(accounts: Accounts, ada: Member) -> None:
    root, eve = await make_member(accounts, "root", Role.ADMIN), await make_member(accounts, "eve")
    await ada.change(stoploss=-0.5, trailingStop=True)
    payload = await root.send(
        "updateDefaultSettings",
        CHANGED,
        stoploss=-0.2,
        trailingStopPositive=0.5,
        botName="house",
        exchange={"pairWhitelist": ["BTC/EUR"]},
    )
    assert payload["errors"] == []
    assert [change["field"] for change in payload["changes"]] == [
        "stoploss",
        "trailingStopPositive",
        "botName",
        "exchange.pairWhitelist",
    ]
    shown = "stoploss trailingStop trailingStopPositive botName isDefault exchange { pairWhitelist }"
    house = {"botName": "house", "exchange": {"pairWhitelist": ["BTC/EUR"]}}
    assert await eve.settings(shown) == {
        **house,
        "stoploss": -0.2,
        "trailingStop": False,
        "trailingStopPositive": 0.5,
        "isDefault": True,
    }
    # What is judged together is kept together: a changed default does not mix with Ada's trailing stop.
    assert await ada.settings(shown) == {
        **house,
        "stoploss": -0.5,
        "trailingStop": True,
        "trailingStopPositive": None,
        "isDefault": False,
    }
    fields = ["stoploss", "trailingStopPositive", "botName", "exchange.pairWhitelist"]
    assert await audited(accounts) == [("DEFAULT_SETTINGS_CHANGED", {"fields": fields})]
    stale = await ada.change(botName="x", expectedUpdatedAt="2020-01-01T00:00:00Z")
    assert refusals(stale) == [("INVALID_STATE", ["expectedUpdatedAt"])]
    moment = payload["settings"]["updatedAt"]
    assert (await eve.change(botName="x", expectedUpdatedAt=moment))["errors"] == []


async def test_defaults_are_judged_like_settings_and_never_trade_live(accounts: Accounts) -> None:
    root = await make_member(accounts, "root", Role.ADMIN)
    payload = await root.send(
        "updateDefaultSettings", CHANGED, dryRun=False, stoploss=1, exchange={"pairWhitelist": []}
    )
    assert refusals(payload) == [
        ("FORBIDDEN", ["dryRun"]),
        ("INVALID_INPUT", ["stoploss"]),
        ("INVALID_INPUT", ["exchange", "pairWhitelist"]),
    ]
    previewed = await root.send("updateDefaultSettings", CHANGED, maxOpenTrades=1, preview=True)
    assert previewed["settings"]["maxOpenTrades"] == 1
    assert await root.settings() == DEFAULTS
    await root.send("updateDefaultSettings", CHANGED, maxOpenTrades=1)
    again = await root.send("updateDefaultSettings", CHANGED, expectedUpdatedAt="2020-01-01T00:00:00Z")
    assert refusals(again) == [("INVALID_STATE", ["expectedUpdatedAt"])]


async def test_reading_and_changing_take_the_same_statements_however_much_is_set(
    accounts: Accounts, ada: Member
) -> None:
    eve = await make_member(accounts, "eve")
    await ada.change(
        maxOpenTrades=9, exchange={"key": KEY, "pairWhitelist": ["BTC/USDT"]}, minimalRoi={"0": 1}
    )
    await eve.change(botName="x")
    counts = []
    for member in (ada, eve):
        with counted_statements(accounts.runtime.database.engine) as read:
            await member.settings()
        with counted_statements(accounts.runtime.database.engine) as written:
            await member.change(stoploss=-0.15)
        counts.append((len(read), len(written)))
    assert counts[0] == counts[1]
    # Of these, three of a reading and one of a change find out who asks.
    assert counts[0] == (4, 5), (read, written)
