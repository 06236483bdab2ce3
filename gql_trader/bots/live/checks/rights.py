"""Whether an order may be sent to an exchange, asked again just before it is."""

from gql_trader.accounts.models import UserRow
from gql_trader.accounts.types import UserStatus
from gql_trader.bots.models import TradingSessionRow
from gql_trader.bots.models_live import LiveSessionRow
from gql_trader.core.actor import Role
from gql_trader.exchange_keys import repository as exchange_keys
from gql_trader.exchange_keys.types import ExchangeKeyRecord, ExchangeKeyStatus
from gql_trader.infra.exchange.records import ExchangePermission
from gql_trader.infra.unit_of_work import UnitOfWork


def problem_of_user(user: UserRow | None, *, enabled: bool) -> str | None:
    """Return why nothing is sent for a user, a sentence; None if nothing speaks against it.

    Parameters
    ----------
    enabled
        Whether this server trades live.
    """
    if not enabled:
        return "This server does not trade live: LIVE_TRADING_ENABLED is off."
    if user is None or user.status != UserStatus.ACTIVE.value:
        return "The account is not active."
    if not Role(user.role).includes(Role.TRADER):
        return "Live trading needs the role TRADER."
    if not user.totp_enabled:
        return "Live trading needs a second factor."
    return None


def problem_of_key(key: ExchangeKeyRecord) -> str | None:
    """Return why a key may not be traded with, a sentence; None if nothing speaks against it."""
    if key.status is not ExchangeKeyStatus.VALID:
        return "This exchange key is not verified; verify it first."
    if ExchangePermission.TRADE not in key.permissions:
        return "Nothing says that this exchange key may trade; give it that permission, and verify it again."
    if ExchangePermission.WITHDRAW in key.permissions:
        return "This exchange key can withdraw funds; take that permission away, and verify it again."
    return None


async def problem_of_session(uow: UnitOfWork, session: TradingSessionRow) -> str | None:
    """Return why nothing would be sent for a live session now, a sentence; None if nothing speaks against it.

    Whoever takes an order back to send another one in its place asks first. Whether the server trades live is
    left out: where it does not, all sessions are ended.
    """
    held = await uow.session.get_one(LiveSessionRow, session.id)
    key = await exchange_keys.key_of(uow.session, session.user_id, held.exchange_key_id)
    assert key is not None, "the session keeps it"
    user = await uow.session.get(UserRow, session.user_id)
    return problem_of_user(user, enabled=True) or problem_of_key(exchange_keys.record(key))
