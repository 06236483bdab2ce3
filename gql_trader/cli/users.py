"""Accounts from the command line."""

import asyncio

from gql_trader.accounts import service
from gql_trader.accounts.types import SignupSpec
from gql_trader.config import Settings
from gql_trader.core.actor import Role
from gql_trader.runtime import open_runtime


def create(settings: Settings, username: str, email: str, password: str, role: Role) -> None:
    """Create an active user and say so.

    Raises
    ------
    DomainError, DomainErrors
        If a field is refused or taken.
    """
    asyncio.run(_create(settings, SignupSpec(username, email, password), role))
    print(f"created {username} ({role.value})")


async def _create(settings: Settings, spec: SignupSpec, role: Role) -> None:
    async with open_runtime(settings) as runtime, runtime.unit_of_work() as uow:
        await service.create_user(uow, runtime.passwords, spec, role)
