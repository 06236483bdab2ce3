"""Live trading when something is over for good: orders that are forgotten, bots that fail, rotated keys."""

import asyncio
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from gql_trader.bots import jobs
from gql_trader.bots.live import jobs_orders, sessions
from gql_trader.bots.live.accounts import looks as account_looks
from gql_trader.bots.live.bots import ending
from gql_trader.bots.live.orders import following, placing
from gql_trader.bots.models import OrderRow, TradeRow
from gql_trader.bots.models_live import LiveSessionRow
from gql_trader.bots.types import OrderSide, OrderType
from gql_trader.bots.types_live import LiveOrderSpec
from gql_trader.gql.relay import encode_id, parse_id
from tests.bots.live.bench import BOUGHT, DELETE_KEY, Bench, make_bench
from tests.bots.live.desk import CANCEL, LEASE_SECONDS, ORDER, STOP, LiveDesk
from tests.factories.exchange_simulator import Hang, Refusal

STOPPED = ("SELL", "OPEN", "STOP_LOSS")


@pytest.fixture
async def bench(desk: LiveDesk) -> Bench:
    """A live bot on hours that the test writes."""
    return await make_bench(desk)


async def _rows(desk: LiveDesk, model: Any) -> list[Any]:
    async with desk.runtime.unit_of_work() as uow:
        return list(await uow.session.scalars(select(model)))


async def _forgotten(desk: LiveDesk, times: int) -> None:
    for _ in range(times):
        await desk.follow(61)


async def test_an_order_that_the_exchange_forgets_is_cancelled_after_enough_answers(desk: LiveDesk) -> None:
    session, simulator = await desk.start(), desk.simulator
    simulator.orders.liquidity = Decimal("0.03")
    order = await desk.done(session, "BUY", "LIMIT", "0.1", price="50000")
    assert (order["status"], order["filledQuantity"]) == ("PARTIALLY_FILLED", "0.03")
    [resting] = simulator.orders.orders
    # A second fill, and then nothing is known of it any more but its fills.
    simulator.orders.trade(simulator.markets["BTCUSDT"], Decimal(50_000), Decimal("0.02"))
    simulator.orders.orders.clear()
    await _forgotten(desk, 4)
    simulator.orders.orders.append(resting)
    await desk.follow(61)
    # It was there in between: what was counted until then counts no more.
    simulator.orders.orders.clear()
    await _forgotten(desk, 4)
    # No answer is not an answer.
    simulator.faults.add(ORDER, Refusal(503), times=8)
    await desk.follow(61)
    simulator.faults.waiting.clear()
    found = await desk.order(session, order)
    assert (found["status"], found["filledQuantity"]) == ("PARTIALLY_FILLED", "0.05")
    await desk.follow(301)
    # Once more, to cancel it: it may be open although nothing is told of it.
    await desk.follow(0)
    found = await desk.order(session, order)
    assert (found["status"], found["filledQuantity"]) == ("CANCELLED", "0.05")
    assert found["reason"].startswith("The exchange does not know it any more: it was asked 6 times within")
    # Should it remember the order, that is cancelled.
    simulator.orders.orders.append(resting)
    await desk.follow(600)
    await desk.follow(60)
    assert (resting.status, await desk.due(), desk.sent()) == ("CANCELED", [], 1)


async def test_an_old_stop_that_is_forgotten_as_it_is_cancelled_is_cancelled_at_once(desk: LiveDesk) -> None:
    session, futures = await desk.start(leverage=2), desk.simulator.futures
    await desk.done(session, "BUY", "MARKET", "0.2")
    stop = await desk.done(session, "SELL", "STOP", "0.1", stopPrice="45000")
    futures.untold = frozenset({"CANCELED"})
    await desk.do(CANCEL, id=stop["id"])
    await desk.work(stop)
    found = await desk.order(session, stop)
    assert (found["status"], found["reason"]) == ("CANCELLED", "You have cancelled it.")
    assert (futures.orders[-1].status, await desk.due()) == ("CANCELED", [])
    # One that is so old that nothing is told of it while it is open is cancelled before it counts as gone.
    other = await desk.done(session, "SELL", "STOP", "0.1", stopPrice="44000")
    futures.untold = frozenset({"NEW", "CANCELED"})
    await _forgotten(desk, 5)
    assert futures.orders[-1].status == "NEW"
    await desk.follow(61)
    await desk.follow(0)
    found = await desk.order(session, other)
    assert (found["status"], futures.orders[-1].status) == ("CANCELLED", "CANCELED")
    assert found["reason"].startswith("The exchange does not know it any more")


