"""Users who can log in, straight from the table, in any role and status."""

from gql_trader.accounts import repository
from gql_trader.accounts.models import UserRow
from gql_trader.accounts.types import UserStatus
from gql_trader.core.actor import Role
from gql_trader.core.ids import UserId, uuid7
from gql_trader.gql.relay import encode_id
from gql_trader.runtime import Runtime

PASSWORD = "Correct-horse-9"


async def make_person(
    runtime: Runtime, name: str, role: Role = Role.TRADER, status: UserStatus = UserStatus.ACTIVE
) -> str:
    """Store a user whose password is `PASSWORD`; return the global id."""
    key, now = UserId(uuid7()), runtime.clock.now()
    password_hash = await runtime.passwords.hash(PASSWORD)
    async with runtime.unit_of_work() as uow:
        uow.session.add(
            UserRow(
                id=key,
                username=name,
                username_key=name.lower(),
                email=f"{name}@example.com",
                email_key=f"{name.lower()}@example.com",
                password_hash=password_hash,
                role=role.value,
                status=status.value,
                token_version=1,
                created_at=now,
                updated_at=now,
            )
        )
    return encode_id("User", key)


async def stored_person(runtime: Runtime, name: str) -> UserRow:
    """Return a user as it is in the table now."""
    async with runtime.unit_of_work() as uow:
        row = await repository.user_by_login(uow.session, name)
    assert row is not None
    return row
