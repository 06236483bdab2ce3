"""Rules of the account domain: sign-up, and who an Authorization header stands for."""

import re
from collections.abc import Sequence
from typing import Any

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from gql_trader.accounts import api_tokens, notices, repository, sessions
from gql_trader.accounts.models import ReservedUsernameRow, UserRow
from gql_trader.accounts.password_strength import is_hard_to_guess
from gql_trader.accounts.repository import record as record
from gql_trader.accounts.types import (
    PASSWORD_LENGTHS,
    AccountMail,
    Authenticated,
    Grant,
    SignupSpec,
    UserRecord,
    UserStatus,
)
from gql_trader.core.actor import Actor, Role
from gql_trader.core.errors import (
    Conflict,
    DomainError,
    DomainErrors,
    ErrorCode,
    Forbidden,
    InvalidInput,
    NotFound,
)
from gql_trader.core.ids import UserId, uuid7
from gql_trader.infra import outbox
from gql_trader.infra.passwords import PasswordHasher
from gql_trader.infra.tokens import AccessTokens, InvalidAccessToken
from gql_trader.infra.unit_of_work import UnitOfWork

DEMO_USERNAME = "demo"
DEMO_EMAIL = "demo@example.com"

_USERNAME = re.compile(r"[A-Za-z0-9_]{3,32}", re.ASCII)


