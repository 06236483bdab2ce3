"""Reads of the notifications domain."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.accounts.models import UserRow
from gql_trader.accounts.types import UserStatus
from gql_trader.notifications.models import DeviceRow, NotificationFeedRow, NotificationRow, WebhookRow
from gql_trader.notifications.types import (
    DevicePlatform,
    DeviceRecord,
    NotificationKind,
    NotificationRecord,
    WebhookRecord,
)


def notification_record(row: NotificationRow) -> NotificationRecord:
    """Return a notification."""
    return NotificationRecord(
        id=row.id,
        user_id=row.user_id,
        number=row.number,
        kind=NotificationKind(row.kind),
        title=row.title,
        body=row.body,
        payload=row.payload,
        created_at=row.created_at,
        read_at=row.read_at,
    )


def device_record(row: DeviceRow) -> DeviceRecord:
    """Return a device without its token."""
    return DeviceRecord(row.id, row.user_id, DevicePlatform(row.platform), row.created_at)


def webhook_record(row: WebhookRow) -> WebhookRecord:
    """Return a webhook without its secret."""
    return WebhookRecord(
        id=row.id,
        user_id=row.user_id,
        label=row.label,
        url=row.url,
        kinds=None if row.kinds is None else tuple(map(NotificationKind, row.kinds)),
        active=row.active,
        created_at=row.created_at,
        updated_at=row.updated_at,
        last_delivered_at=row.last_delivered_at,
        last_failed_at=row.last_failed_at,
        last_error=row.last_error,
    )


def notifications_statement(
    user_id: UUID, unread: bool | None, kinds: Collection[NotificationKind] | None
) -> Select[Any]:
    """Return the statement for a user's notifications: unread or read ones, of some kinds."""
    statement = select(NotificationRow).where(NotificationRow.user_id == user_id)
    if unread is not None:
        is_unread = NotificationRow.read_at.is_(None)
        statement = statement.where(is_unread if unread else ~is_unread)
    if kinds is not None:
        statement = statement.where(NotificationRow.kind.in_([kind.value for kind in kinds]))
    return statement


async def count(session: AsyncSession, statement: Select[Any]) -> int:
    """Return how many rows a statement has."""
    return await session.scalar(select(func.count()).select_from(statement.subquery())) or 0


async def last_number(session: AsyncSession, user_id: UUID) -> int:
    """Return the number of a user's newest notification; 0 if there was none ever."""
    statement = select(NotificationFeedRow.last_number).where(NotificationFeedRow.user_id == user_id)
    return await session.scalar(statement) or 0


async def newest_unread(
    session: AsyncSession, user_id: UUID, last: int, limit: int
) -> list[NotificationRecord]:
    """Return a user's newest unread notifications up to a number, the oldest of them first."""
    rows = await session.scalars(
        select(NotificationRow)
        .where(
            NotificationRow.user_id == user_id,
            NotificationRow.read_at.is_(None),
            NotificationRow.number <= last,
        )
        .order_by(NotificationRow.number.desc())
        .limit(limit)
    )
    return [notification_record(row) for row in rows][::-1]


async def notifications_after(
    session: AsyncSession, user_id: UUID, number: int, limit: int
) -> list[NotificationRecord]:
    """Return a user's notifications behind a number, in order."""
    rows = await session.scalars(
        select(NotificationRow)
        .where(NotificationRow.user_id == user_id, NotificationRow.number > number)
        .order_by(NotificationRow.number)
        .limit(limit)
    )
    return [notification_record(row) for row in rows]


async def notifications_by_ids(
    session: AsyncSession, user_id: UUID, ids: Sequence[UUID]
) -> dict[UUID, NotificationRecord]:
    """Return those of the notifications that are the user's, by id."""
    rows = await session.scalars(
        select(NotificationRow).where(NotificationRow.id.in_(ids), NotificationRow.user_id == user_id)
    )
    return {row.id: notification_record(row) for row in rows}


async def deliverable(
    session: AsyncSession, user_id: UUID, notification_id: UUID
) -> NotificationRecord | None:
    """Return a user's notification; None if it was forgotten, or the user may not use the server."""
    row = await session.scalar(
        select(NotificationRow)
        .join(UserRow, UserRow.id == NotificationRow.user_id)
        .where(
            NotificationRow.id == notification_id,
            NotificationRow.user_id == user_id,
            UserRow.status == UserStatus.ACTIVE.value,
        )
    )
    return notification_record(row) if row else None


async def devices_by_ids(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, DeviceRecord]:
    """Return those of the devices that exist, by id."""
    rows = await session.scalars(select(DeviceRow).where(DeviceRow.id.in_(ids)))
    return {row.id: device_record(row) for row in rows}


async def devices_of(session: AsyncSession, user_ids: Collection[UUID]) -> dict[UUID, list[DeviceRecord]]:
    """Return users' devices, by user, the newest first."""
    found: dict[UUID, list[DeviceRecord]] = {user_id: [] for user_id in user_ids}
    rows = await session.scalars(
        select(DeviceRow).where(DeviceRow.user_id.in_(user_ids)).order_by(DeviceRow.id.desc())
    )
    for row in rows:
        found[row.user_id].append(device_record(row))
    return found


async def webhooks_of(session: AsyncSession, user_ids: Collection[UUID]) -> dict[UUID, list[WebhookRecord]]:
    """Return users' webhooks, by user, the newest first."""
    found: dict[UUID, list[WebhookRecord]] = {user_id: [] for user_id in user_ids}
    rows = await session.scalars(
        select(WebhookRow).where(WebhookRow.user_id.in_(user_ids)).order_by(WebhookRow.id.desc())
    )
    for row in rows:
        found[row.user_id].append(webhook_record(row))
    return found


async def webhooks_for(session: AsyncSession, user_id: UUID, kind: NotificationKind) -> list[UUID]:
    """Return a user's webhooks that are on and told of a kind."""
    rows = await session.scalars(
        select(WebhookRow.id).where(
            WebhookRow.user_id == user_id,
            WebhookRow.active,
            or_(WebhookRow.kinds.is_(None), WebhookRow.kinds.contains([kind.value])),
        )
    )
    return list(rows)
