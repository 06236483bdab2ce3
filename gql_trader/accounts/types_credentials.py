"""Specs and enums of administration, the audit log and API tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from gql_trader.accounts.types import UserStatus
from gql_trader.core.actor import TokenScope


class AuditAction(StrEnum):
    """What an audit event tells of."""

    USER_CREATED = "USER_CREATED"
    USER_APPROVED = "USER_APPROVED"
    USER_DISABLED = "USER_DISABLED"
    USER_ENABLED = "USER_ENABLED"
    USER_ROLE_CHANGED = "USER_ROLE_CHANGED"
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105 -- an action, not a password
    PASSWORD_RESET = "PASSWORD_RESET"  # noqa: S105 -- an action, not a password
    API_TOKEN_CREATED = "API_TOKEN_CREATED"  # noqa: S105 -- an action, not a token
    API_TOKEN_REVOKED = "API_TOKEN_REVOKED"  # noqa: S105 -- an action, not a token
    TOTP_ENABLED = "TOTP_ENABLED"
    TOTP_DISABLED = "TOTP_DISABLED"
    RECOVERY_CODE_USED = "RECOVERY_CODE_USED"
    CREDENTIALS_ENDED = "CREDENTIALS_ENDED"
    EXCHANGE_KEY_ADDED = "EXCHANGE_KEY_ADDED"
    EXCHANGE_KEY_ROTATED = "EXCHANGE_KEY_ROTATED"
    EXCHANGE_KEY_DELETED = "EXCHANGE_KEY_DELETED"
    IDENTITY_CHANGED = "IDENTITY_CHANGED"
    IDENTITY_DELETED = "IDENTITY_DELETED"
    WEBHOOK_CREATED = "WEBHOOK_CREATED"
    WEBHOOK_CHANGED = "WEBHOOK_CHANGED"
    WEBHOOK_DELETED = "WEBHOOK_DELETED"
    DELIVERY_RETRIED = "DELIVERY_RETRIED"
    DEFAULT_SETTINGS_CHANGED = "DEFAULT_SETTINGS_CHANGED"
    LIVE_TRADING_ENABLED = "LIVE_TRADING_ENABLED"
    LIVE_TRADING_DISABLED = "LIVE_TRADING_DISABLED"
    TRADING_SECRETS_CHANGED = "TRADING_SECRETS_CHANGED"
    TRADING_SECRETS_EXPORTED = "TRADING_SECRETS_EXPORTED"
    BOTS_STOPPED = "BOTS_STOPPED"
    TRADING_SESSION_STARTED = "TRADING_SESSION_STARTED"
    TRADING_SESSION_STOPPED = "TRADING_SESSION_STOPPED"
    ORDER_PLACED = "ORDER_PLACED"
    ORDER_CANCELLED = "ORDER_CANCELLED"
    FUNDS_MOVED = "FUNDS_MOVED"
    LIVE_MISMATCH_ACKNOWLEDGED = "LIVE_MISMATCH_ACKNOWLEDGED"


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """A privileged action: who did what to whom, and when."""

    id: UUID
    actor_id: UUID | None
    action: str
    target_id: UUID | None
    metadata: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which events to list; None: all."""

    actor_id: UUID | None = None
    target_id: UUID | None = None
    actions: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which users to list; None: all.

    Attributes
    ----------
    search
        Text that username or e-mail address contains, in any case.
    """

    statuses: tuple[UserStatus, ...] | None = None
    search: str | None = None


@dataclass(frozen=True, slots=True)
class Enrollment:
    """What a user gets to set up a second factor with; nobody can find it out again.

    Attributes
    ----------
    uri
        ``otpauth://…``, for the authenticator app.
    recovery_codes
        Each replaces a one-time password, once.
    """

    uri: str
    recovery_codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ApiTokenSpec:
    """An API token as asked for."""

    label: str
    scopes: frozenset[TokenScope]
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ApiTokenRecord:
    """An API token without its secret."""

    id: UUID
    user_id: UUID
    label: str
    prefix: str
    scopes: tuple[TokenScope, ...]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
