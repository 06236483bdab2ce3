"""Following bots: the present state first, then what happens, for ever; or what was missed since a cursor.

Events come from the user's streams. The database has the last word: it is asked again after a quiet while,
so that what was never published, because Redis was away or a worker died between commit and publication,
is told nevertheless.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from gql_trader.bots import repository
from gql_trader.bots.types import BotState, TradeStatus, equity_stream, status_stream, trade_stream
from gql_trader.core.actor import Actor
from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.errors import NotFound
from gql_trader.infra.event_streams import (
    BEGINNING,
    Event,
    EventStreams,
    EventTransportError,
    check_cursor,
)
from gql_trader.infra.stream_reader import cursor_position
from gql_trader.infra.unit_of_work import UnitOfWorkFactory

RECHECK_SECONDS = 5.0
"""After this long without an event the database is asked what has changed."""

_OVERLAP = timedelta(minutes=1)
"""A transaction takes less than this from the time that it notes to its commit."""

_LAST_MOMENT = 253_402_300_799_000  # the year 9999


@dataclass(frozen=True, slots=True)
class Follower:
    """Who follows what.

    Attributes
    ----------
    bot_id, session_id
        Only of this one; None: all of the user's.
    after
        Cursor of the last event that was seen; None: the present state comes first.
    """

    unit_of_work: UnitOfWorkFactory
    events: EventStreams
    actor: Actor
    bot_id: UUID | None = None
    session_id: UUID | None = None
    after: str | None = None

    async def place(self, stream: str) -> "Place":
        """Return where in a stream the follower begins; to be asked before the database is.

        Raises
        ------
        InvalidInput
            If ``after`` is not a cursor.
        """
        if self.after is not None:
            check_cursor(self.after)
        try:
            newest = await self.events.last_cursor(stream)
            is_known = self.after is not None and await self.events.holds(stream, self.after)
        except EventTransportError:
            return Place(BEGINNING, True)
        return Place(newest if self.after is None or not is_known else self.after, not is_known)

    def feed(self, stream: str, place: "Place") -> AsyncGenerator[Event | None, None]:
        """Return the events of a stream from the follower's place on, None whenever it is quiet."""
        return self.events.follow(stream, place.cursor, idle_seconds=RECHECK_SECONDS)

    @property
    def away_since(self) -> datetime | None:
        """When the last event that was seen was told; None: none was."""
        if self.after is None or (told := cursor_position(self.after)[0]) == 0:
            return None
        return from_milliseconds(min(told, _LAST_MOMENT))

    def wants(self, data: Mapping[str, Any]) -> bool:
        """Whether what an event tells is of the bot or session that is followed."""
        return (self.bot_id is None or data.get("botId") == str(self.bot_id)) and (
            self.session_id is None or data.get("sessionId") == str(self.session_id)
        )

    def wants_trade(self, row: Row[Any]) -> bool:
        """Whether a trade is of the bot or session that is followed."""
        return self.bot_id in (None, row.bot_id) and self.session_id in (None, row.session_id)

    async def check_access(self) -> None:
        """Raise NotFound unless the bot and the session that are named are the user's."""
        async with self.unit_of_work() as uow:
            user_id = self.actor.user_id
            bot_id = self.bot_id
            if bot_id is not None and await repository.bot(uow.session, user_id, bot_id) is None:
                raise NotFound("There is no such bot.", ("botId",))
            if self.session_id is not None:
                found = await repository.sessions_by_ids(uow.session, user_id, [self.session_id])
                if not found:
                    raise NotFound("There is no such session.", ("sessionId",))


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a stream a follower begins.

    Attributes
    ----------
    cursor
        What comes behind it is told.
    is_fresh
        Whether the present state comes first: without a cursor, or with one that the stream has forgotten.
    """

    cursor: str
    is_fresh: bool


@dataclass(frozen=True, slots=True)
class StatusNews:
    """What a bot is doing; ``bot`` is as it is now."""

    cursor: str
    state: BotState
    bot: Row[Any]


async def follow_status(follower: Follower) -> AsyncGenerator[StatusNews, None]:
    """Yield what each bot is doing, then every change.

    Raises
    ------
    NotFound
        If the user has no such bot.
    InvalidInput
        If ``after`` is not a cursor.
    """
    stream = status_stream(follower.actor.user_id)
    place = await follower.place(stream)
    cursor = place.cursor
    await follower.check_access()

    async def present() -> list[Row[Any]]:
        async with follower.unit_of_work() as uow:
            return await repository.all_bots(uow.session, follower.actor.user_id, follower.bot_id)

    told: dict[UUID, tuple[str, UUID | None]] = {}
    for row in await present():
        told[row.id] = (row.state, row.session_id)
        if place.is_fresh:
            yield StatusNews(cursor, BotState(row.state), row)
    async with aclosing(follower.feed(stream, place)) as feed:
        async for event in feed:
            if event is None:
                for row in await present():
                    if told.get(row.id, ("", None)) != (row.state, row.session_id):
                        told[row.id] = (row.state, row.session_id)
                        yield StatusNews(cursor, BotState(row.state), row)
                continue
            cursor = event.cursor
            if not follower.wants(event.data):
                continue
            async with follower.unit_of_work() as uow:
                found = await repository.bot(uow.session, follower.actor.user_id, UUID(event.data["botId"]))
            if found is not None:
                told[found.id] = (event.data["state"], found.session_id)
                yield StatusNews(cursor, BotState(event.data["state"]), found)


@dataclass(frozen=True, slots=True)
class EquityNews:
    """A session's equity at the close of the bar that opened at ``time``, or at a price of that moment.

    Unix milliseconds.
    """

    cursor: str
    time: int
    equity: float
    session_id: UUID


async def follow_equity(follower: Follower) -> AsyncGenerator[EquityNews, None]:
    """Yield the equity of each session, then the equity after every step; raise as `follow_status`."""
    stream = equity_stream(follower.actor.user_id)
    place = await follower.place(stream)
    cursor = place.cursor
    await follower.check_access()
    told: dict[UUID, tuple[int, float]] = {}

    async def changed() -> AsyncIterator[EquityNews]:
        async with follower.unit_of_work() as uow:
            rows = await repository.followed_sessions(
                uow.session, follower.actor.user_id, follower.bot_id, follower.session_id
            )
        for row in rows:
            started = to_milliseconds(row.trade_from)
            mark = (started if row.last_bar_time is None else row.last_bar_time, row.equity)
            if row.mark_equity is not None:
                mark = (row.priced_at, row.mark_equity)
            if told.get(row.id) != mark:
                told[row.id] = mark
                yield EquityNews(cursor, *mark, row.id)

    async for news in changed():
        if place.is_fresh:
            yield news
    async with aclosing(follower.feed(stream, place)) as feed:
        async for event in feed:
            if event is None:
                async for news in changed():
                    yield news
                continue
            wanted = [mark for mark in event.data["marks"] if follower.wants(mark)]
            for number, mark in enumerate(wanted, start=1):
                session_id = UUID(mark["sessionId"])
                told[session_id] = (mark["time"], mark["equity"])
                # Whoever leaves in the middle of an event is told all of it again.
                passed = event.cursor if number == len(wanted) else cursor
                yield EquityNews(passed, *told[session_id], session_id)
            cursor = event.cursor


@dataclass(frozen=True, slots=True)
class TradeNews:
    """A trade that was opened or closed; as it is now."""

    cursor: str
    trade: Row[Any]


async def follow_trades(follower: Follower) -> AsyncGenerator[TradeNews, None]:
    """Yield the trades whose positions are held, then each that is opened or closed.

    Raises
    ------
    NotFound, InvalidInput
        As `follow_status`.
    """
    user_id = follower.actor.user_id
    stream = trade_stream(user_id)
    place = await follower.place(stream)
    cursor = place.cursor
    await follower.check_access()
    async with follower.unit_of_work() as uow:
        checked = uow.clock.now()
        sessions = await repository.followed_sessions(
            uow.session, user_id, follower.bot_id, follower.session_id
        )
        held = await repository.open_trades(uow.session, user_id, [row.id for row in sessions])
    # What was told lately, so that asking the database again does not repeat it.
    told: dict[tuple[UUID, str], None] = {}
    for rows in held.values():
        for row in rows:
            told[row.id, TradeStatus.OPEN.value] = None
            if place.is_fresh:
                yield TradeNews(cursor, row)
    if place.is_fresh and follower.away_since is not None:
        async for row in _changed_since(follower, follower.away_since - _OVERLAP):
            change = (row.id, _status(row).value)
            if change not in told:
                told[change] = None
                # Whoever leaves before the last of them is told all of them again.
                yield TradeNews(follower.after or cursor, row)
    started = checked
    async with aclosing(follower.feed(stream, place)) as feed:
        async for event in feed:
            async with follower.unit_of_work() as uow:
                if event is None:
                    since = max(started, checked - _OVERLAP)
                    checked = uow.clock.now()
                    rows = await repository.trades_changed_since(uow.session, user_id, since)
                elif follower.wants(event.data):
                    key = UUID(event.data["tradeId"])
                    rows = list((await repository.trades_by_ids(uow.session, user_id, [key])).values())
                else:
                    rows = []
            if event is not None:
                cursor = event.cursor
            for row in rows:
                change = (row.id, _status(row).value)
                if event is None and (change in told or not follower.wants_trade(row)):
                    continue
                told[change] = None
                yield TradeNews(cursor, row)
            while len(told) > _REMEMBERED:
                del told[next(iter(told))]


async def _changed_since(follower: Follower, since: datetime) -> AsyncGenerator[Row[Any], None]:
    """Yield the trades that were opened or closed since a moment, as they are now, in that order."""
    behind: tuple[datetime, UUID] | None = None
    while True:
        async with follower.unit_of_work() as uow:
            rows = await repository.trades_changed_since(uow.session, follower.actor.user_id, since, behind)
        for row in rows:
            behind = (row.changed_at, row.id)
            if follower.wants_trade(row):
                yield row
        if not rows:
            return


def _status(row: Row[Any]) -> TradeStatus:
    return TradeStatus.OPEN if row.exit_time is None else TradeStatus.CLOSED


_REMEMBERED = 10_000
