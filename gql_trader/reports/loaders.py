"""Batch loaders of the reports domain."""

from strawberry.dataloader import DataLoader

from gql_trader.gql.context import Context
from gql_trader.reports import periods, service
from gql_trader.reports.types import Day, Scope


class ReportLoaders:
    """What several fields of one report are made of.

    Attributes
    ----------
    every_day
        All days of the sessions of a scope until today, in the viewer's time zone.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.every_day: DataLoader[Scope, list[Day]] = DataLoader(self._every_day)

    async def _every_day(self, scopes: list[Scope]) -> list[list[Day]]:
        user_id = self._context.viewer.user_id
        found = []
        async with self._context.uow() as uow:
            zone = await periods.zone_of(uow, user_id, None)
            for scope in scopes:
                accounts = await service.accounts_of(uow, user_id, scope)
                found.append(await periods.every_day(uow, accounts, zone))
        return found
