"""Searches of a desk: what a test of optimizations begins with."""

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import Row, func, select

from gql_trader.core.intervals import Interval
from gql_trader.engine.search.scoring import METRICS
from gql_trader.infra.column_codec import decode_columns
from gql_trader.infra.event_streams import BEGINNING
from gql_trader.optimizations import repository, service
from gql_trader.optimizations.checking import Limits
from gql_trader.optimizations.jobs import run_chunk
from gql_trader.optimizations.models import OptimizationChunkRow
from gql_trader.optimizations.types import (
    ChunkStatus,
    OptimizationRequest,
    ParameterRange,
    stream_of,
)
from tests.factories.backtests import Desk

LIMITS = Limits(active=100, hourly=1000, bars=10_000_000, trials=1_000_000, work=10**12)

FAST = ParameterRange("fast", 3, 8)
SLOW = ParameterRange("slow", 10, 30, 10)


@dataclass(frozen=True)
class Searches:
    """A desk's searches: 6 fast × 3 slow periods of an EMA cross unless asked otherwise."""

    desk: Desk

    def request(self, **changes: object) -> OptimizationRequest:
        """Return a request of a grid over all candles."""
        return OptimizationRequest(
            **{  # type: ignore[arg-type]
                "strategy_id": self.desk.strategy_id,
                "market": "test:BTC/USD",
                "interval": Interval.H1,
                "ranges": (FAST, SLOW),
            }
            | changes
        )

    async def submit(
        self, request: OptimizationRequest | None = None, limits: Limits = LIMITS, **changes: object
    ) -> tuple[Row[Any], bool]:
        """Request a search as the trader."""
        runtime = self.desk.runtime
        async with runtime.unit_of_work() as uow:
            return await service.request_search(
                uow,
                runtime.arrays,
                runtime.rate_limits,
                self.desk.trader,
                request or self.request(**changes),
                limits,
                runtime.plugins,
            )

    async def run(self, optimization_id: UUID) -> None:
        """Run chunks as they become queued, until there are none."""
        while numbers := await self.queued(optimization_id):
            for number in numbers:
                await run_chunk({"runtime": self.desk.runtime}, str(optimization_id), number)

    async def queued(self, optimization_id: UUID) -> list[int]:
        """Return the numbers of the chunks that are queued."""
        statement = select(OptimizationChunkRow.number).where(
            OptimizationChunkRow.optimization_id == optimization_id,
            OptimizationChunkRow.status == ChunkStatus.QUEUED.value,
        )
        async with self.desk.runtime.unit_of_work() as uow:
            return sorted(await uow.session.scalars(statement))

    async def complete(self, **changes: Any) -> Row[Any]:
        """Request a search, run it and return it."""
        row, _ = await self.submit(**changes)
        await self.run(row.id)
        return await self.row(row.id)

    async def row(self, optimization_id: UUID) -> Row[Any]:
        """Return a search of the trader."""
        async with self.desk.runtime.unit_of_work() as uow:
            row = await repository.optimization(uow.session, self.desk.trader.user_id, optimization_id)
        assert row is not None
        return row

    async def chunk(self, optimization_id: UUID, number: int) -> OptimizationChunkRow:
        """Return a chunk."""
        async with self.desk.runtime.unit_of_work() as uow:
            row = await uow.session.get(OptimizationChunkRow, (optimization_id, number))
        assert row is not None
        return row

    async def figures(self, optimization_id: UUID) -> dict[str, list[float]]:
        """Return the stored figures of all trials, in order, by metric, with their scores."""
        async with self.desk.runtime.unit_of_work() as uow:
            found = await repository.chunks_with(uow.session, [(optimization_id, 1, 2**31 - 1)])
        rows = found[optimization_id]
        columns: dict[str, list[float]] = {
            name: [value for row in rows for value in decode_columns(row.trials)[name].tolist()]
            for name in METRICS
        }
        return columns | {
            "score": [value for row in rows for value in decode_columns(row.scores)["score"].tolist()]
        }

    async def expire_leases(self) -> None:
        """Make every lease run out now."""
        async with self.desk.runtime.unit_of_work() as uow:
            for row in await uow.session.scalars(
                select(OptimizationChunkRow).where(OptimizationChunkRow.lease_expires_at.is_not(None))
            ):
                row.lease_expires_at = func.now()
            await uow.session.flush()

    async def events(self, optimization_id: UUID) -> list[dict[str, Any]]:
        """Return all events that were published of a search so far."""
        streams = self.desk.runtime.events
        newest = await streams.last_cursor(stream_of(optimization_id))
        found: list[dict[str, Any]] = []
        async with aclosing(
            streams.follow(stream_of(optimization_id), BEGINNING, idle_seconds=60.0)
        ) as events:
            async for event in events:
                assert event is not None, "the stream cannot be read"
                found.append(event.data)
                if event.cursor == newest:
                    break
        return found


def assert_same(found: dict[str, list[float]], expected: dict[str, list[float]]) -> None:
    """Assert that figures are equal bit for bit."""
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert np.array_equal(np.array(found[name]).view(np.int64), np.array(values).view(np.int64)), name
