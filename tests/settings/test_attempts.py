"""Every attempt to change settings leaves a structured event, and no event has a secret."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from gql_trader.core.actor import Role
from gql_trader.settings import attempts, schema_inputs, service
from gql_trader.settings.freqtrade_import import Imported, from_config
from tests.accounts.accounts_api import Accounts
from tests.settings.live_trader import Trader
from tests.settings.settings_api import CHANGED, Member, make_member

KEY, SECRET, TOKEN = "AbCdEfGhIjKlMnOpQrStUvWx", "a-secret-of-binance", "123456:ABC-DEF1234ghIkl"


@pytest.fixture(autouse=True)
def captured_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the logger anew, since one that has been used keeps how it was configured."""
    import structlog

    monkeypatch.setattr(attempts, "_log", structlog.get_logger(attempts.__name__))


def events(logs: list[Any]) -> list[dict[str, Any]]:
    """Return the events of attempts."""
    return [dict(each) for each in logs if each["event"] == attempts.EVENT]


async def test_each_attempt_tells_who_what_and_how_it_ended(ada: Member) -> None:
    with capture_logs() as logs:
        await ada.change(stoploss=-0.2, maxOpenTrades=3, exchange={"key": KEY, "secret": SECRET})
        await ada.change(preview=True, botName="x")
        await ada.change(stoploss=-0.2)
        await ada.change(stoploss=0.2, telegram={"token": TOKEN, "enabled": True})
        await ada.change(dryRun=False, totpCode="123456")
        await ada.change(botName="x", expectedUpdatedAt="2020-01-01T00:00:00Z")
        await ada.send("resetSettings", CHANGED)
    user = {"event": "settings_update", "user_id": str(ada.actor.user_id)}
    update = {**user, "action": "updateSettings"}
    refused = {**update, "log_level": "warning", "outcome": "refused", "changed": []}
    assert events(logs) == [
        {
            **update,
            "log_level": "info",
            "outcome": "saved",
            "given": ["exchange.key", "exchange.secret", "maxOpenTrades", "stoploss"],
            "changed": ["stoploss", "exchange.key", "exchange.secret"],
        },
        {
            **update,
            "log_level": "info",
            "outcome": "previewed",
            "given": ["botName"],
            "changed": ["botName"],
        },
        {**update, "log_level": "info", "outcome": "unchanged", "given": ["stoploss"], "changed": []},
        {
            **refused,
            "codes": ["INVALID_INPUT"],
            "given": ["stoploss", "telegram.enabled", "telegram.token"],
        },
        {**refused, "codes": ["FORBIDDEN"], "given": ["dryRun"]},
        {**refused, "codes": ["INVALID_STATE"], "given": ["botName"]},
        {
            **user,
            "action": "resetSettings",
            "log_level": "info",
            "outcome": "saved",
            "given": [],
            "changed": ["stoploss", "exchange.key", "exchange.secret"],
        },
    ]
    for secret in (KEY, SECRET, TOKEN, "123456"):
        assert secret not in str(logs)


