"""The states of live orders and who may change them. An order is never sent twice.

::

    NEW ──claim──> UNKNOWN ──answer──> OPEN, PARTIALLY_FILLED ──> FILLED, CANCELLED
     ^                │ ├────────────> REJECTED: refused, or not there once it can no longer arrive
     └─ not taken ────┘ └──> asked for again, never sent again

An order is stored before anything is sent. A worker claims it under a lease with a fencing token; the claim
turns NEW into UNKNOWN and commits before the exchange hears of it. So whoever finds it UNKNOWN knows that
it may have been sent, and only ever asks for it by its client order id. It becomes NEW again only if the
exchange has certainly not taken it: too many requests, a wrong clock, no connection.

Whoever changes an order locks its session first. Leases are measured by the database's clock.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, update

from gql_trader.bots.models import OrderRow
from gql_trader.bots.models_live import LiveOrderRow
from gql_trader.bots.types import OrderStatus
from gql_trader.bots.types_live import LIVE_ORDER, LIVE_SESSION, ORDERS_QUEUE
from gql_trader.infra.unit_of_work import Job, UnitOfWork


def order_job(order_id: UUID) -> Job:
    """Return the job that sends an order, or finds out what has become of it."""
    return Job(LIVE_ORDER, ORDERS_QUEUE, f"{LIVE_ORDER}:{order_id}", (str(order_id),))


def session_job(session_id: UUID) -> Job:
    """Return the job that goes on with a live session after something has happened to its orders."""
    return Job(LIVE_SESSION, ORDERS_QUEUE, f"{LIVE_SESSION}:{session_id}", (str(session_id),))


async def reject(uow: UnitOfWork, order: OrderRow, reason: str) -> None:
    """Let an order end that was not placed, and have its session go on."""
    order.status, order.reason = OrderStatus.REJECTED.value, reason
    await uow.session.flush()
    await finish(uow, order.id)
    uow.enqueue(session_job(order.session_id))


async def finish(uow: UnitOfWork, order_id: UUID) -> None:
    """Let nobody ask for an order any more."""
    await change(uow, order_id, due_at=None, lease_expires_at=None)


async def change(uow: UnitOfWork, order_id: UUID, **values: Any) -> None:
    """Note where an order stands with the exchange."""
    await uow.session.execute(
        update(LiveOrderRow)
        .where(LiveOrderRow.order_id == order_id)
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def database_time() -> ColumnElement[Any]:
    """Return the moment, by the clock that leases are measured by."""
    return func.clock_timestamp()


def is_free() -> ColumnElement[bool]:
    """Return the condition that no worker is at an order."""
    return or_(LiveOrderRow.lease_expires_at.is_(None), LiveOrderRow.lease_expires_at < database_time())
