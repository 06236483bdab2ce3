"""Rules of notifications: telling users something, and what they have read of it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, update
from sqlalchemy.dialects.postgresql import insert

from gql_trader.core.actor import Actor
from gql_trader.core.errors import NotFound
from gql_trader.core.ids import uuid7
from gql_trader.infra import outbox
from gql_trader.infra.keyset import PageRequest, Slice, SortKey, fetch_page
from gql_trader.infra.outbox import Lane
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.notifications import repository
from gql_trader.notifications.kinds import KINDS
from gql_trader.notifications.models import NotificationFeedRow, NotificationRow
from gql_trader.notifications.types import NOTIFICATION, NotificationKind, NotificationRecord, stream_of

_NEWEST_FIRST = [SortKey(NotificationRow.__table__.c.number, descending=True)]


async def notify(
    uow: UnitOfWork,
    user_id: UUID,
    kind: NotificationKind,
    values: Mapping[str, str],
    payload: Mapping[str, str] | None = None,
) -> UUID:
    """Tell a user something, in the transaction of what it tells of; return the notification's id.

    Transactions that notify the same user wait for each other from here to their commits: notify last.

    Parameters
    ----------
    values
        What the texts of the kind leave open.
    payload
        Global ids of what it is about, by name, such as ``{"backtestId": global_id("Backtest", key)}``.
    """
    number = await uow.session.scalar(
        insert(NotificationFeedRow)
        .values(user_id=user_id, last_number=1)
        .on_conflict_do_update(
            index_elements=[NotificationFeedRow.user_id],
            set_={"last_number": NotificationFeedRow.last_number + 1},
        )
        .returning(NotificationFeedRow.last_number)
    )
    assert number is not None
    title, body = KINDS[kind].write(values)
    row = NotificationRow(
        id=uuid7(),
        user_id=user_id,
        number=number,
        kind=kind.value,
        title=title,
        body=body,
        payload=dict(payload or {}),
        created_at=uow.clock.now(),
        read_at=None,
    )
    uow.session.add(row)
    await uow.session.flush()
    uow.publish(stream_of(user_id), {"number": number})
    outbox.send(uow, NOTIFICATION, {"notification_id": str(row.id)}, Lane.NOTICES, user_id=user_id)
    return row.id


async def notify_all(
    uow: UnitOfWork,
    user_ids: Iterable[UUID],
    kind: NotificationKind,
    values: Mapping[str, str],
    payload: Mapping[str, str] | None = None,
) -> None:
    """Tell several users the same; see `notify`."""
    # In one order, so that two transactions that notify the same users cannot wait for each other.
    for user_id in sorted(user_ids):
        await notify(uow, user_id, kind, values, payload)


async def list_notifications(
    uow: UnitOfWork,
    actor: Actor,
    unread: bool | None,
    kinds: Collection[NotificationKind] | None,
    page: PageRequest,
) -> Slice[Row[Any]]:
    """Return one page of the actor's notifications, newest first; a row's first element is the row."""
    statement = repository.notifications_statement(actor.user_id, unread, kinds)
    return await fetch_page(uow.session, statement, _NEWEST_FIRST, page)


async def count_notifications(
    uow: UnitOfWork, actor: Actor, unread: bool | None, kinds: Collection[NotificationKind] | None
) -> int:
    """Return how many notifications the actor has."""
    statement = repository.notifications_statement(actor.user_id, unread, kinds)
    return await repository.count(uow.session, statement)


async def mark_read(uow: UnitOfWork, actor: Actor, ids: Sequence[UUID]) -> list[NotificationRecord]:
    """Mark some of the actor's notifications as read and return them in the order given.

    Those that were read before keep the time at which they were.

    Raises
    ------
    NotFound
        If one of them is not the actor's; then none is marked.
    """
    await uow.session.execute(
        update(NotificationRow)
        .where(
            NotificationRow.id.in_(ids),
            NotificationRow.user_id == actor.user_id,
            NotificationRow.read_at.is_(None),
        )
        .values(read_at=uow.clock.now())
        .execution_options(synchronize_session=False)
    )
    found = await repository.notifications_by_ids(uow.session, actor.user_id, ids)
    for place, key in enumerate(ids):
        if key not in found:
            raise NotFound("There is no such notification.", ("ids", str(place)))
    return [found[key] for key in ids]


async def mark_all_read(uow: UnitOfWork, actor: Actor, up_to: UUID) -> int:
    """Mark one of the actor's notifications and all before it as read; return how many were unread.

    Raises
    ------
    NotFound
        If it is not the actor's.
    """
    found = await repository.notifications_by_ids(uow.session, actor.user_id, [up_to])
    if up_to not in found:
        raise NotFound("There is no such notification.", ("upTo",))
    marked = await uow.session.scalars(
        update(NotificationRow)
        .where(
            NotificationRow.user_id == actor.user_id,
            NotificationRow.number <= found[up_to].number,
            NotificationRow.read_at.is_(None),
        )
        .values(read_at=uow.clock.now())
        .returning(NotificationRow.id)
        .execution_options(synchronize_session=False)
    )
    return len(marked.all())


async def forget(uow: UnitOfWork, age: timedelta) -> int:
    """Delete the notifications that are older than this, read or not; return how many there were."""
    deleted = await uow.session.scalars(
        delete(NotificationRow)
        .where(NotificationRow.created_at < uow.clock.now() - age)
        .returning(NotificationRow.id)
    )
    return len(deleted.all())
