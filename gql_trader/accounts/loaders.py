"""Batch loaders of the account domain."""

from collections.abc import Sequence
from uuid import UUID

from strawberry.dataloader import DataLoader

from gql_trader.accounts import repository
from gql_trader.accounts.service import record
from gql_trader.accounts.types import UserRecord
from gql_trader.gql.context import Context


class AccountLoaders:
    """Users by id, one statement a batch."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.user: DataLoader[UUID, UserRecord | None] = DataLoader(self._users)

    async def _users(self, ids: Sequence[UUID]) -> list[UserRecord | None]:
        async with self._context.uow() as uow:
            rows = await repository.users_by_ids(uow.session, ids)
        return [record(rows[key]) if key in rows else None for key in ids]
