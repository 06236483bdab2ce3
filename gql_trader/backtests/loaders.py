"""Batch loaders of the backtest domain: one statement a batch, whatever the page size."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import Row
from strawberry.dataloader import DataLoader

from gql_trader.backtests import repository
from gql_trader.backtests.curves import Columns, thinned_equity
from gql_trader.backtests.ledger import LedgerRows, decode_segments
from gql_trader.backtests.types import BacktestOrdering, BacktestQuery
from gql_trader.core.errors import DomainError
from gql_trader.gql.context import Context
from gql_trader.infra.column_codec import decode_columns
from gql_trader.infra.keyset import PageRequest, Slice, page_request

R = TypeVar("R")

_FIRST_PAGE = page_request()

_QUICK_BYTES = 100_000
"""What is decoded on the event loop, at most: a segment or two, a curve of some thousand points."""


class LedgerKey(NamedTuple):
    """Segments ``first`` to ``stop`` (exclusive) of a backtest's ledger."""

    backtest_id: UUID
    first: int
    stop: int


class EquityKey(NamedTuple):
    """An equity curve at a number of points; None: all."""

    backtest_id: UUID
    initial_capital: float
    max_points: int | None


@dataclass(frozen=True, slots=True)
class ListArguments:
    """What a list of backtests is asked for with; equal ones are read by one statement."""

    query: BacktestQuery
    orderings: tuple[BacktestOrdering, ...] = ()
    page: PageRequest = _FIRST_PAGE

    def __hash__(self) -> int:
        # A query has lists in it; what it equals is left to the comparison.
        return hash((self.orderings, self.page))


class StrategyKey(NamedTuple):
    """The viewer's backtests of a strategy."""

    strategy_id: UUID
    asked: ListArguments


class BacktestLoaders:
    """Backtests of the viewer by id and by strategy, their curves, and segments of their ledgers.

    Attributes
    ----------
    equity, daily
        None if the backtest has no curve, or was deleted meanwhile.
    ledger
        None if the backtest was deleted meanwhile.
    verification
        The last one, of a backtest that the viewer is known to own; None if there is none.
    of_strategy, count_of_strategy
        A page of a strategy's backtests, and how many there are. One statement for all strategies that
        are asked for with the same arguments.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.backtest: DataLoader[UUID, Row[Any] | None] = DataLoader(self._backtests)
        self.equity: DataLoader[EquityKey, Columns | None] = DataLoader(self._equities)
        self.daily: DataLoader[UUID, Columns | None] = DataLoader(self._dailies)
        self.ledger: DataLoader[LedgerKey, LedgerRows | None] = DataLoader(self._ledgers)
        self.verification: DataLoader[UUID, Row[Any] | None] = DataLoader(self._verifications)
        self.of_strategy: DataLoader[StrategyKey, Slice[Row[Any]]] = DataLoader(self._of_strategies)
        self.count_of_strategy: DataLoader[StrategyKey, int] = DataLoader(self._counts_of_strategies)

    async def _backtests(self, ids: Sequence[UUID]) -> list[Row[Any] | None]:
        async with self._context.uow() as uow:
            rows = await repository.backtests_by_ids(uow.session, self._context.viewer.user_id, ids)
        return [rows.get(key) for key in ids]

    async def _equities(self, keys: Sequence[EquityKey]) -> list[Columns | None]:
        encoded = await self._curves({key.backtest_id for key in keys}, "equity")

        def decode() -> list[Columns | None]:
            # A whole curve at a time is in memory, whatever is kept of each.
            found: dict[EquityKey, Columns] = {}
            for backtest_id, data in encoded.items():
                curve = decode_columns(data)
                for key in keys:
                    if key.backtest_id == backtest_id:
                        found[key] = thinned_equity(curve, key.initial_capital, key.max_points)
            return [found.get(key) for key in keys]

        return await _off_the_loop(encoded, decode)

    async def _dailies(self, ids: Sequence[UUID]) -> list[Columns | None]:
        encoded = await self._curves(ids, "daily")
        return await _off_the_loop(
            encoded, lambda: [decode_columns(encoded[key]) if key in encoded else None for key in ids]
        )

    async def _curves(self, ids: Sequence[UUID] | set[UUID], column: str) -> dict[UUID, bytes]:
        async with self._context.uow() as uow:
            return await repository.curves(uow.session, list(ids), column)

    async def _ledgers(self, keys: Sequence[LedgerKey]) -> list[LedgerRows | None]:
        wanted = sorted({(key.backtest_id, number) for key in keys for number in range(key.first, key.stop)})
        encoded: Mapping[tuple[UUID, int], bytes] = {}
        if wanted:
            async with self._context.uow() as uow:
                encoded = await repository.ledger_segments(uow.session, wanted)

        def decode() -> list[LedgerRows | None]:
            found: list[LedgerRows | None] = []
            for key in keys:
                numbers = range(key.first, key.stop)
                # A backtest may have been deleted since its row was read; then its ledger is gone as a whole.
                gone = any((key.backtest_id, number) not in encoded for number in numbers)
                segments = {} if gone else {number: encoded[key.backtest_id, number] for number in numbers}
                found.append(None if gone else decode_segments(segments))
            return found

        return await _off_the_loop(encoded, decode)

    async def _verifications(self, ids: Sequence[UUID]) -> list[Row[Any] | None]:
        async with self._context.uow() as uow:
            rows = await repository.verifications(uow.session, ids)
        return [rows.get(key) for key in ids]

    async def _of_strategies(self, keys: Sequence[StrategyKey]) -> list[Slice[Row[Any]] | DomainError]:
        found: dict[StrategyKey, Slice[Row[Any]] | DomainError] = {}
        async with self._context.uow() as uow:
            for asked, ids in _by_arguments(keys).items():
                try:
                    pages = await repository.pages_of_strategies(
                        uow.session,
                        self._context.viewer.user_id,
                        ids,
                        asked.query,
                        asked.orderings,
                        asked.page,
                    )
                except DomainError as error:
                    # Arguments are refused before they reach the database; other lists are not touched.
                    found |= {StrategyKey(each, asked): error for each in ids}
                else:
                    found |= {StrategyKey(each, asked): page for each, page in pages.items()}
        return [found[key] for key in keys]

    async def _counts_of_strategies(self, keys: Sequence[StrategyKey]) -> list[int]:
        found: dict[StrategyKey, int] = {}
        async with self._context.uow() as uow:
            for asked, ids in _by_arguments(keys).items():
                counts = await repository.counts_of_strategies(
                    uow.session, self._context.viewer.user_id, ids, asked.query
                )
                found |= {StrategyKey(each, asked): counts.get(each, 0) for each in ids}
        return [found[key] for key in keys]


def _by_arguments(keys: Sequence[StrategyKey]) -> dict[ListArguments, list[UUID]]:
    grouped: dict[ListArguments, list[UUID]] = {}
    for key in keys:
        grouped.setdefault(key.asked, []).append(key.strategy_id)
    return grouped


async def _off_the_loop(encoded: Mapping[Any, bytes], decode: Callable[[], R]) -> R:
    """Return what decoding gives; more than a little is done in a thread."""
    if sum(map(len, encoded.values())) <= _QUICK_BYTES:
        return decode()
    return await asyncio.to_thread(decode)