def normalize_email(email: str) -> str:
    """Return an e-mail address in its normal form.

    Raises
    ------
    InvalidInput
        If it is not an address.
    """
    try:
        return validate_email(email.strip(), check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise InvalidInput(f"This is not an e-mail address: {error}", ("email",)) from error


def check_username(username: str) -> None:
    """Raise InvalidInput unless a username has 3 to 32 letters, digits and underscores."""
    if not _USERNAME.fullmatch(username):
        raise InvalidInput("A username has 3 to 32 letters, digits and underscores.", ("username",))


def check_password(password: str, personal: Sequence[str] = (), path: Sequence[str] = ("password",)) -> None:
    """Raise DomainError WEAK_PASSWORD unless a password is long, varied and hard enough to guess.

    Parameters
    ----------
    personal
        What an attacker would try first, such as the user's name.
    path
        Where in the input it is.
    """
    shortest, longest = PASSWORD_LENGTHS
    if len(password) > longest:
        raise InvalidInput(f"A password has at most {longest} characters.", path)
    missing = [
        what
        for what, present in (
            (f"at least {shortest} characters", len(password) >= shortest),
            ("an upper-case letter", any(c.isupper() for c in password)),
            ("a lower-case letter", any(c.islower() for c in password)),
            ("a digit", any(c.isdigit() for c in password)),
            ("a special character", any(not c.isalnum() and not c.isspace() for c in password)),
        )
        if not present
    ]
    if missing:
        raise DomainError(f"A password needs {', '.join(missing)}.", path, ErrorCode.WEAK_PASSWORD)
    if not is_hard_to_guess(password, personal):
        raise DomainError(
            "This password is too easy to guess: use more words, and none of the usual ones.",
            path,
            ErrorCode.WEAK_PASSWORD,
        )


async def sign_up(
    uow: UnitOfWork, passwords: PasswordHasher, spec: SignupSpec, *, approved: bool, open_: bool = True
) -> UserStatus:
    """Create an account and return the status a new account has.

    An address that has an account already gets the same answer as a new one, so that nobody can find
    out whose addresses are registered; that account is left as it is.

    Raises
    ------
    DomainErrors
        For every field that was refused, all at once.
    Conflict
        If the username is taken.
    Forbidden
        If sign-up is closed.
    """
    if not open_:
        raise Forbidden("Sign-up is closed on this server; ask its administrator for an account.")
    status = UserStatus.ACTIVE if approved else UserStatus.PENDING
    row = await _new_user(uow, passwords, spec, Role.TRADER, status)
    # Whether the address is registered or not, the same statements follow, and the same mail goes out to it
    # but for its text. The name is taken from now on in either case: were it free afterwards where the
    # address was registered, a second attempt with the same name would tell.
    taken = Conflict("This username is taken.", ("username",))
    if await repository.user_by_login(uow.session, row["username_key"]) is not None:
        raise taken
    reserved = await uow.session.scalar(
        insert(ReservedUsernameRow)
        .values(username_key=row["username_key"], reserved_at=uow.clock.now())
        .on_conflict_do_nothing()
        .returning(ReservedUsernameRow.username_key)
    )
    if reserved is None:
        raise taken
    inserted = await uow.session.scalar(
        insert(UserRow)
        .values(row)
        .on_conflict_do_nothing(index_elements=[UserRow.email_key])
        .returning(UserRow.id)
    )
    mail = AccountMail.SIGNED_UP if inserted is not None else AccountMail.SIGNED_UP_AGAIN
    outbox.send(uow, mail, {"email": row["email"], "username": row["username"], "status": status.value})
    notices.signed_up(uow, row["username"], status)
    return status


async def create_user(uow: UnitOfWork, passwords: PasswordHasher, spec: SignupSpec, role: Role) -> UserRecord:
    """Create an active user with a role; for the command line, where the operator decides.

    Raises
    ------
    DomainErrors
        For every field that was refused.
    Conflict
        If the username or the e-mail address is taken.
    """
    values = await _new_user(uow, passwords, spec, role, UserStatus.ACTIVE)
    for column, path in (("username_key", "username"), ("email_key", "email")):
        if await repository.user_by_login(uow.session, values[column]) is not None:
            raise Conflict(f"This {path} is taken.", (path,))
    row = UserRow(**values)
    uow.session.add(row)
    await uow.session.flush()
    return record(row)


async def ensure_demo_user(uow: UnitOfWork, passwords: PasswordHasher, password: str) -> UserRecord:
    """Create the demo user, or give it this password if it has another one."""
    row = await repository.user_by_login(uow.session, DEMO_USERNAME)
    held = row.password_hash if row else None
    await uow.release()
    if held is None:
        return await create_user(uow, passwords, SignupSpec(DEMO_USERNAME, DEMO_EMAIL, password), Role.TRADER)
    password_hash = None if await passwords.verify(held, password) else await passwords.hash(password)
    row = await uow.session.scalar(
        select(UserRow).where(UserRow.username_key == DEMO_USERNAME).with_for_update()
    )
    if row is None:
        raise NotFound("The demo user was deleted meanwhile.")
    if password_hash is not None:
        row.password_hash = password_hash
        row.token_version += 1
        row.updated_at = uow.clock.now()
        await uow.session.flush()
    return record(row)


async def authenticate(uow: UnitOfWork, tokens: AccessTokens, header: str | None) -> Authenticated:
    """Return whom an Authorization header stands for.

    Parameters
    ----------
    header
        ``Bearer <access token>``, ``Token <API token>``, or None. The two words mean the same: what a
        token begins with says which kind it is.
    """
    if not header:
        return Authenticated()
    scheme, _, token = header.strip().partition(" ")
    token = token.strip()
    if scheme.lower() not in ("bearer", "token") or not token:
        return Authenticated(
            problem="The Authorization header must be “Bearer <access token>” or “Token <API token>”."
        )
    if api_tokens.is_api_token(token):
        return await api_tokens.authenticate_token(uow, token)
    try:
        claims = tokens.verify(token)
    except InvalidAccessToken:
        return Authenticated(problem="The access token is invalid or has expired; log in again.")
    grant = Grant(claims.session_id, claims.token_version)
    found = await sessions.holder(uow, grant)
    if found is None or found[0] != claims.user_id:
        return Authenticated(problem="The access token is no longer valid; log in again.")
    user_id, role = found
    actor = Actor(user_id, role, session_id=claims.session_id)
    return Authenticated(actor, None, claims.expires_at, grant)


async def find_user(uow: UnitOfWork, user_id: UserId) -> UserRecord | None:
    """Return a user by id."""
    row = await repository.user_by_id(uow.session, user_id)
    return record(row) if row else None


async def _new_user(
    uow: UnitOfWork, passwords: PasswordHasher, spec: SignupSpec, role: Role, status: UserStatus
) -> dict[str, Any]:
    problems: list[DomainError] = []
    email = ""
    try:
        email = normalize_email(spec.email)
    except DomainError as error:
        problems.append(error)
    try:
        check_username(spec.username)
    except DomainError as error:
        problems.append(error)
    try:
        check_password(spec.password, (spec.username, spec.email))
    except DomainError as error:
        problems.append(error)
    if problems:
        raise DomainErrors(problems)
    now = uow.clock.now()
    return {
        "id": uuid7(),
        "username": spec.username,
        "username_key": spec.username.lower(),
        "email": email,
        "email_key": email.lower(),
        "password_hash": await passwords.hash(spec.password),
        "role": role.value,
        "status": status.value,
        "token_version": 1,
        "created_at": now,
        "updated_at": now,
    }
