"""A live bot at a simulated exchange, on hours that the test writes."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import select

from gql_trader.bots.live import jobs_orders
from gql_trader.bots.live.bots import closes as live_bots
from gql_trader.bots.models import BotRow, OrderRow, TradingSessionRow
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.intervals import Interval
from gql_trader.engine.rules import Rules
from gql_trader.gql.relay import encode_id, parse_id
from gql_trader.market_data.service import find_market, save_candles
from gql_trader.market_data.types_feeds import stream_of
from gql_trader.strategies import service as strategies
from gql_trader.strategies.types import NewStrategy
from tests.bots.live.desk import MARKET, LiveDesk
from tests.factories.actors import make_access_token
from tests.factories.markets import bars_of

HOUR = Interval.H1.milliseconds
CREATE = """mutation($input: CreateBotInput!) {
  createBot(input: $input) { bot { id mode exchangeKey { id } } errors { code path message } } }"""
START = """mutation($input: StartBotInput!) {
  startBot(input: $input) { bot { id state session { id mode } } errors { code path message } } }"""
STOP = "mutation($id: ID!) { stopBot(input: {id: $id}) { bot { state } errors { code path } } }"
DELETE_KEY = """mutation($input: DeleteExchangeKeyInput!) {
  deleteExchangeKey(input: $input) { deletedId errors { code path message } } }"""
RULES = Rules(entry_long="close > open", exit_long="close < open")


@dataclass
class Bench:
    """A live bot on hours that the test writes, with workers that the test runs."""

    desk: LiveDesk
    strategy_id: UUID
    bot_id: str = ""
    session_id: UUID = field(default_factory=lambda: UUID(int=0))

    @property
    def runtime(self) -> Any:
        return self.desk.runtime

    async def create(self, **changes: Any) -> Any:
        given = {
            "name": "Live",
            "market": MARKET,
            "interval": "H1",
            "strategyId": encode_id("Strategy", self.strategy_id),
            "mode": "LIVE",
            "initialCapital": "10000",
            "exchangeKeyId": self.desk.key_id,
            "checkIntervalSeconds": 60,
        }
        return await self.desk.do(CREATE, input=given | changes)

    @staticmethod
    def key_of(global_id: str) -> UUID:
        """Return the key of a global id."""
        key: UUID = parse_id(global_id)[1]
        return key

    async def start(self, **changes: Any) -> Any:
        return await self.desk.do(
            START, input={"id": self.bot_id, "totpCode": self.desk.trader.code()} | changes
        )

    async def begin(self, **changes: Any) -> None:
        """Make and start a bot, and let the bar pass that is under way."""
        made = await self.create(**changes)
        assert made["errors"] == [], made
        self.bot_id = made["bot"]["id"]
        begun = await self.start()
        assert begun["errors"] == [], begun
        self.session_id = parse_id(begun["bot"]["session"]["id"])[1]
        await self.work()

    async def bar(self, close: float, low: float | None = None, *, worked: bool = True) -> None:
        """Let an hour pass that opened at the last price; store its candle, and let workers do their work."""
        market = self.desk.simulator.markets["BTCUSDT"]
        opened = float(market.price)
        now = to_milliseconds(self.runtime.clock.now())
        opening = Interval.H1.floor(now)
        self.desk.trader.accounts.clock.move(seconds=(opening + HOUR - now) / 1000 + 1)
        await self.store(opening, opened, close, low)
        simulator = self.desk.simulator
        simulator.futures.ahead = to_milliseconds(self.runtime.clock.now()) - simulator.now()
        market.price = self.desk.simulator.futures.price = Decimal(str(close))
        if worked:
            await self.work()

    async def store(self, opening: int, opened: float, close: float, low: float | None = None) -> None:
        """Store the candle of an hour."""
        lowest = min(opened, close) if low is None else low
        bars = bars_of([(opened, max(opened, close), lowest, close)], HOUR, opening)
        async with self.runtime.unit_of_work() as uow:
            found = await find_market(uow, MARKET)
            await save_candles(uow, found.id, Interval.H1, bars)

    async def work(self) -> None:
        """Let workers do all that there is to do: bars, orders, what follows from their fills."""
        await live_bots.step(self.runtime, self.session_id)
        await self.settle()

    async def settle(self) -> None:
        """Let workers send and follow orders until there is nothing to be done at once."""
        for _ in range(4):
            for order_id in await self.desk.due():
                await jobs_orders.live_order({"runtime": self.runtime}, str(order_id))
            await jobs_orders.live_session({"runtime": self.runtime}, str(self.session_id))

    async def insist(self) -> None:
        """Let workers ask an exchange that refuses an order to close again, as often as they do."""
        for _ in range(2):
            self.desk.trader.accounts.clock.move(seconds=31)
            await self.settle()

    async def rows(self, model: Any) -> list[Any]:
        key = model.id if model is TradingSessionRow else model.session_id
        async with self.runtime.unit_of_work() as uow:
            order = getattr(model, "number", key)
            return list(
                await uow.session.scalars(select(model).where(key == self.session_id).order_by(order))
            )

    async def fresh(self) -> dict[str, str]:
        """Return headers with an access token of now: they do not last as long as bars."""
        token = await make_access_token(self.runtime, self.desk.trader.member.actor)
        return {"authorization": f"Bearer {token}"}

    async def orders(self) -> list[tuple[str, str, str | None]]:
        return [(row.side, row.status, row.exit_reason) for row in await self.rows(OrderRow)]

    async def stop(self) -> None:
        """Tell the bot to stop, with a token of now."""
        self.desk.headers = await self.fresh()
        assert (await self.desk.do(STOP, id=self.bot_id))["bot"]["state"] == "STOPPING"

    async def bot(self) -> BotRow:
        async with self.runtime.unit_of_work() as uow:
            bot: BotRow = await uow.session.get_one(BotRow, parse_id(self.bot_id)[1])
            return bot


async def make_bench(desk: LiveDesk) -> Bench:
    """Return a desk with a strategy that buys after a rising hour and sells after a falling one."""
    async with desk.runtime.unit_of_work() as uow:
        made = await strategies.create_strategy(
            uow, desk.trader.member.actor, NewStrategy("Rises", "", RULES)
        )
    bench = Bench(desk, made.id)
    opening = Interval.H1.floor(to_milliseconds(desk.runtime.clock.now()))
    for back in range(5, 0, -1):
        await bench.store(opening - back * HOUR, 50_000.0, 50_000.0)
    return bench


BOUGHT = ("BUY", "FILLED", None)


async def tell(bench: Bench, price: float) -> None:
    """Have the feed tell of the hour that is under way."""
    async with bench.runtime.unit_of_work() as uow:
        market = await find_market(uow, MARKET)
    opened = 50_100.0
    event = {
        "time": Interval.H1.floor(to_milliseconds(bench.runtime.clock.now())),
        "open": opened,
        "high": opened,
        "low": min(opened, price),
        "close": price,
        "volume": 1.0,
        "closed": False,
    }
    await bench.runtime.events.publish(stream_of(market.id, Interval.H1), event)
