"""Following a market's candles: the last one, then each as it forms and closes; none that closed is missed.

The store is what counts: followers read there what was not announced, or what they missed while away. A
cursor is the opening time of the last closed candle that was told, so that it outlives the stream of events.
"""

from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from time import monotonic
from typing import Any

from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.errors import InvalidInput
from gql_trader.core.ids import MarketId
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.event_streams import BEGINNING, Event, EventStreams, EventTransportError, check_cursor
from gql_trader.infra.stream_reader import cursor_position
from gql_trader.infra.unit_of_work import UnitOfWork, UnitOfWorkFactory
from gql_trader.market_data.feeds import states
from gql_trader.market_data.store.loading import find_series, load_bars, load_window, window_indices
from gql_trader.market_data.store.paging import CandleRecord
from gql_trader.market_data.store.reading import Window
from gql_trader.market_data.store.repository import LATEST
from gql_trader.market_data.types import PriceSeriesRecord
from gql_trader.market_data.types_feeds import WANTED_SECONDS, stream_of

RECHECK_SECONDS = 5.0
"""After this long without an event the store is looked at."""

PAGE = 5_000
"""Candles that are read at once for whoever was away for long."""

_RENEW_SECONDS = WANTED_SECONDS / 3
_REMEMBERED = 1_000
_LAST_MOMENT = 253_402_300_799_000  # the year 9999


@dataclass(frozen=True, slots=True)
class CandleNews:
    """A candle, and where to go on from."""

    cursor: str
    candle: CandleRecord
    closed: bool


async def follow_candles(
    unit_of_work: UnitOfWorkFactory,
    events: EventStreams,
    arrays: ArrayCache,
    market_id: MarketId,
    interval: Interval,
    after: str | None,
) -> AsyncGenerator[CandleNews, None]:
    """Yield a market's last candle, or with ``after`` those that closed since, then candles as they come.

    As long as it is followed, the market has a live feed.

    Raises
    ------
    InvalidInput
        If ``after`` is not a cursor that a candle can have by now.
    """
    follower = _Follower(unit_of_work, arrays, market_id, interval, _opening(after))
    await follower.check()
    while True:
        source = await follower.renew()
        stream = stream_of(market_id, source)
        try:
            # Before the store is read: what is both there and in the stream is told once.
            newest = await events.last_cursor(stream)
        except EventTransportError:
            newest = BEGINNING
        while page := await follower.catch_up():
            for news in page:
                yield news
            # Years of minutes take longer than a feed is wanted without being asked for.
            await follower.renew()
        for news in await follower.begin(source):
            yield news
        renewed_at = monotonic()
        async with aclosing(events.follow(stream, newest, idle_seconds=RECHECK_SECONDS)) as feed:
            async for event in feed:
                while page := await follower.missed_before(event):
                    for news in page:
                        yield news
                    await follower.renew()
                for news in await follower.hear(event):
                    yield news
                if monotonic() - renewed_at >= _RENEW_SECONDS:
                    renewed_at = monotonic()
                    if await follower.renew() is not source:
                        # Candles of another interval have been stored, and these are made of them now.
                        break


def _opening(after: str | None) -> int | None:
    if after is None:
        return None
    check_cursor(after)
    opening = cursor_position(after)[0]
    if opening > _LAST_MOMENT:
        raise InvalidInput("Not a cursor of a candle; pass one that an event carried.", ("after",))
    return opening


