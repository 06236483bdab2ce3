"""Tables of the account domain."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, false
from sqlalchemy.orm import Mapped, mapped_column

# Whoever imports the models of the domain, as the migrations do, gets these tables too.
from gql_trader.accounts import models_credentials as models_credentials
from gql_trader.accounts import models_external as models_external
from gql_trader.infra.database import Base


class UserRow(Base):
    """A user.

    ``username_key`` and ``email_key`` are the lower-case forms, unique, so that two spellings of one
    name cannot both exist. ``token_version`` is carried by access tokens: raising it ends them all.
    """

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('VIEWER', 'TRADER', 'ADMIN')", name="role"),
        CheckConstraint("status IN ('PENDING', 'ACTIVE', 'DISABLED')", name="status"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    username: Mapped[str]
    username_key: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str]
    email_key: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    role: Mapped[str]
    status: Mapped[str]
    token_version: Mapped[int] = mapped_column(default=1)
    totp_enabled: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class LoginSessionRow(Base):
    """A login on one device: the family of refresh tokens that grew from it.

    It is alive while it is not revoked, not expired, and ``token_version`` is still its user's.
    Each refresh prolongs it by ``lifetime``.
    """

    __tablename__ = "login_sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    token_version: Mapped[int]
    lifetime: Mapped[timedelta]
    ip_address: Mapped[str | None]
    user_agent: Mapped[str | None]
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    revoked_at: Mapped[datetime | None]


class RefreshTokenRow(Base):
    """A refresh token: its SHA-256, and when it was exchanged for the next one."""

    __tablename__ = "refresh_tokens"

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("login_sessions.id", ondelete="CASCADE"), index=True)
    issued_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class PasswordResetRow(Base):
    """A token that was mailed to a user: its SHA-256. A user has one at a time."""

    __tablename__ = "password_resets"

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), unique=True)
    expires_at: Mapped[datetime]


class ReservedUsernameRow(Base):
    """A name that somebody has signed up with, whether that made an account or not.

    Were names free where the e-mail address had an account already, a second attempt with the same name
    would tell an outsider that it had.
    """

    __tablename__ = "reserved_usernames"

    username_key: Mapped[str] = mapped_column(primary_key=True)
    reserved_at: Mapped[datetime]
