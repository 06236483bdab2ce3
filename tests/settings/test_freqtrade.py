"""Settings as Freqtrade's config.json: what is exported it accepts, and what it has comes in."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gql_trader.core.errors import InvalidInput
from gql_trader.core.intervals import Interval
from gql_trader.settings.fields import FIAT_CURRENCIES, FIELDS, decode, encode
from gql_trader.settings.freqtrade import to_config
from gql_trader.settings.freqtrade_import import from_config
from gql_trader.settings.rules import check_change, check_together
from gql_trader.settings.types import (
    Ignored,
    MarginMode,
    Secret,
    SettingsChange,
    TradingMode,
    TradingSettings,
)
from tests.accounts.accounts_api import Accounts, refusals
from tests.settings.live_trader import Trader
from tests.settings.settings_api import CHANGED, Member

PYTHON = Path(
    os.environ.get("FREQTRADE_PYTHON", Path(__file__).parents[2] / ".ci" / "freqtrade" / "bin" / "python")
)
JUDGE = Path(__file__).parent / "freqtrade_judge.py"

FRACTIONS = st.floats(0, 1)
PAIRS = st.lists(
    st.sampled_from(["BTC/USDT", "ETH/BTC", "BTC/USDT:USDT", "BNB/.*", "kPEPE/USDC:USDC", ".*(UP|DOWN)/EUR"]),
    max_size=6,
    unique=True,
).map(tuple)
TEXTS = st.text("abcXYZ 09_-äß€", min_size=1, max_size=20).map(str.strip).filter(bool)
SETTINGS = st.builds(
    TradingSettings,
    max_open_trades=st.just(-1) | st.integers(0, 1000),
    stake_currency=st.sampled_from(["USDT", "BTC", "EUR", "USDe"]),
    stake_amount=st.none() | st.decimals("0.0001", "1e9", places=4),
    tradable_balance_ratio=FRACTIONS,
    trading_mode=st.sampled_from(TradingMode),
    margin_mode=st.none() | st.sampled_from(MarginMode),
    dry_run=st.booleans(),
    dry_run_wallet=st.decimals("0.01", "1e12", places=2),
    timeframe=st.none() | st.sampled_from(Interval),
    minimal_roi=st.dictionaries(
        st.integers(0, 9_999_999).map(str), st.floats(-1, 10), min_size=1, max_size=5
    ),
    stoploss=st.floats(-2, 0, exclude_max=True).filter(bool),
    trailing_stop=st.booleans(),
    # Few values, so that some meet: what goes together is judged by both.
    trailing_stop_positive=st.none() | st.sampled_from([0.0, 0.01, 0.02]) | FRACTIONS,
    trailing_stop_positive_offset=st.sampled_from([0.0, 0.01, 0.02]) | FRACTIONS,
    trailing_only_offset_is_reached=st.booleans(),
    fiat_display_currency=st.sampled_from(sorted(FIAT_CURRENCIES)),
    bot_name=TEXTS,
    exchange_name=st.sampled_from(["binance", "kraken", "okx", "gate"]),
    pair_whitelist=PAIRS,
    pair_blacklist=PAIRS,
    telegram_enabled=st.booleans(),
    telegram_chat_id=st.none() | st.integers(-(10**15), 10**15).map(str),
)
SECRETS = st.fixed_dictionaries(
    {},
    optional={
        Secret.EXCHANGE_KEY: st.text("abc-+/=", min_size=1),
        Secret.EXCHANGE_SECRET: TEXTS,
        Secret.EXCHANGE_PASSWORD: TEXTS,
        Secret.TELEGRAM_TOKEN: st.integers(1, 10**12).map(lambda number: f"{number}:ABC-def_1"),
    },
)
# Rules of ours that go further than the schema: Freqtrade finds these out when it has started.
OUR_OWN_RULES = {("marginMode",), ("telegram", "token"), ("telegram", "chatId")}


class Freqtrade:
    """The real one, judging configurations in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._to: IO[str] = process.stdin
        self._from: IO[str] = process.stdout
        self.version = self._from.readline().strip()

    def problem(self, config: dict[str, Any]) -> str:
        """Return what it says against a configuration; empty if nothing."""
        print(json.dumps(config), file=self._to, flush=True)
        line = self._from.readline()
        assert line.endswith("\n"), "the judge has died"
        return line.strip()


