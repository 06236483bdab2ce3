"""The adapter to exchanges: what it loads, what it tells, and what it keeps to itself."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from gql_trader.infra.exchange.errors import CredentialsRefused, ExchangeUnavailable, PermissionMissing
from gql_trader.infra.exchange.exchanges import Exchanges
from gql_trader.infra.exchange.loading import load_errors, load_exchange
from gql_trader.infra.exchange.pacing import Spacing, Waits
from gql_trader.infra.exchange.permissions import READERS
from gql_trader.infra.exchange.records import Credentials
from gql_trader.infra.exchange.translation import translate
from gql_trader.infra.exchange.transport import retry_after
from tests.factories.exchange_simulator import (
    ExchangeSimulator,
)
from tests.factories.waits import VirtualWaits
from tests.infra.exchange.conftest import KEY, SECRET

RESTRICTIONS = "/sapi/v1/account/apiRestrictions"


def _run(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_process_that_asks_no_exchange_loads_neither_ccxt_nor_aiohttp() -> None:
    _run(
        "import sys, gql_trader.app, gql_trader.cli.main\n"
        "assert 'gql_trader.infra.exchange.exchanges' in sys.modules\n"
        "assert not {'ccxt', 'aiohttp'} & set(sys.modules)"
    )


def test_one_exchange_is_loaded_without_the_others() -> None:
    _run(
        "import sys\n"
        "from gql_trader.infra.exchange.loading import load_errors, load_exchange\n"
        "kind = load_exchange('binance')\n"
        "assert issubclass(load_errors().BadSymbol, load_errors().BaseError)\n"
        "assert 'ccxt.async_support.binance' in sys.modules\n"
        "assert len([each for each in sys.modules if each.startswith('ccxt')]) < 30\n"
        # What else the packages are asked for is found as well.
        "import ccxt.async_support\n"
        "assert ccxt.async_support.kraken.__name__ == 'kraken'\n"
        "assert ccxt.async_support.binance is kind"
    )


def test_a_ccxt_that_does_not_stand_it_is_loaded_whole() -> None:
    _run(
        "import sys\n"
        "from gql_trader.infra.exchange import loading\n"
        # As if its packages were asked for something else than errors and the base class.
        "real, loading._of_base = loading._of_base, lambda name: real('nothing_like_it')\n"
        "assert loading.load_exchange('binance').__name__ == 'binance'\n"
        "import ccxt\n"
        "assert 'kraken' in ccxt.exchanges and 'ccxt.async_support.kraken' in sys.modules"
    )


@pytest.mark.parametrize("name", ["nowhere", "base", "../binance", ""])
def test_what_is_no_exchange_is_not_loaded(name: str) -> None:
    with pytest.raises(LookupError):
        load_exchange(name)


@pytest.mark.parametrize(
    ("exchange", "answer", "allowed"),
    [
        ("bybit", {"result": {"readOnly": 1, "permissions": {"Spot": ["SpotTrade"]}}}, "READ"),
        (
            "bybit",
            {
                "result": {
                    "readOnly": 0,
                    "permissions": {
                        "Spot": ["SpotTrade"],
                        "Wallet": ["AccountTransfer", "Withdraw"],
                        "NFT": [],
                    },
                }
            },
            "READ TRADE TRANSFER WITHDRAW",
        ),
        ("okx", {"data": [{"perm": "read_only,trade"}]}, "READ TRADE"),
        ("okx", {"data": [{"perm": "read_only,withdraw"}]}, "READ WITHDRAW"),
        ("kraken", {"result": {"permissions": ["query-funds", "modify-trades"]}}, "READ TRADE"),
        ("kraken", {"result": {"permissions": ["query-open-trades", "withdraw-funds"]}}, "READ WITHDRAW"),
        ("coinbase", {"can_view": True, "can_trade": True, "can_transfer": False}, "READ TRADE"),
        (
            "coinbase",
            {"can_view": True, "can_trade": False, "can_transfer": True},
            "READ TRANSFER WITHDRAW",
        ),
        (
            "binance",
            {"enableReading": True, "enableFutures": True, "enableWithdrawals": False},
            "READ TRADE",
        ),
        ("binance", {"enableReading": True, "enableWithdrawals": True}, "READ WITHDRAW"),
    ],
)
def test_what_exchanges_tell_of_permissions_is_understood(
    exchange: str, answer: dict[str, Any], allowed: str
) -> None:
    assert " ".join(sorted(READERS[exchange].read(answer))) == allowed


@pytest.mark.parametrize("exchange", sorted(READERS))
def test_ccxt_has_the_functions_that_tell_permissions(exchange: str) -> None:
    assert hasattr(load_exchange(exchange), READERS[exchange].method)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 0 ", 0.0),
        ("soon", None),
        ("-1", None),
        ("Sun, 22 Nov 2026 00:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 00:00:00 GMT", 0.0),
        ("99999999999", 259_200.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, datetime(2026, 11, 22, tzinfo=UTC)) == seconds


def test_messages_have_the_exchanges_words_and_nothing_that_was_sent() -> None:
    load_exchange("binance")
    ccxt = load_errors()
    credentials = Credentials(KEY, SECRET, "phrase")

    def message(error: Exception) -> str:
        return translate(error, "binance", "Binance", credentials).message

    address = f"https://api.binance.com/api/v3/account?apiKey={KEY}&signature=abc"
    for error in (
        ccxt.ExchangeNotAvailable(f"binance GET {address} 503 Service Unavailable <html>"),
        ccxt.RequestTimeout(f"binance GET {address}"),
        ccxt.ExchangeError(f"binance GET {address}"),
        ccxt.BadRequest(f"binance GET {address} {{no JSON"),
    ):
        assert "signature" not in message(error)
        assert KEY not in message(error)
    said = ccxt.AuthenticationError(f'binance {{"code":-2015,"msg":"The key {KEY} is\\nnot known."}}')
    assert message(said) == "Binance refused the key: The key *** is not known."
    assert message(ccxt.BadRequest('binance {"error":["EGeneral:Bad","other"]}')).endswith(": EGeneral:Bad")
    assert len(message(ccxt.BadRequest(f'binance {{"msg":"{"x" * 5000}"}}'))) < 300


@pytest.mark.parametrize(
    ("exchange", "text", "expected"),
    [
        ("okx", '{"code":"50110","msg":"Your IP 1.2.3.4 is not linked to this key."}', CredentialsRefused),
        ("bitget", '{"code":"40018","msg":"Invalid IP"}', CredentialsRefused),
        ("mexc", '{"code":406,"msg":"IP [1.2.3.4] not in the ip white list"}', CredentialsRefused),
        ("okx", '{"code":"50120","msg":"This API key has no permission for tips."}', PermissionMissing),
    ],
)
def test_a_key_tied_to_other_addresses_is_told_from_one_that_may_not_do_this(
    exchange: str, text: str, expected: type[Exception]
) -> None:
    load_exchange("binance")
    failure = translate(load_errors().PermissionDenied(f"{exchange} {text}"), exchange, exchange, None)
    assert type(failure) is expected
    assert failure.message.endswith(json.loads(text)["msg"])


async def test_a_replaced_address_does_not_change_what_errors_mean(
    exchanges: Exchanges, simulator: ExchangeSimulator
) -> None:
    """ccxt tells some errors of Binance by the address that was called."""
    async with exchanges.client("binance", Credentials(KEY, "wrong")) as client:
        with pytest.raises(CredentialsRefused):
            await client.permissions()
    assert [each.path for each in simulator.received] == [RESTRICTIONS]


async def test_all_requests_go_through_the_proxy(simulator: ExchangeSimulator, exchange_list: Path) -> None:
    # The simulator is the proxy, and answers as the exchange behind it.
    proxied = Exchanges({"binance": "http://exchange.test"}, simulator.url, 0.5, exchange_list)
    async with proxied.client("binance", Credentials(KEY, SECRET)) as client:
        assert (await client.permissions()).complete
    await proxied.close()
    assert simulator.received[0].headers["host"] == "exchange.test"


async def test_nobody_at_the_address_is_an_outage(exchange_list: Path) -> None:
    waits = VirtualWaits()
    nowhere = Exchanges({"binance": "http://127.0.0.1:9"}, None, 0.5, exchange_list, waits.waits)
    async with nowhere.client("binance", Credentials(KEY, SECRET)) as client:
        with pytest.raises(ExchangeUnavailable):
            await client.permissions()
    await nowhere.close()
    # Six attempts, with delays that double.
    assert waits.slept == [0.25, 0.5, 1.0, 2.0, 4.0]


async def test_the_list_of_exchanges_is_made_once_and_kept(exchange_list: Path, tmp_path: Path) -> None:
    known = await Exchanges({}, None, 1.0, exchange_list).known()
    name = f"exchanges-{version('ccxt')}.json"
    made = os.stat(exchange_list / name).st_mtime_ns
    assert await Exchanges({}, None, 1.0, exchange_list).known() == known
    assert os.stat(exchange_list / name).st_mtime_ns == made
    # One that cannot be read is made again.
    shutil.copy(exchange_list / name, tmp_path)
    os.truncate(tmp_path / name, 100)
    assert await Exchanges({}, None, 1.0, tmp_path).known() == known
    assert os.stat(tmp_path / name).st_size == os.stat(exchange_list / name).st_size


async def test_credentials_are_given_under_the_names_that_the_exchange_has(exchange_list: Path) -> None:
    known = await Exchanges({}, None, 1.0, exchange_list).known()
    assert Credentials("0xwallet", "0xkey").for_ccxt(known["hyperliquid"].needs) == {
        "walletAddress": "0xwallet",
        "privateKey": "0xkey",
    }
    assert Credentials("key", "secret", "phrase").for_ccxt(known["okx"].needs) == {
        "apiKey": "key",
        "secret": "secret",
        "password": "phrase",
    }
    assert Credentials("key", "secret", None, "account").for_ccxt(known["coinmate"].needs) == {
        "apiKey": "key",
        "secret": "secret",
        "uid": "account",
    }
    # Logging in with a name and a password is not what keys are for.
    assert "ndax" not in known


async def test_requests_are_spaced_for_all_clients_together(
    simulator: ExchangeSimulator, exchange_list: Path
) -> None:
    spaced: list[float] = []

    async def space(seconds: float) -> None:
        spaced.append(round(seconds, 3))

    # No time passes but what is waited.
    waits = Waits(space=space, now=lambda: sum(spaced))
    exchanges = Exchanges({"binance": simulator.url}, None, 0.5, exchange_list, waits)
    await (await exchanges.public("binance")).markets()
    async with exchanges.client("binance", Credentials(KEY, SECRET)) as client:
        await client.permissions()
    await exchanges.close()
    # 50 ms for each unit of cost: the spot markets cost four, the contracts one.
    assert simulator.paths() == ["/api/v3/exchangeInfo", "/fapi/v1/exchangeInfo", RESTRICTIONS]
    assert spaced == [0.2, 0.05]


async def test_a_turn_is_as_long_as_the_request_before_costs() -> None:
    now, waited = 100.0, []

    async def space(seconds: float) -> None:
        waited.append(seconds)

    spacing = Spacing(Waits(space=space, now=lambda: now), 0.05)
    for cost in (4.0, None, 1.0):
        await spacing(cost)
    assert waited == [pytest.approx(0.2), pytest.approx(0.25)]
    now += 10
    await spacing(1.0)
    assert len(waited) == 2
