"""Events over Redis Streams: an append-only log per subject, read from a cursor.

All streams that a process follows are read by one task over one connection, and handed to each
subscriber through a bounded queue. A subscriber that falls behind, like one that comes back with an old
cursor, reads what it has missed from the stream itself; nobody waits for it, and it misses nothing that
the stream still holds.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from gql_trader.core.errors import InvalidInput
from gql_trader.infra import json_codec
from gql_trader.infra.redis_client import TRANSPORT_ERRORS, connect
from gql_trader.infra.stream_reader import (
    BEGINNING,
    DATA_FIELD,
    Event,
    EventTransportError,
    Inbox,
    StreamReader,
    cursor_position,
    event_from_entry,
    stream_key,
)

__all__ = ["BEGINNING", "Event", "EventStreams", "EventTransportError"]

_CURSOR = re.compile(r"(0|[1-9]\d{0,19})-(0|[1-9]\d{0,19})")
_LARGEST_PART = 2**64 - 1
_ANSWER_SECONDS = 1.0
_PAGE = 200
_RETRY_SECONDS = 0.1


class EventStreams:
    """Publish to streams and follow them.

    Parameters
    ----------
    url
        Redis or Valkey.
    maximum_length
        About how many of its last events a stream keeps.
    keep_seconds
        How long a stream is kept after its last event.
    """

    def __init__(self, url: str, *, maximum_length: int = 1000, keep_seconds: int = 86_400) -> None:
        self._redis = connect(url)
        self._reader = StreamReader(url, self._redis)
        self._maximum_length = maximum_length
        self._keep_seconds = keep_seconds

    async def publish(self, stream: str, event: Mapping[str, Any]) -> str:
        """Append an event, anything that JSON can hold, to a stream; return its cursor.

        Raises
        ------
        EventTransportError
            If Redis is away; raised within about a second.
        """
        return (await self.publish_all([(stream, event)]))[0]

    async def publish_all(self, events: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
        """Append events, each given with its stream, in their order; return their cursors.

        Raises
        ------
        EventTransportError
            If Redis is away; some of the events may have been appended then.
        """
        cursors: list[str] = []
        for at in range(0, len(events), _PAGE):
            part = events[at : at + _PAGE]
            pipeline = self._redis.pipeline(transaction=False)
            for stream, event in part:
                data = json_codec.dumps(dict(event))
                length = self._maximum_length
                pipeline.xadd(stream_key(stream), {DATA_FIELD: data}, maxlen=length, approximate=True)
            for stream in dict.fromkeys(stream for stream, _ in part):
                pipeline.expire(stream_key(stream), self._keep_seconds)
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    answers = await pipeline.execute()
            except TRANSPORT_ERRORS as error:
                raise EventTransportError(str(error) or type(error).__name__) from error
            cursors += [answer.decode() for answer in answers[: len(part)]]
        return cursors

    async def last_cursor(self, stream: str) -> str:
        """Return the cursor of the stream's last event, `BEGINNING` if there is none.

        Raises
        ------
        EventTransportError
            If Redis is away; raised within about a second.
        """
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                entries = await self._redis.xrevrange(stream_key(stream), count=1)
        except TRANSPORT_ERRORS as error:
            raise EventTransportError(str(error) or type(error).__name__) from error
        return str(entries[0][0].decode()) if entries else BEGINNING

    async def holds(self, stream: str, cursor: str) -> bool:
        """Return whether a stream still holds an event, and so everything that was told behind it.

        `BEGINNING`: whether it holds everything that was ever told.

        Raises
        ------
        EventTransportError
            If Redis is away; raised within about a second.
        """
        key = stream_key(stream)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                if cursor_position(cursor) > cursor_position(BEGINNING):
                    return bool(await self._redis.xrange(key, min=cursor, max=cursor, count=1))
                if not await self._redis.exists(key):
                    return False
                about = await self._redis.xinfo_stream(key)
        except TRANSPORT_ERRORS as error:
            raise EventTransportError(str(error) or type(error).__name__) from error
        return bool(about["entries-added"] == about["length"])

    async def newest(self, streams: Sequence[str]) -> list[Event | None]:
        """Return the last event of each stream; None of those that hold none.

        Raises
        ------
        EventTransportError
            If Redis is away; raised within about a second.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for stream in streams:
            pipeline.xrevrange(stream_key(stream), count=1)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                answers = await pipeline.execute()
        except TRANSPORT_ERRORS as error:
            raise EventTransportError(str(error) or type(error).__name__) from error
        return [event_from_entry(entries[0]) if entries else None for entries in answers]

    def follow(self, stream: str, after: str, *, idle_seconds: float) -> AsyncGenerator[Event | None, None]:
        """Yield the events of a stream that come after a cursor, for ever.

        Parameters
        ----------
        after
            Cursor of the last event that is known; `BEGINNING` for all that the stream holds.
        idle_seconds
            None is yielded whenever this long nothing has come, whether Redis is there or not, so that
            the caller can look whether it still should wait.

        Returns
        -------
        AsyncGenerator
            Close it (``aclose``, or `contextlib.aclosing`) to stop following. Its events are shared with
            other followers and must not be changed. An outage is waited out.

        Raises
        ------
        InvalidInput
            If the cursor is not one; at the call, not at the first event.
        """
        check_cursor(after)
        return self._follow(stream, after, idle_seconds)

    async def _follow(
        self, stream: str, cursor: str, idle_seconds: float
    ) -> AsyncGenerator[Event | None, None]:
        position = cursor_position(cursor)
        inbox = self._reader.subscribe(stream, cursor)
        quiet_since = monotonic()
        try:
            await self._reader.refresh()
            while True:
                patience = max(0.0, quiet_since + idle_seconds - monotonic())
                if inbox.behind:
                    events = await self._read_backlog(inbox, cursor, patience)
                else:
                    events = await self._take_arrived(inbox, patience)
                for event in events:
                    # What is both in the stream's backlog and in the inbox comes once.
                    if (place := cursor_position(event.cursor)) > position:
                        cursor, position = event.cursor, place
                        yield event
                        quiet_since = monotonic()
                if monotonic() - quiet_since >= idle_seconds:
                    yield None
                    quiet_since = monotonic()
        finally:
            self._reader.unsubscribe(inbox)

    async def _take_arrived(self, inbox: Inbox, patience: float) -> list[Event]:
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await inbox.arrived.wait()
        return inbox.take()

    async def _read_backlog(self, inbox: Inbox, cursor: str, patience: float) -> list[Event]:
        # From here on the inbox collects again: what comes while we read is in one of them or in both.
        inbox.catch_up()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                entries = await self._redis.xrange(inbox.key, min=f"({cursor}", count=_PAGE)
        except TRANSPORT_ERRORS:
            inbox.behind = True
            await asyncio.sleep(min(_RETRY_SECONDS, patience))
            return []
        if len(entries) == _PAGE:
            inbox.behind = True
        return [event_from_entry(entry) for entry in entries]

    @property
    def followed(self) -> int:
        """The number of streams that are followed at present."""
        return self._reader.followed

    async def close(self) -> None:
        """Stop the reader and close the connections."""
        await self._reader.close()
        await self._redis.aclose(close_connection_pool=True)


def check_cursor(cursor: str) -> None:
    """Raise InvalidInput, path ``after``, unless this is a cursor."""
    match = _CURSOR.fullmatch(cursor)
    if match is None or any(int(part) > _LARGEST_PART for part in match.groups()):
        raise InvalidInput("Not a cursor of an event; pass one that an event carried.", ("after",))
