"""Events over Redis Streams: an append-only log per subject, read from a cursor."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any


class EventTransportError(Exception):
    """The streams cannot be reached."""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a stream; ``cursor`` is its place."""

    cursor: str
    data: dict[str, Any]


class EventStreams:
    """Publish to streams and follow them."""

    def __init__(self, url: str) -> None: ...

    async def publish(self, stream: str, event: Mapping[str, Any]) -> str: raise NotImplementedError

    async def last_cursor(self, stream: str) -> str: raise NotImplementedError

    def follow(self, stream: str, after: str, *, idle_seconds: float) -> AsyncIterator[Event | None]:
        raise NotImplementedError

    async def close(self) -> None: ...
