"""Rules of sign-up, login and authentication, on a real database."""

from dataclasses import replace

import pytest

from gql_trader.accounts import administration, repository, service
from gql_trader.accounts.login import log_in
from gql_trader.accounts.types import SignupSpec, UserStatus
from gql_trader.core.actor import Role
from gql_trader.core.errors import Conflict, DomainError, DomainErrors, ErrorCode, Forbidden
from gql_trader.runtime import Runtime

ALICE = SignupSpec("Alice", "Alice@Example.com", "Correct-horse-9")


async def _sign_up(runtime: Runtime, spec: SignupSpec, *, approved: bool = True) -> UserStatus:
    async with runtime.unit_of_work() as uow:
        return await service.sign_up(uow, runtime.passwords, spec, approved=approved)


async def _log_in(runtime: Runtime, login: str, password: str = ALICE.password) -> str:
    async with runtime.unit_of_work() as uow:
        signed_in = await log_in(
            uow, runtime.passwords, runtime.tokens, runtime.keys, runtime.rate_limits, login, password
        )
    return signed_in.access_token


async def _emails(runtime: Runtime, login: str) -> str | None:
    async with runtime.unit_of_work() as uow:
        row = await repository.user_by_login(uow.session, login)
        return row.email if row else None


async def test_a_new_account_is_pending_and_cannot_log_in_until_approved(runtime: Runtime) -> None:
    assert await _sign_up(runtime, ALICE, approved=False) is UserStatus.PENDING
    with pytest.raises(DomainError) as refusal:
        await _log_in(runtime, "alice")
    assert refusal.value.code is ErrorCode.INVALID_CREDENTIALS
    async with runtime.unit_of_work() as uow:
        alice = await repository.user_by_login(uow.session, "alice")
        assert alice is not None
        await administration.approve_user(uow, None, alice.id)
    assert await _log_in(runtime, "alice")


@pytest.mark.parametrize("login", ["Alice", "ALICE", "alice@example.com", " Alice@EXAMPLE.com "])
async def test_login_takes_username_or_email_in_any_case(runtime: Runtime, login: str) -> None:
    await _sign_up(runtime, ALICE)
    token = await _log_in(runtime, login)
    async with runtime.unit_of_work() as uow:
        who = await service.authenticate(uow, runtime.tokens, f"Bearer {token}")
    assert who.actor is not None
    assert who.actor.role is Role.TRADER
    assert who.problem is None


async def test_unknown_user_wrong_password_and_pending_account_get_the_same_error(runtime: Runtime) -> None:
    await _sign_up(runtime, ALICE)
    await _sign_up(runtime, SignupSpec("bob", "bob@example.com", ALICE.password), approved=False)
    messages = set()
    for login, password in (
        ("nobody", ALICE.password),
        ("alice", "Wrong-horse-99"),
        ("bob", ALICE.password),
        ("a\0", "x"),
    ):
        with pytest.raises(DomainError) as refusal:
            await _log_in(runtime, login, password)
        messages.add((refusal.value.code, refusal.value.message))
    assert len(messages) == 1


async def test_every_bad_field_is_reported_at_once(runtime: Runtime) -> None:
    with pytest.raises(DomainErrors) as refusal:
        await _sign_up(runtime, SignupSpec("a!", "nowhere", "short"))
    assert [(error.path, error.code) for error in refusal.value.errors] == [
        (("email",), ErrorCode.INVALID_INPUT),
        (("username",), ErrorCode.INVALID_INPUT),
        (("password",), ErrorCode.WEAK_PASSWORD),
    ]


@pytest.mark.parametrize(
    ("password", "named"),
    [
        ("Aa1!aaaaaaa", "at least 12 characters"),
        ("aaaaaaaaaa1!", "an upper-case letter"),
        ("AAAAAAAAAA1!", "a lower-case letter"),
        ("Aaaaaaaaaaa!", "a digit"),
        ("Aaaaaaaaaaa1", "a special character"),
    ],
)
def test_a_weak_password_is_told_what_it_lacks(password: str, named: str) -> None:
    with pytest.raises(DomainError, match=named) as refusal:
        service.check_password(password)
    assert refusal.value.code is ErrorCode.WEAK_PASSWORD


async def test_a_taken_username_conflicts_in_any_case(runtime: Runtime) -> None:
    await _sign_up(runtime, ALICE)
    with pytest.raises(Conflict) as refusal:
        await _sign_up(runtime, SignupSpec("aLICE", "other@example.com", ALICE.password))
    assert refusal.value.path == ("username",)
    assert await _emails(runtime, "other@example.com") is None


async def test_a_registered_email_gets_the_answer_of_a_new_one_and_changes_nothing(runtime: Runtime) -> None:
    await _sign_up(runtime, ALICE)
    again = replace(ALICE, username="somebody", email="ALICE@example.com", password="Another-horse-9")
    assert await _sign_up(runtime, again) is UserStatus.ACTIVE
    assert await _emails(runtime, "somebody") is None
    assert await _log_in(runtime, "alice")


async def test_sign_up_is_refused_where_it_is_closed(runtime: Runtime) -> None:
    async with runtime.unit_of_work() as uow:
        with pytest.raises(Forbidden):
            await service.sign_up(uow, runtime.passwords, ALICE, approved=True, open_=False)
    assert await _emails(runtime, "alice") is None


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Basic abc", "Bearer x.y.z", "Bearer " + "a" * 5000, "Bearer \udcff"]
)
async def test_a_bad_header_is_nobody(runtime: Runtime, header: str) -> None:
    async with runtime.unit_of_work() as uow:
        assert (await service.authenticate(uow, runtime.tokens, header)).actor is None


async def test_a_raised_token_version_ends_access_tokens(runtime: Runtime) -> None:
    await _sign_up(runtime, ALICE)
    token = await _log_in(runtime, "alice")
    async with runtime.unit_of_work() as uow:
        row = await repository.user_by_login(uow.session, "alice")
        assert row is not None
        row.token_version += 1
        await uow.session.flush()
    async with runtime.unit_of_work() as uow:
        who = await service.authenticate(uow, runtime.tokens, f"Bearer {token}")
    assert who.actor is None
    assert who.problem == "The access token is no longer valid; log in again."


async def test_the_demo_user_gets_the_password_it_is_given(runtime: Runtime) -> None:
    for password in ("First-password-1", "Second-password-2", "Second-password-2"):
        async with runtime.unit_of_work() as uow:
            await service.ensure_demo_user(uow, runtime.passwords, password)
        assert await _log_in(runtime, "demo", password)
    with pytest.raises(DomainError):
        await _log_in(runtime, "demo", "First-password-1")
