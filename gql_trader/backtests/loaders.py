"""Batch loaders of the backtest domain: one statement a batch, whatever the page size."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from numpy.typing import NDArray
from sqlalchemy import Row
from strawberry.dataloader import DataLoader

from gql_trader.backtests import repository
from gql_trader.backtests.ledger import LedgerRows, decode_segments
from gql_trader.gql.context import Context
from gql_trader.infra.column_codec import decode_columns

Columns = Mapping[str, NDArray[Any]]


class LedgerKey(NamedTuple):
    """Segments ``first`` to ``stop`` (exclusive) of a backtest's ledger."""

    backtest_id: UUID
    first: int
    stop: int


class BacktestLoaders:
    """Backtests of the viewer by id, their curves, and segments of their ledgers."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.backtest: DataLoader[UUID, Row[Any] | None] = DataLoader(self._backtests)
        self.equity: DataLoader[UUID, Columns | None] = DataLoader(self._curves("equity"))
        self.daily: DataLoader[UUID, Columns | None] = DataLoader(self._curves("daily"))
        self.ledger: DataLoader[LedgerKey, LedgerRows] = DataLoader(self._ledgers)

    async def _backtests(self, ids: Sequence[UUID]) -> list[Row[Any] | None]:
        async with self._context.uow() as uow:
            rows = await repository.backtests_by_ids(uow.session, self._context.viewer.user_id, ids)
        return [rows.get(key) for key in ids]

    def _curves(self, column: str) -> Callable[[Sequence[UUID]], Coroutine[Any, Any, list[Columns | None]]]:
        async def load(ids: Sequence[UUID]) -> list[Columns | None]:
            async with self._context.uow() as uow:
                encoded = await repository.curves(uow.session, ids, column)
            return [decode_columns(encoded[key]) if key in encoded else None for key in ids]

        return load

    async def _ledgers(self, keys: Sequence[LedgerKey]) -> list[LedgerRows]:
        wanted = sorted({(key.backtest_id, number) for key in keys for number in range(key.first, key.stop)})
        encoded: Mapping[tuple[UUID, int], bytes] = {}
        if wanted:
            async with self._context.uow() as uow:
                encoded = await repository.ledger_segments(uow.session, wanted)
        return [
            decode_segments(
                {number: encoded[key.backtest_id, number] for number in range(key.first, key.stop)}
            )
            for key in keys
        ]
