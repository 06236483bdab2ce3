"""Requests to addresses that users name: public ones only, and the very address that was checked."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gql_trader.infra import public_http
from gql_trader.infra.backoff import full_jitter
from gql_trader.infra.public_http import (
    MOST_BYTES,
    AddressRefusedError,
    ExchangeFailedError,
    PublicHttp,
    is_public,
)
from tests.factories.certificates import server_certificate
from tests.factories.http_receiver import HttpReceiver, Reply, http_receiver

NOT_PUBLIC = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.8.8.8",
    "169.254.169.254",
    "168.63.129.16",
    "172.16.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as running:
        yield running


def resolving(*answers: list[str]) -> tuple[public_http.Resolve, list[str]]:
    """Return a resolver that gives one answer after the other, and the names it was asked for."""
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolve, asked


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_nobody_is_sent_into_a_private_network(address: str) -> None:
    assert not is_public(address)
    resolve, _ = resolving([address])
    with pytest.raises(AddressRefusedError, match="not public"):
        await PublicHttp(resolve=resolve).post("https://hooks.example/x", {}, b"{}")


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "http://example.com/",
        "ftp://example.com/",
        "example.com",
        "https://",
        "https://user:password@example.com/",
        "https://127.0.0.1/",
        "https://[::1]:8080/",
        "https://[::ffff:169.254.169.254]/",
        "https://example.com:99999/",
        "https://exa mple.com/",
        "https://example.com/" + "x" * 2048,
    ],
)
async def test_an_address_that_will_never_do_is_refused_at_once(address: str) -> None:
    resolve, asked = resolving(["127.0.0.1"])
    with pytest.raises(AddressRefusedError):
        PublicHttp(resolve=resolve).parse(address)
    assert asked == []


@pytest.mark.parametrize(
    "address", ["http://2130706433/", "http://0x7f.1/", "http://127.1/", "http://localhost/"]
)
async def test_spellings_of_this_machine_do_not_get_through(receiver: HttpReceiver, address: str) -> None:
    port = f":{receiver.port}/"
    with pytest.raises((AddressRefusedError, ExchangeFailedError)):
        await PublicHttp(allow_plain=True).post(address[:-1] + port, {}, b"{}")
    assert receiver.requests == []


async def test_one_private_address_among_public_ones_is_enough_to_refuse(receiver: HttpReceiver) -> None:
    resolve, _ = resolving(["1.1.1.1", "127.0.0.1"])
    client = PublicHttp(allow_plain=True, resolve=resolve)
    with pytest.raises(AddressRefusedError):
        await client.post(f"http://hooks.example:{receiver.port}/", {}, b"{}")
    assert receiver.requests == []


async def test_a_name_that_changes_its_mind_after_the_check_gains_nothing(
    receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the second answer would be this machine, but nobody asks twice."""
    monkeypatch.setattr(public_http, "is_public", lambda address: address == "127.0.0.1")
    resolve, asked = resolving(["127.0.0.1"], ["127.0.0.2"])
    client = PublicHttp(allow_plain=True, resolve=resolve)
    answer = await client.post(f"http://hooks.example:{receiver.port}/", {}, b"{}")
    assert answer.status == 200
    assert asked == ["hooks.example"]
    assert receiver.requests[0].headers["host"] == f"hooks.example:{receiver.port}"
    await client.close()


async def test_redirects_are_not_followed_and_proxies_of_the_environment_not_used(
    receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    receiver.reply = Reply(302, None, (("location", f"{receiver.url}/elsewhere"),))
    client = PublicHttp(allow_private=True, allow_plain=True)
    assert (await client.post(f"{receiver.url}/here", {}, b"{}")).status == 302
    assert [each.path for each in receiver.requests] == ["/here"]


async def test_long_answers_are_cut_and_slow_ones_given_up(receiver: HttpReceiver) -> None:
    client = PublicHttp(allow_private=True, allow_plain=True, seconds=0.3)
    receiver.replies = [Reply(200, b"x" * 10_000_000), Reply(None)]
    answer = await client.post(receiver.url, {}, b"{}")
    assert len(answer.body) == MOST_BYTES
    with pytest.raises(ExchangeFailedError, match=r"within 0\.3 s"):
        await client.post(receiver.url, {}, b"{}")
    with pytest.raises(ExchangeFailedError):
        await client.post("http://127.0.0.1:9/", {}, b"{}")


async def test_tls_proves_the_name_though_the_connection_is_made_to_an_address(tmp_path: Path) -> None:
    async with http_receiver(server_certificate(tmp_path, "hooks.example")) as receiver:
        resolve, _ = resolving(["127.0.0.1"])
        trusting = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        client = PublicHttp(allow_private=True, resolve=resolve, tls=trusting)
        assert (await client.post(f"https://hooks.example:{receiver.port}/", {}, b"{}")).status == 200
        with pytest.raises(ExchangeFailedError, match="certificate"):
            await client.post(f"https://other.example:{receiver.port}/", {}, b"{}")
        assert len(receiver.requests) == 1


def test_pauses_are_drawn_evenly_up_to_their_ceiling() -> None:
    drawn: list[tuple[float, float]] = []

    def uniform(least: float, most: float) -> float:
        drawn.append((least, most))
        return most

    assert full_jitter(60.0, uniform) == 60.0
    assert full_jitter(0.5, uniform) == 0.5
    assert drawn == [(1.0, 60.0), (0.5, 0.5)]
    assert all(1.0 <= full_jitter(10.0) <= 10.0 for _ in range(100))


async def test_many_requests_at_once_leave_no_connection_behind(receiver: HttpReceiver) -> None:
    client = PublicHttp(allow_private=True, allow_plain=True)
    answers = await asyncio.gather(*(client.post(receiver.url, {}, b"{}") for _ in range(20)))
    assert {each.status for each in answers} == {200}
    assert client._pool is not None
    assert client._pool.connections == []


@pytest.mark.parametrize(
    "host", ["a..b.com", ".com", f"{'a' * 64}.com", "example.com..", ".".join(["a" * 50] * 6)]
)
async def test_a_name_that_no_resolver_can_be_asked_for_is_refused(host: str) -> None:
    with pytest.raises(AddressRefusedError, match="This is not an address"):
        PublicHttp().parse(f"https://{host}/hook")


async def test_the_longest_names_are_addresses() -> None:
    for host in (f"{'a' * 63}.com", "example.com.", "a_b.example"):
        assert PublicHttp().parse(f"https://{host}/hook").host == host
