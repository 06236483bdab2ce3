"""Following a run: what has happened, then what happens, until it ends; nothing is missed.

Events come from the run's stream. The database has the last word: a run's end is seen even if its event
was never published because Redis was away or a worker died between commit and publication.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row

from gql_trader.core.runs import RunStatus
from gql_trader.infra.event_streams import BEGINNING, EventStreams, EventTransportError, check_cursor
from gql_trader.infra.stream_reader import cursor_position

RECHECK_SECONDS = 2.0
"""After this long without an event the database is asked whether the run has ended."""


REPLAY_SECONDS = 0.2
"""The same for a run that is known to have ended: what was missed is read by then."""


@dataclass(frozen=True, slots=True)
class News:
    """What a follower is told.

    Attributes
    ----------
    cursor
        Where to go on from.
    data
        The event as it was published; empty for a state read from the database.
    row
        The run's row, where this is its state as read from the database.
    """

    cursor: str
    status: RunStatus
    progress: float
    data: Mapping[str, Any] = field(default_factory=dict)
    row: Row[Any] | None = None

    @property
    def final(self) -> Row[Any] | None:
        """The run's row, once it has ended."""
        return self.row if self.status.is_final else None


async def follow_run(
    events: EventStreams, stream: str, present: Callable[[], Awaitable[Row[Any]]], after: str | None
) -> AsyncGenerator[News, None]:
    """Yield a run's present state, or with ``after`` what was missed since, then every event to the end.

    Behind a cursor that the stream has not come to, the present state comes first, too.

    Parameters
    ----------
    present
        Returns the run's row with its ``status``, ``progress`` and ``attempt``; the events have the same.

    Raises
    ------
    InvalidInput
        If ``after`` is not a cursor.
    """
    if after is not None:
        check_cursor(after)
    # The cursor is read before the row: an event between the two is told twice rather than never.
    try:
        newest = await events.last_cursor(stream)
        if after is not None and cursor_position(after) > cursor_position(newest):
            # Redis has forgotten it, or it never was: behind it only the run's end would be told.
            after = None
    except EventTransportError:
        newest = BEGINNING
    row = await present()
    cursor, progress = newest if after is None else after, 0.0
    ended = RunStatus(row.status).is_final
    missed = after is not None and cursor_position(after) < cursor_position(newest)
    if after is None or (ended and not missed):
        yield _state(row, cursor)
        if ended:
            return
        progress = row.progress
    attempt = row.attempt
    feed = events.follow(stream, cursor, idle_seconds=REPLAY_SECONDS if ended else RECHECK_SECONDS)
    async with aclosing(feed):
        async for event in feed:
            if event is None:
                row = await present()
                if RunStatus(row.status).is_final:
                    yield _state(row, cursor)
                    return
                continue
            cursor = event.cursor
            status = RunStatus(event.data["status"])
            if status.is_final:
                yield _state(await present(), cursor)
                return
            if event.data["attempt"] < attempt:
                # A worker that has lost the run does not know it yet.
                continue
            if event.data["attempt"] == attempt and event.data["progress"] < progress:
                # Older than the state that was told first.
                continue
            attempt, progress = event.data["attempt"], event.data["progress"]
            yield News(cursor, status, progress, event.data)


def _state(row: Row[Any], cursor: str) -> News:
    return News(cursor, RunStatus(row.status), row.progress, row=row)
