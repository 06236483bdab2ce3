"""What settings may be: each rule alone, rules across fields, and all problems at once."""

from typing import Any

from tests.accounts.accounts_api import refusals
from tests.settings.settings_api import Member

PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----"


OUT_OF_BOUNDS: list[tuple[dict[str, Any], str]] = [
    ({"maxOpenTrades": -2}, "maxOpenTrades"),
    ({"stakeCurrency": ""}, "stakeCurrency"),
    ({"stakeCurrency": "US DT"}, "stakeCurrency"),
    ({"stakeAmount": {"fixed": "0.00009"}}, "stakeAmount"),
    ({"stakeAmount": {"fixed": "-1"}}, "stakeAmount"),
    ({"stakeAmount": {"unlimited": False}}, "stakeAmount.unlimited"),
    ({"tradableBalanceRatio": 1.01}, "tradableBalanceRatio"),
    ({"tradableBalanceRatio": -0.1}, "tradableBalanceRatio"),
    ({"tradingMode": "FUTURES"}, "marginMode"),
    ({"tradingMode": "MARGIN"}, "marginMode"),
    ({"dryRunWallet": "0"}, "dryRunWallet"),
    ({"minimalRoi": {}}, "minimalRoi"),
    ({"minimalRoi": [1]}, "minimalRoi"),
    ({"minimalRoi": {"1.5": 0.1}}, "minimalRoi"),
    ({"minimalRoi": {"-1": 0.1}}, "minimalRoi"),
    ({"minimalRoi": {"0": "0.1"}}, "minimalRoi"),
    ({"minimalRoi": {"0": True}}, "minimalRoi"),
    ({"minimalRoi": {"0": 0.1, "00": 0.2}}, "minimalRoi"),
    ({"stoploss": 0}, "stoploss"),
    ({"stoploss": 0.1}, "stoploss"),
    ({"trailingStopPositive": 1.1}, "trailingStopPositive"),
    ({"trailingStopPositiveOffset": -0.1}, "trailingStopPositiveOffset"),
    ({"fiatDisplayCurrency": "XXX"}, "fiatDisplayCurrency"),
    ({"botName": ""}, "botName"),
    ({"botName": "x" * 101}, "botName"),
    ({"exchange": {"name": "Binance"}}, "exchange.name"),
    ({"exchange": {"name": "../etc"}}, "exchange.name"),
    ({"exchange": {"name": "nasdaq"}}, "exchange.name"),
    ({"exchange": {"name": "base"}}, "exchange.name"),
    ({"exchange": {"pairWhitelist": []}}, "exchange.pairWhitelist"),
    ({"exchange": {"pairWhitelist": ["BTC/USDT", "BTC/USDT"]}}, "exchange.pairWhitelist"),
    ({"exchange": {"pairWhitelist": ["BTC"]}}, "exchange.pairWhitelist"),
    ({"exchange": {"pairBlacklist": ["(BTC/USDT"]}}, "exchange.pairBlacklist"),
    ({"exchange": {"pairBlacklist": [f"A{n}/B" for n in range(501)]}}, "exchange.pairBlacklist"),
    # What takes long to compile never is.
    ({"exchange": {"pairBlacklist": ["(?i)[\U00010000-\U0010ffff]/.*"]}}, "exchange.pairBlacklist"),
    ({"exchange": {"pairBlacklist": ["[ä-ß]/.*"]}}, "exchange.pairBlacklist"),
    ({"exchange": {"pairBlacklist": ["(?P<a>BTC)/.*"]}}, "exchange.pairBlacklist"),
    ({"exchange": {"pairBlacklist": [f"{n:04}/{'.' * 90}" for n in range(60)]}}, "exchange.pairBlacklist"),
    ({"exchange": {"pairBlacklist": ["A{99999999999}/.*"]}}, "exchange.pairBlacklist"),
    ({"exchange": {"key": ""}}, "exchange.key"),
    ({"exchange": {"key": "two words"}}, "exchange.key"),
    ({"exchange": {"secret": " padded "}}, "exchange.secret"),
    ({"exchange": {"secret": "bell\u0007"}}, "exchange.secret"),
    ({"exchange": {"password": "x" * 4097}}, "exchange.password"),
    ({"telegram": {"token": "123456/getMe"}}, "telegram.token"),
    ({"telegram": {"chatId": "@me"}}, "telegram.chatId"),
]
AT_THE_EDGE: list[dict[str, Any]] = [
    {"maxOpenTrades": -1},
    {"maxOpenTrades": 0},
    {"stakeAmount": {"fixed": "0.0001"}},
    {"stakeAmount": {"unlimited": True}},
    {"tradableBalanceRatio": 0},
    {"tradableBalanceRatio": 1},
    {"tradingMode": "FUTURES", "marginMode": "CROSS"},
    {"marginMode": "ISOLATED"},
    {"minimalRoi": {"0": 0.1, "120": -1, "240": 0}},
    {"stoploss": -0.0001},
    {"stoploss": -1.5},
    {"trailingStopPositive": 0},
    {"trailingStopPositive": 0.2, "trailingStopPositiveOffset": 0.1},
    {"trailingOnlyOffsetIsReached": True},
    {"exchange": {"pairBlacklist": ["BNB/.*", ".*(UP|DOWN)/USDT", "BTC/USDT:USDT"]}},
    {"exchange": {"pairBlacklist": ["^(1000)?[A-Z_]{1,9}-3[SL]+/(USDT|BTC)$", "[[]/.*", "币安人生/USDT"]}},
    {"exchange": {"pairBlacklist": [f"{number:04}/{'.' * 5}" for number in range(500)]}},
    {"exchange": {"secret": PEM}},
]
NOT_TOGETHER: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({"maxOpenTrades": -1}, {"stakeAmount": {"unlimited": True}}, ["maxOpenTrades"]),
    ({"stakeAmount": {"unlimited": True}}, {"maxOpenTrades": -1}, ["maxOpenTrades"]),
    ({}, {"trailingStop": True, "trailingStopPositive": 0}, ["trailingStopPositive"]),
    ({"trailingStopPositive": 0}, {"trailingStop": True}, ["trailingStopPositive"]),
    (
        {"trailingStop": True, "trailingStopPositive": 0.02},
        {"trailingStopPositiveOffset": 0.02},
        ["trailingStopPositiveOffset"],
    ),
    (
        {"trailingStopPositiveOffset": 0.02},
        {"trailingStop": True, "trailingOnlyOffsetIsReached": True},
        ["trailingOnlyOffsetIsReached"],
    ),
    (
        {},
        {"trailingStop": True, "trailingStopPositive": 0, "trailingOnlyOffsetIsReached": True},
        ["trailingStopPositive", "trailingOnlyOffsetIsReached"],
    ),
    ({"tradingMode": "MARGIN", "marginMode": "CROSS"}, {"marginMode": None}, ["marginMode"]),
    ({}, {"telegram": {"enabled": True}}, ["telegram.token", "telegram.chatId"]),
]


