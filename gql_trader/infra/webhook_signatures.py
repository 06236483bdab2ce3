"""Signatures of webhooks, by the scheme of Svix (Clerk's), which Standard Webhooks has made a standard."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

from gql_trader.core.clock import from_milliseconds, to_milliseconds

TOLERANCE = timedelta(minutes=5)
"""How far a message's time may be from ours, either way."""

_PREFIX = "whsec_"
_MAX_ID_LENGTH = 255
_MAX_SIGNATURES = 20


class InvalidSignature(Exception):
    """The message was not sent by who knows the secret, or not lately."""


def new_secret() -> str:
    """Return the secret of a new endpoint: 192 random bits."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()


class WebhookSignatures:
    """Signs messages, and checks those of others.

    Parameters
    ----------
    secret
        ``whsec_`` and the key in base64, as the sender shows it.
    prefix
        What the names of the headers begin with: ``svix``, or ``webhook`` by Standard Webhooks.

    Raises
    ------
    ValueError
        If it is malformed.
    """

    def __init__(self, secret: str, prefix: str = "svix") -> None:
        if not secret.startswith(_PREFIX):
            raise ValueError(f"the secret of a webhook begins with {_PREFIX}")
        self._key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        self._id, self._timestamp, self._signature = (
            f"{prefix}-{name}" for name in ("id", "timestamp", "signature")
        )

    def headers(self, message_id: str, body: bytes, now: datetime) -> dict[str, str]:
        """Return the headers that go with a message which is sent now."""
        timestamp = str(to_milliseconds(now) // 1000)
        signature = base64.b64encode(self._signed(message_id, timestamp, body)).decode()
        return {self._id: message_id, self._timestamp: timestamp, self._signature: f"v1,{signature}"}

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
        """Return the id of a message, which is signed together with its time and its body.

        Parameters
        ----------
        headers
            `svix-id`, `svix-timestamp` (Unix seconds) and `svix-signature`: signatures, separated by
            spaces, each ``v1,`` and a HMAC-SHA256 in base64. One that is right will do: while a secret
            is changed, messages are signed with both.

        Raises
        ------
        InvalidSignature
            If no signature is right, or the time is too far from ours.
        """
        message_id = headers.get(self._id, "")
        timestamp = headers.get(self._timestamp, "")
        if not 0 < len(message_id) <= _MAX_ID_LENGTH or not message_id.isascii():
            raise InvalidSignature(f"{self._id} is missing or malformed")
        if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 11):
            raise InvalidSignature(f"{self._timestamp} is missing or malformed")
        if abs(now - from_milliseconds(int(timestamp) * 1000)) > TOLERANCE:
            raise InvalidSignature(f"{self._timestamp} is too far from the time here")
        expected = self._signed(message_id, timestamp, body)
        for signature in headers.get(self._signature, "").split(" ")[:_MAX_SIGNATURES]:
            version, _, encoded = signature.partition(",")
            if version == "v1" and hmac.compare_digest(_decoded(encoded), expected):
                return message_id
        raise InvalidSignature("no signature is right")

    def _signed(self, message_id: str, timestamp: str, body: bytes) -> bytes:
        return hmac.digest(self._key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
