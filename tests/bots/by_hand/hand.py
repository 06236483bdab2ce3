"""A trader who trades by hand: what is asked through GraphQL, and minutes that the test writes."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

import numpy as np

from gql_trader.bots import jobs
from gql_trader.bots.by_hand import matching
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.gql.relay import parse_id
from gql_trader.market_data.service import ensure_market, save_candles
from tests.factories.bots import BotDesk
from tests.factories.clock import MovableClock
from tests.graphql_client import GraphQLClient, GraphQLSocket

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
