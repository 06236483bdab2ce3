"""Trading by hand on paper, through GraphQL over HTTP, in-process, on real servers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import select, update

from gql_trader.accounts.models import UserRow
from gql_trader.accounts.models_credentials import AuditEventRow
from gql_trader.app import create_app
from gql_trader.bots import jobs
from gql_trader.bots.by_hand import matching
from gql_trader.bots.models import SessionStateRow
from gql_trader.bots.types import QUEUE
from gql_trader.config import Settings
from gql_trader.core.actor import Role
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.gql.relay import encode_id, parse_id
from gql_trader.market_data.service import ensure_market, save_candles
from tests.factories.actors import make_access_token, make_actor
from tests.factories.bots import BotDesk
from tests.factories.clock import MovableClock
from tests.factories.statements import counted_statements
from tests.graphql_client import GraphQLClient, GraphQLSocket, InProcessTransport, graphql_client

MINUTE = Interval.M1.milliseconds
START = """
mutation($input: StartTradingSessionInput!) {
  startTradingSession(input: $input) {
    tradingSession {
      id mode status capital cash equity interval bot { id } market { symbol } strategy { id }
    }
    errors { code path message }
  }
}
"""
STOP = """
mutation($input: StopTradingSessionInput!) {
  stopTradingSession(input: $input) { tradingSession { id status endedAt } errors { code path } }
}
"""
_ORDER = """
  order {
    id clientOrderId side type status quantity filledQuantity price stopPrice averagePrice fee reason
    reduceOnly filledAt market { symbol } session { id }
  }
  errors { __typename code path message }
