"""The transactional outbox: what has to leave the house, written with the change that is the reason for it.

A message is a kind and the data it is about, never a secret: whoever delivers it writes the text. It is
delivered by whichever worker holds its lease, again after a while if that fails, and deleted afterwards.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    Index,
    Select,
    case,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.core.ids import uuid7
from gql_trader.infra.database import Base
from gql_trader.infra.unit_of_work import Job, UnitOfWork

DELIVER_OUTBOX = "deliver_outbox"

NOTICE = "notice"
"""Kind of a message that becomes a notification; see `tell`."""

_LONGEST_ERROR = 500
_WOKEN = 8
_LAST_ATTEMPT = "the last attempt has not ended"


class Lane(StrEnum):
    """Messages of one lane do not wait for those of another, however slow a server is.

    Each has a queue and a sweeper of its own, whose slots no other lane takes.
    """

    NOTICES = "notices"
    MAIL = "mail"
    PUSH = "push"
    TELEGRAM = "telegram"
    WEBHOOKS = "webhooks"

    @property
    def queue(self) -> str:
        """Name of the queue of the jobs that deliver the lane's messages."""
        return "notifications" if self is Lane.NOTICES else self.value


class OutboxRow(Base):
    """A message that has not been delivered; ``failed_at`` is set once nobody tries any more."""

    __tablename__ = "outbox_messages"
    __table_args__ = (
        Index("ix_outbox_messages_dead", "id", postgresql_where=text("failed_at IS NOT NULL")),
        Index(
            "ix_outbox_messages_due", "lane", "next_attempt_at", postgresql_where=text("failed_at IS NULL")
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    lane: Mapped[str]
    kind: Mapped[str]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    target_id: Mapped[UUID | None]
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime]
    attempts: Mapped[int]
    last_error: Mapped[str | None]
    failed_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A message that this worker may deliver until its lease ends.

    Attributes
    ----------
    user_id
        Whom it is for; None if it goes to an address, or to several.
    target_id
        What of the user's it is for, such as one of several devices; None if there is but one.
    attempt
        Counts from 1; changes to the message name it, so that a worker whose lease has ended changes
        nothing.
    """

    id: UUID
    kind: str
    user_id: UUID | None
    target_id: UUID | None
    payload: Mapping[str, Any]
    created_at: datetime
    attempt: int


def send(
    uow: UnitOfWork,
    kind: str,
    payload: Mapping[str, Any],
    lane: Lane = Lane.MAIL,
    *,
    user_id: UUID | None = None,
    target_id: UUID | None = None,
) -> None:
    """Write a message within this transaction, and wake a worker once it has committed."""
    row = _message(uow, kind, payload, lane, user_id, target_id)
    uow.session.add(OutboxRow(**row, next_attempt_at=func.now()))
    _wake(uow, row["id"], lane)


async def send_to_users(
    uow: UnitOfWork, kind: str, messages: Sequence[tuple[UUID, Mapping[str, Any]]], lane: Lane
) -> None:
    """Write messages, each to a user, by one statement, and wake some workers once it has committed.

    Whoever is woken delivers all that is due.
    """
    rows = [_message(uow, kind, payload, lane, user_id, None) for user_id, payload in messages]
    if rows:
        await uow.session.execute(insert(OutboxRow).values(next_attempt_at=func.now()), rows)
    for row in rows[:_WOKEN]:
        _wake(uow, row["id"], lane)


def _message(
    uow: UnitOfWork,
    kind: str,
    payload: Mapping[str, Any],
    lane: Lane,
    user_id: UUID | None,
    target_id: UUID | None,
) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "lane": lane.value,
        "kind": kind,
        "user_id": user_id,
        "target_id": target_id,
        "payload": dict(payload),
        "created_at": uow.clock.now(),
        "attempts": 0,
    }


def _wake(uow: UnitOfWork, key: UUID, lane: Lane) -> None:
    uow.enqueue(Job(DELIVER_OUTBOX, lane.queue, f"{DELIVER_OUTBOX}:{key}", (lane.value,)))


def tell(
    uow: UnitOfWork,
    user_id: UUID,
    kind: str,
    values: Mapping[str, str],
    payload: Mapping[str, str] | None = None,
) -> None:
    """Notify a user; for domains that the notifications domain is built upon, which cannot call it.

    Parameters
    ----------
    kind
        The name of a `gql_trader.notifications.types.NotificationKind`.
    values, payload
        As for `gql_trader.notifications.service.notify`.
    """
    notice = {"kind": kind, "values": dict(values), "payload": dict(payload or {})}
    send(uow, NOTICE, notice, Lane.NOTICES, user_id=user_id)


async def claim(
    uow: UnitOfWork,
    count: int,
    lease_seconds: float,
    most_attempts: int,
    lanes: Collection[Lane] = tuple(Lane),
) -> list[OutboxMessage]:
    """Take messages that are due, the oldest first; nobody else gets them while the lease lasts.

    The last of the attempts begins with giving up: a message that kills its worker is then kept for the
    operator to see, and does not kill one worker after another. If the attempt succeeds, it is deleted.
    """
    is_last = OutboxRow.attempts + 1 >= most_attempts
    due = (
        select(OutboxRow.id)
        .where(
            OutboxRow.failed_at.is_(None),
            OutboxRow.lane.in_([lane.value for lane in lanes]),
            OutboxRow.next_attempt_at <= func.clock_timestamp(),
        )
        .order_by(OutboxRow.next_attempt_at)
        .limit(count)
        .with_for_update(skip_locked=True)
    )
    claimed = await uow.session.execute(
        update(OutboxRow)
        .where(OutboxRow.id.in_(due))
        .values(
            attempts=OutboxRow.attempts + 1,
            next_attempt_at=_in(lease_seconds),
            failed_at=case((is_last, func.clock_timestamp())),
            last_error=case((is_last, _LAST_ATTEMPT), else_=OutboxRow.last_error),
        )
        .returning(
            OutboxRow.id,
            OutboxRow.kind,
            OutboxRow.user_id,
            OutboxRow.target_id,
            OutboxRow.payload,
            OutboxRow.created_at,
            OutboxRow.attempts,
        )
        .execution_options(synchronize_session=False)
    )
    # UUIDv7 keys sort by creation.
    return sorted((OutboxMessage(*row) for row in claimed), key=lambda message: message.id)


async def finish(uow: UnitOfWork, message: OutboxMessage) -> bool:
    """Delete a message that is done with; return False if it is no longer this worker's."""
    deleted = await uow.session.scalar(delete(OutboxRow).where(_held(message)).returning(OutboxRow.id))
    return deleted is not None


async def delivered(uow: UnitOfWork, message: OutboxMessage) -> bool:
    """Delete a message that a server has taken, whoever holds it now; return False if it is gone already."""
    deleted = await uow.session.scalar(
        delete(OutboxRow).where(OutboxRow.id == message.id).returning(OutboxRow.id)
    )
    return deleted is not None


async def retry(uow: UnitOfWork, message: OutboxMessage, seconds: float, reason: str) -> bool:
    """Let a message wait before it is tried again; return False if it is no longer this worker's."""
    held = await uow.session.scalar(
        update(OutboxRow)
        .where(_held(message))
        .values(next_attempt_at=_in(seconds), last_error=reason[:_LONGEST_ERROR])
        .returning(OutboxRow.id)
        .execution_options(synchronize_session=False)
    )
    return held is not None


async def give_up(uow: UnitOfWork, message: OutboxMessage, reason: str) -> bool:
    """Keep a message that cannot be delivered for the operator to see, and try it no more.

    Returns False if it is no longer this worker's.
    """
    held = await uow.session.scalar(
        update(OutboxRow)
        .where(_held(message))
        .values(failed_at=func.clock_timestamp(), last_error=reason[:_LONGEST_ERROR])
        .returning(OutboxRow.id)
        .execution_options(synchronize_session=False)
    )
    return held is not None


async def revive(uow: UnitOfWork, message_id: UUID) -> bool:
    """Have a message that was given up tried once more; return False if it is none."""
    lane = await uow.session.scalar(
        update(OutboxRow)
        .where(OutboxRow.id == message_id, OutboxRow.failed_at.is_not(None))
        .values(failed_at=None, next_attempt_at=func.clock_timestamp())
        .returning(OutboxRow.lane)
        .execution_options(synchronize_session=False)
    )
    if lane is None:
        return False
    _wake(uow, message_id, Lane(lane))
    return True


async def postpone(uow: UnitOfWork, lane: Lane, target_id: UUID, seconds: float) -> None:
    """Let everything that waits for one target wait at least this long."""
    waiting = _waiting_for(lane, target_id).where(OutboxRow.next_attempt_at < _in(seconds))
    await uow.session.execute(
        update(OutboxRow)
        .where(OutboxRow.id.in_(waiting))
        .values(next_attempt_at=_in(seconds))
        .execution_options(synchronize_session=False)
    )


async def give_up_waiting(uow: UnitOfWork, lane: Lane, target_id: UUID, reason: str) -> None:
    """Keep everything that waits for one target for the operator to see, and try it no more."""
    await uow.session.execute(
        update(OutboxRow)
        .where(OutboxRow.id.in_(_waiting_for(lane, target_id)))
        .values(failed_at=func.clock_timestamp(), last_error=reason[:_LONGEST_ERROR])
        .execution_options(synchronize_session=False)
    )


async def forget_failed(uow: UnitOfWork, age: timedelta) -> int:
    """Delete what was given up longer ago than this, and return how much it was."""
    deleted = await uow.session.scalars(
        delete(OutboxRow).where(OutboxRow.failed_at < func.now() - age).returning(OutboxRow.id)
    )
    return len(deleted.all())


async def due(uow: UnitOfWork, lane: Lane, most: int) -> int:
    """Return how many messages of a lane are due, up to a number."""
    found = select(OutboxRow.id).where(
        OutboxRow.failed_at.is_(None),
        OutboxRow.lane == lane.value,
        OutboxRow.next_attempt_at <= func.clock_timestamp(),
    )
    return await uow.session.scalar(select(func.count()).select_from(found.limit(most).subquery())) or 0


async def waiting(uow: UnitOfWork, lane: Lane) -> int:
    """Return the number of messages of a lane that are still to be delivered."""
    count = await uow.session.scalar(
        select(func.count())
        .select_from(OutboxRow)
        .where(OutboxRow.failed_at.is_(None), OutboxRow.lane == lane.value)
    )
    return count or 0


def _waiting_for(lane: Lane, target_id: UUID) -> Select[UUID]:
    # Without those that another transaction is just deciding about: workers lock a message before its
    # target, and waiting for one here, with the target locked, could never end.
    return (
        select(OutboxRow.id)
        .where(
            OutboxRow.lane == lane.value,
            OutboxRow.target_id == target_id,
            OutboxRow.failed_at.is_(None),
        )
        .with_for_update(skip_locked=True)
    )


def _held(message: OutboxMessage) -> ColumnElement[bool]:
    return (OutboxRow.id == message.id) & (OutboxRow.attempts == message.attempt)


def _in(seconds: float) -> ColumnElement[Any]:
    # The database's clock: machines disagree about time.
    return func.clock_timestamp() + timedelta(seconds=seconds)
