"""Orders by hand on paper, through GraphQL over HTTP, in-process, on real servers."""

import asyncio
from decimal import Decimal
from random import Random

from gql_trader.gql.relay import parse_id
from gql_trader.market_data.service import ensure_market
from tests.bots.by_hand.hand import CANCEL, STOP, Hand


async def test_a_market_order_fills_at_the_last_close_with_slippage_and_fee(hand: Hand) -> None:
    session = await hand.start(slippage=0.01, takerFee=0.002)
    order = await hand.placed(session, "BUY", "MARKET", "2")
    assert (order["status"], order["averagePrice"], order["filledQuantity"]) == ("FILLED", "101", "2")
    assert (order["fee"], order["market"], order["session"]) == (
        "0.404",
        {"symbol": "BTC/USD"},
        {"id": session},
    )
    await hand.bars((100.0, 110.0, 100.0, 110.0))
    await hand.match(session)
    found = await hand.session(session)
    assert found["cash"] == "797.596"
    assert found["equity"] == "1017.596"
    assert found["positions"] == [
        {
            "side": "LONG",
            "quantity": "2",
            "entryPrice": "101",
            "markPrice": "110",
            "unrealizedProfit": "17.596",
            "market": {"symbol": "BTC/USD"},
        }
    ]
    sold = await hand.placed(session, "SELL", "MARKET", "2")
    assert (sold["averagePrice"], sold["fee"]) == ("108.9", "0.4356")
    found = await hand.session(session)
    [trade] = found["trades"]["nodes"]
    assert (trade["status"], trade["profit"], trade["fees"]) == ("CLOSED", "14.9604", "0.8396")
    assert (trade["exitPrice"], trade["exitReason"]) == ("108.9", None)
    assert (found["positions"], found["cash"], found["profit"]) == ([], "1014.9604", "14.9604")


async def test_a_position_grows_and_is_closed_in_parts(hand: Hand) -> None:
    session = await hand.start(takerFee=0.0)
    await hand.placed(session, "BUY", "MARKET", "1")
    await hand.bars((110.0, 110.0, 110.0, 110.0))
    await hand.placed(session, "BUY", "MARKET", "3")
    [position] = (await hand.session(session))["positions"]
    assert (position["quantity"], position["entryPrice"]) == ("4", "107.5")
    await hand.bars((120.0, 120.0, 120.0, 120.0))
    await hand.placed(session, "SELL", "MARKET", "1")
    found = await hand.session(session)
    assert [(each["status"], each["quantity"], each["profit"]) for each in found["trades"]["nodes"]] == [
        ("OPEN", "3", None),
        ("CLOSED", "1", "12.5"),
    ]
    assert found["positions"][0]["unrealizedProfit"] == "37.5"
    await hand.do(STOP, input={"id": session})
    found = await hand.session(session)
    assert (found["status"], found["cash"], found["positions"]) == ("STOPPED", "1050", [])
    assert [each["profit"] for each in found["trades"]["nodes"]] == ["37.5", "12.5"]


async def test_the_same_order_under_the_same_key_is_placed_once(hand: Hand) -> None:
    session, other = await hand.start(), await hand.start()
    same = {"idempotencyKey": "one"}
    answers = await asyncio.gather(*(hand.placed(session, "BUY", "MARKET", "1", **same) for _ in range(6)))
    assert len({answer["id"] for answer in answers}) == 1
    again = await hand.placed(session, "BUY", "MARKET", "1.0", **same)
    assert again == answers[0]
    for changed in (
        (session, "SELL", "MARKET", "1"),
        (session, "BUY", "MARKET", "2"),
        (other, "BUY", "MARKET", "1"),
    ):
        assert await hand.refused(*changed, **same) == [("IDEMPOTENCY_MISMATCH", ["idempotencyKey"])]
    found = await hand.session(session)
    assert (found["orders"]["totalCount"], found["cash"]) == (1, "899.9")
    assert (await hand.session(other))["orders"]["totalCount"] == 0
    await hand.do(STOP, input={"id": session})
    # What was answered once is answered so for ever.
    assert (await hand.placed(session, "BUY", "MARKET", "1", **same))["id"] == answers[0]["id"]


