"""Signatures of incoming messages, by the scheme of Svix, which Clerk and others send them through."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta

from gql_trader.core.clock import from_milliseconds

TOLERANCE = timedelta(minutes=5)
"""How far a message's time may be from ours, either way."""

_PREFIX = "whsec_"
_MAX_ID_LENGTH = 255
_MAX_SIGNATURES = 20


class InvalidSignature(Exception):
    """The message was not sent by who knows the secret, or not lately."""


class WebhookSignatures:
    """Checks messages.

    Parameters
    ----------
    secret
        ``whsec_`` and the key in base64, as the sender shows it.

    Raises
    ------
    ValueError
        If it is malformed.
    """

    def __init__(self, secret: str) -> None:
        if not secret.startswith(_PREFIX):
            raise ValueError(f"the secret of a webhook begins with {_PREFIX}")
        self._key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)

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
        message_id = headers.get("svix-id", "")
        timestamp = headers.get("svix-timestamp", "")
        if not 0 < len(message_id) <= _MAX_ID_LENGTH or not message_id.isascii():
            raise InvalidSignature("svix-id is missing or malformed")
        if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 11):
            raise InvalidSignature("svix-timestamp is missing or malformed")
        if abs(now - from_milliseconds(int(timestamp) * 1000)) > TOLERANCE:
            raise InvalidSignature("svix-timestamp is too far from the time here")
        expected = hmac.digest(self._key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
        for signature in headers.get("svix-signature", "").split(" ")[:_MAX_SIGNATURES]:
            version, _, encoded = signature.partition(",")
            if version == "v1" and hmac.compare_digest(_decoded(encoded), expected):
                return message_id
        raise InvalidSignature("no signature is right")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
