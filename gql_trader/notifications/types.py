"""Kinds, channels and records of the notifications domain, and how long things are tried and kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

LEASE_SECONDS = 120.0
"""A worker that has not finished with a message by then is taken for dead."""

HAND_OVER_SECONDS = 60.0
"""Handing one message over takes no longer, whatever a server does: well below the lease, so that nobody else
begins while it goes on."""

RETRY_SECONDS = (10.0, 60.0, 300.0, 1800.0, 7200.0, 21_600.0, 43_200.0)
"""Longest pauses after each attempt; when there are no more, the delivery has failed."""

MOST_ATTEMPTS = len(RETRY_SECONDS) + 1
"""Attempts to deliver a message; one that was revived is given one more."""

LONGEST_RETRY_AFTER = 43_200.0
"""Servers that ask for a longer pause are tried again all the same."""

FAILED_KEPT = timedelta(days=30)
"""How long the operator can see what could not be delivered."""

STALE_RESET = timedelta(minutes=30)
"""Whoever asked for a link this long ago has given up waiting, or asked again."""

MAXIMUM_DEVICES = 20
"""Devices that a user may have registered; one more takes the place of the one registered longest ago."""

MAXIMUM_WEBHOOKS = 10
MAXIMUM_WEBHOOK_LABEL = 100

NOTIFICATION = "notification"
"""Kind of a message in the outbox that becomes a delivery for each channel and target."""


class NotificationKind(StrEnum):
    """What a notification tells of; what is known of each kind is in `gql_trader.notifications.kinds`."""

    SIGNUP_PENDING = "SIGNUP_PENDING"
    ACCOUNT_APPROVED = "ACCOUNT_APPROVED"
    BACKTEST_COMPLETED = "BACKTEST_COMPLETED"
    BACKTEST_FAILED = "BACKTEST_FAILED"
    OPTIMIZATION_COMPLETED = "OPTIMIZATION_COMPLETED"
    OPTIMIZATION_FAILED = "OPTIMIZATION_FAILED"
    ALERT_TRIGGERED = "ALERT_TRIGGERED"
    BOT_FAILED = "BOT_FAILED"
    POSITION_CLOSED = "POSITION_CLOSED"
    POSITION_NOT_CLOSED = "POSITION_NOT_CLOSED"
    ORDER_UNKNOWN = "ORDER_UNKNOWN"
    HEARTBEAT = "HEARTBEAT"
    DAILY_PROFIT = "DAILY_PROFIT"
    WEBHOOK_DISABLED = "WEBHOOK_DISABLED"
    TELEGRAM_BLOCKED = "TELEGRAM_BLOCKED"


class Channel(StrEnum):
    """Where users are told of things, besides in the app."""

    EMAIL = "EMAIL"
    PUSH = "PUSH"
    TELEGRAM = "TELEGRAM"
    WEBHOOK = "WEBHOOK"


class DeliveryKind(StrEnum):
    """Messages of the outbox that hand a notification over to one target."""

    EMAIL = "notification.email"
    PUSH = "notification.push"
    TELEGRAM = "notification.telegram"
    WEBHOOK = "notification.webhook"


class DevicePlatform(StrEnum):
    """What a device runs."""

    IOS = "IOS"
    ANDROID = "ANDROID"
    WEB = "WEB"


@dataclass(frozen=True, slots=True)
class NotificationRecord:
    """Something that a user is told.

    Attributes
    ----------
    number
        Its place among the user's notifications, from 1; they are visible to others in this order.
    payload
        Global ids of what it is about, by name.
    """

    id: UUID
    user_id: UUID
    number: int
    kind: NotificationKind
    title: str
    body: str
    payload: Mapping[str, Any]
    created_at: datetime
    read_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """A device that takes push messages, without its token."""

    id: UUID
    user_id: UUID
    platform: DevicePlatform
    created_at: datetime


@dataclass(frozen=True, slots=True)
class WebhookRecord:
    """An endpoint of a user's, without its secret.

    Attributes
    ----------
    kinds
        What it is told of; None: everything.
    last_error
        Why the last attempt failed; None if it did not.
    """

    id: UUID
    user_id: UUID
    label: str
    url: str
    kinds: tuple[NotificationKind, ...] | None
    active: bool
    created_at: datetime
    updated_at: datetime
    last_delivered_at: datetime | None
    last_failed_at: datetime | None
    last_error: str | None


def stream_of(user_id: UUID) -> str:
    """Return the name of the stream that wakes whoever follows a user's notifications."""
    return f"notifications:{user_id}"
