"""Verifying keys at a simulated exchange, over HTTP, with what goes wrong on the way."""

import asyncio
import json

import pytest

from gql_trader.exchange_keys import verification
from tests.exchange_keys.key_desk import API_KEY, RESTRICTIONS, SECRET, KeyDesk, refusals
from tests.factories.exchange_simulator import Account, CutOff, Hang, Pause, Refusal
from tests.factories.exchange_simulator.faults import Fault


async def test_a_key_that_can_withdraw_draws_a_warning(desk: KeyDesk) -> None:
    desk.account.withdrawing = desk.account.transferring = True
    payload = await desk.add()
    assert payload["exchangeKey"]["permissions"] == ["READ", "TRADE", "WITHDRAW", "TRANSFER"]
    [warning] = payload["warnings"]
    assert warning.startswith("This key can withdraw funds.")
    desk.account.withdrawing = False
    again = await desk.verify(payload["exchangeKey"]["id"])
    assert again["exchangeKey"]["permissions"] == ["READ", "TRADE", "TRANSFER"]
    assert again["warnings"] == []


@pytest.mark.parametrize(
    ("credentials", "said"),
    [
        ({"secret": SECRET[::-1]}, "Signature for this request is not valid."),
        ({"apiKey": API_KEY[::-1]}, "Invalid API-key, IP, or permissions for action."),
        ({"apiKey": "a key of another form".replace(" ", "-")}, "API-key format invalid."),
    ],
)
async def test_a_key_that_the_exchange_refuses_is_invalid(
    desk: KeyDesk, credentials: dict[str, str], said: str
) -> None:
    payload = await desk.add(**credentials)
    key = payload["exchangeKey"]
    assert (key["status"], key["permissions"]) == ("INVALID", [])
    assert key["verifiedAt"] is not None
    assert payload["warnings"] == [f"Binance refused the key: {said}"]
    assert payload["errors"] == []
    # It is asked once: a refusal does not become another by asking again.
    assert desk.simulator.paths() == [RESTRICTIONS]
    assert (await desk.rotate(key["id"]))["exchangeKey"]["status"] == "VALID"


async def test_a_secret_that_cannot_sign_is_invalid_without_asking(desk: KeyDesk) -> None:
    payload = await desk.add(exchange="kraken", secret="not base64 at all!")
    assert payload["exchangeKey"]["status"] == "INVALID"
    assert payload["warnings"] == ["The secret has not the form that Kraken needs."]
    assert desk.simulator.received == []


async def test_a_key_revoked_at_the_exchange_becomes_invalid(desk: KeyDesk) -> None:
    key_id = (await desk.add())["exchangeKey"]["id"]
    del desk.simulator.accounts[API_KEY]
    payload = await desk.verify(key_id)
    assert (payload["exchangeKey"]["status"], payload["exchangeKey"]["permissions"]) == ("INVALID", [])
    assert [each["status"] for each in await desk.listed()] == ["INVALID"]


async def test_after_a_429_the_exchange_is_left_alone_for_as_long_as_it_says(desk: KeyDesk) -> None:
    desk.simulator.faults.add(RESTRICTIONS, Refusal(429, retry_after="7"))
    payload = await desk.add()
    assert payload["exchangeKey"]["status"] == "VALID"
    assert desk.simulator.paths() == [RESTRICTIONS, RESTRICTIONS]
    # The rest of the seven seconds, and a random delay of up to half a second.
    [slept] = desk.waits.slept
    assert 6.5 < slept <= 7.25


async def test_a_429_without_a_time_is_answered_with_growing_random_delays(desk: KeyDesk) -> None:
    desk.simulator.faults.add(RESTRICTIONS, Refusal(429), times=2)
    assert (await desk.add())["exchangeKey"]["status"] == "VALID"
    assert desk.waits.slept == [0.25, 0.5]


async def test_a_banned_address_asks_nobodys_keys_until_the_ban_ends(desk: KeyDesk) -> None:
    desk.simulator.faults.add(RESTRICTIONS, Refusal(418, retry_after="120"))
    payload = await desk.add()
    assert payload["exchangeKey"]["status"] == "UNVERIFIED"
    [warning] = payload["warnings"]
    assert warning.startswith("The key is kept, but could not be verified. Binance asks us to slow down;")
    grace = await desk.other("grace")
    other = await grace.add()
    assert other["exchangeKey"]["status"] == "UNVERIFIED"
    assert desk.simulator.paths() == [RESTRICTIONS]
    assert desk.waits.slept == []
    await desk.waits.waits.sleep(120)
    assert (await desk.verify(payload["exchangeKey"]["id"]))["exchangeKey"]["status"] == "VALID"


@pytest.mark.parametrize("ahead", [-3_600_000, 3_600_000])
async def test_a_wrong_clock_is_set_by_the_exchanges(desk: KeyDesk, ahead: int) -> None:
    desk.simulator.ahead = ahead
    payload = await desk.add()
    assert payload["exchangeKey"]["status"] == "VALID"
    assert desk.simulator.paths() == [RESTRICTIONS, "/api/v3/time", RESTRICTIONS]
    desk.simulator.received.clear()
    # What was learnt of the clock is kept.
    assert (await desk.verify(payload["exchangeKey"]["id"]))["errors"] == []
    assert desk.simulator.paths() == [RESTRICTIONS]