async def _given_up(desk: LiveDesk, session: str, side: str) -> Any:
    """Return an order that arrives without an answer, and is not found until it is given up."""
    simulator = desk.simulator
    order = await desk.placed(session, side, "MARKET", "0.1")
    simulator.faults.add(ORDER, Hang(done=True))
    simulator.faults.add(ORDER, Refusal(503), times=60)
    await desk.work(order)
    simulator.faults.waiting.clear()
    simulator.orders.hidden = True
    await desk.follow(121)
    simulator.orders.hidden = False
    assert (await desk.order(session, order))["status"] == "REJECTED"
    return order


async def test_a_session_does_not_end_before_an_order_was_looked_for_once_more(desk: LiveDesk) -> None:
    session = await desk.start()
    order = await _given_up(desk, session, "BUY")
    await desk.do(STOP, input={"id": session})
    await desk.advance(session)
    assert (await desk.session(session))["status"] == "ACTIVE"
    # It was filled: what it has bought is sold.
    await desk.follow(601)
    assert (await desk.order(session, order))["status"] == "FILLED"
    await desk.advance(session)
    await desk.follow()
    await desk.advance(session)
    found = await desk.session(session)
    assert (found["status"], [each["side"] for each in found["orders"]["nodes"]]) == (
        "STOPPED",
        ["BUY", "SELL"],
    )
    assert await _rows(desk, LiveSessionRow) == []


async def test_an_order_of_a_session_that_has_ended_is_looked_for_once_more(desk: LiveDesk) -> None:
    session = await desk.start()
    order = await _given_up(desk, session, "BUY")
    key = parse_id(session)[1]
    async with desk.runtime.unit_of_work() as uow:
        await uow.session.execute(text("UPDATE trading_sessions SET status = 'STOPPED', ended_at = now()"))
        await sessions.detach(uow, key)
    assert len(await _rows(desk, LiveSessionRow)) == 1
    # No answer is not an answer, but not for ever.
    desk.simulator.faults.add(ORDER, Refusal(503), times=4)
    await desk.follow(601)
    desk.simulator.faults.waiting.clear()
    assert len(await _rows(desk, LiveSessionRow)) == 1
    await desk.follow(61)
    assert (await desk.order(session, order))["status"] == "FILLED"
    assert await _rows(desk, LiveSessionRow) == []


async def test_what_an_order_has_filled_is_not_booked_twice(desk: LiveDesk) -> None:
    session = await desk.start()
    await desk.done(session, "BUY", "MARKET", "0.15")
    order = await _given_up(desk, session, "SELL")
    async with desk.runtime.unit_of_work() as uow:
        # As if it had been taken for a closing at the exchange.
        await uow.session.execute(text("UPDATE order_fills SET fill_id = '2'"))
    await desk.follow(601)
    found = await desk.order(session, order)
    assert (found["status"], found["filledQuantity"]) == ("CANCELLED", "0")
    assert found["reason"] == "0.1 of it was filled, and had been booked before as a closing."
    [held] = (await desk.session(session))["positions"]
    assert (held["quantity"], await desk.due()) == ("0.14985", [])


async def test_after_a_rotation_an_order_is_missing_only_in_an_account_that_has_another_one(
    desk: LiveDesk,
) -> None:
    session = await desk.start()
    await desk.done(session, "BUY", "MARKET", "0.1")
    desk.simulator.faults.add(ORDER, Hang())
    desk.simulator.faults.add(ORDER, Refusal(503), times=60)
    order = await desk.done(session, "SELL", "MARKET", "0.05")
    desk.simulator.faults.waiting.clear()
    await desk.set_key(version=2)
    # As of another account: it knows none of them.
    desk.simulator.orders.hidden = True
    await desk.follow(LEASE_SECONDS)
    assert (await desk.order(session, order))["status"] == "UNKNOWN"
    desk.simulator.orders.hidden = False
    await desk.follow(LEASE_SECONDS)
    found = await desk.order(session, order)
    assert (found["status"], desk.sent()) == ("REJECTED", 2)


async def test_an_exit_that_no_worker_came_to_in_time_counts_as_unsent(desk: LiveDesk) -> None:
    session = await desk.start()
    await desk.done(session, "BUY", "MARKET", "0.1")
    market, key = await desk.market(), parse_id(session)[1]
    spec = LiveOrderSpec(
        market.id, OrderSide.SELL, OrderType.MARKET, Decimal("0.05"), Decimal(50_000), exit_reason="SIGNAL"
    )
    async with desk.runtime.unit_of_work() as uow:
        order, _ = await placing.submit(uow, key, spec, "exit")
    desk.trader.accounts.clock.move(seconds=61)
    await desk.follow()
    async with desk.runtime.unit_of_work() as uow:
        rejected = await following.rejected_closing(uow, key, market.id)
        assert rejected == following.Rejected(order.created_at, unsent=True, refused=False)
    assert desk.sent() == 1


