"""The right to trade with real money: what everything that enables live trading asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from gql_trader.accounts import repository, totp
from gql_trader.accounts.models import UserRow
from gql_trader.config import Settings
from gql_trader.core.actor import Actor, Role
from gql_trader.core.errors import Forbidden
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class LiveTrading:
    """Whether this server trades live at all, and how fresh a login has to be for enabling it."""

    enabled: bool
    login_age: timedelta

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what the settings of the server say."""
        return cls(settings.live_trading_enabled, timedelta(minutes=settings.live_trading_login_minutes))


async def require_live_rights(
    uow: UnitOfWork,
    keys: KeyRing,
    live: LiveTrading,
    actor: Actor,
    totp_code: str | None,
    path: Sequence[str] = (),
) -> None:
    """Let pass who may trade live and has just proved it, using up their code of the second factor.

    Parameters
    ----------
    totp_code
        A one-time password or recovery code; the API calls it ``totpCode``.
    path
        Where in the input live trading is asked for, for the error.

    Raises
    ------
    Forbidden
        As `check_live_rights` does.
    DomainError
        TOTP_REQUIRED, if no code was given; INVALID_CREDENTIALS, if it is wrong or was used before.
    """
    user = await check_live_rights(uow, live, actor, path)
    await totp.require(uow, keys, user, totp_code)


async def check_live_rights(
    uow: UnitOfWork, live: LiveTrading, actor: Actor, path: Sequence[str] = ()
) -> UserRow:
    """Return the actor's row if nothing but a code of the second factor is missing for trading live.

    Raises
    ------
    Forbidden
        If the server does not trade live, or the actor is no trader, uses credentials that no login
        stands behind (an API token, or a token of an identity provider), has logged in too long ago, or
        has no second factor.
    """
    if not live.enabled:
        raise Forbidden("This server does not trade live: LIVE_TRADING_ENABLED is off.", path)
    if actor.session_id is None:
        raise Forbidden("Live trading takes a login with a password; no token replaces it.", path)
    now = uow.clock.now()
    found = await repository.session_holder(uow.session, actor.session_id, now)
    if found is None:
        raise Forbidden("This login has ended; log in again.", path)
    user, session = found
    if not Role(user.role).includes(Role.TRADER):
        raise Forbidden("Live trading needs the role TRADER.", path)
    if not user.totp_enabled:
        raise Forbidden("Live trading needs a second factor: begin with beginTotpEnrollment.", path)
    if now - session.created_at > live.login_age:
        minutes = int(live.login_age.total_seconds() // 60)
        raise Forbidden(
            f"Live trading needs a fresh login: log in again, not more than {minutes} minutes before.", path
        )
    return user
