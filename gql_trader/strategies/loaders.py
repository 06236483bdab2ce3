"""Batch loaders of the strategy domain."""

from collections.abc import Sequence
from uuid import UUID

from strawberry.dataloader import DataLoader

from gql_trader.gql.context import Context
from gql_trader.strategies import repository
from gql_trader.strategies.types import StrategyRecord


class StrategyLoaders:
    """Strategies that the viewer sees, by id, one statement a batch.

    Attributes
    ----------
    strategy
        Deleted ones too: a backtest still shows what it ran.
    present
        Without deleted ones.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.strategy: DataLoader[UUID, StrategyRecord | None] = DataLoader(self._with_deleted)
        self.present: DataLoader[UUID, StrategyRecord | None] = DataLoader(self._without_deleted)

    async def _with_deleted(self, ids: Sequence[UUID]) -> list[StrategyRecord | None]:
        return await self._load(ids, deleted=True)

    async def _without_deleted(self, ids: Sequence[UUID]) -> list[StrategyRecord | None]:
        return await self._load(ids, deleted=False)

    async def _load(self, ids: Sequence[UUID], *, deleted: bool) -> list[StrategyRecord | None]:
        viewer = self._context.viewer.user_id
        async with self._context.uow() as uow:
            found = await repository.by_ids(uow.session, viewer, ids, deleted=deleted)
        return [found.get(key) for key in ids]
