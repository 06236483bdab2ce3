"""Whether a contract that a session takes itself to hold is still in the account: what is not known of that.

A position may be closed at the exchange at any time, by its owner or by the exchange. What is sent to close
it is refused then, within moments; only looks at the account tell over some time that it is gone, and for how
much (`live.accounts.looks`). Until then a session that holds it neither ends nor says that it is still there.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, select

from gql_trader.bots.models import OrderRow
from gql_trader.bots.models_live import LiveAccountRow, LiveOrderRow, LiveSessionRow
from gql_trader.bots.types import OrderStatus
from gql_trader.infra.unit_of_work import UnitOfWork

UNEXPLAINED: Final = timedelta(minutes=10)
"""If the account's trades do not tell for so long why something is missing, that is told."""

_LONGEST = UNEXPLAINED + timedelta(minutes=2)
"""No longer is waited for looks that do not come: the key may be revoked, the exchange gone."""

_SENT_WITHIN = timedelta(seconds=10)
"""So long after an order was placed here it has reached the exchange."""

_SOON = timedelta(seconds=5)
_SOON_ENOUGH = timedelta(seconds=20)
_LEASED = timedelta(seconds=60)
"""What is due later than that is being looked at."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """That it is not known whether what a session holds of a contract is in the account.

    Attributes
    ----------
    since
        When it began.
    told
        Whether users were told that nothing tells why something is missing.
    """

    since: datetime
    told: bool


async def doubt(uow: UnitOfWork, session_id: UUID, market_id: UUID) -> Doubt | None:
    """Return what is doubtful of a session's contract; None: nothing, or it trades no contracts."""
    return (await _account(uow, session_id, market_id))[1]


async def awaits_looks(uow: UnitOfWork, session_id: UUID, market_id: UUID) -> bool:
    """Whether looks at the account are to tell what is doubtful; if so, have it looked at soon."""
    account, doubtful = await _account(uow, session_id, market_id)
    now = uow.clock.now()
    if account is None or doubtful is None or doubtful.told or now - doubtful.since >= _LONGEST:
        return False
    if _SOON_ENOUGH < account.due_at - now <= _LEASED:
        account.due_at = now + _SOON
        await uow.session.flush()
    return True


async def _account(
    uow: UnitOfWork, session_id: UUID, market_id: UUID
) -> tuple[LiveAccountRow | None, Doubt | None]:
    held = await uow.session.get(LiveSessionRow, session_id)
    if held is None or held.leverage is None:
        return None, None
    await uow.session.flush()
    account = await uow.session.get(LiveAccountRow, (held.exchange_key_id, market_id), populate_existing=True)
    if account is None:
        return None, None
    if account.missing is not None:
        return account, Doubt(account.missing_since or account.agreed_at, account.told)
    refused_at: datetime | None = await uow.session.scalar(
        select(func.max(OrderRow.created_at))
        .join(LiveOrderRow, LiveOrderRow.order_id == OrderRow.id)
        .where(
            OrderRow.session_id == session_id,
            OrderRow.market_id == market_id,
            OrderRow.reduce_only,
            OrderRow.status == OrderStatus.REJECTED.value,
            # The exchange was asked.
            LiveOrderRow.sent_at.is_not(None),
        )
    )
    if refused_at is None or account.agreed_at > refused_at + _SENT_WITHIN:
        return account, None
    return account, Doubt(refused_at, told=False)
