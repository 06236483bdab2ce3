"""Orders by hand that wait on paper, and the bars that fill them."""

import asyncio

import pytest

from gql_trader.bots import jobs
from gql_trader.bots.by_hand import matching
from gql_trader.bots.types import QUEUE
from gql_trader.core.intervals import Interval
from gql_trader.gql.relay import parse_id
from gql_trader.market_data.service import ensure_market
from tests.bots.by_hand.hand import START, Hand


async def test_a_limit_order_waits_for_a_bar_that_opens_after_it(hand: Hand) -> None:
    session = await hand.start(makerFee=0.001, slippage=0.01)
    order = await hand.placed(session, "BUY", "LIMIT", "1", price="95")
    assert (order["status"], order["averagePrice"], order["fee"]) == ("OPEN", None, "0")
    # This minute was under way when the order was placed: what it fell to may have been before.
    await hand.bars((100.0, 100.0, 90.0, 100.0))
    await hand.match(session)
    assert (await hand.order(session, order))["status"] == "OPEN"
    await hand.bars((100.0, 100.0, 95.01, 100.0), (100.0, 101.0, 95.0, 99.0), (90.0, 91.0, 89.0, 90.0))
    assert await hand.behind() == [parse_id(session)[1]]
    await hand.match(session)
    filled = await hand.order(session, order)
    assert (filled["status"], filled["averagePrice"], filled["fee"]) == ("FILLED", "95", "0.095")
    assert (await hand.session(session))["cash"] == "904.905"
    assert await hand.behind() == []


@pytest.mark.parametrize(
    ("side", "kind", "prices", "bars", "status", "price"),
    [
        ("BUY", "LIMIT", {"price": "95"}, [(94.0, 96.0, 93.0, 95.0)], "FILLED", "94"),
        ("BUY", "LIMIT", {"price": "100.5"}, [], "FILLED", "100.5"),
        ("BUY", "LIMIT", {"price": "103"}, [], "FILLED", "101"),
        ("BUY", "STOP", {"stopPrice": "105"}, [(104.0, 105.0, 103.0, 104.0)], "FILLED", "106.05"),
        ("BUY", "STOP", {"stopPrice": "105"}, [(110.0, 111.0, 109.0, 110.0)], "FILLED", "111.1"),
        ("BUY", "STOP", {"stopPrice": "105"}, [(104.0, 104.99, 103.0, 104.0)], "OPEN", None),
        ("BUY", "STOP", {"stopPrice": "99"}, [], "FILLED", "101"),
        (
            "BUY",
            "STOP_LIMIT",
            {"stopPrice": "105", "price": "105.5"},
            [(104.0, 106.0, 103.0, 104.0)],
            "FILLED",
            "105.5",
        ),
        (
            "BUY",
            "STOP_LIMIT",
            {"stopPrice": "105", "price": "106"},
            [(110.0, 111.0, 100.0, 110.0)],
            "OPEN",
            None,
        ),
        (
            "BUY",
            "STOP_LIMIT",
            {"stopPrice": "105", "price": "106"},
            [(110.0, 111.0, 100.0, 110.0), (108.0, 109.0, 105.0, 107.0)],
            "FILLED",
            "106",
        ),
        ("SELL", "LIMIT", {"price": "105"}, [(104.0, 105.0, 103.0, 104.0)], "FILLED", "105"),
        ("SELL", "STOP", {"stopPrice": "95"}, [(96.0, 97.0, 94.0, 96.0)], "FILLED", "94.05"),
        ("SELL", "STOP", {"stopPrice": "95"}, [(90.0, 91.0, 89.0, 90.0)], "FILLED", "89.1"),
        ("SELL", "STOP_LIMIT", {"stopPrice": "95", "price": "93"}, [(90.0, 92.0, 89.0, 90.0)], "OPEN", None),
    ],
)
async def test_orders_fill_by_the_engine_s_rules(
    hand: Hand,
    side: str,
    kind: str,
    prices: dict[str, str],
    bars: list[tuple[float, float, float, float]],
    status: str,
    price: str | None,
) -> None:
    session = await hand.start(slippage=0.01)
    if side == "SELL":
        await hand.placed(session, "BUY", "MARKET", "1")
    order = await hand.placed(session, side, kind, "1", **prices)
    await hand.pass_minute()
    if bars:
        await hand.bars(*bars)
        await hand.match(session)
        await hand.match(session)
    found = await hand.order(session, order)
    assert (found["status"], found["averagePrice"]) == (status, price)