async def test_looks_at_accounts_leave_room_for_orders(
    desk: LiveDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, answered = 0, asyncio.Event()

    async def look(*_given: object) -> None:
        nonlocal begun
        begun += 1
        await answered.wait()

    monkeypatch.setattr(account_looks, "look", look)

    async def looks(count: int) -> list[asyncio.Task[None]]:
        made = (
            jobs_orders.live_account({"runtime": desk.runtime}, str(UUID(int=1)), str(UUID(int=2)))
            for _ in range(count)
        )
        tasks = [asyncio.create_task(each) for each in made]
        await asyncio.sleep(0)
        return tasks

    first = await looks(jobs_orders.LOOKS_AT_ONCE)
    # Those above do nothing, and hold no slot.
    await asyncio.gather(*await looks(5))
    assert begun == jobs_orders.LOOKS_AT_ONCE
    answered.set()
    await asyncio.gather(*first)
    await asyncio.gather(*await looks(1))
    assert begun == jobs_orders.LOOKS_AT_ONCE + 1


async def test_an_order_is_not_taken_for_gone_that_was_not_found_with_another_key(desk: LiveDesk) -> None:
    session = await desk.start()
    order = await desk.done(session, "BUY", "LIMIT", "0.1", price="40000")
    desk.simulator.orders.orders.clear()
    await desk.set_key(version=2)
    await _forgotten(desk, 8)
    assert (await desk.order(session, order))["status"] == "OPEN"


async def test_a_forgotten_order_that_was_filled_by_then_is_filled(desk: LiveDesk) -> None:
    session, simulator = await desk.start(), desk.simulator
    order = await desk.done(session, "BUY", "LIMIT", "0.1", price="49000")
    simulator.orders.trade(simulator.markets["BTCUSDT"], Decimal(49_000), Decimal("0.1"))
    simulator.orders.orders.clear()
    await desk.follow()
    found = await desk.order(session, order)
    assert (found["status"], found["averagePrice"], await desk.due()) == ("FILLED", "49000", [])


async def test_quantities_are_multiples_of_the_market_s_step(bench: Bench) -> None:
    bench.desk.simulator.markets["BTCUSDT"].step = Decimal("0.05")
    await bench.begin(execution={"stopLoss": 0.05})
    await bench.bar(50_100.0)
    # 0.1994 are affordable; 0.14985 are left of them.
    assert [(row.side, row.quantity) for row in await bench.rows(OrderRow)] == [
        ("BUY", Decimal("0.15")),
        ("SELL", Decimal("0.1")),
    ]
    await bench.bar(50_000.0)
    [*_, sold] = await bench.rows(OrderRow)
    assert (sold.status, sold.exit_reason, sold.quantity) == ("FILLED", "SIGNAL", Decimal("0.1"))


async def test_by_hand_what_is_sold_at_the_end_is_a_multiple_of_the_step(desk: LiveDesk) -> None:
    desk.simulator.markets["BTCUSDT"].step = Decimal("0.05")
    session = await desk.start()
    await desk.done(session, "BUY", "MARKET", "0.15")
    await desk.do(STOP, input={"id": session})
    await desk.advance(session)
    await desk.follow()
    await desk.advance(session)
    found = await desk.session(session)
    assert found["status"] == "STOPPED"
    assert [each["quantity"] for each in found["orders"]["nodes"]] == ["0.15", "0.1"]


async def test_a_stop_that_is_told_after_a_rotation_waits_for_the_new_comparison(bench: Bench) -> None:
    await bench.begin()
    await bench.bar(50_100.0)
    await bench.desk.set_key(version=2, status="UNVERIFIED", rotated_at=bench.runtime.clock.now())
    await bench.stop()
    await bench.settle()
    assert ((await bench.bot()).state, await bench.orders()) == ("STOPPING", [BOUGHT])
    await bench.desk.set_key(status="VALID")
    bench.desk.simulator.faults.add("/api/v3/openOrders", Refusal(503), times=4)
    await bench.settle()
    assert ((await bench.bot()).state, bench.desk.sent()) == ("STOPPED", 2)
    assert await bench.orders() == [BOUGHT, ("SELL", "FILLED", "END_OF_DATA")]


async def test_a_stop_after_a_rotation_to_another_account_sells_nothing_and_says_why(bench: Bench) -> None:
    await bench.begin()
    await bench.bar(50_100.0)
    await bench.desk.set_key(version=2)
    bench.desk.account.free["BTC"] = Decimal(0)
    await bench.stop()
    await bench.settle()
    bot = await bench.bot()
    assert (bot.state, bench.desk.sent()) == ("FAILED", 1)
    assert bot.error == (
        "After the key was rotated: The account has 0 BTC; the sessions that trade now believe that they "
        "hold 0.1992006. Nothing was sold: 0.1992 of BTC/USDT is still in the account."
    )
    assert await bench.rows(LiveSessionRow) == []


async def test_a_session_by_hand_that_is_stopped_after_a_rotation_is_compared_again(desk: LiveDesk) -> None:
    session = await desk.start()
    await desk.done(session, "BUY", "MARKET", "0.1")
    await desk.set_key(version=2)
    await desk.do(STOP, input={"id": session})
    await desk.advance(session)
    await desk.follow()
    await desk.advance(session)
    found = await desk.session(session)
    assert (found["status"], [each["status"] for each in found["orders"]["nodes"]]) == (
        "STOPPED",
        ["FILLED"] * 2,
    )
    desk.trader.accounts.clock.move(seconds=30)
    other = await desk.start()
    await desk.done(other, "BUY", "MARKET", "0.1")
    await desk.set_key(version=3)
    desk.account.free["BTC"] = Decimal(0)
    await desk.do(STOP, input={"id": other})
    await desk.advance(other)
    found = await desk.session(other)
    assert (found["status"], desk.sent()) == ("STOPPED", 3)
    [_, unsold] = found["orders"]["nodes"]
    assert (unsold["side"], unsold["status"]) == ("SELL", "REJECTED")
    assert "The account has 0 BTC" in unsold["reason"]


async def test_a_bot_that_fails_leaves_its_stop_at_the_exchange_and_books_what_it_fills(bench: Bench) -> None:
    await bench.begin(execution={"stopLoss": 0.01})
    await bench.bar(50_100.0)
    # As long as the bot trades, its orders are not its user's to cancel.
    [_, stop] = await bench.rows(OrderRow)
    bench.desk.headers = await bench.fresh()
    payload = await bench.desk.do(CANCEL, id=encode_id("Order", stop.id))
    assert [error["code"] for error in payload["errors"]] == ["INVALID_STATE"]
    await ending.fail_session(bench.runtime, bench.session_id, "Its strategy is gone.")
    await jobs.sweep(bench.runtime)
    await bench.settle()
    bot, told = (
        await bench.bot(),
        (
            "Its strategy is gone. Nothing was sold: 0.1992 of BTC/USDT is still in the account. "
            "Its stop at 49599 stays at the exchange until it fills or you cancel it."
        ),
    )
    assert (bot.state, bot.error, await bench.orders()) == ("FAILED", told, [BOUGHT, STOPPED])
    payload = await bench.desk.do(DELETE_KEY, input={"id": bench.desk.key_id})
    [error] = payload["errors"]
    assert error["message"].startswith("The bot Live has failed, and its stop at 49599 is at the exchange")
    bench.desk.simulator.orders.trade(bench.desk.simulator.markets["BTCUSDT"], Decimal(49_500))
    await bench.desk.pass_time(60)
    await bench.settle()
    assert await bench.orders() == [BOUGHT, ("SELL", "FILLED", "STOP_LOSS")]
    closed = next(each for each in await bench.rows(TradeRow) if each.exit_time is not None)
    assert (closed.exit_price, closed.exit_reason) == (Decimal(49_500), "STOP_LOSS")
    assert (await bench.bot()).error == f"{told} Its stop was filled at 49500."
    assert await bench.rows(LiveSessionRow) == []


async def test_a_bot_whose_exits_are_refused_puts_its_stop_back(bench: Bench) -> None:
    await bench.begin(execution={"stopLoss": 0.01})
    await bench.bar(50_100.0)
    bench.desk.simulator.orders.refused_sales = frozenset({"MARKET"})
    await bench.bar(50_000.0)
    await bench.insist()
    bot = await bench.bot()
    assert bot.state == "FAILED"
    assert bot.error is not None
    assert bot.error.startswith("The position could not be closed.")
    assert bot.error.endswith("Its stop at 49599 stays at the exchange until it fills or you cancel it.")
    statuses = [(status, reason) for _, status, reason in await bench.orders()]
    assert statuses == [
        ("FILLED", None),
        ("CANCELLED", "STOP_LOSS"),
        *[("REJECTED", "SIGNAL")] * 3,
        ("OPEN", "STOP_LOSS"),
    ]
    # Its user takes over: the order is cancelled, and with it the session ends.
    bench.desk.headers = await bench.fresh()
    [*_, stop] = await bench.rows(OrderRow)
    payload = await bench.desk.do(CANCEL, id=encode_id("Order", stop.id))
    assert payload["errors"] == []
    await bench.settle()
    assert (await bench.orders())[-1] == ("SELL", "CANCELLED", "STOP_LOSS")
    assert (await bench.bot()).error == f"{bot.error} It has no stop at the exchange. You have cancelled it."
    assert await bench.rows(LiveSessionRow) == []
