"""Users to act as, straight from the table: for tests that are not about accounts."""

from datetime import timedelta

from gql_trader.accounts import sessions
from gql_trader.accounts.models import UserRow
from gql_trader.accounts.types import UNKNOWN_DEVICE
from gql_trader.core.actor import Actor, Role
from gql_trader.core.ids import UserId, uuid7
from gql_trader.runtime import Runtime


async def make_actor(runtime: Runtime, name: str, role: Role = Role.TRADER) -> Actor:
    """Store an active user and return it as an actor; nobody can log in as it."""
    key, now = UserId(uuid7()), runtime.clock.now()
    async with runtime.unit_of_work() as uow:
        uow.session.add(
            UserRow(
                id=key,
                username=name,
                username_key=name.lower(),
                email=f"{name}@example.com",
                email_key=f"{name.lower()}@example.com",
                password_hash="!",
                role=role.value,
                status="ACTIVE",
                token_version=1,
                created_at=now,
                updated_at=now,
            )
        )
    return Actor(key, role)


async def make_access_token(runtime: Runtime, actor: Actor) -> str:
    """Open a login session for a user, without a password, and return its access token."""
    async with runtime.unit_of_work() as uow:
        user = await uow.session.get_one(UserRow, actor.user_id)
        signed_in = await sessions.start(uow, runtime.tokens, user, UNKNOWN_DEVICE, timedelta(days=1))
    return signed_in.access_token
