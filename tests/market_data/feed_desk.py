"""Candles at a simulated exchange, and users who want them."""

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import Row, func, select, update
from starlette.types import ASGIApp

from gql_trader.core.actor import Actor, Role
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.ids import MarketId
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.gql.relay import decode_id
from gql_trader.infra.event_streams import BEGINNING
from gql_trader.market_data.feeds import states as feeds
from gql_trader.market_data.feeds.jobs import poll_feed
from gql_trader.market_data.models_feeds import MarketFeedRow
from gql_trader.market_data.models_syncs import CandleSyncRow
from gql_trader.market_data.service import ensure_market, look_up_market
from gql_trader.market_data.store.loading import find_series, load_bars
from gql_trader.market_data.syncs.jobs import sync_candles
from gql_trader.market_data.types_feeds import stream_of
from gql_trader.runtime import Runtime
from tests.factories.actors import make_access_token, make_actor
from tests.factories.candles import random_bars
from tests.factories.exchange_simulator import ExchangeSimulator
from tests.factories.waits import VirtualWaits
from tests.graphql_client import GraphQLClient, GraphQLSocket, InProcessTransport

KLINES = "/api/v3/klines"
SYNC = "sync { id exchange symbol interval start end status progress fetched refused error market { id } }"


@dataclass
class FeedDesk:
    """A trader and an exchange with candles.

    Attributes
    ----------
    start
        Opening time of the first hourly candle of BTC/USDT at the exchange, Unix milliseconds.
    bars
        Its hourly candles, all of them over.
    """

    app: ASGIApp
    client: GraphQLClient
    runtime: Runtime
    actor: Actor
    token: str
    simulator: ExchangeSimulator
    waits: VirtualWaits
    start: int
    bars: Bars

    def serve(self, bars: Bars, interval: Interval = Interval.H1) -> None:
        """Let the exchange have these candles and no others."""
        columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
        self.simulator.markets["BTCUSDT"].candles[interval.value] = [
            (int(time), *(repr(float(column[at])) for column in columns))  # type: ignore[misc]
            for at, time in enumerate(bars.time)
        ]

    def moment(self, hours: int) -> str:
        """Return when the candle opens that comes so many hours after the first."""
        return from_milliseconds(self.start + hours * 3_600_000).isoformat()

    async def sync(self, begin: int = 0, end: int | None = None, **given: Any) -> Any:
        """Ask for hourly candles from and to hours after the first; return the payload."""
        values = {"market": "BTC/USDT", "exchange": "binance", "interval": "H1"} | given
        values.setdefault("start", self.moment(begin))
        if end is not None:
            values["end"] = self.moment(end)
        query = f"""mutation($input: SyncCandlesInput!) {{ syncCandles(input: $input) {{
            {SYNC} errors {{ __typename code path message }} }} }}"""
        return (await self.client.execute(query, {"input": values})).data["syncCandles"]

    async def asked(self, *arguments: Any, **given: Any) -> UUID:
        """Ask for candles and return the key of the sync."""
        payload = await self.sync(*arguments, **given)
        assert payload["errors"] == [], payload
        return decode_id(payload["sync"]["id"], "CandleSync")

    async def run(self, sync_id: UUID) -> Row[Any]:
        """Do what a worker does with a sync, and return its row."""
        await sync_candles({"runtime": self.runtime}, str(sync_id))
        return await self.row(sync_id)

    async def row(self, sync_id: UUID) -> Row[Any]:
        """Return a sync as it is."""
        async with self.runtime.unit_of_work() as uow:
            table = CandleSyncRow.__table__
            return (await uow.session.execute(select(*table.c).where(table.c.id == sync_id))).one()

    async def stored(self, interval: Interval = Interval.H1, market: str = "binance:BTC/USDT") -> Bars:
        """Return what the store has."""
        async with self.runtime.unit_of_work() as uow:
            found = await look_up_market(uow, market)
            assert found is not None
            series = await find_series(uow, found.id, interval)
            if series is None:
                return random_bars(1).slice(0, 0)
            return (await load_bars(uow, self.runtime.arrays, series)).bars

    def pages(self) -> list[tuple[int, int]]:
        """Return what the exchange was asked for: the opening time as hours after the first, how many."""
        return [
            ((int(each.params["startTime"]) - self.start) // 3_600_000, int(each.params["limit"]))
            for each in self.simulator.received
            if each.path == KLINES
        ]

    async def other(self, name: str, role: Role = Role.TRADER) -> "FeedDesk":
        """Return the desk of another user."""
        actor = await make_actor(self.runtime, name, role)
        token = await make_access_token(self.runtime, actor)
        client = self.client.signed_in(token)
        return FeedDesk(
            self.app,
            client,
            self.runtime,
            actor,
            token,
            self.simulator,
            self.waits,
            self.start,
            self.bars,
        )

    async def market_id(self, market: str = "binance:BTC/USDT") -> MarketId:
        """Return the key of a market, made if it is missing."""
        exchange, _, symbol = market.partition(":")
        async with self.runtime.unit_of_work() as uow:
            return (await ensure_market(uow, exchange, symbol, price_precision=2)).id

    def set_time(self, hours: int, minutes: float = 30.0) -> None:
        """Let the exchange's clock show so many minutes past the opening of an hourly candle."""
        present = self.start + hours * 3_600_000 + int(minutes * 60_000)
        self.simulator.ahead += present - self.simulator.now()
        # What was learnt of its clock is not fresh any more.
        self.waits.slept.append(601.0)

    async def want(self, market_id: MarketId, interval: Interval = Interval.H1) -> None:
        """Have the candles of a market brought in as they close."""
        async with self.runtime.unit_of_work() as uow:
            await feeds.want(uow, [(market_id, interval)])

    async def poll(self, market_id: MarketId, interval: Interval = Interval.H1) -> Row[Any]:
        """Do what a worker does with a feed when it is due; return its row."""
        async with self.runtime.unit_of_work() as uow:
            await uow.session.execute(update(MarketFeedRow).values(next_poll_at=func.now()))
        await poll_feed({"runtime": self.runtime}, str(market_id), interval.name)
        return await self.feed(market_id, interval)

    async def feed(self, market_id: MarketId, interval: Interval = Interval.H1) -> Row[Any]:
        """Return a feed as it is, and ``pause``, the seconds until it is due."""
        table = MarketFeedRow.__table__
        pause = func.extract("epoch", table.c.next_poll_at - func.clock_timestamp()).label("pause")
        statement = select(*table.c, pause).where(
            table.c.market_id == market_id, table.c.interval == interval.name
        )
        async with self.runtime.unit_of_work() as uow:
            rows: Any = await uow.session.execute(statement)
            found: Row[Any] = rows.one()
            return found

    async def told(self, market_id: MarketId, interval: Interval = Interval.H1) -> list[dict[str, Any]]:
        """Return what followers of a feed were told so far."""
        stream = stream_of(market_id, interval)
        newest = await self.runtime.events.last_cursor(stream)
        found: list[dict[str, Any]] = []
        if newest == BEGINNING:
            return found
        async with aclosing(self.runtime.events.follow(stream, BEGINNING, idle_seconds=60.0)) as events:
            async for event in events:
                assert event is not None, "the stream cannot be read"
                found.append(event.data)
                if event.cursor == newest:
                    break
        return found

    def socket(self) -> GraphQLSocket:
        """Return a socket of the user, to be opened."""
        return GraphQLSocket(InProcessTransport(self.app), {"authorization": f"Bearer {self.token}"})


def hours_back(bars: int) -> int:
    """Return the opening time of the first of so many hourly candles that ended two hours ago."""
    present = int(np.datetime64("now", "ms").astype(np.int64))
    return Interval.H1.floor(present) - (bars + 2) * 3_600_000
