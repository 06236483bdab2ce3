"""Live feeds: each brings its candles into the store shortly after they close, one worker at a time."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
import structlog
from sqlalchemy import Row

from gql_trader.core.clock import from_milliseconds
from gql_trader.core.errors import DomainError
from gql_trader.core.ids import MarketId
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.infra.backoff import full_jitter
from gql_trader.infra.exchange.errors import ExchangeBusy, ExchangeFailure, ExchangeUnavailable
from gql_trader.infra.leases import DATABASE_LOST, kept_lease, settle
from gql_trader.infra.unit_of_work import Job, UnitOfWork
from gql_trader.market_data import repository
from gql_trader.market_data.catalogue import market_record
from gql_trader.market_data.feeds import sources, states
from gql_trader.market_data.feeds.sources import News
from gql_trader.market_data.syncs import fetching
from gql_trader.market_data.syncs.fetching import Fetched
from gql_trader.market_data.types import BARS_CLOSED, BARS_CLOSED_QUEUE, DEMO_EXCHANGE, MarketRecord
from gql_trader.market_data.types_feeds import FeedClaim, FeedState, stream_of
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

_AFTER_CLOSE = 0.3
"""Seconds after a close at which it is asked for: exchanges need a moment."""

_LATE_SECONDS = 15.0
_LONGEST_WAIT = 30.0
"""A candle that is late is asked for after half the time that it is late by, and at least this often."""

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_REFUSED_PAUSE = 600.0
_REMEMBERED_HOLES = 10
"""A candle that is missing before others is asked for again until so many have closed after it."""

_TOLD_BARS = 100
"""Followers are told of that many candles at a time; what is more they read from the store."""


class FeedLost(Exception):
    """The feed is another worker's by now."""


async def dispatch_feeds(runtime: Runtime) -> None:
    """Hand out the feeds that are due. Any worker may, at any time."""
    async with runtime.unit_of_work() as uow:
        for job in await states.due_jobs(uow):
            uow.enqueue(job)


async def poll_feed(ctx: dict[str, Any], market_id: str, interval: str) -> None:
    """Bring in what has closed of a series, if it is due.

    May be called any number of times, by any number of workers: each candle is announced once.
    """
    runtime: Runtime = ctx["runtime"]
    seconds = runtime.settings.job_lease_seconds
    async with runtime.unit_of_work() as uow:
        claimed = await states.claim(uow, UUID(market_id), Interval[interval], seconds)
        if claimed is None:
            return
        rows = await repository.markets_by_ids(uow.session, [UUID(market_id)])
    held, row = claimed
    market = market_record(rows[UUID(market_id)])
    log = _log.bind(market=market.name, interval=interval)
    lost = asyncio.Event()
    try:
        async with kept_lease(
            runtime.unit_of_work, seconds, lambda uow: states.renew(uow, held, seconds), lost.set
        ):
            news = await (
                sources.simulate(runtime, held, market)
                if market.exchange == DEMO_EXCHANGE
                else sources.ask_exchange(runtime, held, row, market)
            )
            await _bring_in(runtime, held, row, market, news)
    except asyncio.CancelledError:
        await asyncio.shield(settle(runtime.unit_of_work, lambda uow: states.rest(uow, held, 0.0)))
        raise
    except FeedLost:
        log.info("feed_lost")
    except DATABASE_LOST as error:
        # The lease runs out by itself.
        log.warning("database_lost", reason=str(error))
    except (ExchangeFailure, DomainError) as failure:
        log.info("feed_failing", failure=type(failure).__name__, reason=failure.message)
        await _note_failure(runtime, held, row, failure.message, _pause(failure, row.failures))
    except Exception:
        log.exception("feed_failed")
        reason = "The server failed; its log tells more."
        await _note_failure(runtime, held, row, reason, _LONGEST_PAUSE)


async def _note_failure(
    runtime: Runtime, held: FeedClaim, row: Row[Any], message: str, seconds: float
) -> None:
    async def note(uow: UnitOfWork) -> bool:
        return await states.rest(
            uow,
            held,
            seconds,
            state=FeedState.FAILING.value,
            error=message,
            failures=row.failures + 1,
        )

    await settle(runtime.unit_of_work, note)


