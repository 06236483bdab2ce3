"""Batch loaders of the account domain."""

from collections.abc import Sequence
from uuid import UUID

from strawberry.dataloader import DataLoader

from gql_trader.accounts import repository
from gql_trader.accounts.service import record
from gql_trader.accounts.types import LoginSession, UserRecord
from gql_trader.gql.context import Context


class AccountLoaders:
    """Users and login sessions, one statement a batch."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.user: DataLoader[UUID, UserRecord | None] = DataLoader(self._users)
        self.login_session: DataLoader[UUID, LoginSession | None] = DataLoader(self._sessions)
        self.login_sessions: DataLoader[UUID, list[LoginSession]] = DataLoader(self._sessions_of_users)

    async def _users(self, ids: Sequence[UUID]) -> list[UserRecord | None]:
        async with self._context.uow() as uow:
            rows = await repository.users_by_ids(uow.session, ids)
        return [record(rows[key]) if key in rows else None for key in ids]

    async def _sessions(self, ids: Sequence[UUID]) -> list[LoginSession | None]:
        async with self._context.uow() as uow:
            found = await repository.alive_sessions_by_ids(uow.session, ids, uow.clock.now())
        return [found.get(key) for key in ids]

    async def _sessions_of_users(self, user_ids: Sequence[UUID]) -> list[list[LoginSession]]:
        async with self._context.uow() as uow:
            found = await repository.alive_sessions(uow.session, user_ids, uow.clock.now())
        return [found[user_id] for user_id in user_ids]
