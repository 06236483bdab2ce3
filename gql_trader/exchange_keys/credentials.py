"""Credentials: what an exchange wants of them, and how they are sealed."""

import re
from uuid import UUID

from gql_trader.core.errors import DomainError, DomainErrors, InvalidInput
from gql_trader.exchange_keys.types import CREDENTIALS, GivenCredentials
from gql_trader.infra import json_codec
from gql_trader.infra.exchange.records import Credentials, KnownExchange
from gql_trader.infra.key_ring import KeyRing

MAXIMUM_KEY = 512
MAXIMUM_SECRET = 8192
"""An RSA key of 8192 bits in PEM has 6.3 kB."""
MAXIMUM_PASSPHRASE = 256

# They go into headers of HTTP: no spaces, no line ends, nothing but ASCII.
_WORD = re.compile(r"[!-~]+", re.ASCII)


def check_credentials(exchange: KnownExchange, given: GivenCredentials) -> Credentials:
    """Return credentials that an exchange can be asked with; whether it accepts them is not known yet.

    Raises
    ------
    DomainErrors
        For every field that is missing, malformed or for nothing.
    """
    problems: list[DomainError] = []
    key, secret = given.api_key.strip(), given.secret.strip()
    passphrase, account = given.passphrase or None, (given.account_id or "").strip() or None
    if not _WORD.fullmatch(key) or len(key) > MAXIMUM_KEY:
        problems.append(
            InvalidInput(f"A key has 1 to {MAXIMUM_KEY} ASCII characters and no spaces.", ("apiKey",))
        )
    if not secret or len(secret) > MAXIMUM_SECRET or "\0" in secret:
        problems.append(InvalidInput(f"A secret has 1 to {MAXIMUM_SECRET} characters.", ("secret",)))
    problems += _optional(exchange, "passphrase", passphrase, exchange.needs_passphrase)
    problems += _optional(exchange, "accountId", account, exchange.needs_account_id)
    if problems:
        raise DomainErrors(problems)
    return Credentials(key, secret, passphrase, account)


def seal(keys: KeyRing, key_id: UUID, credentials: Credentials) -> bytes:
    """Return credentials, sealed and bound to their row."""
    plain = json_codec.dumps(
        [credentials.api_key, credentials.secret, credentials.passphrase, credentials.account_id]
    )
    return keys.encrypt(CREDENTIALS, key_id, plain)


def unseal(keys: KeyRing, key_id: UUID, sealed: bytes) -> Credentials:
    """Return the credentials in a sealed value.

    Raises
    ------
    DecryptionError
        If they are not this row's, or their key is not in the ring any more.
    """
    return Credentials(*json_codec.loads(keys.decrypt(CREDENTIALS, key_id, sealed)))


def _optional(exchange: KnownExchange, field: str, value: str | None, needed: bool) -> list[DomainError]:
    what = {"passphrase": "a passphrase", "accountId": "an account id"}[field]
    if needed and value is None:
        return [InvalidInput(f"Keys of {exchange.name} have {what}; give it too.", (field,))]
    if not needed and value is not None:
        return [InvalidInput(f"Keys of {exchange.name} do not have {what}; leave it out.", (field,))]
    if value is not None and (not _WORD.fullmatch(value) or len(value) > MAXIMUM_PASSPHRASE):
        return [InvalidInput(f"It has 1 to {MAXIMUM_PASSPHRASE} ASCII characters and no spaces.", (field,))]
    return []
