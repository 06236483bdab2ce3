"""Live sessions by hand that are told to stop: stops stay at the exchange until what is held may be sold."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from gql_trader.bots.live import jobs_orders
from gql_trader.bots.live.orders import placing
from tests.bots.live.bench import DELETE_KEY
from tests.bots.live.desk import CANCEL, KEY, ORDER, STOP, KilledError, LiveDesk, killing, quote
from tests.bots.live.test_contracts import told
from tests.factories.exchange_simulator import Refusal, SimulatedMarket

HELD = ("SELL", "STOP", "OPEN", "0.0999")
TAKEN_BACK = ("SELL", "STOP", "CANCELLED", "0.0999")
BOUGHT = ("BUY", "MARKET", "FILLED", "0.1")
SOLD = ("SELL", "MARKET", "FILLED", "0.0999")
REFUSED = ("SELL", "MARKET", "REJECTED", "0.0999")


async def _begin(desk: LiveDesk, **changes: Any) -> str:
    """Return a session that holds something, with a stop at the exchange."""
    session = await desk.start(**changes)
    await desk.done(session, "BUY", "MARKET", "0.1")
    quantity = "0.1" if changes else "0.0999"
    stop = await desk.done(session, "SELL", "STOP", quantity, stopPrice="45000")
    assert stop["status"] == "OPEN"
    return session


async def _stop(desk: LiveDesk, session: str, **changes: Any) -> Any:
    return await desk.do(STOP, input={"id": session} | changes)


async def _work(desk: LiveDesk, session: str, rounds: int = 3) -> None:
    """Let workers do all that there is to be done at once."""
    for _ in range(rounds):
        await desk.advance(session)
        for order_id in await desk.due():
            await jobs_orders.live_order({"runtime": desk.runtime}, str(order_id))
    await desk.advance(session)


async def _orders(desk: LiveDesk, session: str) -> list[tuple[str, ...]]:
    found = await desk.session(session)
    names = ("side", "type", "status", "quantity")
    return [tuple(each[name] for name in names) for each in found["orders"]["nodes"]]


async def test_a_stop_stays_until_a_sale_may_be_sent_and_is_taken_back_then(desk: LiveDesk) -> None:
    session = await _begin(desk)
    # Rotated, and not verified yet: nothing can be sent.
    await desk.set_key(version=2, status="UNVERIFIED", rotated_at=desk.runtime.clock.now())
    await _stop(desk, session)
    await _work(desk, session)
    assert await _orders(desk, session) == [BOUGHT, HELD]
    await desk.set_key(status="VALID")
    # Nor is anything sold before the exchange has said that it is cancelled.
    desk.simulator.faults.add("DELETE " + ORDER, Refusal(503), times=8)
    await desk.advance(session)
    await desk.follow()
    assert (await _orders(desk, session), desk.simulator.orders.orders[1].status) == ([BOUGHT, HELD], "NEW")
    desk.simulator.faults.waiting.clear()
    await desk.pass_time(60)
    await _work(desk, session)
    assert await _orders(desk, session) == [BOUGHT, TAKEN_BACK, SOLD]
    assert ((await desk.session(session))["status"], await told(desk)) == ("STOPPED", [])


async def test_what_may_not_be_sold_keeps_its_stop_and_its_user_is_told_and_may_try_again(
    desk: LiveDesk,
) -> None:
    session = await _begin(desk)
    await desk.set_key(status="INVALID")
    await _stop(desk, session)
    await _work(desk, session)
    await _work(desk, session)
    assert await _orders(desk, session) == [BOUGHT, HELD, REFUSED]
    assert (await desk.session(session))["status"] == "ACTIVE"
    assert await told(desk) == [
        (
            "POSITION_NOT_CLOSED",
            "The session was stopped. The position could not be closed. This exchange key is not "
            "verified; verify it first. Nothing was sold: 0.0999 of BTC/USDT is still in the account. Its "
            "stop at 45000 stays at the exchange until it fills or you cancel it.",
        )
    ]
    [error] = (await desk.do(DELETE_KEY, input={"id": desk.key_id}))["errors"]
    assert error["message"].startswith("A session that was told to stop could not close its position, whose")
    await desk.set_key(status="VALID")
    assert (await _stop(desk, session))["errors"] == []
    # Told twice is no other thing than told once.
    assert [each["code"] for each in (await _stop(desk, session))["errors"]] == ["INVALID_STATE"]
    await _work(desk, session)
    assert await _orders(desk, session) == [BOUGHT, TAKEN_BACK, REFUSED, SOLD]
    assert ((await desk.session(session))["status"], len(await told(desk))) == ("STOPPED", 1)


async def test_a_sale_that_is_refused_is_tried_again_later_and_then_the_stop_is_put_back(
    desk: LiveDesk,
) -> None:
    session = await _begin(desk)
    orders = desk.simulator.orders
    orders.refused_sales = frozenset({"MARKET"})
    await _stop(desk, session)
    await _work(desk, session, 6)
    # Not three times at once: a market may be halted for a moment.
    assert await _orders(desk, session) == [BOUGHT, TAKEN_BACK, REFUSED]
    for _ in range(2):
        desk.trader.accounts.clock.move(seconds=31)
        await _work(desk, session)
    assert await _orders(desk, session) == [BOUGHT, TAKEN_BACK, *[REFUSED] * 3, HELD]
    [(kind, body)] = await told(desk)
    assert kind == "POSITION_NOT_CLOSED"
    assert "This action is disabled on this account." in body
    assert body.endswith(
        "0.0999 of BTC/USDT is what the session took itself to hold; how much of it is in the account is not "
        "known. Its stop at 45000 is placed again."
    )
    # It fills, and with that the session has ended.
    orders.trade(desk.simulator.markets["BTCUSDT"], Decimal(44_000))
    await desk.follow(60)
    await _work(desk, session)
    found = await desk.session(session)
    assert (found["status"], found["positions"], desk.account.free["BTC"]) == ("STOPPED", [], 1)
    assert len(await told(desk)) == 1


async def test_a_stop_that_is_not_taken_again_is_told(desk: LiveDesk) -> None:
    session = await _begin(desk)
    desk.simulator.orders.refused_sales = frozenset({"MARKET", "STOP_LOSS"})
    await _stop(desk, session)
    await _work(desk, session)
    for _ in range(2):
        desk.trader.accounts.clock.move(seconds=31)
        await _work(desk, session)
    assert (await desk.session(session))["status"] == "STOPPED"
    [_, (kind, body)] = await told(desk)
    assert kind == "POSITION_NOT_CLOSED"
    assert "The position has no stop at the exchange." in body
    assert "This action is disabled on this account." in body


async def test_each_of_several_positions_is_closed_or_kept_for_itself_and_workers_may_be_killed(
    desk: LiveDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.simulator.add_market(SimulatedMarket("ETH", "USDT", Decimal(2_000), step=Decimal("0.001")))
    session = await _begin(desk)
    await quote(desk.runtime, 2_000.0, "binance:ETH/USDT", 4)
    desk.account.free["ETH"] = Decimal(0)
    await desk.done(session, "BUY", "MARKET", "1", market="binance:ETH/USDT")
    async with desk.runtime.unit_of_work() as uow:
        await uow.session.execute(text("UPDATE markets SET min_notional = 100000 WHERE symbol = 'BTC/USDT'"))
    await _stop(desk, session)
    with monkeypatch.context() as patch:
        patch.setattr(placing, "put_back", killing())
        with pytest.raises(KilledError):
            await desk.advance(session)
    await _work(desk, session)
    await _work(desk, session)
    assert sorted(await _orders(desk, session)) == sorted(
        [
            BOUGHT,
            HELD,
            ("BUY", "MARKET", "FILLED", "1"),
            REFUSED,
            ("SELL", "MARKET", "FILLED", "0.999"),
        ]
    )
    [(_, body)] = await told(desk)
    assert (
        "It is worth too little for an order of the market. Nothing was sold: 0.0999 of BTC/USDT is still"
        in body
    )
    # Its user takes over: the stop is cancelled, and with it the session ends.
    [stop] = [each for each in (await desk.session(session))["orders"]["nodes"] if each["status"] == "OPEN"]
    assert (await desk.do(CANCEL, id=stop["id"]))["errors"] == []
    await _work(desk, session)
    assert (await desk.session(session))["status"] == "STOPPED"
    assert "has no stop at the exchange. You have cancelled it." in (await told(desk))[1][1]


async def test_the_stop_of_a_short_contract_is_taken_back_only_as_it_is_bought_back(desk: LiveDesk) -> None:
    desk.simulator.futures.wallets[KEY] = Decimal(20_000)
    session = await desk.start(leverage=2)
    await desk.done(session, "SELL", "MARKET", "0.1")
    await desk.done(session, "BUY", "STOP", "0.1", stopPrice="55000")
    await desk.set_user(totp_enabled=False)
    await _stop(desk, session)
    await _work(desk, session)
    assert (await _orders(desk, session))[1] == ("BUY", "STOP", "OPEN", "0.1")
    [(_, body)] = await told(desk)
    assert "needs a second factor. Nothing was bought back: a short position of 0.1 of BTC/USDT is" in body
    await desk.set_user(totp_enabled=True)
    await _stop(desk, session)
    await _work(desk, session)
    assert desk.simulator.futures.positions[KEY] == 0
    assert (await desk.session(session))["status"] == "STOPPED"
