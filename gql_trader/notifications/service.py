"""Rules of notifications: telling users something, and what they have read of it."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, update

from gql_trader.core.actor import Actor
from gql_trader.core.errors import NotFound
from gql_trader.core.ids import uuid7
from gql_trader.infra import outbox
from gql_trader.infra.bulk import insert_rows
from gql_trader.infra.keyset import PageRequest, Slice, SortKey, fetch_page
from gql_trader.infra.outbox import Lane
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.notifications import repository
from gql_trader.notifications.kinds import KINDS
from gql_trader.notifications.models import NotificationFeedRow, NotificationRow
from gql_trader.notifications.types import NOTIFICATION, NotificationKind, NotificationRecord, stream_of

_NEWEST_FIRST = [SortKey(NotificationRow.__table__.c.number, descending=True)]


@dataclass(frozen=True, slots=True)
class Notice:
    """What a user is to be told; ``values`` and ``payload`` as in `notify`."""

    user_id: UUID
    kind: NotificationKind
    values: Mapping[str, str]
    payload: Mapping[str, str] = field(default_factory=dict)


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
    return (await notify_each(uow, [Notice(user_id, kind, values, payload or {})]))[0]


async def notify_all(
    uow: UnitOfWork,
    user_ids: Iterable[UUID],
    kind: NotificationKind,
    values: Mapping[str, str],
    payload: Mapping[str, str] | None = None,
) -> None:
    """Tell several users the same; see `notify`."""
    await notify_each(uow, [Notice(each, kind, values, payload or {}) for each in user_ids])


async def notify_each(uow: UnitOfWork, notices: Sequence[Notice]) -> list[UUID]:
    """Tell users something each, by as many statements as for one; return the notifications' ids.

    See `notify`. Of one user, the first comes first.
    """
    if not notices:
        return []
    # In one order, so that two transactions that notify the same users cannot wait for each other.
    counts = sorted(Counter(each.user_id for each in notices).items())
    feeds = NotificationFeedRow.__table__.c
    statement = insert_rows(NotificationFeedRow, ("user_id", "last_number"), counts)
    returned = await uow.session.execute(
        statement.on_conflict_do_update(
            index_elements=["user_id"],
            set_={"last_number": feeds.last_number + statement.excluded.last_number},
        ).returning(feeds.user_id, feeds.last_number)
    )
    asked = dict(counts)
    numbers = {user_id: last - asked[user_id] for user_id, last in returned}
    rows = []
    for each in notices:
        numbers[each.user_id] += 1
        title, body = KINDS[each.kind].write(each.values)
        rows.append(
            NotificationRow(
                id=uuid7(),
                user_id=each.user_id,
                number=numbers[each.user_id],
                kind=each.kind.value,
                title=title,
                body=body,
                payload=dict(each.payload),
                created_at=uow.clock.now(),
                read_at=None,
            )
        )
    uow.session.add_all(rows)
    await uow.session.flush()
    for row in rows:
        uow.publish(stream_of(row.user_id), {"number": row.number})
    messages = [(row.user_id, {"notification_id": str(row.id)}) for row in rows]
    await outbox.send_to_users(uow, NOTIFICATION, messages, Lane.NOTICES)
    return [row.id for row in rows]


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