async def test_a_stop_and_a_target_wait_for_the_same_position(hand: Hand) -> None:
    session = await hand.start()
    await hand.placed(session, "BUY", "MARKET", "2")
    stop = await hand.placed(session, "SELL", "STOP", "2", stopPrice="95", reduceOnly=True)
    target = await hand.placed(session, "SELL", "LIMIT", "2", price="105", reduceOnly=True)
    await hand.pass_minute()
    await hand.bars((100.0, 106.0, 99.0, 104.0), (94.0, 95.0, 90.0, 91.0))
    await hand.match(session)
    assert (await hand.order(session, target))["status"] == "FILLED"
    ended = await hand.order(session, stop)
    assert (ended["status"], ended["filledQuantity"]) == ("CANCELLED", "0")
    assert "held" in ended["reason"]
    assert (await hand.session(session))["positions"] == []


async def test_of_a_stop_and_a_target_inside_one_bar_the_stop_is_taken(hand: Hand) -> None:
    session = await hand.start()
    await hand.placed(session, "BUY", "MARKET", "2")
    target = await hand.placed(session, "SELL", "LIMIT", "2", price="105", reduceOnly=True)
    stop = await hand.placed(session, "SELL", "STOP", "2", stopPrice="95", reduceOnly=True)
    await hand.pass_minute()
    await hand.bars((100.0, 106.0, 94.0, 104.0))
    await hand.match(session)
    assert (await hand.order(session, stop))["averagePrice"] == "95"
    assert (await hand.order(session, target))["status"] == "CANCELLED"


async def test_orders_with_a_limit_fill_in_parts_where_the_session_says_so(hand: Hand) -> None:
    for share in (0.0, 1.5):
        payload = await hand.do(START, input={"maxVolumeShare": share})
        assert [(error["code"], error["path"]) for error in payload["errors"]] == [
            ("INVALID_INPUT", ["maxVolumeShare"])
        ]
    session = await hand.start(maxVolumeShare=0.4, takerFee=0.0, makerFee=0.0)
    # At once, at the last close, an order fills whole; so does one without a limit.
    await hand.placed(session, "BUY", "MARKET", "2")
    bought = await hand.placed(session, "BUY", "LIMIT", "1", price="90")
    stop = await hand.placed(session, "SELL", "STOP", "2", stopPrice="70", reduceOnly=True)
    await hand.pass_minute()
    # A volume of one: 0.4 of it fills at 90, and 0.4 at the next open below.
    await hand.bars((95.0, 95.0, 90.0, 95.0), (80.0, 95.0, 80.0, 95.0))
    await asyncio.gather(*(hand.match(session) for _ in range(3)))
    found = await hand.order(session, bought)
    assert (found["status"], found["filledQuantity"], found["averagePrice"]) == (
        "PARTIALLY_FILLED",
        "0.8",
        "85",
    )
    assert (await hand.session(session))["cash"] == "732"
    # What waits is promised still.
    assert await hand.refused(session, "BUY", "LIMIT", "8", price="90") == [("INVALID_INPUT", ["quantity"])]
    await hand.bars((95.0, 95.0, 85.0, 95.0), (75.0, 75.0, 60.0, 65.0))
    await hand.match(session)
    found = await hand.order(session, bought)
    assert (found["status"], found["filledQuantity"]) == ("FILLED", "1")
    sold = await hand.order(session, stop)
    assert (sold["status"], sold["filledQuantity"], sold["averagePrice"]) == ("FILLED", "2", "70")
    after = await hand.session(session)
    assert (after["cash"], after["positions"][0]["quantity"]) == ("854", "1")


async def test_workers_are_told_of_orders_that_new_bars_may_fill_and_fill_them_once(hand: Hand) -> None:
    session = await hand.start()
    order = await hand.placed(session, "BUY", "LIMIT", "1", price="95")
    await hand.pass_minute()
    await hand.bars((100.0, 100.0, 90.0, 95.0))
    runtime, key = hand.bots.runtime, parse_id(session)[1]
    waiting = [matching.match_job(key).key]
    async with runtime.unit_of_work() as uow:
        market = await ensure_market(uow, "hand", "BTC/USD")
    assert await runtime.queue.waiting(QUEUE, waiting) == set()
    await jobs.bars_closed({"runtime": runtime}, str(market.id), "M1")
    assert await runtime.queue.waiting(QUEUE, waiting) == set(waiting)
    # A Redis that has lost its memory.
    await runtime.queue._redis.flushdb()
    await jobs.sweep(runtime)
    assert await runtime.queue.waiting(QUEUE, waiting) == set(waiting)
    async with runtime.unit_of_work() as uow:
        assert await matching.followed(uow) == [(market.id, Interval.M1)]
    await asyncio.gather(*(hand.match(session) for _ in range(4)))
    assert (await hand.order(session, order))["status"] == "FILLED"
    found = await hand.session(session)
    assert (found["cash"], len(found["trades"]["nodes"])) == ("904.905", 1)
    await runtime.queue._redis.flushdb()
    await jobs.sweep(runtime)
    assert await runtime.queue.waiting(QUEUE, waiting) == set()
