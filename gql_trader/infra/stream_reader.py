"""One connection that reads every stream a process follows, and the inboxes it fills."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn
from uuid import uuid4

import structlog
from redis.asyncio import Redis

from gql_trader.infra import json_codec
from gql_trader.infra.redis_client import TRANSPORT_ERRORS, connect

_log = structlog.get_logger(__name__)

BEGINNING = "0-0"
"""The cursor before every event."""
DATA_FIELD = b"data"

_BLOCK_SECONDS = 5.0
_ANSWER_SECONDS = 8.0
_READ_COUNT = 200
_INBOX_SIZE = 512
_RECONNECT_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5)
_CONTROL_KEEP_SECONDS = 60
_WAKE_SECONDS = 1.0


class EventTransportError(Exception):
    """The streams cannot be reached."""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a stream; ``cursor`` is its place."""

    cursor: str
    data: dict[str, Any]


def stream_key(stream: str) -> str:
    """Return the key under which a stream is kept."""
    return f"events:{stream}"


def cursor_position(cursor: str) -> tuple[int, int]:
    """Return what orders cursors: milliseconds, and the number within the millisecond."""
    milliseconds, _, number = cursor.partition("-")
    return int(milliseconds), int(number)


def event_from_entry(entry: tuple[bytes, dict[bytes, bytes]]) -> Event:
    """Return an entry as the server sends it as an event."""
    cursor, fields = entry
    return Event(cursor.decode(), json_codec.loads(fields[DATA_FIELD]))


@dataclass(slots=True, eq=False)
class Inbox:
    """What the reader has for one subscriber; it never waits for the subscriber to take it."""

    key: str
    behind: bool
    """The subscriber must read the stream itself: events have come that are not here."""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _events: list[Event] = field(default_factory=list)

    def put(self, event: Event) -> None:
        """Add an event, or drop all and leave them to be read from the stream if nobody takes them."""
        if not self.behind:
            self._events.append(event)
            if len(self._events) > _INBOX_SIZE:
                self._events.clear()
                self.behind = True
        self.arrived.set()

    def take(self) -> list[Event]:
        """Return the events and empty the inbox."""
        events, self._events = self._events, []
        self.arrived.clear()
        return events

    def catch_up(self) -> None:
        """Empty the inbox and collect from now on; what was before is about to be read."""
        self.take()
        self.behind = False


class StreamReader:
    """Read all followed streams with one blocking command at a time.

    Parameters
    ----------
    url
        Redis or Valkey; the reader has a connection of its own.
    commands
        A client for short commands.
    """

    def __init__(self, url: str, commands: Redis) -> None:
        self._url = url
        self._commands = commands
        self._inboxes: dict[str, list[Inbox]] = {}
        # Where the next read of each stream starts: a subscriber's cursor at first (which may be any
        # number, the future too), and once something was read, the last event's, which is in _seen.
        self._positions: dict[str, str] = {}
        self._seen: set[str] = set()
        # A stream of our own, always among those read: an entry ends a read that waits for others.
        self._control = f"events:control:{uuid4().hex}"
        self._control_position = BEGINNING
        self._is_stale = False
        self._task: asyncio.Task[NoReturn] | None = None

    @property
    def followed(self) -> int:
        """The number of streams somebody follows."""
        return len(self._inboxes)

    def subscribe(self, stream: str, cursor: str) -> Inbox:
        """Return an inbox for the events of a stream after a cursor; then call `refresh`."""
        key = stream_key(stream)
        position = self._positions.get(key)
        is_earlier = position is not None and cursor_position(cursor) < cursor_position(position)
        inbox = Inbox(key, behind=is_earlier and key in self._seen)
        self._inboxes.setdefault(key, []).append(inbox)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="stream reader")
        if position is None or (is_earlier and not inbox.behind):
            self._positions[key] = cursor
            self._is_stale = True
        return inbox

    async def refresh(self) -> None:
        """Let a read that is waiting know the streams added since it began."""
        if self._is_stale:
            self._is_stale = False
            pipeline = self._commands.pipeline(transaction=False)
            pipeline.xadd(self._control, {DATA_FIELD: b""}, maxlen=1, approximate=False)
            pipeline.expire(self._control, _CONTROL_KEEP_SECONDS)
            # If this fails the reader is reconnecting, or looks again when its read times out.
            with suppress(*TRANSPORT_ERRORS):
                async with asyncio.timeout(_WAKE_SECONDS):
                    await pipeline.execute()

    def unsubscribe(self, inbox: Inbox) -> None:
        """Put nothing more into an inbox; stop reading the stream if it was the last one."""
        inboxes = self._inboxes[inbox.key]
        inboxes.remove(inbox)
        if not inboxes:
            del self._inboxes[inbox.key]
            del self._positions[inbox.key]
            self._seen.discard(inbox.key)

    async def close(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> NoReturn:
        failures = 0
        while True:
            client = connect(self._url)
            try:
                while True:
                    await self._read(client)
                    failures = 0
            except TRANSPORT_ERRORS as error:
                if failures == 0:
                    _log.warning("event_streams_away", reason=str(error) or type(error).__name__)
            except Exception:
                # Without this task every subscription of the process would fall silent.
                _log.exception("stream_reader_failed")
            finally:
                await client.aclose(close_connection_pool=True)
            await asyncio.sleep(_RECONNECT_SECONDS[min(failures, len(_RECONNECT_SECONDS) - 1)])
            failures += 1

    async def _read(self, client: Redis) -> None:
        asked: dict[Any, Any] = {**self._positions, self._control: self._control_position}
        reply: list[tuple[bytes, list[Any]]]
        async with asyncio.timeout(_ANSWER_SECONDS):
            reply = await client.xread(asked, count=_READ_COUNT, block=int(_BLOCK_SECONDS * 1000))
        for raw_key, entries in reply:
            key = raw_key.decode()
            last = entries[-1][0].decode()
            if key == self._control:
                self._control_position = last
            elif self._positions.get(key) == asked[key]:
                # (Otherwise somebody has subscribed from an earlier place meanwhile: read again there.)
                self._positions[key] = last
                self._seen.add(key)
                for event in map(event_from_entry, entries):
                    for inbox in self._inboxes[key]:
                        inbox.put(event)
