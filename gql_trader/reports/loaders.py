"""Batch loaders of the reports domain."""

from strawberry.dataloader import DataLoader

from gql_trader.gql.context import Context
from gql_trader.reports import periods, service
from gql_trader.reports.daily import Selection
from gql_trader.reports.types import Day, Scope


class ReportLoaders:
    """What several fields of one report are made of.

    Attributes
    ----------
    best_and_worst
        The days in the viewer's time zone on which the sessions of a scope gained most and least.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.best_and_worst: DataLoader[Scope, tuple[Day, Day] | None] = DataLoader(self._best_and_worst)

    async def _best_and_worst(self, scopes: list[Scope]) -> list[tuple[Day, Day] | None]:
        user_id = self._context.viewer.user_id
        found = []
        async with self._context.uow() as uow:
            await uow.read_one_moment()
            zone = await periods.zone_of(uow, user_id, None)
            for scope in scopes:
                book = await service.book_of(uow, user_id, scope)
                found.append(await periods.best_and_worst(uow, Selection(user_id, scope, book, zone)))
        return found
