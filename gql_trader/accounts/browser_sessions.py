"""Login sessions of browsers: a cookie that scripts cannot read stands for tokens that they could.

The session is a login session like any other: it is listed, ends by logout, revocation and whatever
raises the user's token version, and lasts as long as it is used.
"""

from sqlalchemy import delete, select, update

from gql_trader.accounts import repository, sessions
from gql_trader.accounts.models import LoginSessionRow, RefreshTokenRow
from gql_trader.accounts.models_external import BrowserSessionRow
from gql_trader.accounts.types import Authenticated, Grant
from gql_trader.core.actor import Actor, Role
from gql_trader.core.ids import SessionId, UserId
from gql_trader.infra.tokens import new_opaque_token, token_digest
from gql_trader.infra.unit_of_work import UnitOfWork

_PREFIX = "gqls_"
_ENDED = "The login has ended; log in again."


async def adopt(uow: UnitOfWork, refresh_token: str) -> str:
    """Turn the login session that a refresh token was just given for into a browser's.

    Returns
    -------
    str
        What its cookie has to say. The refresh token is of no use any more.

    Raises
    ------
    DomainError
        INVALID_TOKEN, if the session has ended.
    """
    session = await sessions.session_of_refresh_token(uow, refresh_token)
    await uow.session.execute(delete(RefreshTokenRow).where(RefreshTokenRow.session_id == session.id))
    token = new_opaque_token(_PREFIX)
    uow.session.add(BrowserSessionRow(token_hash=token_digest(token), session_id=session.id))
    await uow.session.flush()
    return token


async def authenticate(uow: UnitOfWork, token: str) -> Authenticated:
    """Return whom a cookie stands for, prolonging the session since it is in use."""
    now = uow.clock.now()
    session_id = await _session_of(uow, token)
    found = await repository.session_holder(uow.session, session_id, now) if session_id else None
    if found is None:
        return Authenticated(problem=_ENDED)
    user, session = found
    expires_at = session.expires_at
    if now - session.last_seen_at >= sessions.LAST_SEEN_PRECISION:
        expires_at = sessions.prolonged(session, now)
        # Requests at once may come here together: none takes back what a later one has written.
        await uow.session.execute(
            update(LoginSessionRow)
            .where(LoginSessionRow.id == session.id, LoginSessionRow.last_seen_at < now)
            .values(last_seen_at=now, expires_at=expires_at)
            .execution_options(synchronize_session=False)
        )
    key = SessionId(session.id)
    actor = Actor(UserId(user.id), Role(user.role), session_id=key)
    return Authenticated(actor, None, expires_at, Grant(key, session.token_version))


async def end(uow: UnitOfWork, token: str) -> None:
    """Log out; nothing happens if the session has ended."""
    session_id = await _session_of(uow, token)
    if session_id is not None:
        await sessions.log_out(uow, session_id)


async def _session_of(uow: UnitOfWork, token: str) -> SessionId | None:
    found = await uow.session.scalar(
        select(BrowserSessionRow.session_id).where(BrowserSessionRow.token_hash == token_digest(token))
    )
    return SessionId(found) if found is not None else None
