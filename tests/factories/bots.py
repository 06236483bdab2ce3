"""A trader with candles who makes bots: what a test of bots begins with."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from gql_trader.backtests.jobs import run_backtest
from gql_trader.backtests.ledger import LedgerRows, decode_segments
from gql_trader.backtests.models import LedgerSegmentRow
from gql_trader.bots import repository, service, starting
from gql_trader.bots.jobs import close_session, run_session
from gql_trader.bots.models import EquityPointRow, OrderRow, SessionStateRow, TradeRow
from gql_trader.bots.ticks import shards, ticking
from gql_trader.bots.types import BotRequest, Feed, Limits, Replay
from gql_trader.core.actor import Actor
from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_decimal, to_price
from gql_trader.engine.bars import Bars
from gql_trader.engine.ledger import EXIT_REASONS
from gql_trader.market_data.service import ensure_market, find_market, save_candles
from gql_trader.runtime import Runtime
from tests.factories.backtests import BARS, Desk
from tests.factories.candles import JANUARY_2024, random_bars
from tests.factories.clock import MovableClock

HOUR = Interval.H1.milliseconds
LIMITS = Limits(bots=50, running=20, replay_bars=1_000_000, hourly=5000)


def bar_time(index: int) -> datetime:
    """Return the opening time of one of the desk's candles."""
    return from_milliseconds(JANUARY_2024 + index * HOUR)


@dataclass(frozen=True)
class BotDesk:
    """A trader at a desk who makes bots."""

    desk: Desk

    @property
    def runtime(self) -> Runtime:
        """The open runtime."""
        return self.desk.runtime

    @property
    def trader(self) -> Actor:
        """Whose bots they are."""
        return self.desk.trader

    def request(self, **changes: Any) -> BotRequest:
        """Return a request of an EMA cross over the hourly candles, replayed as fast as possible."""
        usual: dict[str, Any] = {
            "name": "Cross",
            "market": "test:BTC/USD",
            "interval": Interval.H1,
            "strategy_id": self.desk.strategy_id,
            "feed": Feed(Replay(bar_time(500), bar_time(BARS))),
        }
        return BotRequest(**usual | changes)

    async def make(self, **changes: Any) -> UUID:
        """Make a bot; return its key."""
        async with self.runtime.unit_of_work() as uow:
            row = await service.create_bot(
                uow, self.runtime.plugins, self.trader, self.request(**changes), LIMITS
            )
        return UUID(str(row.id))

    async def start(self, bot_id: UUID, limits: Limits = LIMITS) -> UUID:
        """Start a bot; return the key of its session."""
        async with self.runtime.unit_of_work() as uow:
            row = await starting.start_bot(
                uow, self.runtime.rate_limits, self.trader, bot_id, limits, equity_minutes=60
            )
        return UUID(str(row.session_id))

    async def begin(self, **changes: Any) -> tuple[UUID, UUID]:
        """Make and start a bot; return its key and its session's."""
        bot_id = await self.make(**changes)
        return bot_id, await self.start(bot_id)

    async def stop(self, bot_id: UUID) -> None:
        """Tell a bot to stop."""
        async with self.runtime.unit_of_work() as uow:
            await starting.stop_bot(uow, self.trader, bot_id)

    async def run(self, session_id: UUID) -> None:
        """Do what a worker does with a session."""
        await run_session({"runtime": self.runtime}, str(session_id))

    async def close(self, session_id: UUID) -> None:
        """Do what a worker does with a session that was told to stop."""
        await close_session({"runtime": self.runtime}, str(session_id))

    async def bot(self, bot_id: UUID) -> Row[Any]:
        """Return a bot as it is now."""
        async with self.runtime.unit_of_work() as uow:
            return await service.own_bot(uow, self.trader, bot_id)

    async def session(self, session_id: UUID) -> Row[Any]:
        """Return a session, with where it stands."""
        async with self.runtime.unit_of_work() as uow:
            found = await repository.sessions_by_ids(uow.session, self.trader.user_id, [session_id])
        return found[session_id]

    async def engine_state(self, session_id: UUID) -> bytes | None:
        """Return what the next bar depends on."""
        async with self.runtime.unit_of_work() as uow:
            return await uow.session.scalar(
                select(SessionStateRow.state).where(SessionStateRow.session_id == session_id)
            )

    async def trades(self, session_id: UUID) -> list[TradeRow]:
        """Return a session's trades in order."""
        return await self._rows(TradeRow, session_id, TradeRow.number)

    async def orders(self, session_id: UUID) -> list[OrderRow]:
        """Return a session's orders in order."""
        return await self._rows(OrderRow, session_id, OrderRow.number)

    async def points(self, session_id: UUID) -> list[EquityPointRow]:
        """Return the points of a session's equity in order."""
        return await self._rows(EquityPointRow, session_id, EquityPointRow.time)

    async def _rows(self, model: Any, session_id: UUID, order: Any) -> list[Any]:
        async with self.runtime.unit_of_work() as uow:
            rows = await uow.session.scalars(
                select(model).where(model.session_id == session_id).order_by(order)
            )
            return list(rows)

    async def backtest(self, **changes: Any) -> tuple[LedgerRows, Row[Any]]:
        """Run a backtest of the trader; return its ledger and its row."""
        row, _ = await self.desk.submit(force=True, **changes)
        await run_backtest({"runtime": self.runtime}, str(row.id))
        async with self.runtime.unit_of_work() as uow:
            segments = await uow.session.execute(
                select(LedgerSegmentRow.segment, LedgerSegmentRow.data).where(
                    LedgerSegmentRow.backtest_id == row.id
                )
            )
            ledger = decode_segments({row.segment: row.data for row in segments})
        return ledger, await self.desk.row(row.id)


