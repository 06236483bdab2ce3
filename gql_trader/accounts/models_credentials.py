"""Tables of what users prove themselves with, and of what was done with it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base
from gql_trader.infra.key_ring import encrypted

TOTP_SECRET = "totp_secrets.secret"  # noqa: S105 -- the name of a column
"""Purpose under which secrets for one-time passwords are sealed."""


class AuditEventRow(Base):
    """A privileged action. Rows are only ever added: the database refuses UPDATE, DELETE and TRUNCATE.

    Actor and target are no foreign keys, since an event outlives the users that it names. Keys are
    UUIDv7, so their order is that of time.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index(None, "actor_id", "id"),
        Index(None, "target_id", "id"),
        Index(None, "action", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    actor_id: Mapped[UUID | None]
    action: Mapped[str]
    target_id: Mapped[UUID | None]
    details: Mapped[dict[str, Any]] = mapped_column("metadata")
    created_at: Mapped[datetime]


class ApiTokenRow(Base):
    """An API token. The token itself is not stored: only its SHA-256 and its first characters are."""

    __tablename__ = "api_tokens"
    __table_args__ = (
        CheckConstraint("octet_length(token_hash) = 32", name="token_hash"),
        CheckConstraint("scopes <@ ARRAY['READ', 'BACKTEST', 'TRADE', 'ADMIN']", name="scopes"),
        Index(None, "user_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    label: Mapped[str]
    prefix: Mapped[str]
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class TotpSecretRow(Base):
    """A user's secret for time-based one-time passwords, sealed and bound to the user.

    It is asked for once ``users.totp_enabled`` says that the user has proved to have it.
    ``last_used_step`` is the last time step (30 s) whose code was accepted; it and earlier ones are not
    accepted again.
    """

    __tablename__ = "totp_secrets"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    secret: Mapped[bytes] = mapped_column(info=encrypted(TOTP_SECRET))
    created_at: Mapped[datetime]
    last_used_step: Mapped[int | None]


class RecoveryCodeRow(Base):
    """A code that replaces a one-time password, once; stored as its SHA-256."""

    __tablename__ = "recovery_codes"
    __table_args__ = (CheckConstraint("octet_length(code_hash) = 32", name="code_hash"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    code_hash: Mapped[bytes] = mapped_column(primary_key=True)
    used_at: Mapped[datetime | None]
