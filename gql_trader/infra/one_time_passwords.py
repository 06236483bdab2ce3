"""Time-based one-time passwords as authenticator apps make them: RFC 6238 with SHA-1, 6 digits, 30 s."""

import base64
import hmac
import secrets
from datetime import datetime
from urllib.parse import quote, urlencode

DIGITS = 6
PERIOD_SECONDS = 30
SECRET_BYTES = 20

# A code is good one step early or late, for clocks that differ and people who type.
_TOLERANCE = 1


def new_secret() -> bytes:
    """Return a random secret of 160 bits, the length that RFC 4226 recommends."""
    return secrets.token_bytes(SECRET_BYTES)


def time_step(moment: datetime) -> int:
    """Return the number of the time step that a moment is in."""
    return int(moment.timestamp()) // PERIOD_SECONDS


def code_at(secret: bytes, step: int) -> str:
    """Return the code of a time step (RFC 4226, section 5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0xF
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def matching_step(secret: bytes, code: str, moment: datetime) -> int | None:
    """Return the time step near a moment whose code this is; None if it is none of theirs."""
    now = time_step(moment)
    found = None
    for step in range(now - _TOLERANCE, now + _TOLERANCE + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode(errors="surrogatepass")):
            found = step
    return found


def otpauth_uri(secret: bytes, issuer: str, account: str) -> str:
    """Return the address that authenticator apps read, usually from a QR code."""
    parameters = {
        "secret": base64.b32encode(secret).decode().rstrip("="),
        "issuer": issuer,
        "algorithm": "SHA1",
        "digits": str(DIGITS),
        "period": str(PERIOD_SECONDS),
    }
    return f"otpauth://totp/{quote(f'{issuer}:{account}', safe=':')}?{urlencode(parameters, quote_via=quote)}"
