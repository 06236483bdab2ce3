"""Batch loaders of exchange keys."""

from collections.abc import Sequence
from uuid import UUID

from strawberry.dataloader import DataLoader

from gql_trader.exchange_keys import repository
from gql_trader.exchange_keys.types import ExchangeKeyRecord
from gql_trader.gql.context import Context


class ExchangeKeyLoaders:
    """Exchange keys by id and by user, one statement a batch."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.key: DataLoader[UUID, ExchangeKeyRecord | None] = DataLoader(self._keys)
        self.of_user: DataLoader[UUID, list[ExchangeKeyRecord]] = DataLoader(self._of_users)

    async def _keys(self, ids: Sequence[UUID]) -> list[ExchangeKeyRecord | None]:
        async with self._context.uow() as uow:
            found = await repository.keys_by_ids(uow.session, ids)
        return [found.get(key) for key in ids]

    async def _of_users(self, user_ids: Sequence[UUID]) -> list[list[ExchangeKeyRecord]]:
        async with self._context.uow() as uow:
            keys = await repository.keys_by_users(uow.session, user_ids)
        return [[each for each in keys if each.user_id == user_id] for user_id in user_ids]
