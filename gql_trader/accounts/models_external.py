"""Tables of users who prove themselves to somebody else."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base


class ExternalIdentityRow(Base):
    """A user of an identity provider: its issuer's name for them, and the account that is theirs here.

    A row with ``deleted_at`` is never used again, so that a token that outlives its user's deletion,
    or a message that is late, makes no new account; while there is a ``banned_at``, the provider shuts the
    user out. One that was deleted or banned before it ever came here has no account. ``updated_at`` is the
    provider's time of the last change that was followed.
    """

    __tablename__ = "external_identities"
    __table_args__ = (
        CheckConstraint(
            "user_id IS NOT NULL OR deleted_at IS NOT NULL OR banned_at IS NOT NULL", name="user_id"
        ),
    )

    issuer: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    banned_at: Mapped[datetime | None]


class WebhookMessageRow(Base):
    """A message of an identity provider that was followed, so that it is not followed again."""

    __tablename__ = "webhook_messages"

    message_id: Mapped[str] = mapped_column(primary_key=True)
    received_at: Mapped[datetime] = mapped_column(index=True)


class BrowserSessionRow(Base):
    """A login session whose browser has a cookie instead of tokens: the SHA-256 of what is in it."""

    __tablename__ = "browser_sessions"

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("login_sessions.id", ondelete="CASCADE"), unique=True)
