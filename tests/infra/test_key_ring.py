"""Secrets at rest: what opens where, under which key, and what a ring may be made of."""

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gql_trader.infra.key_ring import (
    DecryptionError,
    KeyRing,
    KeyRingError,
    add_key,
    format_keys,
    key_number,
    new_key,
    parse_keys,
)

PURPOSE = "users.totp_secret"
ROW = UUID("01890000-0000-7000-8000-000000000001")
OTHER_ROW = UUID("01890000-0000-7000-8000-000000000002")
KEY = bytes(range(32))


def test_a_secret_opens_for_its_own_purpose_and_row_only() -> None:
    ring = KeyRing({1: KEY})
    sealed = ring.encrypt(PURPOSE, ROW, b"JBSWY3DPEHPK3PXP")
    assert b"JBSWY3DP" not in sealed
    assert ring.decrypt(PURPOSE, ROW, sealed) == b"JBSWY3DPEHPK3PXP"
    for purpose, row in ((PURPOSE, OTHER_ROW), ("exchange_keys.secret", ROW)):
        with pytest.raises(DecryptionError):
            ring.decrypt(purpose, row, sealed)


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    ring = KeyRing({1: KEY})
    assert ring.encrypt(PURPOSE, ROW, b"secret") != ring.encrypt(PURPOSE, ROW, b"secret")


@given(st.binary(max_size=80), st.data())
def test_a_changed_byte_never_opens(plaintext: bytes, data: st.DataObject) -> None:
    ring = KeyRing({1: KEY, 2: bytes(32)})
    sealed = bytearray(ring.encrypt(PURPOSE, ROW, plaintext))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DecryptionError):
        ring.decrypt(PURPOSE, ROW, bytes(sealed))


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_refused_and_nothing_else_happens(value: bytes) -> None:
    with pytest.raises(DecryptionError):
        KeyRing({1: KEY}).decrypt(PURPOSE, ROW, value)


def test_the_highest_number_seals_and_the_others_still_open() -> None:
    old = KeyRing({1: KEY})
    sealed = old.encrypt(PURPOSE, ROW, b"secret")
    ring = KeyRing({1: KEY, 7: new_key()})
    assert ring.newest == 7
    assert ring.decrypt(PURPOSE, ROW, sealed) == b"secret"
    resealed = ring.encrypt(PURPOSE, ROW, b"secret")
    assert (key_number(sealed), key_number(resealed)) == (1, 7)
    with pytest.raises(DecryptionError, match="key 7 is not in the ring"):
        old.decrypt(PURPOSE, ROW, resealed)


def test_a_ring_is_written_as_numbered_base64() -> None:
    text = f"1:{base64.b64encode(KEY).decode()}, 2:{base64.b64encode(bytes(32)).decode()}"
    assert parse_keys(text) == {1: KEY, 2: bytes(32)}
    assert parse_keys(format_keys(parse_keys(text))) == parse_keys(text)
    assert KeyRing.from_text(text).numbers == (1, 2)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("secret", "entry 1 of the key ring is not number:base64"),
        ("x:AAAA", "entry 1 of the key ring is not number:base64"),
        ("1:&&&&", "key 1 of the key ring is not base64"),
        ("1:AAAA", "key 1 of the key ring has 3 bytes, not 32"),
        (f"{2**32}:{base64.b64encode(KEY).decode()}", "key numbers go from 0 to 4294967295"),
        (",".join([f"1:{base64.b64encode(KEY).decode()}"] * 2), "key 1 is in the key ring twice"),
    ],
)
def test_a_malformed_ring_is_refused_without_repeating_it(text: str, problem: str) -> None:
    with pytest.raises(KeyRingError, match=problem) as refused:
        parse_keys(text)
    assert "AAAA" not in str(refused.value)


def test_a_generated_ring_is_kept_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "encryption_keys"
    sealed = KeyRing.from_file(path).encrypt(PURPOSE, ROW, b"secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KeyRing.from_file(path).decrypt(PURPOSE, ROW, sealed) == b"secret"


def test_of_keys_that_are_added_at_once_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "encryption_keys"
    KeyRing.from_file(path)
    everybody = Barrier(8)

    def add(_: int) -> int:
        everybody.wait()
        return add_key(path)

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(add, range(8)))
    assert sorted(numbers) == list(range(2, 10))
    assert sorted(parse_keys(path.read_text())) == list(range(1, 10))


def test_a_pseudonym_stays_while_keys_are_added_and_is_another_with_another_ring() -> None:
    ring = KeyRing({1: bytes(32)})
    assert ring.pseudonym("ada") == KeyRing({1: bytes(32), 2: new_key()}).pseudonym("ada")
    assert ring.pseudonym("ada") != ring.pseudonym("bob")
    assert ring.pseudonym("ada") != KeyRing({1: new_key()}).pseudonym("ada")


def test_a_running_process_learns_a_key_that_another_one_added(tmp_path: Path) -> None:
    path = tmp_path / "encryption_keys"
    running = KeyRing.from_file(path)
    assert add_key(path) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    sealed = KeyRing.from_file(path).encrypt(PURPOSE, ROW, b"secret")
    assert key_number(sealed) == 2
    assert running.newest == 1
    assert running.decrypt(PURPOSE, ROW, sealed) == b"secret"
    assert running.newest == 2
    assert add_key(path) == 3
    assert key_number(running.encrypt(PURPOSE, ROW, b"secret")) == 3