async def test_an_order_that_waits_can_be_cancelled_once(hand: Hand) -> None:
    session = await hand.start()
    order = await hand.placed(session, "BUY", "LIMIT", "9", price="99")
    assert await hand.refused(session, "BUY", "MARKET", "2") == [("INVALID_INPUT", ["quantity"])]
    cancelled = (await hand.do(CANCEL, id=order["id"]))["order"]
    assert (cancelled["status"], cancelled["filledQuantity"]) == ("CANCELLED", "0")
    filled = await hand.placed(session, "BUY", "MARKET", "2")
    for gone in (order, filled):
        [error] = (await hand.do(CANCEL, id=gone["id"]))["errors"]
        assert (error["code"], error["path"]) == ("INVALID_STATE", ["id"])
    await hand.pass_minute()
    await hand.bars((90.0, 90.0, 90.0, 90.0))
    await hand.match(session)
    assert (await hand.order(session, order))["status"] == "CANCELLED"


async def test_what_cannot_be_an_order_is_refused_and_changes_nothing(hand: Hand) -> None:
    session = await hand.start()
    problems = await hand.refused(session, "BUY", "LIMIT", "0", stopPrice="1", reduceOnly=True)
    assert problems == [
        ("INVALID_INPUT", [name]) for name in ("quantity", "price", "stopPrice", "reduceOnly")
    ]
    for arguments, changes, expected in (
        (("BUY", "MARKET", "1"), {"idempotencyKey": " "}, ("INVALID_INPUT", ["idempotencyKey"])),
        (("BUY", "MARKET", "1"), {"market": "hand:XXX/USD"}, ("NOT_FOUND", ["market"])),
        (("BUY", "MARKET", "0.000000001"), {}, ("INVALID_INPUT", ["quantity"])),
        (("BUY", "STOP_LIMIT", "1"), {"stopPrice": "-1", "price": "5"}, ("INVALID_INPUT", ["stopPrice"])),
        (("BUY", "MARKET", "10"), {}, ("INVALID_INPUT", ["quantity"])),
        (("SELL", "MARKET", "1"), {}, ("INVALID_INPUT", ["quantity"])),
        (("SELL", "STOP", "1"), {"stopPrice": "90", "reduceOnly": True}, ("INVALID_INPUT", ["reduceOnly"])),
    ):
        assert await hand.refused(session, *arguments, **changes) == [expected], arguments
    async with hand.bots.runtime.unit_of_work() as uow:
        await ensure_market(uow, "hand", "ETH/USD")
    assert await hand.refused(session, "BUY", "MARKET", "1", market="hand:ETH/USD") == [
        ("NO_DATA", ["market"])
    ]
    await hand.placed(session, "BUY", "MARKET", "1")
    await hand.bars((5.0, 5.0, 5.0, 5.0), market="BTC/EUR")
    assert await hand.refused(session, "BUY", "MARKET", "1", market="hand:BTC/EUR") == [
        ("INVALID_INPUT", ["market"])
    ]
    found = await hand.session(session)
    assert (found["orders"]["totalCount"], found["cash"]) == (1, "899.9")


async def test_whatever_is_traded_the_books_balance(hand: Hand) -> None:
    random = Random(7)
    session = await hand.start(slippage=0.0013, makerFee=0.0007, takerFee=0.0011, capital="5000")
    for _ in range(12):
        level = round(random.uniform(90, 110), 2)
        for _ in range(3):
            side = random.choice(["BUY", "SELL"])
            kind = random.choice(["MARKET", "LIMIT", "STOP", "STOP_LIMIT"])
            prices = {}
            if "LIMIT" in kind:
                prices["price"] = str(round(level * random.uniform(0.97, 1.03), 2))
            if "STOP" in kind:
                prices["stopPrice"] = str(round(level * random.uniform(0.97, 1.03), 2))
            quantity = str(round(random.uniform(0.01, 9), 5))
            await hand.place(session, side, kind, quantity, **prices, reduceOnly=side == "SELL")
        await hand.bars((level, round(level * 1.03, 2), round(level * 0.97, 2), round(level * 1.01, 2)))
        await hand.match(session)
        before = await hand.session(session)
        assert Decimal(before["cash"]) >= 0
        await hand.match(session)
        assert await hand.session(session) == before
    await hand.do(STOP, input={"id": session})
    trades = await hand.bots.trades(parse_id(session)[1])
    orders = await hand.bots.orders(parse_id(session)[1])
    assert len(trades) > 5
    assert {order.type for order in orders if order.filled_quantity} == {
        "MARKET",
        "LIMIT",
        "STOP",
        "STOP_LIMIT",
    }
    profits = sum((trade.profit for trade in trades if trade.profit is not None), Decimal(0))
    found = await hand.session(session)
    assert found["positions"] == []
    assert Decimal(found["cash"]) == round(5000 + profits, 8)
    assert found["equity"] == found["cash"]
    assert sum(trade.fees for trade in trades) == sum(order.fee for order in orders)
