"""While a password is hashed, which takes its time on purpose, nobody waits for a database connection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gql_trader.accounts import login, password_changes, repository, service, totp
from gql_trader.accounts.models import UserRow
from gql_trader.accounts.types import SignupSpec
from gql_trader.core.actor import Actor, Role
from gql_trader.core.errors import DomainError, ErrorCode
from gql_trader.core.ids import UserId
from gql_trader.infra.passwords import PasswordHasher
from gql_trader.infra.unit_of_work import UnitOfWork
from tests.accounts.accounts_api import PASSWORD, Accounts
from tests.factories.people import stored_person

NEW_PASSWORD = "Quite-Another-Zebra-8"


class WatchedHasher(PasswordHasher):
    """Do what is to be done meanwhile, and note how many connections are out when the work begins."""

    def __init__(self, accounts: Accounts, meanwhile: Callable[[], Awaitable[None]] | None = None) -> None:
        settings = accounts.runtime.settings
        super().__init__(settings.argon2_time_cost, settings.argon2_memory_kib)
        self._pool_of_database: Any = accounts.runtime.database.engine.pool
        self._meanwhile = meanwhile
        self.connections_out: list[int] = []

    async def hash(self, password: str) -> str:
        await self._begin()
        return await super().hash(password)

    async def verify(self, encoded: str | None, password: str) -> bool:
        await self._begin()
        return await super().verify(encoded, password)

    async def _begin(self) -> None:
        self.connections_out.append(self._pool_of_database.checkedout())
        if self._meanwhile is not None:
            await self._meanwhile()


async def log_in(accounts: Accounts, uow: UnitOfWork, hasher: PasswordHasher, _: Actor) -> None:
    runtime = accounts.runtime
    await login.log_in(uow, hasher, runtime.tokens, runtime.keys, runtime.rate_limits, "ada", PASSWORD)


async def sign_up(_: Accounts, uow: UnitOfWork, hasher: PasswordHasher, __: Actor) -> None:
    await service.sign_up(uow, hasher, SignupSpec("bob", "bob@example.com", NEW_PASSWORD), approved=True)


async def change(_: Accounts, uow: UnitOfWork, hasher: PasswordHasher, actor: Actor) -> None:
    await password_changes.change_password(uow, hasher, actor, PASSWORD, NEW_PASSWORD)


async def reset(accounts: Accounts, uow: UnitOfWork, hasher: PasswordHasher, _: Actor) -> None:
    async with accounts.runtime.unit_of_work() as before:
        issued = await password_changes.issue_reset_token(before, "ada@example.com")
    assert issued is not None
    assert issued[1] is not None
    await password_changes.reset_password(uow, hasher, issued[1], NEW_PASSWORD)


async def enroll(accounts: Accounts, uow: UnitOfWork, hasher: PasswordHasher, actor: Actor) -> None:
    await totp.begin_enrollment(uow, hasher, accounts.runtime.keys, actor, PASSWORD)


async def seed_demo_user(_: Accounts, uow: UnitOfWork, hasher: PasswordHasher, __: Actor) -> None:
    await service.ensure_demo_user(uow, hasher, PASSWORD)


async def change_demo_user(accounts: Accounts, uow: UnitOfWork, hasher: PasswordHasher, _: Actor) -> None:
    async with accounts.runtime.unit_of_work() as before:
        await service.ensure_demo_user(before, accounts.runtime.passwords, PASSWORD)
    await service.ensure_demo_user(uow, hasher, NEW_PASSWORD)


async def log_in_with_an_old_hash(
    accounts: Accounts, uow: UnitOfWork, hasher: PasswordHasher, actor: Actor
) -> None:
    await set_hash(accounts, actor, await old_hash(PASSWORD))
    await log_in(accounts, uow, hasher, actor)


async def old_hash(password: str) -> str:
    """Return a hash with costs of another time."""
    past = PasswordHasher(time_cost=2, memory_kib=16)
    try:
        return await past.hash(password)
    finally:
        past.close()


async def set_hash(accounts: Accounts, actor: Actor, encoded: str) -> None:
    async with accounts.runtime.unit_of_work() as uow:
        (await uow.session.get_one(UserRow, actor.user_id)).password_hash = encoded


async def ada(accounts: Accounts) -> Actor:
    await accounts.make_user("ada")
    return Actor(UserId((await stored_person(accounts.runtime, "ada")).id), Role.TRADER)


@pytest.mark.parametrize(
    "work",
    [log_in, log_in_with_an_old_hash, sign_up, change, reset, enroll, seed_demo_user, change_demo_user],
)
async def test_no_connection_is_held_while_a_password_is_hashed(accounts: Accounts, work: Any) -> None:
    actor = await ada(accounts)
    hasher = WatchedHasher(accounts)
    try:
        async with accounts.runtime.unit_of_work() as uow:
            await work(accounts, uow, hasher, actor)
    finally:
        hasher.close()
    assert hasher.connections_out
    assert set(hasher.connections_out) == {0}


@pytest.mark.parametrize(
    ("work", "column"),
    [(log_in, "password_hash"), (log_in, "status"), (change, "password_hash"), (enroll, "password_hash")],
)
async def test_what_changed_while_the_password_was_checked_counts(
    accounts: Accounts, work: Any, column: str
) -> None:
    actor = await ada(accounts)

    async def meanwhile() -> None:
        async with accounts.runtime.unit_of_work() as uow:
            row = await uow.session.get_one(UserRow, actor.user_id)
            setattr(row, column, "DISABLED" if column == "status" else "another hash")

    hasher = WatchedHasher(accounts, meanwhile)
    try:
        with pytest.raises(DomainError) as refusal:
            async with accounts.runtime.unit_of_work() as uow:
                await work(accounts, uow, hasher, actor)
    finally:
        hasher.close()
    assert refusal.value.code == ErrorCode.INVALID_CREDENTIALS


async def test_a_login_renews_a_hash_of_other_costs_and_a_wrong_password_does_not(
    accounts: Accounts,
) -> None:
    actor, hasher = await ada(accounts), accounts.runtime.passwords
    old = await old_hash(PASSWORD)
    await set_hash(accounts, actor, old)
    assert hasher.is_outdated(old)
    assert (await accounts.try_login("ada", NEW_PASSWORD))["accessToken"] is None
    assert (await stored_person(accounts.runtime, "ada")).password_hash == old
    session = await accounts.log_in("ada")
    renewed = (await stored_person(accounts.runtime, "ada")).password_hash
    assert not hasher.is_outdated(renewed)
    # Nothing else has changed: the session that was just opened lives, and so does the password.
    assert await accounts.me(session["accessToken"]) == {"username": "ada"}
    await accounts.log_in("ada")
    assert (await stored_person(accounts.runtime, "ada")).password_hash == renewed


async def test_logins_at_once_that_renew_a_hash_all_succeed(accounts: Accounts) -> None:
    actor = await ada(accounts)
    await set_hash(accounts, actor, await old_hash(PASSWORD))
    await asyncio.gather(*(accounts.log_in("ada") for _ in range(4)))
    renewed = (await stored_person(accounts.runtime, "ada")).password_hash
    assert not accounts.runtime.passwords.is_outdated(renewed)


async def test_renewing_a_hash_does_not_bring_back_a_password_that_was_changed_meanwhile(
    accounts: Accounts,
) -> None:
    actor = await ada(accounts)
    old, other = await old_hash(PASSWORD), await old_hash(NEW_PASSWORD)
    await set_hash(accounts, actor, old)
    hasher = WatchedHasher(accounts, lambda: set_hash(accounts, actor, other))
    try:
        with pytest.raises(DomainError):
            async with accounts.runtime.unit_of_work() as uow:
                await log_in(accounts, uow, hasher, actor)
    finally:
        hasher.close()
    assert (await stored_person(accounts.runtime, "ada")).password_hash == other


async def test_a_unit_of_work_that_has_changed_something_is_not_released(accounts: Accounts) -> None:
    await accounts.make_user("ada")
    async with accounts.runtime.unit_of_work() as uow:
        row = await repository.user_by_login(uow.session, "ada")
        assert row is not None
        row.username = "Ada"
        with pytest.raises(RuntimeError):
            await uow.release()
    assert (await stored_person(accounts.runtime, "ada")).username == "Ada"
