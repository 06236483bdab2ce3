"""Specs and enums of exchange keys."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from gql_trader.core.ids import ExchangeKeyId
from gql_trader.infra.exchange.records import Credentials, ExchangePermission

CREDENTIALS = "exchange_keys.credentials"
"""Purpose under which credentials are sealed."""


class ExchangeKeyStatus(StrEnum):
    """What is known of a key."""

    UNVERIFIED = "UNVERIFIED"
    VALID = "VALID"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True)
class GivenCredentials:
    """Credentials as a user typed them."""

    api_key: str = field(repr=False)
    secret: str = field(repr=False)
    passphrase: str | None = field(default=None, repr=False)
    account_id: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class NewExchangeKey:
    """A key to be kept."""

    exchange: str
    credentials: GivenCredentials
    label: str | None = None


@dataclass(frozen=True, slots=True)
class ExchangeKeyRecord:
    """A key as its user sees it: without its secrets.

    Attributes
    ----------
    version
        Counts rotations from 1; what was found out about an earlier version says nothing of this one.
    permissions_complete
        Whether the exchange told all that the key may do.
    """

    id: ExchangeKeyId
    user_id: UUID
    exchange: str
    label: str | None
    api_key_masked: str
    version: int
    status: ExchangeKeyStatus
    permissions: tuple[ExchangePermission, ...]
    permissions_complete: bool
    last_used_at: datetime | None
    verified_at: datetime | None
    created_at: datetime
    rotated_at: datetime | None


@dataclass(frozen=True, slots=True)
class OpenedKey:
    """A key with its secrets, to be presented to the exchange."""

    record: ExchangeKeyRecord
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an exchange said of a key.

    Attributes
    ----------
    status
        None: nothing, since it could not be asked.
    problem
        Why the key is not valid, or could not be verified; a sentence for its user.
    """

    status: ExchangeKeyStatus | None
    permissions: frozenset[ExchangePermission] = frozenset()
    permissions_complete: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """A key after it was presented to its exchange, and the verdict on it.

    Attributes
    ----------
    superseded
        Whether the key was rotated meanwhile, so that the verdict is not about what it is now.
    """

    key: ExchangeKeyRecord
    verdict: Verdict
    superseded: bool