@pytest.mark.parametrize(
    "fault", [Refusal(503), Refusal(500, body='{"code": -1000}'), Hang(), CutOff()], ids=repr
)
async def test_a_key_is_kept_while_the_exchange_is_away(desk: KeyDesk, fault: Fault) -> None:
    desk.simulator.faults.add(RESTRICTIONS, fault, times=3)
    payload = await desk.add()
    key = payload["exchangeKey"]
    assert payload["errors"] == []
    assert (key["status"], key["verifiedAt"], key["lastUsedAt"]) == ("UNVERIFIED", None, None)
    [warning] = payload["warnings"]
    assert warning.startswith("The key is kept, but could not be verified. Binance ")
    assert desk.simulator.paths() == [RESTRICTIONS] * 3
    assert desk.waits.slept == [0.25, 0.5]
    verified = await desk.verify(key["id"])
    assert (verified["exchangeKey"]["status"], verified["warnings"]) == ("VALID", [])


async def test_an_outage_says_nothing_of_a_key_that_was_valid(desk: KeyDesk) -> None:
    key = (await desk.add())["exchangeKey"]
    desk.simulator.faults.add(RESTRICTIONS, Refusal(502), times=3)
    payload = await desk.verify(key["id"])
    assert payload["exchangeKey"] is None
    assert refusals(payload) == [("EXCHANGE_ERROR", [])]
    assert payload["errors"][0]["message"] == "Binance cannot be reached or is out of order; try again later."
    [listed] = await desk.listed()
    assert (listed["status"], listed["verifiedAt"]) == ("VALID", key["verifiedAt"])


async def test_where_the_exchange_does_not_tell_permissions_the_balance_is_asked_for(desk: KeyDesk) -> None:
    desk.simulator.faults.add(RESTRICTIONS, Refusal(404), times=2)
    payload = await desk.add()
    key = payload["exchangeKey"]
    assert (key["status"], key["permissions"], key["permissionsComplete"]) == ("VALID", ["READ"], False)
    assert payload["warnings"] == [
        "The exchange does not tell what this key may do. Make sure yourself that it cannot withdraw."
    ]
    assert desk.simulator.paths()[-1] == "/api/v3/account"
    desk.account.secret = "revoked"
    assert (await desk.verify(key["id"]))["exchangeKey"]["status"] == "INVALID"


@pytest.mark.parametrize(
    ("body", "word", "asked"),
    [
        ('{"code": -1005, "msg": "No such IP has been white listed"}', "refused the key", [RESTRICTIONS]),
        (
            '{"code": -3999, "msg": "This function is only for invited users."}',
            "does not allow this key to do that",
            [RESTRICTIONS, "/api/v3/account"],
        ),
    ],
    ids=["tied to other addresses", "shown nothing"],
)
async def test_a_key_that_opens_nothing_is_invalid_though_the_exchange_knows_it(
    desk: KeyDesk, body: str, word: str, asked: list[str]
) -> None:
    key_id = (await desk.add())["exchangeKey"]["id"]
    desk.simulator.received.clear()
    for path in (RESTRICTIONS, "/api/v3/account"):
        desk.simulator.faults.add(path, Refusal(400, body=body))
    payload = await desk.verify(key_id)
    assert (payload["exchangeKey"]["status"], payload["exchangeKey"]["permissions"]) == ("INVALID", [])
    assert payload["warnings"] == [f"Binance {word}: {json.loads(body)['msg']}"]
    assert [path for path in desk.simulator.paths() if "exchangeInfo" not in path] == asked


async def test_all_that_verifying_asks_has_to_be_answered_within_one_time(
    desk: KeyDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause = Pause()
    desk.simulator.faults.add(RESTRICTIONS, Refusal(404))
    desk.simulator.faults.add("/api/v3/exchangeInfo", pause)
    # Far less than what reading the permissions, the markets and the balance may take one by one.
    monkeypatch.setattr(verification, "LONGEST", 0.4)
    payload = await desk.add()
    assert (payload["exchangeKey"]["status"], payload["errors"]) == ("UNVERIFIED", [])
    [warning] = payload["warnings"]
    assert warning.endswith("The exchange did not answer in time; try again later.")
    pause.released.set()


async def test_no_transaction_is_open_while_the_exchange_is_asked(desk: KeyDesk) -> None:
    pause = Pause()
    desk.simulator.faults.add(RESTRICTIONS, pause)
    adding = asyncio.create_task(desk.add())
    await asyncio.wait_for(pause.arrived.wait(), 10)
    assert desk.runtime.database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    # The key is there already, should the process end now.
    assert [each["status"] for each in await desk.listed()] == ["UNVERIFIED"]
    pause.released.set()
    assert (await adding)["exchangeKey"]["status"] == "VALID"


async def test_what_is_said_of_a_rotated_key_is_not_written_down(desk: KeyDesk) -> None:
    key_id = (await desk.add())["exchangeKey"]["id"]
    desk.account.withdrawing = True
    pause = Pause()
    desk.simulator.faults.add(RESTRICTIONS, pause)
    verifying = asyncio.create_task(desk.verify(key_id))
    await asyncio.wait_for(pause.arrived.wait(), 10)
    desk.simulator.add_account(Account("B" * 64, "another secret", trading=False))
    await desk.rotate(key_id, apiKey="B" * 64, secret="another secret")
    pause.released.set()
    payload = await verifying
    assert payload["exchangeKey"]["permissions"] == ["READ"]
    assert payload["warnings"] == ["The key was rotated while it was verified; verify it again."]
    assert [each["permissions"] for each in await desk.listed()] == [["READ"]]


async def test_a_key_deleted_while_it_is_verified_stays_deleted(desk: KeyDesk) -> None:
    key_id = (await desk.add())["exchangeKey"]["id"]
    pause = Pause()
    desk.simulator.faults.add(RESTRICTIONS, pause)
    verifying = asyncio.create_task(desk.verify(key_id))
    await asyncio.wait_for(pause.arrived.wait(), 10)
    await desk.delete(key_id)
    pause.released.set()
    assert refusals(await verifying) == [("NOT_FOUND", ["id"])]
    assert await desk.listed() == []