async def test_a_value_out_of_bounds_is_refused_with_its_path(ada: Member) -> None:
    for given, path in OUT_OF_BOUNDS:
        payload = await ada.change(**given)
        assert refusals(payload) == [("INVALID_INPUT", path.split("."))], given
        assert payload["settings"] is None
    assert (await ada.settings("isDefault"))["isDefault"] is True


async def test_a_value_at_the_edge_is_accepted(ada: Member) -> None:
    for given in AT_THE_EDGE:
        assert (await ada.change(**given, preview=True))["errors"] == [], given


async def test_settings_that_do_not_go_together_are_refused(ada: Member) -> None:
    for before, given, paths in NOT_TOGETHER:
        await ada.send("resetSettings", "settings { isDefault }")
        assert (await ada.change(**before))["errors"] == [], before
        kept = await ada.settings()
        refused = await ada.change(**given)
        assert refusals(refused) == [("INVALID_INPUT", path.split(".")) for path in paths], given
        assert await ada.settings() == kept


async def test_an_offset_above_the_distance_is_accepted(ada: Member) -> None:
    payload = await ada.change(
        trailingStop=True,
        trailingStopPositive=0.02,
        trailingStopPositiveOffset=0.03,
        trailingOnlyOffsetIsReached=True,
    )
    assert payload["errors"] == []


async def test_all_problems_are_told_at_once_and_nothing_is_changed(ada: Member) -> None:
    payload = await ada.change(
        maxOpenTrades=-1,
        stakeAmount={"unlimited": True},
        stoploss=0.5,
        trailingStop=True,
        trailingStopPositive=0.3,
        trailingStopPositiveOffset=0.1,
        botName="good",
        exchange={"pairWhitelist": [], "key": ""},
        telegram={"token": "bad"},
    )
    assert payload["settings"] is None
    assert payload["changes"] == []
    assert refusals(payload) == [
        ("INVALID_INPUT", ["stoploss"]),
        ("INVALID_INPUT", ["exchange", "key"]),
        ("INVALID_INPUT", ["telegram", "token"]),
        ("INVALID_INPUT", ["maxOpenTrades"]),
        ("INVALID_INPUT", ["exchange", "pairWhitelist"]),
        ("INVALID_INPUT", ["trailingStopPositiveOffset"]),
    ]
    assert (await ada.settings("isDefault botName")) == {"isDefault": True, "botName": "gql_trader"}


async def test_a_refusal_does_not_repeat_a_secret(ada: Member) -> None:
    payload = await ada.change(exchange={"secret": " s3cret-with-space"}, telegram={"token": "tok3n"})
    assert "s3cret" not in str(payload)
    assert "tok3n" not in str(payload)