"""
PLACE = f"mutation($input: PlaceOrderInput!) {{ placeOrder(input: $input) {{ {_ORDER} }} }}"
CANCEL = f"mutation($id: ID!) {{ cancelOrder(input: {{id: $id}}) {{ {_ORDER} }} }}"
SESSION = """
query($id: ID!) {
  tradingSession(id: $id) {
    status cash equity profit profitFraction lastBarTime
    positions { side quantity entryPrice markPrice unrealizedProfit market { symbol } }
    orders { totalCount nodes { id status filledQuantity averagePrice fee reason } }
    trades { nodes { number status quantity entryPrice exitPrice profit fees exitReason market { symbol } } }
    equityCurve { time equity }
  }
}
"""


@dataclass
class Hand:
    """A trader at the server who trades by hand on minutes that the test writes."""

    bots: BotDesk
    clock: MovableClock
    client: GraphQLClient
    socket: Callable[[], GraphQLSocket]
    minute: int

    async def do(self, document: str, client: GraphQLClient | None = None, **variables: Any) -> Any:
        data = (await (client or self.client).execute(document, variables)).data
        return next(iter(data.values()))

    async def start(self, **changes: Any) -> str:
        payload = await self.do(START, input={"capital": "1000"} | changes)
        assert payload["errors"] == [], payload
        return str(payload["tradingSession"]["id"])

    async def place(self, session_id: str, side: str, kind: str, quantity: str, **changes: Any) -> Any:
        given = {
            "sessionId": session_id,
            "market": "hand:BTC/USD",
            "side": side,
            "type": kind,
            "quantity": quantity,
            "idempotencyKey": f"key {Random().random()}",
        }
        return await self.do(PLACE, input=given | changes)

    async def placed(self, *arguments: Any, **changes: Any) -> Any:
        payload = await self.place(*arguments, **changes)
        assert payload["errors"] == [], payload
        return payload["order"]

    async def refused(self, *arguments: Any, **changes: Any) -> list[tuple[str, list[str]]]:
        payload = await self.place(*arguments, **changes)
        assert payload["order"] is None
        return [(error["code"], error["path"]) for error in payload["errors"]]

    async def session(self, session_id: str) -> Any:
        return await self.do(SESSION, id=session_id)

    async def order(self, session_id: str, order: Any) -> Any:
        nodes = (await self.session(session_id))["orders"]["nodes"]
        return next(each for each in nodes if each["id"] == order["id"])

    async def bars(self, *prices: tuple[float, float, float, float], market: str = "BTC/USD") -> None:
        """Store the next minutes (open, high, low, close), once they have closed."""
        opened, high, low, close = np.array(prices, np.float64).T
        time = self.minute + MINUTE * np.arange(len(prices), dtype=np.int64)
        self.minute = int(time[-1]) + MINUTE
        bars = Bars(time, opened, high, low, close, np.ones(len(prices)), interval=MINUTE)
        now = self.clock.now()
        # Half a minute into the minute after the last of them.
        self.clock.move(seconds=(self.minute + MINUTE // 2 - to_milliseconds(now)) / 1000)
        async with self.bots.runtime.unit_of_work() as uow:
            found = await ensure_market(uow, "hand", market)
            await save_candles(uow, found.id, Interval.M1, bars)

    async def pass_minute(self) -> None:
        """Let the minute that is under way close at the price of before."""
        await self.bars((100.0, 100.0, 100.0, 100.0))

    async def match(self, session_id: str) -> None:
        """Do what a worker does once bars are stored."""
        key = str(parse_id(session_id)[1])
        await jobs.match_orders({"runtime": self.bots.runtime}, key)

    async def behind(self) -> list[UUID]:
        async with self.bots.runtime.unit_of_work() as uow:
            return await matching.unmatched(uow)


@pytest.fixture
async def hand(bots: BotDesk, settings: Settings, clock: MovableClock) -> AsyncIterator[Hand]:
    app = create_app(settings, bots.runtime)
    token = await make_access_token(bots.runtime, bots.trader)
    async with graphql_client(app) as client:
        first = Interval.M1.floor(to_milliseconds(clock.now()))
        header = {"authorization": f"Bearer {token}"}
        made = Hand(
            bots,
            clock,
            client.signed_in(token),
            lambda: GraphQLSocket(InProcessTransport(app), header),
            first,
        )
        await made.bars((100.0, 100.0, 100.0, 100.0))
        yield made


async def test_a_session_by_hand_has_capital_and_no_strategy(hand: Hand) -> None:
    payload = await hand.do(START, input={"capital": "1000"})
    session = payload["tradingSession"]
    assert payload["errors"] == []
    assert (session["mode"], session["status"], session["bot"]) == ("PAPER", "ACTIVE", None)
    assert (session["capital"], session["cash"], session["equity"]) == ("1000", "1000", "1000")
    assert (session["market"], session["interval"], session["strategy"]) == (None, None, None)
    [error] = (await hand.do(START, input={"mode": "LIVE"}))["errors"]
    assert (error["code"], error["path"]) == ("FORBIDDEN", ["mode"])
    found = await hand.do(START, input={"capital": "0", "takerFee": 2.0, "slippage": -0.1})
    assert [error["path"] for error in found["errors"]] == [["capital"], ["takerFee"], ["slippage"]]


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


async def test_only_active_sessions_of_one_s_own_are_traded_by_hand(hand: Hand) -> None:
    session = await hand.start()
    order = await hand.placed(session, "BUY", "LIMIT", "1", price="90")
    actor = await make_actor(hand.bots.runtime, "other", Role.TRADER)
    stranger = hand.client.signed_in(await make_access_token(hand.bots.runtime, actor))
    given = {
        "market": "hand:BTC/USD",
        "side": "BUY",
        "type": "MARKET",
        "quantity": "1",
        "idempotencyKey": "k",
    }
    for document, variables in (
        (PLACE, {"input": given | {"sessionId": session}}),
        (CANCEL, {"id": order["id"]}),
        (STOP, {"input": {"id": session}}),
    ):
        [error] = (await hand.do(document, stranger, **variables))["errors"]
        assert error["code"] == "NOT_FOUND"
    assert (await hand.order(session, order))["status"] == "OPEN"
    _, of_bot = await hand.bots.begin()
    bots_session = encode_id("TradingSession", of_bot)
    assert await hand.refused(bots_session, "BUY", "MARKET", "1") == [("INVALID_STATE", ["sessionId"])]
    [error] = (await hand.do(STOP, input={"id": bots_session}))["errors"]
    assert (error["code"], error["path"]) == ("INVALID_STATE", ["id"])
    stopped = (await hand.do(STOP, input={"id": session}))["tradingSession"]
    assert stopped["status"] == "STOPPED"
    assert stopped["endedAt"] is not None
    cancelled = await hand.order(session, order)
    assert (cancelled["status"], cancelled["reason"]) == ("CANCELLED", "The session was stopped.")
    assert await hand.refused(session, "BUY", "MARKET", "1") == [("INVALID_STATE", ["sessionId"])]
    assert [error["code"] for error in (await hand.do(STOP, input={"id": session}))["errors"]] == [
        "INVALID_STATE"
    ]


async def test_a_session_may_end_with_what_it_holds(hand: Hand) -> None:
    session = await hand.start(takerFee=0.0)
    await hand.placed(session, "BUY", "MARKET", "1")
    await hand.bars((120.0, 120.0, 120.0, 120.0))
    await hand.do(STOP, input={"id": session, "closePositions": False})
    await hand.bars((500.0, 500.0, 500.0, 500.0))
    assert await hand.behind() == []
    await hand.match(session)
    found = await hand.session(session)
    assert (found["equity"], found["cash"], len(found["positions"])) == ("1020", "900", 1)


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


async def test_a_list_of_sessions_takes_as_many_statements_for_ten_as_for_one(hand: Hand) -> None:
    query = """
    query($first: Int) {
      tradingSessions(first: $first) {
        nodes {
          id market { symbol } positions { market { symbol } }
          orders { nodes { id market { symbol } session { id } } } trades { nodes { market { symbol } } }
        }
      }
    }
    """
    for _ in range(4):
        session = await hand.start()
        await hand.placed(session, "BUY", "MARKET", "1")
    counts = []
    for first in (1, 4):
        with counted_statements(hand.bots.desk.engine) as statements:
            found = await hand.do(query, first=first)
        assert len(found["nodes"]) == first
        counts.append(len(statements))
    assert counts[0] == counts[1]


async def test_a_user_trades_a_limited_number_of_sessions(hand: Hand, settings: Settings) -> None:
    for _ in range(settings.max_trading_sessions_per_user):
        session = await hand.start()
    [error] = (await hand.do(START, input={}))["errors"]
    assert error["code"] == "QUOTA_EXCEEDED"
    await hand.do(STOP, input={"id": session})
    assert (await hand.do(START, input={}))["errors"] == []


async def test_what_is_done_by_hand_is_audited(hand: Hand) -> None:
    session = await hand.start()
    order = await hand.placed(session, "BUY", "LIMIT", "1", price="90")
    await hand.do(CANCEL, id=order["id"])
    await hand.do(STOP, input={"id": session})
    async with hand.bots.runtime.unit_of_work() as uow:
        rows = (await uow.session.scalars(select(AuditEventRow).order_by(AuditEventRow.id))).all()
        assert await uow.session.scalar(select(SessionStateRow.state)) is None
    assert [row.action for row in rows] == [
        "TRADING_SESSION_STARTED",
        "ORDER_PLACED",
        "ORDER_CANCELLED",
        "TRADING_SESSION_STOPPED",
    ]
    assert {row.details["tradingSessionId"] for row in rows} == {str(parse_id(session)[1])}


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


async def test_the_sessions_of_a_user_who_may_not_trade_any_more_are_ended(hand: Hand) -> None:
    session = await hand.start(takerFee=0.0)
    await hand.placed(session, "BUY", "MARKET", "2")
    waiting = await hand.placed(session, "BUY", "LIMIT", "1", price="50")
    await hand.bars((110.0, 110.0, 110.0, 110.0))
    runtime = hand.bots.runtime
    await jobs.sweep(runtime)
    assert (await hand.session(session))["status"] == "ACTIVE"
    async with runtime.unit_of_work() as uow:
        await uow.session.execute(update(UserRow).values(role="VIEWER"))
    for _ in range(2):
        await jobs.sweep(runtime)
    found = await hand.session(session)
    assert (found["status"], found["positions"], found["cash"]) == ("STOPPED", [], "1020")
    assert len(found["trades"]["nodes"]) == 1
    [bought, cancelled, sold] = found["orders"]["nodes"]
    assert (bought["status"], sold["status"], sold["averagePrice"]) == ("FILLED", "FILLED", "110")
    assert (cancelled["id"], cancelled["status"]) == (waiting["id"], "CANCELLED")
    assert cancelled["reason"] == "You may not trade any more."
    async with runtime.unit_of_work() as uow:
        ends = await uow.session.scalars(
            select(AuditEventRow).where(AuditEventRow.action == "TRADING_SESSION_STOPPED")
        )
        assert [row.actor_id for row in ends] == [None]


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


async def test_equity_and_trades_by_hand_are_followed_live(hand: Hand) -> None:
    session = await hand.start(takerFee=0.0)
    async with hand.socket() as socket, hand.socket() as second:
        equity = socket.results(f'subscription {{ equity(sessionId: "{session}") {{ time equity }} }}')
        trades = second.results(
            f'subscription {{ trades(sessionId: "{session}") {{ trade {{ number status quantity }} }} }}'
        )
        assert (await anext(equity))["data"]["equity"]["equity"] == "1000"
        told, seen = [], []
        for side, price in (("BUY", 110.0), ("BUY", 120.0), ("SELL", 130.0)):
            await hand.placed(session, side, "MARKET", "1")
            told.append((await anext(equity))["data"]["equity"]["equity"])
            seen.append((await anext(trades))["data"]["trades"]["trade"])
            await hand.bars((price, price, price, price))
            await hand.match(session)
            last = (await anext(equity))["data"]["equity"]
            told.append(last["equity"])
            # What is told live is what is found when the database is asked again.
            assert last["time"] == (await hand.session(session))["lastBarTime"]
    assert told == ["1000", "1010", "1010", "1030", "1030", "1040"]
    assert seen == [
        {"number": 1, "status": "OPEN", "quantity": "1"},
        {"number": 1, "status": "OPEN", "quantity": "2"},
        {"number": 1, "status": "OPEN", "quantity": "1"},
    ]
