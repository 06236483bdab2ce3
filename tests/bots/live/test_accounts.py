"""Accounts of live sessions: compared before the first order on a market, contracts, leverage."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from sqlalchemy import text

from gql_trader.bots.live.bots.protection import Protection, protect
from gql_trader.bots.live.orders.placing import submit
from gql_trader.bots.types import OrderSide, OrderType
from gql_trader.bots.types_live import LiveOrderSpec
from gql_trader.gql.relay import parse_id
from tests.accounts.accounts_api import refusals
from tests.bots.live.desk import CONTRACT, KEY, ORDER, STOP, LiveDesk, contracts_sent
from tests.factories.exchange_simulator import Hang, Pause, Refusal

FOREIGN = {
    "newClientOrderId": "by another program",
    "side": "BUY",
    "type": "LIMIT",
    "quantity": "0.01",
    "price": "40000",
}


async def test_a_foreign_order_keeps_a_session_from_trading_until_it_is_acknowledged(desk: LiveDesk) -> None:
    simulator, session = desk.simulator, await desk.start()
    simulator.orders.place(desk.account, simulator.markets["BTCUSDT"], FOREIGN, simulator.now())
    payload = await desk.place(session, "BUY", "MARKET", "0.1")
    assert (payload["order"], refusals(payload)) == (None, [("INVALID_STATE", ["acknowledgeMismatch"])])
    [error] = payload["errors"]
    assert error["__typename"] == "StateError"
    assert error["message"].startswith("1 open order on BTC/USDT at the exchange (buy 0.01) was not placed")
    assert (await desk.session(session))["orders"]["nodes"] == []
    order = await desk.done(session, "BUY", "MARKET", "0.1", acknowledgeMismatch=True)
    assert order["status"] == "FILLED"
    # Once is enough, and the log of audits has it.
    assert (await desk.done(session, "SELL", "MARKET", "0.0999"))["status"] == "FILLED"
    async with desk.runtime.unit_of_work() as uow:
        noted = await uow.session.scalars(
            text("SELECT metadata->>'mismatch' FROM audit_events WHERE action = 'LIVE_MISMATCH_ACKNOWLEDGED'")
        )
        assert [each.partition(" (")[0] for each in noted] == ["1 open order on BTC/USDT at the exchange"]


async def test_holdings_that_are_missing_keep_a_session_from_trading(desk: LiveDesk) -> None:
    first = await desk.start()
    await desk.done(first, "BUY", "MARKET", "0.1")
    await desk.done(first, "BUY", "LIMIT", "0.01", price="49000")
    desk.account.free["BTC"] = Decimal("0.05")
    desk.trader.accounts.clock.move(seconds=30)
    other = await desk.start()
    payload = await desk.place(other, "BUY", "MARKET", "0.1")
    assert payload["errors"][0]["message"].startswith(
        "The account has 0.05 BTC; the sessions that trade now believe that they hold 0.0999."
    )
    # What is there besides is the user's own, and the open order is the other session's.
    desk.account.free["BTC"] = Decimal(7)
    assert (await desk.done(other, "BUY", "MARKET", "0.1"))["status"] == "FILLED"


async def test_a_key_that_was_rotated_is_compared_again(desk: LiveDesk) -> None:
    session = await desk.start()
    await desk.done(session, "BUY", "MARKET", "0.1")
    waiting = await desk.placed(session, "BUY", "MARKET", "0.01")
    await desk.set_key(version=2)
    await desk.work(waiting)
    found = await desk.order(session, waiting)
    assert (found["status"], found["reason"]) == (
        "REJECTED",
        "The account at the exchange was not compared with this key. Nothing was sent.",
    )
    desk.account.free["BTC"] = Decimal(0)
    payload = await desk.place(session, "SELL", "MARKET", "0.01")
    assert refusals(payload) == [("INVALID_STATE", ["acknowledgeMismatch"])]
    desk.account.free["BTC"] = Decimal(1)
    assert (await desk.done(session, "SELL", "MARKET", "0.01"))["status"] == "FILLED"


async def test_nothing_is_placed_while_the_account_cannot_be_compared(desk: LiveDesk) -> None:
    session = await desk.start()
    desk.simulator.faults.add("/api/v3/openOrders", Refusal(503), times=3)
    payload = await desk.place(session, "BUY", "MARKET", "0.1", acknowledgeMismatch=True)
    assert (payload["order"], refusals(payload)) == (None, [("EXCHANGE_ERROR", ["market"])])
    assert (await desk.done(session, "BUY", "MARKET", "0.1"))["status"] == "FILLED"


async def test_contracts_are_traded_with_the_leverage_that_was_set_before(desk: LiveDesk) -> None:
    for given, path in (
        ({"mode": "PAPER", "leverage": 2}, ["leverage"]),
        ({"leverage": 0}, ["leverage"]),
        ({"leverage": 126}, ["leverage"]),
        ({"marginMode": "CROSS"}, ["marginMode"]),
        ({"autoTransferFunds": True}, ["autoTransferFunds"]),
    ):
        assert refusals(await desk.begin(**given)) == [("INVALID_INPUT", path)]
    session = await desk.start(leverage=5, marginMode="ISOLATED")
    assert refusals(await desk.place(session, "BUY", "MARKET", "1.1")) == [("INVALID_INPUT", ["quantity"])]
    order = await desk.done(session, "BUY", "MARKET", "0.5")
    assert (order["status"], order["fee"]) == ("FILLED", "12.5")
    paths = [each.path for each in desk.simulator.received]
    assert paths.index("/fapi/v1/leverage") < paths.index(CONTRACT)
    assert (desk.simulator.futures.leverage[KEY], desk.simulator.futures.margin[KEY]) == (5, "ISOLATED")
    found = await desk.session(session)
    # A fifth of 25,000 is bound.
    assert (found["cash"], found["equity"]) == ("4987.5", "9987.5")
    desk.simulator.futures.trade(Decimal(52_000))
    await desk.do(STOP, input={"id": session})
    await desk.advance(session)
    await desk.follow()
    await desk.advance(session)
    found = await desk.session(session)
    assert (found["status"], found["cash"], found["profit"]) == ("STOPPED", "10974.5", "974.5")
    assert [each.get("reduceOnly") for each in contracts_sent(desk)] == [None, "true"]
    assert (desk.simulator.futures.positions[KEY], desk.sent()) == (0, 0)


async def test_a_stop_on_a_contract_waits_at_the_exchange(desk: LiveDesk) -> None:
    session = await desk.start(leverage=2)
    await desk.done(session, "BUY", "MARKET", "0.2")
    stop = await desk.done(session, "SELL", "STOP", "0.2", stopPrice="45000")
    assert stop["status"] == "OPEN"
    desk.simulator.futures.trade(Decimal(44_900))
    await desk.follow()
    found = await desk.order(session, stop)
    assert (found["status"], found["averagePrice"]) == ("FILLED", "44900")
    assert (await desk.session(session))["positions"] == []


async def test_a_position_in_contracts_that_is_not_a_session_s_is_a_mismatch(desk: LiveDesk) -> None:
    session = await desk.start(leverage=2)
    desk.simulator.futures.positions[KEY] = Decimal("-0.3")
    payload = await desk.place(session, "SELL", "MARKET", "0.1")
    assert payload["errors"][0]["message"].startswith(
        "The position in BTC/USDT:USDT at the exchange is -0.3; the sessions that trade now believe"
    )
    assert (contracts_sent(desk), desk.simulator.futures.leverage) == ([], {})
    order = await desk.done(session, "SELL", "MARKET", "0.1", acknowledgeMismatch=True)
    assert (order["status"], desk.simulator.futures.leverage[KEY]) == ("FILLED", 2)


async def test_funds_that_contracts_lack_are_moved_once_whatever_happens(desk: LiveDesk) -> None:
    given = {"leverage": 2, "autoTransferFunds": True, "transferAmount": "5000"}
    session, futures = await desk.start(**given), desk.simulator.futures
    futures.wallets[KEY] = Decimal(1000)
    # They arrive, and nothing says so.
    desk.simulator.faults.add("/sapi/v1/asset/transfer", Hang(done=True))
    payload = await desk.place(session, "BUY", "MARKET", "0.1")
    assert (payload["order"], refusals(payload)) == (None, [("EXCHANGE_ERROR", ["market"])])
    assert "It is not known whether 4000 USDT was moved" in payload["errors"][0]["message"]
    # Until they must have arrived, nobody looks whether some are missing.
    payload = await desk.place(session, "BUY", "MARKET", "0.1")
    assert payload["errors"][0]["message"].startswith("Funds are on their way")
    async with desk.runtime.unit_of_work() as uow:
        late = "UPDATE session_states SET lease_expires_at = lease_expires_at - interval '61 seconds'"
        await uow.session.execute(text(late))
    for _ in range(2):
        assert (await desk.done(session, "BUY", "MARKET", "0.1"))["status"] == "FILLED"
    # Nor is missing what positions bind, when the account is compared once more.
    futures.wallets[KEY] = Decimal(100)
    await desk.set_key(version=2)
    assert (await desk.done(session, "BUY", "MARKET", "0.1"))["status"] == "FILLED"
    assert futures.transfers == [("MAIN_UMFUTURE", Decimal(4000))]
    futures.wallets[KEY] = Decimal(5000)
    desk.trader.accounts.clock.move(seconds=30)
    await desk.do(STOP, input={"id": session, "closePositions": False})
    await desk.advance(session)
    futures.positions[KEY] = Decimal(0)
    richer = await desk.start(**given | {"transferAmount": "6000"})
    payload = await desk.place(richer, "SELL", "MARKET", "0.1", reduceOnly=True)
    assert refusals(payload) == [("INVALID_INPUT", ["reduceOnly"])]
    assert futures.transfers[1:] == [("MAIN_UMFUTURE", Decimal(1000))]
    async with desk.runtime.unit_of_work() as uow:
        noted = "SELECT metadata->>'amount' FROM audit_events WHERE action = 'FUNDS_MOVED'"
        assert list(await uow.session.scalars(text(noted))) == ["1000"]


async def test_orders_at_the_same_moment_move_missing_funds_once(desk: LiveDesk) -> None:
    session = await desk.start(leverage=2, autoTransferFunds=True, transferAmount="5000")
    pause = Pause()
    desk.simulator.faults.add("/sapi/v1/asset/transfer", pause)
    first = asyncio.create_task(desk.place(session, "BUY", "MARKET", "0.1"))
    await pause.arrived.wait()
    refused = await desk.place(session, "BUY", "MARKET", "0.1")
    assert (refused["order"], refusals(refused)) == (None, [("EXCHANGE_ERROR", ["market"])])
    pause.released.set()
    assert (await first)["errors"] == []
    await desk.placed(session, "BUY", "MARKET", "0.1")
    assert desk.simulator.futures.transfers == [("MAIN_UMFUTURE", Decimal(5000))]


async def test_a_stop_is_held_at_the_exchange_moved_and_taken_back_with_the_position(desk: LiveDesk) -> None:
    session, orders = await desk.start(), desk.simulator.orders.orders
    key, market = parse_id(session)[1], await desk.market()

    async def protected(price: str | None) -> Protection:
        async with desk.runtime.unit_of_work() as uow:
            return await protect(uow, key, market.id, None if price is None else Decimal(price))

    assert await protected("45000") is Protection.NONE
    await desk.done(session, "BUY", "MARKET", "0.1")
    # Twice is once.
    assert [await protected("45000"), await protected("45000")] == [Protection.PENDING] * 2
    await desk.follow()
    assert await protected("45000") is Protection.HELD
    assert [(each.kind, each.stop_price, each.quantity) for each in orders[1:]] == [
        ("STOP_LOSS", Decimal(45_000), Decimal("0.0999"))
    ]
    # Moved: the old one is taken back before the new one is placed.
    assert await protected("46000.004") is Protection.PENDING
    assert await protected("46000.004") is Protection.PENDING
    await desk.follow()
    assert [each.status for each in orders[1:]] == ["CANCELED"]
    assert await protected("46000.004") is Protection.PENDING
    await desk.follow()
    assert await protected("46000.004") is Protection.HELD
    assert (orders[2].stop_price, orders[2].status) == (Decimal("46000.01"), "NEW")
    # Sold by it: nothing is left to protect.
    desk.simulator.orders.trade(desk.simulator.markets["BTCUSDT"], Decimal(45_500))
    await desk.follow()
    assert await protected("46000.004") is Protection.NONE
    found = await desk.session(session)
    assert (found["positions"], [each["exitReason"] for each in found["trades"]["nodes"]]) == (
        [],
        ["STOP_LOSS"],
    )
    assert len(orders) == 3


async def test_a_stop_that_the_exchange_does_not_take_is_told_and_not_tried_again(desk: LiveDesk) -> None:
    session = await desk.start()
    key, market = parse_id(session)[1], await desk.market()
    await desk.done(session, "BUY", "MARKET", "0.1")
    desk.simulator.faults.add(ORDER, Refusal(400, body='{"code": -2010, "msg": "Stops are not taken."}'))
    before = desk.sent()
    for expected in (Protection.PENDING, Protection.REFUSED, Protection.REFUSED):
        async with desk.runtime.unit_of_work() as uow:
            assert await protect(uow, key, market.id, Decimal(45_000)) is expected
        await desk.follow()
    assert desk.sent() == before + 1


async def test_a_program_s_order_is_placed_once_under_a_key(desk: LiveDesk) -> None:
    session = await desk.start()
    key, market = parse_id(session)[1], await desk.market()
    spec = LiveOrderSpec(market.id, OrderSide.BUY, OrderType.MARKET, Decimal("0.1"), Decimal(50_000))

    async def submitted(quantity: str) -> UUID:
        async with desk.runtime.unit_of_work() as uow:
            order, _ = await submit(uow, key, replace(spec, quantity=Decimal(quantity)), "bar 7: entry")
            return order.id

    # Without a comparison nothing is sent.
    async with desk.runtime.unit_of_work() as uow:
        await submit(uow, key, spec, "bar 6: entry")
    await desk.follow()
    assert desk.simulator.orders.orders == []
    await desk.placed(session, "BUY", "LIMIT", "0.01", price="40000")
    first = await asyncio.gather(*(submitted("0.1") for _ in range(4)))
    assert {await submitted("0.2"), *first} == {first[0]}
    await desk.follow()
    assert sorted(each.quantity for each in desk.simulator.orders.orders) == [
        Decimal("0.01"),
        Decimal("0.1"),
    ]
