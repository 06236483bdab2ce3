"""Contracts of which an account's owner holds some, too: nothing is opened against that."""

from decimal import Decimal
from typing import Any

import pytest

from gql_trader.bots.live.orders import sending
from tests.bots.live.bench import BOUGHT, Bench
from tests.bots.live.desk import KEY, LiveDesk, contracts_sent
from tests.bots.live.test_contracts import look, told

CONTRACTS: dict[str, Any] = {"leverage": 2.0, "sizing": {"equityFraction": 0.5}}


async def test_no_position_is_opened_by_hand_against_one_of_the_owner_s(desk: LiveDesk) -> None:
    futures = desk.simulator.futures
    futures.positions[KEY] = Decimal("-0.3")
    session = await desk.start(leverage=2)
    payload = await desk.place(session, "BUY", "MARKET", "0.1", acknowledgeMismatch=True)
    [error] = payload["errors"]
    assert (error["code"], error["path"]) == ("INVALID_STATE", ["side"])
    assert error["message"] == (
        "The position in BTC/USDT:USDT at the exchange is -0.3; the sessions that trade now believe that "
        "they hold 0. The account is short in this contract by 0.3, and no session that trades holds that: "
        "what is opened long would close it instead. Close it at the exchange, or trade with another account."
    )
    # Neither is the contract set otherwise for what would not be sent.
    assert futures.leverage == {}
    # On the same side both are there, and each closes what is its own.
    sold = await desk.done(session, "SELL", "MARKET", "0.1", acknowledgeMismatch=True)
    assert (sold["status"], futures.positions[KEY]) == ("FILLED", Decimal("-0.4"))
    assert (await desk.done(session, "BUY", "MARKET", "0.1"))["status"] == "FILLED"
    assert futures.positions[KEY] == Decimal("-0.3")
    # Of the rest nothing is closed by what is to open a position.
    refused = await desk.done(session, "BUY", "MARKET", "0.1")
    assert refused["status"] == "NEW"
    desk.trader.accounts.clock.move(seconds=59)
    await desk.follow(60)
    refused = await desk.order(session, refused)
    assert refused["status"] == "REJECTED"
    assert refused["reason"].startswith("The account is short in this contract by 0.3")
    assert (len(contracts_sent(desk)), futures.positions[KEY]) == (2, Decimal("-0.3"))


async def test_what_the_owner_opens_just_before_an_order_is_sent_keeps_it_from_being_sent(
    desk: LiveDesk,
) -> None:
    futures = desk.simulator.futures
    session = await desk.start(leverage=2)
    order = await desk.placed(session, "SELL", "MARKET", "0.1")
    futures.positions[KEY] = Decimal("0.05")
    await desk.work(order)
    assert ((await desk.order(session, order))["status"], contracts_sent(desk)) == ("NEW", [])
    # Closed meanwhile: nothing is in the way.
    futures.positions[KEY] = Decimal(0)
    await desk.follow()
    assert (await desk.order(session, order))["status"] == "FILLED"
    assert futures.positions[KEY] == Decimal("-0.1")


async def test_a_worker_that_slept_as_it_asked_for_the_position_does_not_send(
    desk: LiveDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await desk.start(leverage=2)
    order = await desk.placed(session, "BUY", "MARKET", "0.1")
    asked = sending.position_of  # type: ignore[attr-defined]

    async def slowly(*positional: Any, **named: Any) -> Any:
        found = await asked(*positional, **named)
        desk.trader.accounts.clock.move(seconds=61)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(sending, "position_of", slowly)
        await desk.work(order)
    found = await desk.order(session, order)
    assert (found["status"], found["reason"]) == (
        "REJECTED",
        "It could not be sent in time. It was not placed.",
    )
    assert contracts_sent(desk) == []


@pytest.mark.parametrize(
    ("direction", "position", "against"),
    [("LONG", "-0.3", "long"), ("SHORT", "0.3", "short"), ("BOTH", "0.3", "short"), ("BOTH", "-0.3", "long")],
)
async def test_a_bot_does_not_begin_where_it_would_trade_against_the_owner(
    bench: Bench, direction: str, position: str, against: str
) -> None:
    futures = bench.desk.simulator.futures
    futures.wallets[KEY], futures.positions[KEY] = Decimal(20_000), Decimal(position)
    made = await bench.create(execution=CONTRACTS | {"direction": direction})
    bench.bot_id = made["bot"]["id"]
    begun = await bench.start(acknowledgeMismatch=True)
    bench.session_id = bench.key_of(begun["bot"]["session"]["id"])
    await bench.work()
    bot = await bench.bot()
    assert bot.state == "FAILED"
    assert f"what is opened {against} would close it instead." in (bot.error or "")
    assert (contracts_sent(bench.desk), futures.positions[KEY]) == ([], Decimal(position))


async def test_a_bot_beside_a_position_of_the_owner_s_on_its_side_closes_its_own_alone(bench: Bench) -> None:
    futures = bench.desk.simulator.futures
    futures.wallets[KEY], futures.positions[KEY] = Decimal(20_000), Decimal("0.3")
    made = await bench.create(execution=CONTRACTS)
    bench.bot_id = made["bot"]["id"]
    begun = await bench.start(acknowledgeMismatch=True)
    bench.session_id = bench.key_of(begun["bot"]["session"]["id"])
    await bench.work()
    await bench.bar(50_100.0)
    assert futures.positions[KEY] > Decimal("0.3")
    await bench.bar(50_000.0)
    assert await bench.orders() == [BOUGHT, ("SELL", "FILLED", "SIGNAL")]
    assert futures.positions[KEY] == Decimal("0.3")
    # Its owner turns it round. What the bot asks for next would close a part of that.
    futures.positions[KEY] = Decimal("-0.3")
    await look(bench.desk)
    await bench.bar(50_100.0)
    for _ in range(3):
        bench.desk.trader.accounts.clock.move(seconds=25)
        await bench.desk.pass_time(60)
        await bench.settle()
    assert [status for _, status, _ in await bench.orders()] == ["FILLED", "FILLED", "REJECTED"]
    assert ((await bench.bot()).state, futures.positions[KEY]) == ("RUNNING", Decimal("-0.3"))
    assert await told(bench.desk) == []
