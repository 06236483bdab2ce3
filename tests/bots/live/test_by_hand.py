"""Live orders by hand at a simulated exchange over HTTP: none is ever placed twice, whatever happens."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from gql_trader.accounts import api_tokens
from gql_trader.accounts.types_credentials import ApiTokenSpec
from gql_trader.bots.live import jobs_orders
from gql_trader.bots.live.orders import answers, sending
from gql_trader.core.actor import TokenScope
from gql_trader.core.ids import uuid7
from gql_trader.gql.relay import encode_id, parse_id
from gql_trader.infra.work import run_queues
from tests.accounts.accounts_api import refusals
from tests.bots.live.desk import (
    CANCEL,
    KEY,
    LEASE_SECONDS,
    ORDER,
    STOP,
    KilledError,
    LiveDesk,
    killing,
    quote,
)
from tests.factories.exchange_simulator import CutOff, Hang, Pause, Refusal, SimulatedMarket
from workers import orders as orders_queue


async def test_a_market_order_is_stored_then_sent_then_booked_with_the_exchange_s_fee(desk: LiveDesk) -> None:
    session = await desk.start()
    order = await desk.placed(session, "BUY", "MARKET", "0.1")
    assert (order["status"], order["exchangeOrderId"], desk.sent()) == ("NEW", None, 0)
    await desk.work(order)
    found = await desk.order(session, order)
    assert (found["status"], found["filledQuantity"], found["averagePrice"]) == ("FILLED", "0.1", "50000")
    # Binance takes its fee of what is bought: 0.0001 BTC.
    assert found["fee"] == "5"
    [sent] = desk.simulator.orders.orders
    assert sent.client_id == order["clientOrderId"] == parse_id(order["id"])[1].hex
    after = await desk.session(session)
    assert (after["cash"], after["equity"], after["profit"]) == ("5000", "9995", "-5")
    assert after["positions"] == [
        {"quantity": "0.0999", "entryPrice": "50000", "markPrice": "50000", "unrealizedProfit": "-5"}
    ]
    desk.simulator.markets["BTCUSDT"].price = Decimal(60_000)
    sold = await desk.done(session, "SELL", "MARKET", "0.0999", reduceOnly=True)
    assert (sold["status"], sold["averagePrice"], sold["fee"]) == ("FILLED", "60000", "5.994")
    after = await desk.session(session)
    assert (after["cash"], after["positions"], after["profit"]) == ("10988.006", [], "988.006")
    [trade] = after["trades"]["nodes"]
    assert (trade["status"], trade["profit"], trade["fees"]) == ("CLOSED", "988.006", "10.994")
    assert await desk.due() == []


async def test_a_live_session_needs_a_second_factor_and_a_verified_key_that_only_trades(
    desk: LiveDesk,
) -> None:
    nobody_s = encode_id("ExchangeKey", uuid7())
    for given, refusal in (
        ({"totpCode": None}, ("TOTP_REQUIRED", ["totpCode"])),
        ({"totpCode": "000000x"}, ("INVALID_CREDENTIALS", ["totpCode"])),
        ({"exchangeKeyId": None}, ("INVALID_INPUT", ["exchangeKeyId"])),
        ({"exchangeKeyId": nobody_s}, ("NOT_FOUND", ["exchangeKeyId"])),
    ):
        payload = await desk.begin(**given)
        assert (payload["tradingSession"], refusals(payload)) == (None, [refusal])
    trades = {"status": "VALID", "permissions": ["READ", "TRADE"]}
    for key in (
        {"status": "UNVERIFIED"},
        {"permissions": ["READ"]},
        {"permissions": ["READ", "TRADE", "WITHDRAW"]},
    ):
        await desk.set_key(**trades | key)
        assert refusals(await desk.begin()) == [("INVALID_STATE", ["exchangeKeyId"])], key
    async with desk.runtime.unit_of_work() as uow:
        assert await uow.session.scalar(text("SELECT count(*) FROM trading_sessions")) == 0
    # What was refused has used no code up.
    await desk.set_key(**trades)
    await desk.start()
    assert refusals(await desk.begin()) == [("INVALID_CREDENTIALS", ["totpCode"])]


async def test_no_api_token_starts_live_trading_but_one_may_trade_what_was_started(desk: LiveDesk) -> None:
    async with desk.runtime.unit_of_work() as uow:
        spec = ApiTokenSpec("bot", frozenset({TokenScope.READ, TokenScope.TRADE}))
        _, secret = await api_tokens.create_token(uow, desk.trader.member.actor, spec)
    by_token = replace(desk, headers={"authorization": f"Token {secret}"})
    assert refusals(await by_token.begin()) == [("FORBIDDEN", ["mode"])]
    session = await desk.start()
    assert (await by_token.placed(session, "BUY", "MARKET", "0.1"))["status"] == "NEW"


async def test_an_order_that_was_taken_without_an_answer_is_found_and_booked_once(desk: LiveDesk) -> None:
    session = await desk.start()
    for fault in (Hang(done=True), CutOff(done=True), Refusal(503, done=True), Refusal(504, done=True)):
        desk.simulator.faults.add(ORDER, fault)
        order = await desk.done(session, "BUY", "MARKET", "0.01")
        assert (order["status"], order["filledQuantity"]) == ("FILLED", "0.01"), fault
    await desk.follow(LEASE_SECONDS)
    assert (desk.sent(), len(desk.simulator.orders.orders)) == (4, 4)
    assert (await desk.session(session))["cash"] == "8000"


async def test_an_outcome_that_stays_unknown_is_asked_for_and_nothing_is_sent_again(desk: LiveDesk) -> None:
    session = await desk.start()
    desk.simulator.faults.add(ORDER, Hang(done=True))
    desk.simulator.faults.add(ORDER, Refusal(503), times=60)
    order = await desk.done(session, "BUY", "MARKET", "0.1")
    assert (order["status"], desk.sent()) == ("UNKNOWN", 1)
    await desk.follow()
    assert (await desk.order(session, order))["status"] == "UNKNOWN"
    desk.simulator.faults.waiting.clear()
    await desk.follow(300)
    assert (await desk.order(session, order))["status"] == "FILLED"
    assert (desk.sent(), len(desk.simulator.orders.orders)) == (1, 1)


async def test_an_order_that_may_still_arrive_is_not_given_up(desk: LiveDesk) -> None:
    session, simulator = await desk.start(), desk.simulator
    simulator.faults.add(ORDER, Hang())
    simulator.faults.add(ORDER, Refusal(503), times=60)
    order = await desk.done(session, "BUY", "MARKET", "0.1")
    simulator.faults.waiting.clear()
    # The exchange answers, and has not got it yet.
    await desk.follow()
    assert (await desk.order(session, order))["status"] == "UNKNOWN"
    [late] = [each for each in simulator.received if each.path == ORDER and each.method == "POST"]
    simulator.orders.place(desk.account, simulator.markets["BTCUSDT"], late.params, simulator.now())
    await desk.follow(LEASE_SECONDS)
    assert (await desk.order(session, order))["status"] == "FILLED"
    assert (desk.sent(), len(simulator.orders.orders)) == (1, 1)


async def test_a_worker_that_slept_before_it_sends_does_not_send(
    desk: LiveDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await desk.start()
    order = await desk.placed(session, "BUY", "MARKET", "0.1")
    asked = sending.rules_of  # type: ignore[attr-defined]

    async def slowly(*positional: Any, **named: Any) -> Any:
        desk.trader.accounts.clock.move(seconds=61)
        return await asked(*positional, **named)

    with monkeypatch.context() as patched:
        patched.setattr(sending, "rules_of", slowly)
        await desk.work(order)
    found = await desk.order(session, order)
    assert (found["status"], found["reason"]) == (
        "REJECTED",
        "It could not be sent in time. It was not placed.",
    )
    assert desk.sent() == 0


async def test_an_order_that_never_arrived_is_rejected_and_not_sent_again(desk: LiveDesk) -> None:
    session = await desk.start()
    desk.simulator.faults.add(ORDER, Hang())
    order = await desk.done(session, "BUY", "MARKET", "0.1")
    # That it is not told of is no proof: what is asked may not know of it yet.
    assert order["status"] == "UNKNOWN"
    for _ in range(3):
        await desk.follow(1000)
    found = await desk.order(session, order)
    assert (found["status"], found["reason"]) == (
        "REJECTED",
        "No answer came when it was sent, and the exchange has not got it: it was not placed.",
    )
    assert (desk.sent(), desk.simulator.orders.orders) == (1, [])
    assert (await desk.session(session))["cash"] == "10000"


async def test_an_order_that_the_exchange_tells_of_late_is_not_sent_again(desk: LiveDesk) -> None:
    session = await desk.start()
    desk.simulator.faults.add(ORDER, Hang(done=True))
    desk.simulator.orders.hidden = True
    order = await desk.done(session, "BUY", "MARKET", "0.1")
    await desk.follow(60)
    assert (await desk.order(session, order))["status"] == "UNKNOWN"
    desk.simulator.orders.hidden = False
    await desk.follow(60)
    assert (await desk.order(session, order))["status"] == "FILLED"
    assert (desk.sent(), await desk.due()) == (1, [])


async def test_what_was_refused_for_being_too_many_is_sent_when_it_may_be(desk: LiveDesk) -> None:
    session = await desk.start()
    desk.simulator.faults.add(ORDER, Refusal(429, retry_after="5"))
    order = await desk.done(session, "BUY", "MARKET", "0.1")
    assert (order["status"], len(desk.simulator.orders.orders)) == ("FILLED", 1)
    # Longer than a worker waits: the order goes back, since the exchange has certainly not taken it.
    desk.simulator.faults.add(ORDER, Refusal(429, retry_after="40"))
    order = await desk.done(session, "BUY", "MARKET", "0.01")
    assert (order["status"], order["reason"]) == ("NEW", None)
    assert len(desk.simulator.orders.orders) == 1


async def test_what_cannot_be_sent_within_a_minute_is_not_sent_any_more(desk: LiveDesk) -> None:
    session = await desk.start()
    # A refusal that comes late on a busy machine is none: it would not be known what became of the order.
    desk.runtime.exchanges._timeout = 5.0
    desk.simulator.faults.add(ORDER, Refusal(418, retry_after="3600"))
    order = await desk.done(session, "BUY", "MARKET", "0.1")
    assert order["status"] == "REJECTED"
    late = await desk.placed(session, "BUY", "MARKET", "0.1")
    desk.trader.accounts.clock.move(seconds=61)
    await desk.work(late)
    found = await desk.order(session, late)
    assert (found["status"], found["reason"]) == (
        "REJECTED",
        "It could not be sent in time. Nothing was sent.",
    )
    assert desk.simulator.orders.orders == []


async def test_a_wrong_clock_is_set_and_a_rejected_order_says_why(desk: LiveDesk) -> None:
    session = await desk.start()
    # The account is compared before: it is the order that finds the clock wrong.
    await desk.placed(session, "BUY", "LIMIT", "0.01", price="40000")
    desk.simulator.ahead = 60_000
    order = await desk.done(session, "BUY", "MARKET", "0.1")
    assert (order["status"], len(desk.simulator.orders.orders)) == ("FILLED", 1)
    desk.account.free["USDT"], sent = Decimal(10), desk.sent()
    order = await desk.done(session, "BUY", "MARKET", "0.01")
    assert order["status"] == "REJECTED"
    assert "insufficient balance" in order["reason"]
    assert (desk.sent(), (await desk.session(session))["cash"]) == (sent + 1, "5000")


async def test_fills_are_booked_as_they_come_each_once(desk: LiveDesk) -> None:
    session, market = await desk.start(), desk.simulator.markets["BTCUSDT"]
    order = await desk.done(session, "BUY", "LIMIT", "0.1", price="49000")
    assert (order["status"], order["filledQuantity"]) == ("OPEN", "0")
    desk.simulator.orders.trade(market, Decimal(48_000), Decimal("0.03"))
    for _ in range(2):
        await desk.follow()
        found = await desk.order(session, order)
        assert (found["status"], found["filledQuantity"]) == ("PARTIALLY_FILLED", "0.03")
        assert (await desk.session(session))["cash"] == "8560"
    desk.simulator.orders.trade(market, Decimal(47_000))
    await desk.follow()
    found = await desk.order(session, order)
    assert (found["status"], found["filledQuantity"], found["averagePrice"]) == ("FILLED", "0.1", "47300")
    after = await desk.session(session)
    assert (after["cash"], after["positions"][0]["quantity"]) == ("5270", "0.0999")
    assert await desk.due() == []


async def test_stops_wait_at_the_exchange(desk: LiveDesk) -> None:
    session = await desk.start()
    await desk.done(session, "BUY", "MARKET", "0.1")
    stop = await desk.done(session, "SELL", "STOP", "0.05", stopPrice="45000")
    limited = await desk.done(session, "SELL", "STOP_LIMIT", "0.0499", stopPrice="45000", price="43000")
    assert (stop["status"], limited["status"]) == ("OPEN", "OPEN")
    desk.simulator.orders.trade(desk.simulator.markets["BTCUSDT"], Decimal(44_000))
    await desk.follow()
    for order in (stop, limited):
        found = await desk.order(session, order)
        assert (found["status"], found["averagePrice"]) == ("FILLED", "44000")
    assert (await desk.session(session))["positions"] == []


async def test_workers_killed_before_after_and_as_they_commit_place_nothing_twice(
    desk: LiveDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await desk.start()
    unsent, found, rolled_back = [await desk.placed(session, "BUY", "MARKET", "0.05") for _ in range(3)]
    for order, module, name, after in (
        (unsent, sending, "_ask", None),
        (found, answers, "write", None),
        # What it has written is rolled back.
        (rolled_back, answers, "write", answers.write),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, killing(after))
            with pytest.raises(KilledError):
                await desk.work(order)
    # Nobody touches them while the dead workers' leases last.
    assert await desk.due() == []
    for order in (unsent, found, rolled_back):
        await desk.work(order)
        assert (await desk.order(session, order))["status"] == "UNKNOWN"
    assert (desk.sent(), (await desk.session(session))["cash"]) == (2, "10000")
    await desk.follow(LEASE_SECONDS)
    ended = await desk.order(session, unsent)
    assert ended["status"] == "REJECTED"
    assert ended["reason"].endswith("it was not placed.")
    for order in (found, rolled_back):
        assert (await desk.order(session, order))["status"] == "FILLED"
    assert (desk.sent(), (await desk.session(session))["cash"]) == (2, "5000")


async def test_of_workers_that_race_one_sends(desk: LiveDesk) -> None:
    session = await desk.start()
    order = await desk.placed(session, "BUY", "MARKET", "0.1")
    await asyncio.gather(*(desk.work(order) for _ in range(6)))
    assert (await desk.order(session, order))["status"] == "FILLED"
    assert (desk.sent(), (await desk.session(session))["cash"]) == (1, "5000")


async def test_a_worker_that_slept_past_its_lease_writes_nothing(desk: LiveDesk) -> None:
    session = await desk.start()
    order = await desk.placed(session, "BUY", "LIMIT", "0.1", price="49000")
    pause = Pause()
    desk.simulator.faults.add(ORDER, pause)
    slow = asyncio.create_task(desk.work(order))
    await pause.arrived.wait()
    # The exchange has not taken it when another worker asks, but does so afterwards.
    await desk.follow(LEASE_SECONDS)
    assert (await desk.order(session, order))["status"] == "REJECTED"
    pause.released.set()
    await slow
    assert (await desk.order(session, order))["status"] == "REJECTED"
    assert len(desk.simulator.orders.orders) == 1
    # It is found later, and taken back: its user was told that there is none.
    await desk.follow(601)
    assert (await desk.order(session, order))["status"] == "OPEN"
    await desk.follow()
    found = await desk.order(session, order)
    assert (found["status"], desk.simulator.orders.orders[0].status) == ("CANCELLED", "CANCELED")
    assert desk.sent() == 1


async def test_what_may_not_be_traded_any_more_when_it_is_to_be_sent_is_not_sent(desk: LiveDesk) -> None:
    session = await desk.start()
    user = {"status": "ACTIVE", "role": "TRADER", "totp_enabled": True}
    key = {"status": "VALID", "permissions": ["READ", "TRADE"]}
    reasons = []
    for of_user, of_key, of_server in (
        ({"status": "DISABLED"}, {}, {}),
        ({"role": "VIEWER"}, {}, {}),
        ({"totp_enabled": False}, {}, {}),
        ({}, {"status": "INVALID"}, {}),
        ({}, {"permissions": ["READ"]}, {}),
        ({}, {"permissions": ["READ", "TRADE", "WITHDRAW"]}, {}),
        ({}, {}, {"live_trading_enabled": False}),
    ):
        order = await desk.placed(session, "BUY", "MARKET", "0.1")
        await desk.set_user(**user | of_user)
        await desk.set_key(**key | of_key)
        await desk.other_server(**of_server).work(order)
        await desk.set_user(**user)
        await desk.set_key(**key)
        found = await desk.order(session, order)
        assert found["status"] == "REJECTED"
        reasons.append(found["reason"].removesuffix(" Nothing was sent."))
    assert reasons == [
        "The account is not active.",
        "Live trading needs the role TRADER.",
        "Live trading needs a second factor.",
        "This exchange key is not verified; verify it first.",
        "Nothing says that this exchange key may trade; give it that permission, and verify it again.",
        "This exchange key can withdraw funds; take that permission away, and verify it again.",
        "This server does not trade live: LIVE_TRADING_ENABLED is off.",
    ]
    assert desk.sent() == 0


async def test_sessions_of_who_may_not_trade_any_more_end_and_sell_nothing(desk: LiveDesk) -> None:
    session = await desk.start()
    await desk.done(session, "BUY", "MARKET", "0.1")
    await desk.done(session, "BUY", "LIMIT", "0.01", price="49000")
    await desk.set_user(status="DISABLED")
    await jobs_orders.sweep_sessions(desk.runtime)
    await desk.follow()
    await desk.advance(session)
    await desk.set_user(status="ACTIVE")
    async with desk.runtime.unit_of_work() as uow:
        assert await uow.session.scalar(text("SELECT status FROM trading_sessions")) == "STOPPED"
    assert [each.status for each in desk.simulator.orders.orders] == ["FILLED", "CANCELED"]


async def test_an_order_is_cancelled_at_the_exchange(desk: LiveDesk) -> None:
    session = await desk.start()
    order = await desk.done(session, "BUY", "LIMIT", "0.1", price="49000")
    payload = await desk.do(CANCEL, id=order["id"])
    assert (payload["errors"], payload["order"]["status"]) == ([], "OPEN")
    assert payload["order"]["cancelRequestedAt"] is not None
    await desk.work(order)
    found = await desk.order(session, order)
    assert (found["status"], found["reason"]) == ("CANCELLED", "You have cancelled it.")
    assert refusals(await desk.do(CANCEL, id=order["id"])) == [("INVALID_STATE", ["id"])]
    assert desk.sent("DELETE") == 1


async def test_an_order_that_was_filled_before_it_could_be_cancelled_is_filled(desk: LiveDesk) -> None:
    session, market = await desk.start(), desk.simulator.markets["BTCUSDT"]
    order = await desk.done(session, "BUY", "LIMIT", "0.1", price="49000")
    part = await desk.done(session, "BUY", "LIMIT", "0.1", price="48000")
    desk.simulator.orders.trade(market, Decimal(48_500))
    desk.simulator.orders.trade(market, Decimal(47_900), Decimal("0.04"))
    for each in (order, part):
        await desk.do(CANCEL, id=each["id"])
        await desk.work(each)
    found = await desk.order(session, order)
    assert (found["status"], found["filledQuantity"], found["reason"]) == ("FILLED", "0.1", None)
    found = await desk.order(session, part)
    assert (found["status"], found["filledQuantity"]) == ("CANCELLED", "0.04")
    assert (await desk.session(session))["positions"][0]["quantity"] == "0.13986"


async def test_an_order_that_was_not_sent_yet_is_cancelled_and_never_sent(desk: LiveDesk) -> None:
    session = await desk.start()
    order = await desk.placed(session, "BUY", "MARKET", "0.1")
    assert (await desk.do(CANCEL, id=order["id"]))["order"]["status"] == "CANCELLED"
    await desk.work(order)
    await desk.follow(LEASE_SECONDS)
    assert desk.sent() == 0


async def test_a_cancellation_without_an_answer_ends_in_the_true_state(desk: LiveDesk) -> None:
    session = await desk.start()
    order = await desk.done(session, "BUY", "LIMIT", "0.1", price="49000")
    await desk.do(CANCEL, id=order["id"])
    desk.simulator.faults.add(ORDER, Hang(done=True))
    await desk.work(order)
    await desk.follow()
    assert (await desk.order(session, order))["status"] == "CANCELLED"


async def test_stopping_cancels_and_sells_and_then_lets_go_of_the_key(desk: LiveDesk) -> None:
    session = await desk.start()
    await desk.done(session, "BUY", "MARKET", "0.1")
    await desk.done(session, "BUY", "LIMIT", "0.01", price="49000")
    delete = "mutation($id: ID!) { deleteExchangeKey(input: {id: $id}) { deletedId errors { code path } } }"
    assert refusals(await desk.do(delete, id=desk.key_id)) == [("INVALID_STATE", ["id"])]
    payload = await desk.do(STOP, input={"id": session})
    assert payload["tradingSession"]["status"] == "ACTIVE"
    assert refusals(await desk.place(session, "BUY", "MARKET", "0.1")) == [("INVALID_STATE", ["sessionId"])]
    # A worker may look too early.
    await desk.advance(session)
    await desk.follow()
    await desk.advance(session)
    await desk.advance(session)
    await desk.follow()
    await desk.advance(session)
    found = await desk.session(session)
    assert (found["status"], found["positions"], found["cash"]) == ("STOPPED", [], "9990.005")
    assert [each["status"] for each in found["orders"]["nodes"]] == ["FILLED", "CANCELLED", "FILLED"]
    assert [each.side for each in desk.simulator.orders.orders] == ["BUY", "BUY", "SELL"]
    assert desk.account.free["BTC"] == 1
    assert (await desk.do(delete, id=desk.key_id))["errors"] == []


async def test_a_session_whose_exchange_tells_nothing_can_be_abandoned(desk: LiveDesk) -> None:
    session = await desk.start()
    order = await desk.done(session, "BUY", "LIMIT", "0.1", price="49000")
    assert refusals(await desk.do(STOP, input={"id": session, "abandon": True})) == [
        ("INVALID_STATE", ["abandon"])
    ]
    await desk.do(STOP, input={"id": session})
    del desk.simulator.accounts[KEY]
    await desk.follow()
    await desk.advance(session)
    assert (await desk.session(session))["status"] == "ACTIVE"
    payload = await desk.do(STOP, input={"id": session, "abandon": True})
    assert payload["tradingSession"]["status"] == "STOPPED"
    found = await desk.order(session, order)
    assert (found["status"], "given up" in found["reason"]) == ("OPEN", True)
    assert await desk.due() == []


async def test_the_same_order_under_the_same_key_is_sent_once(desk: LiveDesk) -> None:
    session = await desk.start()
    same = {"idempotencyKey": "one"}
    orders = await asyncio.gather(*(desk.placed(session, "BUY", "MARKET", "0.1", **same) for _ in range(4)))
    assert len({each["id"] for each in orders}) == 1
    await asyncio.gather(*(desk.work(each) for each in orders))
    assert refusals(await desk.place(session, "BUY", "MARKET", "0.2", **same)) == [
        ("IDEMPOTENCY_MISMATCH", ["idempotencyKey"])
    ]
    assert desk.sent() == 1


async def test_what_the_exchange_would_not_take_or_the_session_cannot_pay_is_refused_before(
    desk: LiveDesk,
) -> None:
    session = await desk.start()
    await quote(desk.runtime, 3000.0, "kraken:ETH/USDT")
    # What is stored of a market may be coarser than what the exchange says now.
    desk.simulator.add_market(
        SimulatedMarket("ETH", "USDT", Decimal(3000), step=Decimal("0.5"), minimum_quantity=Decimal("0.5"))
    )
    await quote(desk.runtime, 3000.0, "binance:ETH/USDT")
    for arguments, changes, path in (
        (("BUY", "MARKET", "0.000001"), {}, ["quantity"]),
        (("BUY", "LIMIT", "0.1"), {"price": "49000.001"}, ["price"]),
        (("BUY", "MARKET", "0.00001"), {}, []),
        (("BUY", "MARKET", "1"), {"market": "kraken:ETH/USDT"}, ["market"]),
        (("BUY", "MARKET", "0.7"), {"market": "binance:ETH/USDT"}, []),
        (("BUY", "MARKET", "0.3"), {}, ["quantity"]),
        (("SELL", "MARKET", "0.1"), {}, ["quantity"]),
        (("SELL", "MARKET", "0.1"), {"reduceOnly": True}, ["reduceOnly"]),
    ):
        payload = await desk.place(session, *arguments, **changes)
        assert refusals(payload) == [("INVALID_INPUT", path)], (arguments, payload)
    # What waits is promised: neither cash nor what is held is spent twice.
    await desk.placed(session, "BUY", "MARKET", "0.15")
    assert refusals(await desk.place(session, "BUY", "MARKET", "0.15")) == [("INVALID_INPUT", ["quantity"])]
    assert desk.sent() == 0


async def test_the_queue_s_worker_sends_follows_and_ends(desk: LiveDesk) -> None:
    session, ready = await desk.start(), asyncio.Event()
    specs, url = [orders_queue.queue(desk.runtime.settings)], desk.runtime.settings.redis_url
    running = asyncio.create_task(run_queues(specs, url.get_secret_value(), desk.runtime, on_ready=ready.set))
    try:
        await ready.wait()
        order = await desk.placed(session, "BUY", "MARKET", "0.1")
        await until(desk, session, lambda found: found["orders"]["nodes"][0]["status"] == "FILLED")
        await desk.do(STOP, input={"id": session})
        await until(desk, session, lambda found: found["status"] == "STOPPED")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert (order["status"], desk.sent()) == ("NEW", 2)
    assert desk.account.free["BTC"] == 1


async def until(desk: LiveDesk, session: str, condition: Callable[[Any], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition(await desk.session(session)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
