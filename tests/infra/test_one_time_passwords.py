"""One-time passwords against the vectors of the RFCs."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from gql_trader.infra.one_time_passwords import code_at, matching_step, new_secret, otpauth_uri, time_step

SECRET = b"12345678901234567890"


CODES = ("755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489")


@pytest.mark.parametrize(("counter", "code"), list(enumerate(CODES)))
def test_codes_of_rfc_4226(counter: int, code: str) -> None:
    assert code_at(SECRET, counter) == code


@pytest.mark.parametrize(
    ("seconds", "eight_digits"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_codes_of_rfc_6238(seconds: int, eight_digits: str) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    # The RFC's table has 8 digits; a code of 6 is its last 6.
    assert code_at(SECRET, time_step(moment)) == eight_digits[-6:]
    assert matching_step(SECRET, eight_digits[-6:], moment) == seconds // 30


def test_a_code_is_good_one_step_early_or_late() -> None:
    moment = datetime.fromtimestamp(1_700_000_000, UTC)
    now = time_step(moment)
    found = [matching_step(SECRET, code_at(SECRET, now + away), moment) for away in range(-2, 3)]
    assert found == [None, now - 1, now, now + 1, None]


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", "\udcff", "é" * 6])
def test_what_is_no_code_matches_nothing(code: str) -> None:
    assert matching_step(SECRET, code, datetime.fromtimestamp(0, UTC).replace(year=2026)) is None


def test_the_address_for_the_app() -> None:
    parts = urlsplit(otpauth_uri(SECRET, "gql_trader", "ada & co"))
    assert (parts.scheme, parts.netloc, parts.path) == ("otpauth", "totp", "/gql_trader:ada%20%26%20co")
    assert parse_qs(parts.query) == {
        "secret": ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"],
        "issuer": ["gql_trader"],
        "algorithm": ["SHA1"],
        "digits": ["6"],
        "period": ["30"],
    }


def test_secrets_are_long_and_different() -> None:
    made = {new_secret() for _ in range(10)}
    assert len(made) == 10
    assert {len(each) for each in made} == {20}
