"""Which live orders are still looked for, and what is known of those that are not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Select, delete, func, select, update

from gql_trader.bots.models import OrderRow
from gql_trader.bots.models_live import LiveOrderRow, LiveSessionRow
from gql_trader.bots.types import OrderStatus, OrderType
from gql_trader.infra.unit_of_work import UnitOfWork


async def give_up(uow: UnitOfWork, session_id: UUID) -> None:
    """Let nobody ask for a session's orders any more; a worker that is at one writes nothing."""
    await uow.session.execute(
        update(LiveOrderRow)
        .where(LiveOrderRow.order_id.in_(_followed(session_id)))
        .values(due_at=None, lease_expires_at=None, fence=LiveOrderRow.fence + 1)
        .execution_options(synchronize_session=False)
    )


async def are_looked_for(uow: UnitOfWork, session_id: UUID) -> bool:
    """Return whether the exchange is still to be asked for orders of a session, if only once more, late."""
    await uow.session.flush()
    return await uow.session.scalar(_followed(session_id).limit(1)) is not None


async def let_go(uow: UnitOfWork, session_id: UUID) -> None:
    """Let go of the key of a session that has ended, once none of its orders is looked for any more."""
    if not await are_looked_for(uow, session_id):
        await uow.session.execute(delete(LiveSessionRow).where(LiveSessionRow.session_id == session_id))


def _followed(session_id: UUID) -> Select[UUID]:
    return (
        select(LiveOrderRow.order_id)
        .join(OrderRow, OrderRow.id == LiveOrderRow.order_id)
        .where(OrderRow.session_id == session_id, LiveOrderRow.due_at.is_not(None))
    )


@dataclass(frozen=True, slots=True)
class Rejected:
    """An order to close a position at the market that was rejected.

    Attributes
    ----------
    placed_at
        When it was stored here.
    unsent
        Whether the exchange was not reached: no worker came to the order in time, or the exchange did not
        answer. It has certainly not taken it then, and has not refused it either.
    refused
        Whether the exchange did.
    """

    placed_at: datetime
    unsent: bool
    refused: bool


async def rejected_closing(uow: UnitOfWork, session_id: UUID, market_id: UUID) -> Rejected | None:
    """Return the last order of a session to close a position at the market, if it was rejected."""
    found = (
        await uow.session.execute(
            select(OrderRow.status, OrderRow.created_at, LiveOrderRow.sent_at, LiveOrderRow.failures)
            .join(LiveOrderRow, LiveOrderRow.order_id == OrderRow.id)
            .where(
                OrderRow.session_id == session_id,
                OrderRow.market_id == market_id,
                OrderRow.reduce_only,
                OrderRow.type == OrderType.MARKET.value,
            )
            .order_by(OrderRow.number.desc())
            .limit(1)
        )
    ).one_or_none()
    if found is None or found.status != OrderStatus.REJECTED.value:
        return None
    refused = found.sent_at is not None
    return Rejected(found.created_at, not refused and bool(found.failures), refused)


async def unsent_closings(uow: UnitOfWork, session_id: UUID, market_id: UUID) -> int:
    """Return how many orders to close a position were not sent as the exchange was not reached, until now.

    One after the other; those that nobody tried to send do not count.
    """
    closing = (
        OrderRow.session_id == session_id,
        OrderRow.market_id == market_id,
        OrderRow.reduce_only,
        OrderRow.type == OrderType.MARKET.value,
    )
    unsent = (OrderRow.status == OrderStatus.REJECTED.value) & LiveOrderRow.sent_at.is_(None)
    last = (
        select(func.coalesce(func.max(OrderRow.number), 0))
        .join(LiveOrderRow, LiveOrderRow.order_id == OrderRow.id)
        .where(*closing, ~unsent)
        .scalar_subquery()
    )
    count = (
        select(func.count())
        .select_from(OrderRow)
        .join(LiveOrderRow, LiveOrderRow.order_id == OrderRow.id)
        .where(*closing, OrderRow.number > last, LiveOrderRow.failures > 0)
    )
    return await uow.session.scalar(count) or 0


async def reference_prices(uow: UnitOfWork, orders: Sequence[OrderRow]) -> dict[UUID, Decimal]:
    """Return about what the markets of some orders traded at when they were placed, by order."""
    rows = await uow.session.execute(
        select(LiveOrderRow.order_id, LiveOrderRow.reference_price).where(
            LiveOrderRow.order_id.in_([each.id for each in orders]),
            LiveOrderRow.reference_price.is_not(None),
        )
    )
    return {row.order_id: row.reference_price for row in rows}