def _pause(failure: ExchangeFailure | DomainError, failures: int) -> float:
    if not isinstance(failure, ExchangeUnavailable):
        return _REFUSED_PAUSE
    seconds = full_jitter(min(_FIRST_PAUSE * 2.0**failures, _LONGEST_PAUSE))
    if isinstance(failure, ExchangeBusy) and failure.retry_after is not None:
        seconds += failure.retry_after
    return seconds


async def _bring_in(
    runtime: Runtime, held: FeedClaim, row: Row[Any], market: MarketRecord, news: News
) -> None:
    """Store what came, tell followers and bots of it, and say when to ask again; all or nothing."""
    length = held.interval.milliseconds
    async with runtime.unit_of_work() as uow:
        fetched = news.fetched
        saved = await fetching.save(uow, market, held.interval, fetched) if fetched else None
        if saved is not None:
            last: int | None = saved.series.last
        else:
            stored = await repository.series_row(uow.session, market.id, held.interval)
            last = stored.last_time if stored else None
        more = fetched is not None and fetched.high < news.until
        is_there = last is not None and last >= news.until - length
        state, error = _state(market, news, is_there, more)
        holes = _holes(fetched, row.holes, last, length) if fetched else row.holes
        if more:
            pause = 0.0
        elif not is_there:
            pause = min(max(news.late / 2, 0.5), _LONGEST_WAIT, news.next_close + _AFTER_CLOSE)
        else:
            pause = news.next_close + _AFTER_CLOSE
        if news.refresh is not None and not more:
            pause = min(pause, news.refresh)
        held_still = await states.rest(
            uow, held, pause, state=state.value, error=error, last_time=last, holes=holes, failures=0
        )
        if not held_still:
            raise FeedLost
        if saved is not None and fetched is not None and saved.added:
            _announce(uow, market.id, held.interval, _unknown(fetched.bars, row), row.last_time)
        if news.forming is not None:
            uow.publish(stream_of(market.id, held.interval), candle_event(news.forming, 0, closed=False))


def _state(market: MarketRecord, news: News, is_there: bool, more: bool) -> tuple[FeedState, str | None]:
    if more:
        return FeedState.CATCHING_UP, None
    if is_there or news.late < _LATE_SECONDS:
        return FeedState.LIVE, None
    moment = f"{from_milliseconds(news.until):%Y-%m-%d %H:%M}"
    return FeedState.LATE, f"{market.exchange} has not sent the candle yet that closed at {moment} (UTC)."


def _holes(fetched: Fetched, before: Sequence[int], last: int | None, length: int) -> list[int]:
    """Return the opening times of recent candles that are missing before the newest."""
    if last is None:
        return []
    remembered = last - _REMEMBERED_HOLES * length
    if not len(fetched.bars):
        return [time for time in before if time >= remembered]
    there = set(fetched.bars.time.tolist())
    return [time for time in range(max(fetched.low, remembered), last, length) if time not in there]


def _unknown(bars: Bars, row: Row[Any]) -> Bars:
    """Return the candles that were not known before."""
    if row.last_time is None:
        return bars
    new = (bars.time > row.last_time) | np.isin(bars.time, row.holes)
    columns = {name: getattr(bars, name)[new] for name in ("time", "open", "high", "low", "close", "volume")}
    return Bars(**columns, interval=bars.interval)


def _announce(
    uow: UnitOfWork, market_id: MarketId, interval: Interval, bars: Bars, known: int | None
) -> None:
    if not len(bars):
        return
    for at in range(max(0, len(bars) - _TOLD_BARS), len(bars)):
        event = candle_event(bars, at, closed=True)
        # Followers have been told of later ones.
        event["late"] = known is not None and event["time"] <= known
        uow.publish(stream_of(market_id, interval), event)
    key = f"{BARS_CLOSED}:{market_id}:{interval.name}:{int(bars.time[-1])}"
    uow.enqueue(Job(BARS_CLOSED, BARS_CLOSED_QUEUE, key, (str(market_id), interval.name)))


def candle_event(bars: Bars, at: int, *, closed: bool) -> dict[str, Any]:
    """Return a candle as followers are told of it."""
    return {
        "time": int(bars.time[at]),
        **{name: float(getattr(bars, name)[at]) for name in ("open", "high", "low", "close", "volume")},
        "closed": closed,
    }
