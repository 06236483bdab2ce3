"""Tables of the notifications domain."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base
from gql_trader.infra.key_ring import encrypted

DEVICE_TOKEN = "devices.token"  # noqa: S105 -- the name of a column
"""Purpose under which the tokens of devices are sealed."""

WEBHOOK_SECRET = "webhooks.secret"  # noqa: S105 -- the name of a column
"""Purpose under which the secrets of webhooks are sealed."""


class NotificationFeedRow(Base):
    """How many notifications a user has had; locked while one is added.

    So a user's notifications become visible in the order of their numbers: whoever has seen one has seen
    all with smaller numbers.
    """

    __tablename__ = "notification_feeds"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    last_number: Mapped[int] = mapped_column(BigInteger)


class NotificationRow(Base):
    """Something that a user is told."""

    __tablename__ = "notifications"
    __table_args__ = (
        UniqueConstraint("user_id", "number"),
        Index("ix_notifications_unread", "user_id", "number", postgresql_where=text("read_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str]
    title: Mapped[str]
    body: Mapped[str]
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(index=True)
    read_at: Mapped[datetime | None]


class DeviceRow(Base):
    """A device that takes push messages: its token, sealed, and the token's SHA-256 to find it by."""

    __tablename__ = "devices"
    __table_args__ = (
        CheckConstraint("platform IN ('IOS', 'ANDROID', 'WEB')", name="platform"),
        CheckConstraint("octet_length(token_hash) = 32", name="token_hash"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    platform: Mapped[str]
    token: Mapped[bytes] = mapped_column(info=encrypted(DEVICE_TOKEN))
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    registered_at: Mapped[datetime]


class NotificationChoiceRow(Base):
    """Where a user has chosen to be told of a kind; without a row, where the kind suggests."""

    __tablename__ = "notification_choices"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    channels: Mapped[list[str]] = mapped_column(ARRAY(TEXT))


class WebhookRow(Base):
    """An endpoint of a user's: where to send what, and the sealed secret that it is signed with."""

    __tablename__ = "webhooks"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    label: Mapped[str]
    url: Mapped[str]
    secret: Mapped[bytes] = mapped_column(info=encrypted(WEBHOOK_SECRET))
    kinds: Mapped[list[str] | None] = mapped_column(ARRAY(TEXT))
    active: Mapped[bool]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    last_delivered_at: Mapped[datetime | None]
    last_failed_at: Mapped[datetime | None]
    last_error: Mapped[str | None]


class TelegramBlockRow(Base):
    """A chat into which a user's bot cannot write: the SHA-256 of bot and chat, so that others are tried."""

    __tablename__ = "telegram_blocks"
    __table_args__ = (CheckConstraint("octet_length(fingerprint) = 32", name="fingerprint"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    fingerprint: Mapped[bytes]
    blocked_at: Mapped[datetime]
