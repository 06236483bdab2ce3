"""Accounts from the command line."""

import asyncio

from gql_trader.accounts import administration, service
from gql_trader.accounts.audit import record_event
from gql_trader.accounts.types import SignupSpec
from gql_trader.accounts.types_credentials import AuditAction
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


def approve(settings: Settings, login: str) -> None:
    """Let a pending user in, by username or e-mail address, and say so.

    Raises
    ------
    DomainError
        If there is no such user, or an administrator has disabled them.
    """
    username = asyncio.run(_approve(settings, login))
    print(f"approved {username}")


async def _create(settings: Settings, spec: SignupSpec, role: Role) -> None:
    async with open_runtime(settings) as runtime, runtime.unit_of_work() as uow:
        user = await service.create_user(uow, runtime.passwords, spec, role)
        record_event(uow, AuditAction.USER_CREATED, actor_id=None, target_id=user.id, role=role.value)


async def _approve(settings: Settings, login: str) -> str:
    async with open_runtime(settings) as runtime, runtime.unit_of_work() as uow:
        user = await administration.find_by_login(uow, login)
        return (await administration.approve_user(uow, None, user.id)).username
