"""Secrets at rest: AES-256-GCM under a ring of numbered keys, bound to the row that they belong to."""

import base64
import binascii
import fcntl
import hmac
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gql_trader.infra.tokens import load_or_create_secret

KEY_BYTES = 32

_FORMAT = 1
_NONCE_BYTES = 12
_TAG_BYTES = 16
_HEADER_BYTES = 5
_HIGHEST_NUMBER = 2**32 - 1
_PURPOSE = "encrypted_for"


class KeyRingError(ValueError):
    """The text of a key ring is malformed; the message does not repeat it."""


class DecryptionError(Exception):
    """A sealed value is damaged, of another row or purpose, or under a key that is not in the ring."""


def encrypted(purpose: str) -> dict[str, str]:
    """Return the ``info`` that registers a ``bytea`` column as holding sealed values.

    ``mapped_column(info=encrypted("users.totp_secret"))`` is all it takes for ``gql-trader keys rotate``
    to keep the column's values under the newest key. Their row id is the table's primary key, one UUID.
    """
    return {_PURPOSE: purpose}


def purpose_of(info: Mapping[Any, Any]) -> str | None:
    """Return the purpose that `encrypted` left in a column's ``info``, or None."""
    return info.get(_PURPOSE)


class KeyRing:
    """Seal and open secrets.

    A sealed value is ``format (1 byte), number of the key (4, big-endian), nonce (12), ciphertext,
    tag (16)``. The header, the purpose and the row's id are authenticated with it (associated data), so
    that a value copied to another row or column does not open.

    Parameters
    ----------
    keys
        Keys of 32 bytes by number; the highest number seals, all of them open.
    reload
        Reads the ring anew, before sealing and when a value names a number that is not in it: another
        process may have added a key. None: the ring does not change.
    """

    def __init__(
        self, keys: Mapping[int, bytes], reload: Callable[[], Mapping[int, bytes]] | None = None
    ) -> None:
        self._reload = reload
        self._lock = threading.Lock()
        self._take(keys)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the ring of a text such as ``1:<base64>,2:<base64>``; see `parse_keys`."""
        return cls(parse_keys(text))

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Return the ring kept in a file, making one with a first key if there is none."""

        def read() -> dict[int, bytes]:
            return parse_keys(load_or_create_secret(path, lambda: format_keys({1: new_key()})))

        return cls(read(), read)

    @property
    def newest(self) -> int:
        """The number of the key that seals."""
        return self._newest

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of all keys, ascending."""
        return tuple(sorted(self._ciphers))

    def encrypt(self, purpose: str, row_id: UUID, plaintext: bytes) -> bytes:
        """Return a secret, sealed under the newest key.

        Parameters
        ----------
        purpose
            What it is, such as ``users.totp_secret``; the column's, see `encrypted`.
        row_id
            The row that it belongs to.
        """
        if self._reload is not None:
            # Sealing is rare: look each time whether another process has added a key.
            with self._lock:
                self._take(self._reload())
        number = self._newest
        header = bytes([_FORMAT]) + number.to_bytes(4, "big")
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[number].encrypt(nonce, plaintext, _bound(header, purpose, row_id))
        return header + nonce + sealed

    def decrypt(self, purpose: str, row_id: UUID, sealed: bytes) -> bytes:
        """Return the secret in a sealed value.

        Raises
        ------
        DecryptionError
            If it was not sealed for this purpose and row under a key of the ring.
        """
        number = key_number(sealed)
        cipher = self._cipher(number)
        header, nonce, rest = (
            sealed[:_HEADER_BYTES],
            sealed[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES],
            sealed[_HEADER_BYTES + _NONCE_BYTES :],
        )
        try:
            return cipher.decrypt(nonce, rest, _bound(header, purpose, row_id))
        except InvalidTag:
            raise DecryptionError(f"a value of {purpose} does not belong to row {row_id}") from None

    def _cipher(self, number: int) -> AESGCM:
        found = self._ciphers.get(number)
        if found is None and self._reload is not None:
            with self._lock:
                if number not in self._ciphers:
                    self._take(self._reload())
            found = self._ciphers.get(number)
        if found is None:
            raise DecryptionError(f"key {number} is not in the ring")
        return found

    def pseudonym(self, text: str) -> str:
        """Return what stands for a text in logs: always the same, and of no use to whoever lacks the ring.

        It is made with the oldest key, so that it stays while newer ones are added.
        """
        return hmac.digest(self._pseudonyms, text.encode(), "sha256").hex()[:16]

    def _take(self, keys: Mapping[int, bytes]) -> None:
        _check(keys)
        self._pseudonyms = hmac.digest(keys[min(keys)], b"pseudonyms in logs", "sha256")
        self._ciphers = {number: AESGCM(key) for number, key in keys.items()}
        self._newest = max(keys)


def key_number(sealed: bytes) -> int:
    """Return the number of the key that a value was sealed under.

    Raises
    ------
    DecryptionError
        If the value is not a sealed one.
    """
    if len(sealed) < _HEADER_BYTES + _NONCE_BYTES + _TAG_BYTES or sealed[0] != _FORMAT:
        raise DecryptionError("this is not a sealed value")
    return int.from_bytes(sealed[1:_HEADER_BYTES], "big")


def new_key() -> bytes:
    """Return a random key."""
    return secrets.token_bytes(KEY_BYTES)


def parse_keys(text: str) -> dict[int, bytes]:
    """Return the keys in a text such as ``1:<base64>,2:<base64>``.

    Raises
    ------
    KeyRingError
        If an entry is malformed, a number is used twice, or a key does not have 32 bytes.
    """
    keys: dict[int, bytes] = {}
    for place, entry in enumerate(text.replace("\n", ",").split(","), start=1):
        if not entry.strip():
            continue
        number, colon, encoded = entry.strip().partition(":")
        if not colon or not number.isascii() or not number.isdecimal():
            raise KeyRingError(f"entry {place} of the key ring is not number:base64")
        if int(number) in keys:
            raise KeyRingError(f"key {int(number)} is in the key ring twice")
        try:
            keys[int(number)] = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            raise KeyRingError(f"key {int(number)} of the key ring is not base64") from None
    _check(keys)
    return keys


def format_keys(keys: Mapping[int, bytes]) -> str:
    """Return the text of a ring, the opposite of `parse_keys`."""
    return ",".join(f"{number}:{base64.b64encode(keys[number]).decode()}" for number in sorted(keys))


def add_key(path: Path) -> int:
    """Add a key to the ring kept in a file, and return its number.

    Running processes that hold the older ring read the file anew when they meet the new key. Of several
    that add keys at once, each waits for the one before.
    """
    # A file beside the ring: whoever waits for the ring's own would then hold one that was replaced.
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        keys = parse_keys(path.read_text())
        number = max(keys) + 1
        temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(format_keys({**keys, number: new_key()}))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        return number
    finally:
        os.close(lock)


def _check(keys: Mapping[int, bytes]) -> None:
    if not keys:
        raise KeyRingError("the key ring is empty")
    for number, key in keys.items():
        if not 0 <= number <= _HIGHEST_NUMBER:
            raise KeyRingError(f"key numbers go from 0 to {_HIGHEST_NUMBER}")
        if len(key) != KEY_BYTES:
            raise KeyRingError(f"key {number} of the key ring has {len(key)} bytes, not {KEY_BYTES}")


def _bound(header: bytes, purpose: str, row_id: UUID) -> bytes:
    # Purposes have no zero byte and ids have one length: no two places give the same bytes.
    return b"\0".join([header, purpose.encode(), row_id.bytes])