@pytest.fixture(scope="module")
def freqtrade() -> Iterator[Freqtrade]:
    """Freqtrade's schema and checks, where they are installed."""
    if not PYTHON.exists():
        pytest.skip(
            "no Freqtrade: .ci/run installs it apart, or set FREQTRADE_PYTHON to a Python that has it"
        )
    with subprocess.Popen(
        [PYTHON, JUDGE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        judge = Freqtrade(process)
        assert judge.version
        yield judge
        assert process.stdin is not None
        process.stdin.close()


@settings(max_examples=300, deadline=None)
@given(values=SETTINGS, secrets=SECRETS)
def test_freqtrade_accepts_what_we_accept_and_refuses_what_we_refuse(
    freqtrade: Freqtrade, values: TradingSettings, secrets: dict[Secret, str]
) -> None:
    alone = SettingsChange({each.name: getattr(values, each.name) for each in FIELDS}, secrets)
    assert check_change(alone) == []
    together = {error.path for error in check_together(values, frozenset(secrets))}
    for known in ({}, secrets):
        problem = freqtrade.problem(to_config(values, known))
        assert bool(problem) == bool(together - OUR_OWN_RULES), (problem, together)


def test_freqtrade_accepts_the_defaults_and_notices_what_is_wrong(freqtrade: Freqtrade) -> None:
    config = to_config(TradingSettings())
    assert freqtrade.problem(config) == ""
    mistakes: list[dict[str, Any]] = [
        {"stoploss": 0.1},
        {"stake_amount": "unlimited", "max_open_trades": -1},
        {"exchange": {}},
        {"fiat_display_currency": "XXX"},
    ]
    for wrong in mistakes:
        assert freqtrade.problem({**config, **wrong}) != ""
    for missing in ("entry_pricing", "exit_pricing", "pairlists", "minimal_roi", "max_open_trades"):
        assert "required property" in freqtrade.problem({k: v for k, v in config.items() if k != missing})


@settings(max_examples=200, deadline=None)
@given(values=SETTINGS, secrets=SECRETS)
def test_what_is_exported_comes_in_again(values: TradingSettings, secrets: dict[Secret, str]) -> None:
    config = json.loads(json.dumps(to_config(values, secrets)))
    imported = from_config(config, totp_code="123456")
    assert [part for part in imported.ignored if part.path != ("exchange", "pair_whitelist")] == []
    assert imported.change.secrets == secrets
    # What the export leaves open is not mentioned, and therefore not changed.
    before = replace(TradingSettings(), timeframe=None, trailing_stop_positive=None, pair_whitelist=())
    assert replace(before, **imported.change.values) == values


@settings(max_examples=100, deadline=None)
@given(values=SETTINGS)
def test_what_is_stored_is_read_again(values: TradingSettings) -> None:
    stored = json.loads(json.dumps(encode(values)))
    assert decode(TradingSettings(), stored) == values
    assert decode(values, {}) == values
    assert decode(values, {"a_field_of_a_later_release": 1}) == values


async def test_the_configuration_is_shown_complete_with_blank_secrets(ada: Member) -> None:
    await ada.change(
        stakeAmount={"fixed": "12.5"},
        timeframe="H1",
        exchange={"key": "AbCdEfGhIjKlMnOpQrStUvWx", "secret": "hidden", "name": "okx"},
    )
    config = (await ada.settings("freqtradeConfig"))["freqtradeConfig"]
    assert config == to_config(
        TradingSettings(stake_amount=Decimal("12.5"), timeframe=Interval.H1, exchange_name="okx")
    )
    assert (config["stake_amount"], config["timeframe"]) == (12.5, "1h")
    assert config["exchange"]["key"] == config["exchange"]["secret"] == config["telegram"]["token"] == ""
    assert config["dry_run"] is True


CONFIG: dict[str, Any] = {
    "$schema": "https://schema.freqtrade.io/schema.json",
    "max_open_trades": 5,
    "stake_currency": "EUR",
    "stake_amount": "unlimited",
    "dry_run": False,
    "dry_run_wallet": {"EUR": 500},
    "timeframe": "3d",
    "stoploss": 0.1,
    "minimal_roi": {"0": 0.05},
    "exchange": {
        "name": "kraken",
        "key": "",
        "secret": "a-new-secret",
        "uid": "u-1",
        "pair_whitelist": ["BTC/EUR"],
        "ccxt_config": {},
    },
    "pairlists": [{"method": "VolumePairList", "number_assets": 20}],
    "telegram": {"enabled": False, "token": "not a token", "chat_id": 42},
    "entry_pricing": {"price_side": "other", "use_order_book": True},
    "api_server": {"enabled": True, "password": "hunter2"},
}


async def test_an_import_fills_the_settings_and_lists_what_it_cannot_take(ada: Member) -> None:
    await ada.change(exchange={"key": "AbCdEfGhIjKlMnOpQrStUvWx"})
    fields = f"{CHANGED} ignored {{ path reason }}"
    previewed = await ada.send("importFreqtradeConfig", fields, config=CONFIG, preview=True)
    assert (await ada.settings("maxOpenTrades"))["maxOpenTrades"] == 3
    payload = await ada.send("importFreqtradeConfig", fields, config=CONFIG)
    assert payload["errors"] == []
    assert payload["changes"] == previewed["changes"]
    assert [change["field"] for change in payload["changes"]] == [
        "maxOpenTrades",
        "stakeCurrency",
        "stakeAmount",
        "dryRunWallet",
        "minimalRoi",
        "exchange.name",
        "exchange.pairWhitelist",
        "telegram.chatId",
        "exchange.secret",
    ]
    settings = await ada.settings()
    assert settings == payload["settings"]
    assert (settings["stakeAmount"], settings["dryRunWallet"]) == (
        {"__typename": "UnlimitedStake", "unlimited": True},
        "500",
    )
    assert (settings["timeframe"], settings["stoploss"], settings["dryRun"]) == ("M5", -0.1, True)
    # A blank key forgets none.
    assert settings["exchange"]["keyMasked"] == "AbCd********UvWx"
    assert settings["exchange"]["secretSet"] is True
    ignored = {tuple(part["path"]): part["reason"] for part in payload["ignored"]}
    assert set(ignored) == {
        ("dry_run",),
        ("timeframe",),
        ("stoploss",),
        ("exchange", "uid"),
        ("pairlists",),
        ("telegram", "token"),
        ("entry_pricing", "price_side"),
        ("api_server", "enabled"),
        ("api_server", "password"),
    }
    assert "code of the second factor" in ignored[("dry_run",)]
    for secret in ("hunter2", "not a token", "a-new-secret", "u-1"):
        assert secret not in str(payload)


async def test_an_empty_whitelist_leaves_the_pairs_that_there_are(ada: Member) -> None:
    config = {"exchange": {"name": "okx", "pair_whitelist": []}, "pairlists": [{"method": "VolumePairList"}]}
    fields = f"{CHANGED} ignored {{ path }}"
    payload = await ada.send("importFreqtradeConfig", fields, config=config)
    assert payload["errors"] == []
    assert payload["settings"]["exchange"]["name"] == "okx"
    assert payload["settings"]["exchange"]["pairWhitelist"] == ["BTC/USDT", "ETH/USDT"]
    assert payload["ignored"] == [{"path": ["exchange", "pair_whitelist"]}, {"path": ["pairlists"]}]


async def test_what_does_not_go_together_is_not_imported(ada: Member) -> None:
    config = {"max_open_trades": -1, "stake_amount": "unlimited", "trailing_stop": True}
    payload = await ada.send("importFreqtradeConfig", CHANGED, config=config)
    assert (payload["settings"], refusals(payload)) == (None, [("INVALID_INPUT", ["maxOpenTrades"])])
    assert (await ada.settings("isDefault"))["isDefault"] is True


async def test_live_trading_is_imported_with_a_code_only(accounts: Accounts, ada: Member) -> None:
    tess = await Trader.make(accounts)
    fields = f"{CHANGED} ignored {{ path }}"
    ignored = await tess.member.send("importFreqtradeConfig", fields, config={"dry_run": False})
    assert (ignored["changes"], ignored["ignored"]) == ([], [{"path": ["dry_run"]}])
    refused = await ada.send("importFreqtradeConfig", fields, config={"dry_run": False}, totpCode="123456")
    assert refusals(refused) == [("FORBIDDEN", ["dryRun"])]
    taken = await tess.member.send(
        "importFreqtradeConfig", fields, config={"dry_run": False}, totpCode=tess.code()
    )
    assert (taken["errors"], taken["settings"]["dryRun"], taken["ignored"]) == ([], False, [])


@pytest.mark.parametrize("config", [[], "x", 1, None, {f"k{n}": 1 for n in range(5001)}], ids=type)
def test_what_is_no_configuration_is_refused(config: object) -> None:
    with pytest.raises(InvalidInput):
        from_config(config)


@pytest.mark.parametrize(
    "part",
    [
        {"max_open_trades": 1.5},
        {"max_open_trades": True},
        {"stake_amount": float("nan")},
        {"stake_amount": float("inf")},
        {"stake_amount": 10**400},
        {"stake_amount": "lots"},
        {"dry_run_wallet": {"USDT": 1, "EUR": 2}},
        {"dry_run": "no"},
        {"minimal_roi": {"zero": 1}},
        {"trading_mode": "options"},
        {"margin_mode": 7},
        {"stoploss": "-0.1"},
        {"timeframe": ["5m"]},
        {"bot_name": None},
        {"deep": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": 1}}}}}}}}}},
    ],
    ids=str,
)
def test_a_value_of_the_wrong_kind_is_ignored_with_a_reason(part: dict[str, Any]) -> None:
    imported = from_config(part)
    assert dict(imported.change.values) == {}
    [ignored] = imported.ignored
    assert isinstance(ignored, Ignored)
    assert ignored.path[0] == next(iter(part))
    assert ignored.reason


@pytest.mark.parametrize(
    "config",
    [
        {"stake_currency": [], "dry_run_wallet": {"USDT": 1}},
        {"stake_currency": {}, "dry_run_wallet": {"USDT": 1}},
        {"dry_run_wallet": {"USDT": 1}},
    ],
    ids=str,
)
def test_a_wallet_needs_a_stake_currency_that_is_one(config: dict[str, Any]) -> None:
    imported = from_config(config)
    assert dict(imported.change.values) == {}
    assert [each.path[0] for each in imported.ignored] == list(config)


@pytest.mark.parametrize(
    "path", [("trading_mode",), ("margin_mode",), ("timeframe",), ("minimal_roi", "0"), ("exchange", "name")]
)
def test_what_is_nested_too_deeply_for_a_text_is_ignored(path: tuple[str, ...]) -> None:
    value: Any = []
    for _ in range(5000):
        value = [value]
    for key in reversed(path):
        value = {key: value}
    [ignored] = from_config(value).ignored
    assert ignored.path[0] == path[0]


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("USDT"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
SECTIONS = {name: set(part) for name, part in to_config(TradingSettings()).items() if isinstance(part, dict)}


def section(names: set[str]) -> st.SearchStrategy[Any]:
    """Return anything, or an object of keys that are known, with anything in them."""
    return ANY_JSON | st.dictionaries(st.sampled_from(sorted(names)), ANY_JSON, max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    config=st.fixed_dictionaries(
        {},
        optional={
            name: section(SECTIONS[name] | {"USDT"} if name in SECTIONS else {"USDT", "0"})
            for name in to_config(TradingSettings())
        },
    )
)
def test_whatever_a_configuration_has_every_setting_taken_over_is_good(config: dict[str, Any]) -> None:
    imported = from_config(config, totp_code="123456")
    assert check_change(imported.change) == []
    for each in imported.ignored:
        assert each.path[0] in config
        assert each.reason
