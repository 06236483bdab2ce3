"""Fetching candles that somebody asked for, and sweeping up what a crash left behind."""

import asyncio
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row

from gql_trader.core.errors import DomainError
from gql_trader.core.intervals import Interval
from gql_trader.infra.backoff import full_jitter
from gql_trader.infra.exchange.errors import ExchangeBusy, ExchangeFailure, ExchangeUnavailable
from gql_trader.infra.leases import DATABASE_LOST, kept_lease, settle
from gql_trader.market_data.syncs import fetching, lifecycle
from gql_trader.market_data.types_syncs import SyncClaim
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

STALE_SECONDS = 3.0
"""A sync that has been due this long should be known to the queue."""

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 900.0


class SyncLost(Exception):
    """The sync is another worker's by now."""


async def sync_candles(ctx: dict[str, Any], sync_id: str) -> None:
    """Fetch the candles of a sync, if they are still to be fetched; go on where another worker has stopped.

    May be called any number of times for the same id, by any number of workers.
    """
    runtime: Runtime = ctx["runtime"]
    seconds = runtime.settings.job_lease_seconds
    async with runtime.unit_of_work() as uow:
        claimed = await lifecycle.claim(uow, UUID(sync_id), seconds)
    if claimed is None:
        return
    held, row = claimed
    log = _log.bind(sync_id=sync_id, attempt=held.attempt)
    run = _Run(runtime, held, row)
    try:
        async with kept_lease(
            runtime.unit_of_work,
            seconds,
            lambda uow: lifecycle.renew(uow, held, seconds),
            run.lost.set,
        ):
            await run.fetch()
    except asyncio.CancelledError:
        # The worker is stopping: somebody else shall go on at once instead of waiting for the lease.
        await asyncio.shield(settle(runtime.unit_of_work, lambda uow: lifecycle.hand_back(uow, held)))
        raise
    except SyncLost:
        log.info("sync_lost")
    except DATABASE_LOST as error:
        log.warning("database_lost", reason=str(error))
        await settle(runtime.unit_of_work, lambda uow: lifecycle.hand_back(uow, held, crashed=True))
    except ExchangeUnavailable as failure:
        log.info("sync_waits", exchange=failure.exchange, failure=type(failure).__name__)
        await _wait(runtime, run, failure)
    except (ExchangeFailure, DomainError) as refusal:
        message = refusal.message
        await settle(runtime.unit_of_work, lambda uow: lifecycle.fail(uow, held, message))
    except Exception:
        log.exception("sync_failed")
        reason = "The server failed. Its log tells more under this sync's id."
        await settle(runtime.unit_of_work, lambda uow: lifecycle.fail(uow, held, reason))
    else:
        await settle(runtime.unit_of_work, lambda uow: lifecycle.complete(uow, held))
        log.info("sync_completed", fetched=run.fetched)


class _Run:
    """One worker's turn at a sync."""

    def __init__(self, runtime: Runtime, held: SyncClaim, row: Row[Any]) -> None:
        self.held = held
        self.lost = asyncio.Event()
        self.fetched = 0
        self.failures: int = row.failures
        self._runtime = runtime
        self._row = row

    async def fetch(self) -> None:
        row, new_uow = self._row, self._runtime.unit_of_work
        interval = Interval[row.interval]
        client = await self._runtime.exchanges.public(row.exchange)
        await fetching.learn_clock(client)
        rules = await fetching.spot_market(client, row.symbol)
        async with new_uow() as uow:
            market = await fetching.ensure_listed(uow, row.exchange, rules)
            if not await lifecycle.found_market(uow, self.held, market.id):
                raise SyncLost
        async with new_uow() as uow:
            missing = await fetching.missing_times(
                uow, self._runtime.arrays, market, interval, row.first_time, row.end_time
            )
        length = interval.milliseconds
        total = (row.end_time - row.first_time) // length
        while len(missing):
            if self.lost.is_set():
                raise SyncLost
            low = int(missing[0])
            # No further than to the last one missing that one page can have.
            page = missing[missing < low + client.candle_page * length]
            fetched = await fetching.fetch(client, rules.symbol, interval, low, int(page[-1]) + length)
            missing = missing[missing >= fetched.high]
            async with new_uow() as uow:
                saved = await fetching.save(uow, market, interval, fetched)
                changed = saved.added + saved.updated if saved else 0
                progress = 1.0 - len(missing) / total
                if not await lifecycle.advance(uow, self.held, progress, changed, fetched.refused):
                    raise SyncLost
            self.fetched += changed
            self.failures = 0


async def _wait(runtime: Runtime, run: _Run, failure: ExchangeUnavailable) -> None:
    message = failure.message
    if run.failures + 1 >= lifecycle.MAXIMUM_FAILURES:
        message = f"Gave up after {run.failures + 1} attempts. {message}"
        await settle(runtime.unit_of_work, lambda uow: lifecycle.fail(uow, run.held, message))
        return
    seconds = full_jitter(min(_FIRST_PAUSE * 2.0**run.failures, _LONGEST_PAUSE))
    if isinstance(failure, ExchangeBusy) and failure.retry_after is not None:
        seconds += failure.retry_after
    await settle(runtime.unit_of_work, lambda uow: lifecycle.wait(uow, run.held, seconds, message))


async def sweep_syncs(runtime: Runtime) -> None:
    """Queue again what dead workers were at, what has rested, and what the queue has lost.

    Any worker may, at any time.
    """
    async with runtime.unit_of_work() as uow:
        taken_over = await lifecycle.take_over_expired(uow)
    if taken_over:
        _log.warning("syncs_taken_over", count=taken_over)
    sent = await lifecycle.RUNS.send_lost(runtime.unit_of_work, runtime.queue, STALE_SECONDS)
    if sent:
        _log.info("syncs_dispatched_again", count=sent)
