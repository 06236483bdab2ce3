"""The client's address: from the connection, or from as many proxies as are trusted, never from its word."""

import pytest

from gql_trader.gql.client import Client, client_address

PEER = "10.0.0.9"


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "expected"),
    [
        (PEER, [], 0, PEER),
        (PEER, ["203.0.113.7"], 0, PEER),
        (PEER, ["203.0.113.7"], 1, "203.0.113.7"),
        # What a client writes itself stands to the left of what the proxy appends.
        (PEER, ["1.1.1.1, 203.0.113.7"], 1, "203.0.113.7"),
        (PEER, ["1.1.1.1", "203.0.113.7"], 1, "203.0.113.7"),
        (PEER, ["1.1.1.1, 203.0.113.7, 10.0.0.8"], 2, "203.0.113.7"),
        # Not through all proxies, or not an address.
        (PEER, ["203.0.113.7"], 2, PEER),
        (PEER, [], 1, PEER),
        (PEER, ["203.0.113.7, unknown"], 1, PEER),
        (PEER, ["' OR 1=1 --"], 1, PEER),
        (PEER, ["203.0.113.7:4711"], 1, "203.0.113.7"),
        (PEER, ["[2001:db8::7]:4711"], 1, "2001:db8::7"),
        (PEER, ["::ffff:203.0.113.7"], 1, "203.0.113.7"),
        ("::ffff:203.0.113.7", [], 0, "203.0.113.7"),
        (None, [], 0, None),
        ("/run/socket", ["203.0.113.7"], 1, "203.0.113.7"),
    ],
)
def test_address(peer: str | None, forwarded: list[str], proxies: int, expected: str | None) -> None:
    assert client_address(peer, forwarded, proxies) == expected


def test_limits_count_ipv6_by_network() -> None:
    assert Client("2001:db8:1:2:3:4:5:6").network == "2001:db8:1:2::/64"
    assert Client("2001:db8:1:2:ffff::1").network == "2001:db8:1:2::/64"
    assert Client("203.0.113.7").network == "203.0.113.7"
    assert Client().network == "unknown"
