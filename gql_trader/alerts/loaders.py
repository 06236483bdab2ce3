"""Batch loaders of the alert domain."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from strawberry.dataloader import DataLoader

from gql_trader.alerts import repository
from gql_trader.gql.context import Context


class AlertLoaders:
    """Alerts of the viewer by id."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.alert: DataLoader[UUID, Row[Any] | None] = DataLoader(self._alerts)

    async def _alerts(self, ids: Sequence[UUID]) -> list[Row[Any] | None]:
        async with self._context.uow() as uow:
            rows = await repository.alerts_by_ids(uow.session, self._context.viewer.user_id, ids)
        return [rows.get(key) for key in ids]