def as_booked(ledger: LedgerRows) -> list[tuple[Any, ...]]:
    """Return a backtest's trades as a session books them."""
    columns = {name: column.tolist() for name, column in ledger.columns.items()}
    return [
        (
            number,
            "LONG" if columns["side"][at] > 0 else "SHORT",
            to_price(columns["quantity"][at]),
            from_milliseconds(columns["entry_time"][at]),
            to_price(columns["entry_price"][at]),
            from_milliseconds(columns["exit_time"][at]),
            to_price(columns["exit_price"][at]),
            to_decimal(columns["profit"][at]),
            columns["profit_fraction"][at],
            to_decimal(columns["fees"][at]),
            to_decimal(columns["funding"][at]),
            columns["bars"][at],
            EXIT_REASONS[columns["exit_reason"][at]].value,
            columns["max_favorable"][at],
            columns["max_adverse"][at],
            to_decimal(columns["equity_after"][at]),
        )
        for at, number in enumerate(ledger.number.tolist())
    ]


def booked(trades: list[TradeRow]) -> list[tuple[Any, ...]]:
    """Return a session's trades in the same form."""
    return [
        (
            row.number,
            row.side,
            row.quantity,
            row.entry_time,
            row.entry_price,
            row.exit_time,
            row.exit_price,
            row.profit,
            row.profit_fraction,
            row.fees,
            row.funding,
            row.bars,
            row.exit_reason,
            row.max_favorable,
            row.max_adverse,
            row.equity_after,
        )
        for row in trades
    ]


WARMUP = 400


class LiveMarket:
    """A market whose candles are stored as its time passes."""

    def __init__(self, bots: BotDesk, clock: MovableClock, bars: Bars) -> None:
        self.bots = bots
        self.clock = clock
        self.bars = bars
        self.stored = 0

    async def store(self, stop: int) -> None:
        """Store the candles up to one."""
        async with self.bots.runtime.unit_of_work() as uow:
            market = await find_market(uow, "test:LIVE/USD")
            await save_candles(uow, market.id, Interval.H1, self.bars.slice(self.stored, stop))
        self.stored = stop

    async def close_bars(self, count: int) -> None:
        """Let the time of some more bars pass, and store them."""
        self.clock.move(hours=count)
        await self.store(self.stored + count)

    async def advance(self) -> int:
        """Advance whatever is behind, as a worker does; return how many sessions were advanced."""
        runtime = self.bots.runtime
        async with runtime.unit_of_work() as uow:
            found = [each.shard for each in await shards.behind(uow)]
        return sum([await ticking.tick(runtime, shard) for shard in found])

    def opening(self, index: int) -> datetime:
        """Return when a bar opens."""
        return datetime.fromtimestamp(int(self.bars.time[index]) / 1000, UTC)


async def make_live_market(bots: BotDesk, clock: MovableClock) -> LiveMarket:
    """Return a market with candles up to now: bots that are started now trade from bar WARMUP + 1 on."""
    present = Interval.H1.floor(to_milliseconds(clock.now()))
    clock.move(seconds=(present + HOUR / 2 - to_milliseconds(clock.now())) / 1000)
    bars = random_bars(WARMUP + 400, seed=21, start=present - WARMUP * HOUR)
    async with bots.runtime.unit_of_work() as uow:
        await ensure_market(uow, "test", "LIVE/USD")
    market = LiveMarket(bots, clock, bars)
    await market.store(WARMUP)
    return market
