"""Logging in: an account's password, how often it may be guessed at, and the session that is opened."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog
from sqlalchemy import update

from gql_trader.accounts import repository, sessions, totp
from gql_trader.accounts.models import UserRow
from gql_trader.accounts.types import PASSWORD_LENGTHS, UNKNOWN_DEVICE, Device, SignedIn, UserStatus
from gql_trader.core.errors import DomainError, ErrorCode
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.passwords import PasswordHasher
from gql_trader.infra.rate_limits import Attempt, Policy, RateLimits, Subject
from gql_trader.infra.tokens import AccessTokens
from gql_trader.infra.unit_of_work import UnitOfWork

_log = structlog.get_logger(__name__)

SESSION_LIFETIME = timedelta(days=7)

# As often as one spelling of a login may fail, which is told (accounts/limits.py).
_FAILURES_OF_ACCOUNT = Policy("login_user", 5, 15 * 60, penalty=60)


async def log_in(
    uow: UnitOfWork,
    passwords: PasswordHasher,
    tokens: AccessTokens,
    keys: KeyRing,
    limits: RateLimits,
    login: str,
    password: str,
    *,
    totp_code: str | None = None,
    device: Device = UNKNOWN_DEVICE,
    lifetime: timedelta = SESSION_LIFETIME,
) -> SignedIn:
    """Open a login session and return the user and its first tokens.

    An unknown login, a wrong password, an account that is not active and one that has been guessed at too
    often get one and the same error after the same work.

    Parameters
    ----------
    limits
        Count failures by account, whatever name it is called by. Nobody is told of that limit: a refusal
        would tell which name and address belong together.
    totp_code
        A one-time password or recovery code; needed if the user has turned the second factor on, which
        nobody learns without the password.
    lifetime
        How long the session lasts without being refreshed.

    Raises
    ------
    DomainError
        INVALID_CREDENTIALS, or TOTP_REQUIRED if a code is needed and none was given.
    """
    refused = DomainError(
        "Login or password is wrong, or the account is not active.", (), ErrorCode.INVALID_CREDENTIALS
    )
    if "\0" in login or len(password) > PASSWORD_LENGTHS[1]:
        raise refused
    if not passwords.knows_costs:
        passwords.expect(await repository.password_hash_of_each_cost(uow.session))
    row = await repository.user_by_login(uow.session, login)
    held = row.password_hash if row else None
    whose = Subject(_FAILURES_OF_ACCOUNT, str(row.id) if row else f"nobody: {_key(login)}")
    await uow.release()
    async with limits.untold_failures(whose) as attempt, _judged(attempt, second_factor=bool(totp_code)):
        if not attempt.allowed:
            _log.warning("rate_limited", limit=whose.policy.name, login_hash=keys.pseudonym(_key(login)))
        row = await _with_password(uow, passwords, held, login, password)
        if row is None or row.status != UserStatus.ACTIVE or not attempt.allowed:
            raise refused
        await totp.require(uow, keys, row, totp_code)
    return await sessions.start(uow, tokens, row, device, lifetime)


@asynccontextmanager
async def _judged(attempt: Attempt, *, second_factor: bool) -> AsyncIterator[None]:
    """Let an attempt count as failed if it ends as a guess does: not by being asked for the second factor."""
    try:
        yield
    except DomainError as error:
        if error.code is ErrorCode.TOTP_REQUIRED and not second_factor:
            attempt.succeeded()
        raise
    except Exception:
        # Nobody has learned anything: the database may be away, and its users must not be shut out for that.
        attempt.succeeded()
        raise
    attempt.succeeded()


async def _with_password(
    uow: UnitOfWork, passwords: PasswordHasher, held: str | None, login: str, password: str
) -> UserRow | None:
    """Return the user with a login and a password, whose hash gets the present costs if it has others.

    Parameters
    ----------
    held
        The hash of the user with that login, None if there is no such user. No connection is held.
    """
    # The second time, because another login at the same time may have renewed the hash.
    for _ in range(2):
        # Logins wait here for one another: they must not keep everybody else from the database meanwhile.
        matches = await passwords.verify(held, password)
        renewed = await passwords.hash(password) if matches and held and passwords.is_outdated(held) else None
        row = await repository.user_by_login(uow.session, login)
        if row is None or not matches:
            return None
        if row.password_hash == held:
            if renewed is not None:
                await _renew_hash(uow, row, renewed)
            return row
        held = row.password_hash
        await uow.release()
    return None


async def _renew_hash(uow: UnitOfWork, row: UserRow, renewed: str) -> None:
    await uow.session.execute(
        update(UserRow)
        .where(UserRow.id == row.id, UserRow.password_hash == row.password_hash)
        .values(password_hash=renewed)
        .execution_options(synchronize_session=False)
    )


def _key(login: str) -> str:
    return login.strip().lower()