async def test_an_attempt_that_breaks_is_told_too(
    accounts: Accounts, ada: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("the database is on fire")

    monkeypatch.setattr(service, "_read", broken)
    with capture_logs() as logs:
        query = 'mutation { updateSettings(input: {botName: "x"}) { errors { code } } }'
        answer = await accounts.client.signed_in(ada.token).execute(query)
    assert answer.codes == ["INTERNAL"]
    [event] = events(logs)
    assert (event["outcome"], event["given"], event["changed"]) == ("failed", ["botName"], [])


async def test_an_import_that_cannot_even_be_read_is_told_too(
    accounts: Accounts, ada: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a configuration nobody thought of")

    monkeypatch.setattr(schema_inputs, "from_config", broken)
    with capture_logs() as logs:
        query = "mutation { importFreqtradeConfig(input: {config: {}}) { errors { code } } }"
        answer = await accounts.client.signed_in(ada.token).execute(query)
    assert answer.codes == ["INTERNAL"]
    [event] = events(logs)
    assert (event["action"], event["outcome"], event["given"]) == ("importFreqtradeConfig", "failed", [])


async def test_a_configuration_is_read_once(ada: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def counted(config: Any, **given: Any) -> Imported:
        read.append(config)
        return from_config(config, **given)

    monkeypatch.setattr(schema_inputs, "from_config", counted)
    payload = await ada.send("importFreqtradeConfig", CHANGED, config={"stoploss": -0.2})
    assert (payload["errors"], read) == ([], [{"stoploss": -0.2}])


async def test_changes_of_the_defaults_are_told(accounts: Accounts) -> None:
    root = await make_member(accounts, "root", Role.ADMIN)
    with capture_logs() as logs:
        await root.send("updateDefaultSettings", CHANGED, botName="house")
    [event] = events(logs)
    assert (event["action"], event["outcome"], event["changed"]) == (
        "updateDefaultSettings",
        "saved",
        ["botName"],
    )


async def test_changes_of_preferences_are_told(ada: Member) -> None:
    fields = "preferences { theme }"
    with capture_logs() as logs:
        await ada.send("updatePreferences", fields, theme="DARK", defaultCapital="10000", maxDrawdown=None)
        await ada.send("updatePreferences", fields, timezone="nowhere")
    common = {"event": "settings_update", "user_id": str(ada.actor.user_id), "action": "updatePreferences"}
    assert events(logs) == [
        {
            **common,
            "log_level": "info",
            "outcome": "saved",
            "given": ["defaultCapital", "theme"],
            "changed": ["theme"],
        },
        {
            **common,
            "log_level": "warning",
            "outcome": "refused",
            "codes": ["INVALID_INPUT"],
            "given": ["timezone"],
            "changed": [],
        },
    ]


async def test_attempts_that_are_refused_before_they_begin_are_told(accounts: Accounts, ada: Member) -> None:
    vera = await make_member(accounts, "vera", Role.VIEWER)
    exchange = 'exchange: {key: "SeCrEtSeCrEtSeCrEt"}'
    query = f"mutation {{ updateSettings(input: {{stoploss: -0.5, {exchange}}}) {{ errors {{ code }} }} }}"
    with capture_logs() as logs:
        assert (await accounts.client.execute(query)).codes == ["UNAUTHENTICATED"]
        assert (await accounts.client.signed_in(vera.token).execute(query)).codes == ["FORBIDDEN"]
        await ada.send("importFreqtradeConfig", CHANGED, config={"stoploss": -0.2, "dry_run_wallet": 5})
        await ada.send("importFreqtradeConfig", CHANGED, config=["no configuration"])
        await ada.send("applySettingsPreset", CHANGED, id="bm9uc2Vuc2U=")
    found = [
        (event["action"], event["user_id"], event["outcome"], event.get("codes"), event["given"])
        for event in events(logs)
    ]
    given, ada_id = ["exchange.key", "stoploss"], str(ada.actor.user_id)
    assert found == [
        ("updateSettings", None, "refused", ["UNAUTHENTICATED"], given),
        ("updateSettings", str(vera.actor.user_id), "refused", ["FORBIDDEN"], given),
        ("importFreqtradeConfig", ada_id, "saved", None, ["dryRunWallet", "stoploss"]),
        ("importFreqtradeConfig", ada_id, "refused", ["INVALID_INPUT"], []),
        ("applySettingsPreset", ada_id, "refused", ["INVALID_INPUT"], []),
    ]
    assert "SeCrEt" not in str(logs)


async def test_attempts_beyond_the_limit_are_told(accounts: Accounts) -> None:
    tess = await Trader.make(accounts)
    for _ in range(5):
        await tess.go_live(totpCode="abc")
    query = 'mutation { updateSettings(input: {dryRun: false, totpCode: "abc"}) { errors { code } } }'
    with capture_logs() as logs:
        answer = await accounts.client.signed_in(tess.member.token).execute(query)
    assert answer.codes == ["RATE_LIMITED"]
    [event] = events(logs)
    assert (event["outcome"], event["codes"], event["given"]) == ("refused", ["RATE_LIMITED"], ["dryRun"])
