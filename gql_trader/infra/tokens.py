"""Signed access tokens (JWT, HS256), opaque tokens, and the file that keeps a generated secret."""

import hashlib
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import jwt

from gql_trader.core.clock import Clock
from gql_trader.core.ids import SessionId, UserId
from gql_trader.infra.directories import make_private_directory

_ALGORITHM = "HS256"
_ISSUER = "gql_trader"


class InvalidAccessToken(Exception):
    """The token is malformed, forged, expired or of another kind."""


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a valid access token says."""

    user_id: UserId
    session_id: SessionId
    token_version: int
    expires_at: datetime


class AccessTokens:
    """Issue and check access tokens.

    Parameters
    ----------
    secret
        The signing secret, at least 32 characters.
    minutes
        Lifetime of a token.
    """

    def __init__(self, secret: str, minutes: int, clock: Clock) -> None:
        self._secret = secret
        self._lifetime = timedelta(minutes=minutes)
        self._clock = clock

    def issue(self, user_id: UserId, session_id: SessionId, token_version: int) -> tuple[str, datetime]:
        """Return a new token and the moment it expires."""
        now = self._clock.now().replace(microsecond=0)
        expires_at = now + self._lifetime
        claims = {
            "iss": _ISSUER,
            "typ": "access",
            "sub": str(user_id),
            "sid": str(session_id),
            "ver": token_version,
            "iat": now,
            "exp": expires_at,
            "jti": secrets.token_hex(8),
        }
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM), expires_at

    def verify(self, token: str) -> AccessClaims:
        """Return the claims of a valid token.

        Raises
        ------
        InvalidAccessToken
            If the signature, the kind, the issuer or the lifetime is wrong.
        """
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                # Expiry is compared with our own clock below, so that tests may move it.
                options={"require": ["exp", "sub", "iat"], "verify_exp": False, "verify_iat": False},
            )
            if claims.get("typ") != "access":
                raise InvalidAccessToken("not an access token")
            result = AccessClaims(
                UserId(UUID(claims["sub"])),
                SessionId(UUID(claims["sid"])),
                int(claims["ver"]),
                datetime.fromtimestamp(claims["exp"], UTC),
            )
        except (
            jwt.InvalidTokenError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            OverflowError,
        ) as error:
            raise InvalidAccessToken(str(error)) from error
        if result.expires_at <= self._clock.now():
            raise InvalidAccessToken("expired")
        return result


def new_opaque_token(prefix: str) -> str:
    """Return a token of 256 random bits; the prefix tells people and secret scanners what it is."""
    return prefix + secrets.token_urlsafe(32)


def token_digest(token: str) -> bytes:
    """Return what is stored of an opaque token: its SHA-256.

    A token has too many bits to be guessed, so that a slow hash, as passwords need, would protect nothing.
    """
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def load_or_create_secret(path: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(48)) -> str:
    """Return the secret kept in a file, making it on first use, readable by its owner only."""
    make_private_directory(path.parent)
    if not path.exists():
        temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(make())
        # Two processes may start at once: only one link succeeds, and both read that one.
        with suppress(FileExistsError):
            os.link(temporary, path)
        temporary.unlink()
    return path.read_text().strip()
