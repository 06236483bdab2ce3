"""The bar that is not over yet, as far as it is known: to be looked at, not acted on as if it had closed."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from uuid import UUID

import numpy as np

from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.event_streams import EventStreams, EventTransportError
from gql_trader.infra.stream_reader import cursor_position
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import repository
from gql_trader.market_data.store.loading import load_bars
from gql_trader.market_data.store.reading import stored_series
from gql_trader.market_data.types import PriceSeriesRecord
from gql_trader.market_data.types_feeds import stream_of


@dataclass(frozen=True, slots=True)
class Told:
    """A candle that a feed has told of.

    Attributes
    ----------
    opened, known_until
        When it opened, and the moment up to which its prices are known, Unix milliseconds.
    """

    opened: int
    known_until: int
    open: float
    high: float
    low: float
    close: float

    @property
    def is_sound(self) -> bool:
        """Whether these can be the prices of a candle."""
        prices = (self.open, self.high, self.low, self.close)
        return all(isfinite(price) and price > 0 for price in prices)


async def told_candles(events: EventStreams, market_id: UUID, interval: Interval) -> list[Told]:
    """Return the last candle that each feed of a market has told of, at an interval or one that divides it.

    Without Redis there are none.
    """
    usable = [each for each in Interval if each.divides(interval)]
    try:
        found = await events.newest([stream_of(market_id, each) for each in usable])
    except EventTransportError:
        return []
    told = []
    for each, event in zip(usable, found, strict=True):
        if event is not None:
            opened, end = event.data["time"], event.data["time"] + each.milliseconds
            until = (
                end if event.data["closed"] else min(max(cursor_position(event.cursor)[0], opened + 1), end)
            )
            prices = (event.data[name] for name in ("open", "high", "low", "close"))
            told.append(Told(opened, until, *prices))
    return [each for each in told if each.is_sound]


async def forming_bar(
    uow: UnitOfWork, arrays: ArrayCache, market_id: UUID, interval: Interval, told: Iterable[Told]
) -> Bars | None:
    """Return the bar that is under way, as long as it is known; None if nothing of it is known yet.

    It is made of the stored candles of shorter intervals since it opened, and of what feeds have told of.
    As the interval of the bar that is returned stands the time from its opening to the newest price.
    """
    now = to_milliseconds(uow.clock.now())
    opening = interval.floor(now)
    parts = [each for each in told if opening <= each.opened < now]
    stored = [stored_series(row) for row in await repository.series_by_markets(uow.session, [market_id])]
    shorter = [each for each in stored if each.interval is not interval and each.interval.divides(interval)]
    if shorter:
        best = max(
            shorter, key=lambda each: (each.last + each.interval.milliseconds, -each.interval.milliseconds)
        )
        if best.last >= opening:
            series = PriceSeriesRecord(best.market_id, best.interval, best)
            bars = (await load_bars(uow, arrays, series, from_milliseconds(opening))).bars
            bars = bars.slice(0, int(np.searchsorted(bars.time, now - bars.interval, side="right")))
            if len(bars):
                parts.append(
                    Told(
                        int(bars.time[0]),
                        int(bars.time[-1]) + bars.interval,
                        float(bars.open[0]),
                        float(bars.high.max()),
                        float(bars.low.min()),
                        float(bars.close[-1]),
                    )
                )
    if not parts:
        return None
    first = min(parts, key=lambda each: each.opened)
    last = max(parts, key=lambda each: each.known_until)
    return Bars(
        time=np.array([opening], np.int64),
        open=np.array([first.open]),
        high=np.array([max(max(each.open, each.high, each.close) for each in parts)]),
        low=np.array([min(min(each.open, each.low, each.close) for each in parts)]),
        close=np.array([last.close]),
        volume=np.zeros(1),
        interval=last.known_until - opening,
    )
