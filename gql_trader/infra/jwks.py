"""Access tokens of another issuer: JWT signed with RS256 or ES256, checked with the issuer's public keys.

The keys are fetched as a JSON Web Key Set (RFC 7517) and kept. What a token says of where its key is to
be found (`jku`, `x5u`, `jwk`) is never looked at: only keys of the configured address count.
"""

import asyncio
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import httpx
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from gql_trader.core.clock import Clock
from gql_trader.infra import json_codec
from gql_trader.infra.tls import trusted

FRESH = timedelta(minutes=10)
"""Keys older than this are fetched anew, behind the back of whoever needs them."""
LONGEST_AGE = timedelta(hours=1)
"""Keys that could not be fetched anew for this long are not believed any more."""
ROTATION_INTERVAL = timedelta(seconds=30)
"""A token with an unknown key has the keys fetched again, this often at most."""
FETCH_SECONDS = 5.0
CLOCK_SKEW = timedelta(seconds=30)
"""How far the issuer's clock may be ahead of ours."""

_MAX_BYTES = 262_144
_MAX_KEYS = 100
_MAX_TOKEN_LENGTH = 16_384
# What PostgreSQL can store: neither U+0000 nor half a surrogate pair, which JSON can spell.
_SUBJECT = re.compile(r"[^\0\ud800-\udfff]{1,255}")
_MIN_RSA_BITS = 2048

_log = structlog.get_logger(__name__)


class InvalidIdentityToken(Exception):
    """The token is malformed, forged, expired or meant for somebody else."""


class IssuerUnavailable(Exception):
    """The issuer's keys cannot be fetched, so that nothing can be said of its tokens."""


@dataclass(frozen=True, slots=True)
class IdentityClaims:
    """What a valid token of the issuer says.

    Attributes
    ----------
    subject
        The issuer's name for the user, which never changes.
    claims
        All that the token carries.
    """

    subject: str
    expires_at: datetime
    claims: Mapping[str, Any]


class KeySet:
    """The public keys of an issuer, by key id, kept between requests.

    Parameters
    ----------
    url
        Where the JSON Web Key Set is.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._http = httpx.AsyncClient(
            verify=trusted(),
            timeout=FETCH_SECONDS,
            follow_redirects=False,
            headers={"accept": "application/json"},
        )
        self._keys: Mapping[str, jwt.PyJWK] = MappingProxyType({})
        self._fetched_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, key_id: str) -> jwt.PyJWK | None:
        """Return a key; None if the issuer has none with this id.

        Raises
        ------
        IssuerUnavailable
            If the keys are not known and cannot be fetched.
        """
        found = self._keys.get(key_id)
        if found is not None and self._age() <= LONGEST_AGE:
            if self._age() > FRESH and self._may_fetch():
                self._fetch_once()
            return found
        if self._fetching is not None or self._may_fetch():
            # Whoever waits may be cancelled; the others still want the keys.
            await asyncio.shield(self._fetch_once())
        if self._age() > LONGEST_AGE:
            raise IssuerUnavailable("the issuer's keys cannot be fetched")
        return self._keys.get(key_id)

    async def close(self) -> None:
        """Stop fetching and close the connections."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)
        await self._http.aclose()

    def _age(self) -> timedelta:
        return timedelta.max if self._fetched_at is None else self._clock.now() - self._fetched_at

    def _may_fetch(self) -> bool:
        return self._tried_at is None or self._clock.now() - self._tried_at >= ROTATION_INTERVAL

    def _fetch_once(self) -> asyncio.Task[None]:
        if self._fetching is None:
            self._tried_at = self._clock.now()
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._fetched)
        return self._fetching

    def _fetched(self, _task: asyncio.Task[None]) -> None:
        self._fetching = None

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                keys = read_key_set(await self._download())
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            _log.warning("issuer_keys_not_fetched", url=self._url, reason=str(error) or type(error).__name__)
            return
        self._keys, self._fetched_at = keys, self._clock.now()

    async def _download(self) -> bytes:
        body = bytearray()
        async with self._http.stream("GET", self._url) as response:
            if response.status_code != 200:
                raise ValueError(f"status {response.status_code}")
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _MAX_BYTES:
                    raise ValueError(f"longer than {_MAX_BYTES} bytes")
        return bytes(body)


