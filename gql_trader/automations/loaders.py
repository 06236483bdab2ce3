"""Batch loaders of the automation domain: one statement a batch, whatever the page size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from strawberry.dataloader import DataLoader

from gql_trader.automations import repository
from gql_trader.core.errors import DomainError
from gql_trader.gql.context import Context
from gql_trader.infra.keyset import PageRequest, Slice


@dataclass(frozen=True, slots=True)
class RunsKey:
    """A page of an automation's history."""

    automation_id: UUID
    page: PageRequest


class AutomationLoaders:
    """Automations of the viewer, their runs by id and in pages, and how many there are."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.automation: DataLoader[UUID, Row[Any] | None] = DataLoader(self._automations)
        self.run: DataLoader[UUID, Row[Any] | None] = DataLoader(self._runs_by_id)
        self.runs: DataLoader[RunsKey, Slice[Row[Any]]] = DataLoader(self._runs)
        self.run_count: DataLoader[UUID, int] = DataLoader(self._run_counts)

    async def _automations(self, ids: Sequence[UUID]) -> list[Row[Any] | None]:
        async with self._context.uow() as uow:
            rows = await repository.automations_by_ids(uow.session, self._context.viewer.user_id, ids)
        return [rows.get(key) for key in ids]

    async def _runs_by_id(self, ids: Sequence[UUID]) -> list[Row[Any] | None]:
        async with self._context.uow() as uow:
            rows = await repository.runs_by_ids(uow.session, self._context.viewer.user_id, ids)
        return [rows.get(key) for key in ids]

    async def _runs(self, keys: Sequence[RunsKey]) -> list[Slice[Row[Any]] | DomainError]:
        found: dict[RunsKey, Slice[Row[Any]] | DomainError] = {}
        async with self._context.uow() as uow:
            for page in {key.page for key in keys}:
                ids = [key.automation_id for key in keys if key.page == page]
                try:
                    pages = await repository.pages_of_runs(uow.session, ids, page)
                except DomainError as error:
                    # A bad cursor is refused; other lists are not touched.
                    found |= {RunsKey(each, page): error for each in ids}
                else:
                    found |= {RunsKey(each, page): pages[each] for each in ids}
        return [found[key] for key in keys]

    async def _run_counts(self, ids: Sequence[UUID]) -> list[int]:
        async with self._context.uow() as uow:
            found = await repository.count_runs(uow.session, ids)
        return [found.get(key, 0) for key in ids]
