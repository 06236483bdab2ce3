"""HTTP to addresses that users name: to public ones only, and to the very address that was checked.

A name is resolved once for each request. Every address that it has is checked, and the connection is made
to one of those, so that a name that resolves to something else a moment later gains nothing. Redirects are
not followed, proxies of the environment not used, and sizes and times are limited.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from gql_trader.infra.tls import trusted

SECONDS = 15.0
"""For a whole request, from the name's resolution to the last byte of the answer."""
LONGEST_ADDRESS = 2048
MOST_BYTES = 16_384
"""Bytes of an answer's body that are read."""

_LONGEST_NAME, _LONGEST_LABEL = 253, 63
_MOST_ADDRESSES = 16
_MOST_CONNECTIONS = 64
# IANA's special-purpose address registries; what Python calls global has changed between its versions.
_NOT_PUBLIC_V4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            # At this address a guest of Azure reaches its host.
            "168.63.129.16/32",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
        ),
    )
)
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
# Protocol assignments with Teredo, documentation, 6to4.
_NOT_PUBLIC_V6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
# IPv4 behind a translation (NAT64): as public as what is inside.
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")

_HOST = re.compile(rb"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class AddressRefusedError(Exception):
    """The address is malformed, or leads where nobody is to be sent."""


class ExchangeFailedError(Exception):
    """There was no answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; ``body`` is its beginning."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to the internet, and to one receiver there."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found in _TRANSLATED:
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)))
        return found in _PUBLIC_V6 and not any(found in network for network in _NOT_PUBLIC_V6)
    return not any(found in network for network in _NOT_PUBLIC_V4)


class PublicHttp:
    """Send requests to addresses that users name.

    Parameters
    ----------
    allow_private
        Send to private, loopback and link-local addresses too.
    allow_plain
        Send over http besides https.
    resolve
        Returns the addresses of a name; the system's resolver unless given.
    tls
        Who is believed to be who; those whom the system's programs believe unless given.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        allow_plain: bool = False,
        seconds: float = SECONDS,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._allow_plain = allow_plain
        self._seconds = seconds
        self._resolve = resolve or _system_resolve
        self._tls = tls
        self._pool: httpcore.AsyncConnectionPool | None = None

    def parse(self, address: str) -> httpx.URL:
        """Return an address, taken apart once and for all.

        Raises
        ------
        AddressRefusedError
            If it is malformed, or could not be sent to whatever its name resolves to.
        """
        if len(address) > LONGEST_ADDRESS:
            raise AddressRefusedError(f"An address has at most {LONGEST_ADDRESS} characters.")
        try:
            url = httpx.URL(address)
        except (httpx.InvalidURL, UnicodeError, ValueError) as error:
            raise AddressRefusedError("This is not an address such as https://example.com/hook.") from error
        schemes = ("https", "http") if self._allow_plain else ("https",)
        if url.scheme not in schemes or not url.host:
            raise AddressRefusedError(
                f"An address begins with {' or '.join(f'{each}://' for each in schemes)}."
            )
        if url.userinfo:
            raise AddressRefusedError("An address has no user and password in it.")
        if not _is_host(url.raw_host) or (url.port is not None and not 0 < url.port < 65536):
            raise AddressRefusedError("This is not an address such as https://example.com/hook.")
        try:
            ipaddress.ip_address(url.host)
        except ValueError:
            return url
        self._check([url.host])
        return url

    async def post(self, address: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a POST request and return the answer, whatever its status.

        Raises
        ------
        AddressRefusedError
            If the address is malformed or not public; nothing was sent.
        ExchangeFailedError
            If there was no answer in time.
        """
        url = self.parse(address)
        try:
            async with asyncio.timeout(self._seconds):
                return await self._exchange(url, headers, body)
        except TimeoutError as error:
            raise ExchangeFailedError(f"no answer within {self._seconds:g} s") from error
        except (httpcore.ProtocolError, httpcore.NetworkError, httpcore.TimeoutException, OSError) as error:
            raise ExchangeFailedError(f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.aclose()

    async def _exchange(self, url: httpx.URL, headers: Mapping[str, str], body: bytes) -> Answer:
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        sent = {"host": url.netloc.decode(), "user-agent": "gql_trader", **headers}
        async with self._connections().stream(
            "POST", target, headers=list(sent.items()), content=body
        ) as answer:
            found = bytearray()
            async for part in answer.aiter_stream():
                found += part
                if len(found) >= MOST_BYTES:
                    break
            received = {
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers
            }
            return Answer(answer.status, received, bytes(found[:MOST_BYTES]))

    def _connections(self) -> httpcore.AsyncConnectionPool:
        if self._pool is None:
            self._pool = httpcore.AsyncConnectionPool(
                ssl_context=self._tls or trusted(),
                max_connections=_MOST_CONNECTIONS,
                max_keepalive_connections=0,
                network_backend=_CheckedNetwork(self._resolve, self._check),
            )
        return self._pool

    def _check(self, addresses: Iterable[str]) -> None:
        if not self._allow_private and not all(map(is_public, addresses)):
            raise AddressRefusedError("This address is not public: it leads into a private network.")


def _is_host(host: bytes) -> bool:
    if b":" in host or not _HOST.fullmatch(host):
        return _HOST.fullmatch(host) is not None
    name = host.removesuffix(b".")
    # RFC 1035, 2.3.4: what is longer, or empty, the resolver cannot even ask for.
    return len(name) <= _LONGEST_NAME and all(0 < len(label) <= _LONGEST_LABEL for label in name.split(b"."))


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to an address of a name only if all of its addresses pass a check."""

    def __init__(self, resolve: Resolve, check: Callable[[Iterable[str]], None]) -> None:
        self._resolve = resolve
        self._check = check
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = (await self._resolve(host, port))[:_MOST_ADDRESSES]
        self._check(addresses)
        failure: httpcore.ConnectError | None = None
        for address in addresses:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
        raise failure or httpcore.ConnectError("the name has no address")

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError("no sockets of this machine")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _system_resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