def read_key_set(text: bytes) -> Mapping[str, jwt.PyJWK]:
    """Return the keys of a JSON Web Key Set that may sign tokens, by id.

    Only RSA keys of at least 2048 bits, for RS256, and P-256 keys, for ES256, count; others, symmetric
    ones above all, are passed over, and so are keys without an id and for encryption.

    Raises
    ------
    ValueError
        If it is no key set.
    """
    parsed = json_codec.loads(text)
    entries = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(entries, list):
        raise ValueError("not a JSON Web Key Set")
    keys: dict[str, jwt.PyJWK] = {}
    for entry in entries[:_MAX_KEYS]:
        key = _signing_key(entry) if isinstance(entry, dict) else None
        if key is not None and key.key_id:
            keys[key.key_id] = key
    return MappingProxyType(keys)


def _signing_key(entry: dict[str, Any]) -> jwt.PyJWK | None:
    kind: tuple[Any, Any] = (entry.get("kty"), entry.get("crv"))
    algorithm = "RS256" if kind == ("RSA", None) else "ES256" if kind == ("EC", "P-256") else None
    usable = (
        algorithm is not None
        and entry.get("alg", algorithm) == algorithm
        and entry.get("use", "sig") == "sig"
        and isinstance(entry.get("kid"), str)
        # A set that carries private parts was put there by mistake, and the key is everybody's.
        and "d" not in entry
    )
    if not usable:
        return None
    try:
        key = jwt.PyJWK(entry, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key.key, RSAPublicKey) and key.key.key_size < _MIN_RSA_BITS:
        return None
    return key


class IdentityTokens:
    """Checks the tokens of one issuer.

    Parameters
    ----------
    issuer, audience
        What the claims `iss` and `aud` have to say, exactly.
    """

    def __init__(self, keys: KeySet, issuer: str, audience: str, clock: Clock) -> None:
        self._keys = keys
        self._audience = audience
        self._clock = clock
        self.issuer = issuer

    async def close(self) -> None:
        """Close the connections to the issuer."""
        await self._keys.close()

    def is_issuer_of(self, token: str) -> bool:
        """Return whether a token claims to come from this issuer; says nothing of whether it is true."""
        if len(token) > _MAX_TOKEN_LENGTH:
            return False
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError, TypeError):
            return False
        return claims.get("iss") == self.issuer

    async def verify(self, token: str) -> IdentityClaims:
        """Return the claims of a valid token.

        Raises
        ------
        InvalidIdentityToken
            If the signature, the issuer, the audience or the lifetime is wrong.
        IssuerUnavailable
            If the issuer's keys cannot be fetched.
        """
        if len(token) > _MAX_TOKEN_LENGTH:
            raise InvalidIdentityToken("too long")
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise InvalidIdentityToken(str(error)) from error
        key = await self._keys.key(key_id) if isinstance(key_id, str) else None
        if key is None:
            raise InvalidIdentityToken("signed with an unknown key")
        try:
            # The algorithm is the key's, whatever the token would like it to be.
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=self.issuer,
                audience=self._audience,
                # Times are compared with our own clock below, so that tests may move it.
                options={
                    "require": ["exp", "iss", "aud", "sub"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise InvalidIdentityToken(str(error)) from error
        return self._current(claims)

    def _current(self, claims: dict[str, Any]) -> IdentityClaims:
        now, subject = self._clock.now(), claims["sub"]
        if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
            raise InvalidIdentityToken("sub is no name of a user")
        expires_at = _moment(claims, "exp")
        if expires_at <= now:
            raise InvalidIdentityToken("expired")
        for name in ("nbf", "iat"):
            if name in claims and _moment(claims, name) > now + CLOCK_SKEW:
                raise InvalidIdentityToken("not valid yet")
        return IdentityClaims(subject, expires_at, MappingProxyType(claims))


def _moment(claims: dict[str, Any], name: str) -> datetime:
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidIdentityToken(f"{name} is no time")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise InvalidIdentityToken(f"{name} is no time") from error