class _Follower:
    """What one subscriber has been told, and what follows from an event for them."""

    def __init__(
        self,
        unit_of_work: UnitOfWorkFactory,
        arrays: ArrayCache,
        market_id: MarketId,
        interval: Interval,
        told: int | None,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._arrays = arrays
        self._market_id = market_id
        self._interval = interval
        self._told = told
        self._recent: deque[int] = deque(maxlen=_REMEMBERED)
        self._source = interval
        self._bucket: int | None = None
        self._parts: dict[int, CandleRecord] = {}

    async def check(self) -> None:
        """Raise InvalidInput if the cursor is of the future, so that nothing could be told for long."""
        if self._told is None:
            return
        async with self._unit_of_work() as uow:
            series = await find_series(uow, self._market_id, self._interval)
            # Candles may be stored that are ahead of this machine's clock.
            newest = max(to_milliseconds(uow.clock.now()), series.source.last if series else 0)
        if self._told > newest:
            raise InvalidInput("No candle has this cursor yet.", ("after",))

    async def renew(self) -> Interval:
        """Say that the candles are still wanted; return the interval of those that they are made of."""
        async with self._unit_of_work() as uow:
            series = await find_series(uow, self._market_id, self._interval)
            await states.want(uow, [(self._market_id, self._interval)])
        return series.source.interval if series else self._interval

    async def catch_up(self, before: int = LATEST) -> list[CandleNews]:
        """Return the next closed candles that are stored and were not told, in order; at first, the last one.

        To be called until there are no more of them.
        """
        async with self._unit_of_work() as uow:
            series = await find_series(uow, self._market_id, self._interval)
            bars = await self._closed(uow, series, before) if series else None
        if bars is None:
            return []
        return [self._tell_closed(_record(bars, at)) for at in range(len(bars))]

    async def _closed(self, uow: UnitOfWork, series: PriceSeriesRecord, before: int) -> Bars:
        if self._told is None:
            # No more of a long series than it has to be.
            length = self._interval.milliseconds
            window = Window(max(0, series.source.last - 2 * length), before, last=1)
        else:
            window = Window(self._told + 1, before, first=PAGE)
        loaded = await load_window(uow, self._arrays, series, window)
        at, to, _ = window_indices(loaded.bars, window)
        return loaded.bars.slice(at, to)

    async def begin(self, source: Interval) -> list[CandleNews]:
        """Prepare for events of the candles that these are made of; return the one that is forming."""
        self._source, self._bucket = source, None
        if source is self._interval or self._told is None:
            return []
        await self._fill(self._told + self._interval.milliseconds)
        return [self._forming(self._parts)] if self._parts else []

    async def missed_before(self, event: Event | None) -> list[CandleNews]:
        """Return the next closed candles that should have been told before an event; as `catch_up`."""
        if event is None:
            return await self.catch_up()
        time, told = event.data["time"], self._told
        if self._source is not self._interval:
            bucket = self._interval.floor(time)
            return await self.catch_up(bucket) if self._is_next(bucket) else []
        is_apart = told is not None and time > told + self._interval.milliseconds
        return await self.catch_up(time) if is_apart and event.data["closed"] else []

    def _is_next(self, bucket: int) -> bool:
        """Whether a candle comes behind the one that is forming, and those that were told."""
        return all(each is None or bucket > each for each in (self._told, self._bucket))

    async def hear(self, event: Event | None) -> list[CandleNews]:
        """Return what an event means for this subscriber, who was told what came before.

        None: nothing came for a while.
        """
        if event is None:
            return []
        candle = _candle(event.data)
        if self._source is not self._interval:
            return await self._hear_part(candle, closed=event.data["closed"])
        told = self._told
        if not event.data["closed"]:
            is_next = told is None or candle.time > told
            return [CandleNews(self._cursor, candle, closed=False)] if is_next else []
        if told is not None and candle.time <= told:
            if not event.data["late"] or candle.time in self._recent:
                return []
            self._recent.append(candle.time)
            return [CandleNews(self._cursor, candle, closed=True)]
        return [self._tell_closed(candle)]

    async def _hear_part(self, part: CandleRecord, *, closed: bool) -> list[CandleNews]:
        bucket, length = self._interval.floor(part.time), self._interval.milliseconds
        if self._is_next(bucket):
            await self._fill(bucket)
        elif bucket != self._bucket or (self._told is not None and bucket <= self._told):
            return []
        parts = {**self._parts, part.time: part}
        if not closed:
            return [self._forming(parts)]
        self._parts = parts
        if part.time + self._source.milliseconds < bucket + length:
            return [self._forming(parts)]
        return [self._tell_closed(_joined(bucket, parts))]

    async def _fill(self, bucket: int) -> None:
        """Read the parts of a candle that are stored."""
        async with self._unit_of_work() as uow:
            series = await find_series(uow, self._market_id, self._source)
            bars = None
            if series is not None:
                start = from_milliseconds(bucket)
                end = from_milliseconds(bucket + self._interval.milliseconds)
                bars = (await load_bars(uow, self._arrays, series, start, end)).bars
        self._bucket = bucket
        self._parts = {}
        for at in range(len(bars) if bars is not None else 0):
            assert bars is not None
            self._parts[int(bars.time[at])] = _record(bars, at)

    def _forming(self, parts: Mapping[int, CandleRecord]) -> CandleNews:
        assert self._bucket is not None
        return CandleNews(self._cursor, _joined(self._bucket, parts), closed=False)

    def _tell_closed(self, candle: CandleRecord) -> CandleNews:
        self._told = candle.time
        self._recent.append(candle.time)
        return CandleNews(self._cursor, candle, closed=True)

    @property
    def _cursor(self) -> str:
        return BEGINNING if self._told is None else f"{self._told}-0"


def _candle(data: Mapping[str, Any]) -> CandleRecord:
    return CandleRecord(*(data[name] for name in ("time", "open", "high", "low", "close", "volume")))


def _record(bars: Bars, at: int) -> CandleRecord:
    prices = (float(getattr(bars, name)[at]) for name in ("open", "high", "low", "close", "volume"))
    return CandleRecord(int(bars.time[at]), *prices)


def _joined(bucket: int, parts: Mapping[int, CandleRecord]) -> CandleRecord:
    """Return the candle that parts make, as `engine.resampling.resample` does."""
    ordered = [part for _, part in sorted(parts.items())]
    return CandleRecord(
        bucket,
        ordered[0].open,
        max(part.high for part in ordered),
        min(part.low for part in ordered),
        ordered[-1].close,
        sum(part.volume for part in ordered),
    )
