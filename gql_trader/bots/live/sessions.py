"""What live sessions trade with."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy import insert

from gql_trader.accounts.live_trading import LiveTrading, check_live_rights, require_live_rights
from gql_trader.bots.live.checks import rights
from gql_trader.bots.live.checks.orders import key_to_trade_with
from gql_trader.bots.live.orders import following
from gql_trader.bots.models_live import LiveSessionRow
from gql_trader.bots.types import (
    SessionRequest,
)
from gql_trader.core.actor import Actor
from gql_trader.core.errors import Forbidden, InvalidState
from gql_trader.exchange_keys.types import ExchangeKeyRecord
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.settings.types import MarginMode


@dataclass(frozen=True, slots=True)
class LivePermit:
    """By what somebody proves that they may trade live; see `require_live_rights`."""

    keys: KeyRing
    live: LiveTrading
    totp_code: str | None


async def permitted_key(
    uow: UnitOfWork, actor: Actor, request: SessionRequest, permit: LivePermit | None
) -> ExchangeKeyRecord:
    """Return the key that a live session shall trade with, using up the user's code of the second factor.

    Raises
    ------
    InvalidInput, NotFound
        If the request names no key, or not one of the user's.
    InvalidState
        If the key is not verified, may not trade, or may withdraw.
    Forbidden, DomainError
        As `require_live_rights` does.
    """
    if permit is None:
        raise Forbidden("This does not start live trading.", ("mode",))
    await check_live_rights(uow, permit.live, actor, ("mode",))
    key = await key_to_trade_with(uow, actor, request.exchange_key_id)
    if problem := rights.problem_of_key(key):
        raise InvalidState(problem, ("exchangeKeyId",))
    await require_live_rights(uow, permit.keys, permit.live, actor, permit.totp_code, ("mode",))
    return key


async def attach(
    uow: UnitOfWork,
    session_id: UUID,
    key: ExchangeKeyRecord,
    leverage: int | None = None,
    margin_mode: MarginMode | None = None,
    funds: Decimal | None = None,
) -> None:
    """Let a live session trade with a key, which cannot be deleted until it ends.

    Parameters
    ----------
    leverage, margin_mode
        For contracts, set at the exchange before the first order on a market; None: it trades the currencies
        themselves.
    funds
        What the contracts' wallet has to have then; what is missing is moved there. None: nothing is.
    """
    await uow.session.execute(
        insert(LiveSessionRow).values(
            session_id=session_id,
            exchange_key_id=key.id,
            exchange=key.exchange,
            leverage=leverage,
            margin_mode=margin_mode.value if margin_mode else None,
            funds=funds,
        )
    )


async def detach(uow: UnitOfWork, session_id: UUID) -> None:
    """Let go of a session's key, once the session has ended and nothing of it is with the exchange.

    As long as the exchange is to be asked once more for an order, whoever asks needs it, and lets go after.
    """
    await following.let_go(uow, session_id)
