"""Following exchanges' streams of candles, where there are any: forming candles, and closes at once.

Streams only make a feed livelier. What is stored comes from asking the exchange, with a stream or without.
"""

import asyncio
from contextlib import aclosing
from time import monotonic
from typing import NoReturn
from uuid import UUID

import structlog

from gql_trader.engine.bars import Bars
from gql_trader.infra.event_streams import EventTransportError
from gql_trader.infra.exchange.candles import CandlePage
from gql_trader.infra.exchange.errors import ExchangeFailure, ExchangeUnavailable
from gql_trader.infra.leases import DATABASE_LOST, kept_lease, settle
from gql_trader.market_data import repository
from gql_trader.market_data.catalogue import market_record
from gql_trader.market_data.feeds import states
from gql_trader.market_data.feeds.jobs import candle_event
from gql_trader.market_data.syncs import fetching
from gql_trader.market_data.types_feeds import FeedClaim, stream_of
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
"""How often to look for feeds whose streams nobody follows."""

TELL_SECONDS = 1.0
"""Followers are told of a forming candle this often at most."""

_BROKEN_PAUSE = 10.0
_REFUSED_PAUSE = 3600.0


async def watch_feeds(runtime: Runtime) -> NoReturn:
    """Follow the streams of live feeds until cancelled, each in one worker only."""
    seconds = runtime.settings.job_lease_seconds
    running: set[asyncio.Task[None]] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            room = runtime.settings.candle_streams - len(running)
            if room > 0:
                async with runtime.unit_of_work() as uow:
                    claimed = await states.claim_watches(uow, seconds, room)
                for held, market_id in claimed:
                    task = group.create_task(_watch(runtime, held, market_id))
                    running.add(task)
                    task.add_done_callback(running.discard)
            await asyncio.sleep(LOOK_SECONDS)


async def _watch(runtime: Runtime, held: FeedClaim, market_id: UUID) -> None:
    seconds = runtime.settings.job_lease_seconds
    pause = 0.0
    following = asyncio.create_task(_follow(runtime, held, market_id))

    def stop() -> None:
        following.cancel()

    try:
        # No longer than the feed is wanted, and is this worker's.
        async with kept_lease(
            runtime.unit_of_work, seconds, lambda uow: states.keep_watch(uow, held, seconds), stop
        ):
            await asyncio.wait([following])
        if not following.cancelled():
            following.result()
    except asyncio.CancelledError:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        raise
    except ExchangeFailure as failure:
        _log.info("stream_ended", exchange=failure.exchange, reason=failure.message)
        pause = _BROKEN_PAUSE if isinstance(failure, ExchangeUnavailable) else _REFUSED_PAUSE
    except (*DATABASE_LOST, EventTransportError) as error:
        _log.warning("stream_interrupted", reason=str(error))
    except Exception:
        _log.exception("stream_failed", market_id=str(market_id))
        pause = _REFUSED_PAUSE
    finally:
        # Asked for by its number: another worker's watch is left alone.
        await asyncio.shield(
            settle(runtime.unit_of_work, lambda uow: states.keep_watch(uow, held, pause, wanted=False))
        )


async def _follow(runtime: Runtime, held: FeedClaim, market_id: UUID) -> None:
    async with runtime.unit_of_work() as uow:
        market = market_record((await repository.markets_by_ids(uow.session, [market_id]))[market_id])
    client = await runtime.exchanges.public(market.exchange)
    rules = await fetching.spot_market(client, market.symbol)
    stream, interval = stream_of(market.id, held.interval), held.interval
    newest: int | None = None
    told_at = 0.0
    async with aclosing(client.forming(rules.symbol, interval)) as pages:
        async for page in pages:
            opened = int(page.time[-1])
            if newest is not None and opened > newest:
                async with runtime.unit_of_work() as uow:
                    await states.poll_now(uow, market.id, interval)
            if monotonic() - told_at >= TELL_SECONDS or newest != opened:
                told_at = monotonic()
                event = candle_event(_bars(page, interval.milliseconds), len(page) - 1, closed=False)
                await runtime.events.publish(stream, event)
            newest = opened


def _bars(page: CandlePage, length: int) -> Bars:
    return Bars(page.time, page.open, page.high, page.low, page.close, page.volume, length)
