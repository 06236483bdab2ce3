"""A trader, candles and strategies: what a test of backtests begins with."""

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import Row, delete, insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_trader.backtests import repository, service
from gql_trader.backtests.ledger import SEGMENT_ROWS, encode_ledger
from gql_trader.backtests.models import BacktestRow, LedgerSegmentRow
from gql_trader.backtests.types import BacktestRequest, stream_of
from gql_trader.core.actor import Actor
from gql_trader.core.ids import StrategyId
from gql_trader.core.intervals import Interval
from gql_trader.engine.ledger import LEDGER_FLOATS, LEDGER_INTEGERS, ledger_of
from gql_trader.infra.event_streams import BEGINNING
from gql_trader.market_data.service import ensure_market, save_candles
from gql_trader.runtime import Runtime
from gql_trader.strategies import service as strategies
from tests.factories.actors import make_actor
from tests.factories.candles import random_bars

LIMITS = service.Limits(active=100, bars=10_000_000, hourly=5000)
BARS = 2_000


@dataclass(frozen=True)
class Desk:
    """A trader with 2,000 hourly candles of test:BTC/USD and the built-in strategies."""

    runtime: Runtime
    trader: Actor
    strategy_id: StrategyId

    @property
    def engine(self) -> AsyncEngine:
        """The database's engine, for counting statements."""
        return self.runtime.database.engine

    def request(self, **changes: object) -> BacktestRequest:
        """Return a request of an EMA cross over all candles."""
        return BacktestRequest(
            **{"strategy_id": self.strategy_id, "market": "test:BTC/USD", "interval": Interval.H1} | changes  # type: ignore[arg-type]
        )

    async def submit(
        self, request: BacktestRequest | None = None, **changes: object
    ) -> tuple[Row[tuple[object, ...]], bool]:
        """Request a backtest as the trader."""
        async with self.runtime.unit_of_work() as uow:
            return await service.request_run(
                uow,
                self.runtime.arrays,
                self.runtime.rate_limits,
                self.trader,
                request or self.request(**changes),
                LIMITS,
                self.runtime.plugins,
            )

    async def events(self, backtest_id: UUID) -> list[dict[str, Any]]:
        """Return all events that were published of a backtest so far."""
        stream = stream_of(backtest_id)
        newest = await self.runtime.events.last_cursor(stream)
        found: list[dict[str, Any]] = []
        async with aclosing(self.runtime.events.follow(stream, BEGINNING, idle_seconds=60.0)) as events:
            async for event in events:
                assert event is not None, "the stream cannot be read"
                found.append(event.data)
                if event.cursor == newest:
                    break
        return found

    async def row(self, backtest_id: UUID) -> Row[tuple[object, ...]]:
        """Return a backtest of the trader."""
        async with self.runtime.unit_of_work() as uow:
            row = await repository.backtest(uow.session, self.trader.user_id, backtest_id)
        assert row is not None
        return row

    async def fill_ledger(self, backtest_id: UUID, segments: int) -> None:
        """Give a completed backtest a ledger of so many full segments."""
        generator = np.random.default_rng(1)
        integers = generator.integers(1, 10**6, (len(LEDGER_INTEGERS), SEGMENT_ROWS))
        integers[LEDGER_INTEGERS.index("side")] = 1
        integers[LEDGER_INTEGERS.index("exit_reason")] = 0
        floats = generator.normal(size=(len(LEDGER_FLOATS), SEGMENT_ROWS))
        [data] = encode_ledger(ledger_of(integers, floats, SEGMENT_ROWS))
        async with self.runtime.unit_of_work() as uow:
            await uow.session.execute(
                delete(LedgerSegmentRow).where(LedgerSegmentRow.backtest_id == backtest_id)
            )
            rows = [
                {"backtest_id": backtest_id, "segment": number, "data": data} for number in range(segments)
            ]
            await uow.session.execute(insert(LedgerSegmentRow), rows)
            changed = update(BacktestRow).where(BacktestRow.id == backtest_id)
            await uow.session.execute(changed.values(trades=segments * SEGMENT_ROWS))


async def make_desk(runtime: Runtime) -> Desk:
    """Store a trader, candles and the built-in strategies."""
    trader = await make_actor(runtime, "trader")
    async with runtime.unit_of_work() as uow:
        await strategies.sync_builtin_strategies(uow)
        market = await ensure_market(uow, "test", "BTC/USD")
        await save_candles(uow, market.id, Interval.H1, random_bars(BARS, seed=3))
    async with runtime.unit_of_work() as uow:
        found = await strategies.find_strategy(uow, trader, slug="ema-cross")
    assert found is not None
    return Desk(runtime, trader, found.id)
