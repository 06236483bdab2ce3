"""Work by the clock: what is due is done by any worker, once."""

from datetime import timedelta
from uuid import UUID

import structlog

from gql_trader.balances import partitions, service
from gql_trader.balances.types import Timing
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

_PLANNED_AT_ONCE = 200
_SETTLED_AT_ONCE = 250


async def tick(runtime: Runtime) -> None:
    """Note and tell what is due; any worker may, at any time. One user's trouble keeps no other waiting."""
    settings = runtime.settings
    timing = Timing(timedelta(minutes=settings.balance_snapshot_minutes), settings.heartbeat_hours)
    async with runtime.unit_of_work() as uow:
        made = await partitions.prepare(uow)
    if made:
        _log.info("partitions_made", partitions=made)
    while True:
        async with runtime.unit_of_work() as uow:
            planned = await service.plan(uow, timing, _PLANNED_AT_ONCE)
        if planned < _PLANNED_AT_ONCE:
            break
    failed: set[UUID] = set()
    limit = _SETTLED_AT_ONCE
    while True:
        try:
            async with runtime.unit_of_work() as uow:
                if not await service.settle(uow, timing, failed, limit):
                    return
        except service.SettlingFailed as error:
            if len(error.user_ids) > 1:
                limit = len(error.user_ids) // 2
                continue
            # Whoever ticks next tries again.
            _log.exception("balance_not_settled", user_id=str(error.user_ids[0]))
            failed.update(error.user_ids)
        else:
            limit = min(2 * limit, _SETTLED_AT_ONCE)


async def drop_old_partitions(runtime: Runtime) -> None:
    """Drop the months of snapshots that the setting says are old; a second time changes nothing."""
    age = timedelta(days=runtime.settings.balance_retention_days)
    async with runtime.unit_of_work() as uow:
        dropped = await partitions.drop_before(uow, age)
    if dropped:
        _log.info("partitions_dropped", partitions=dropped)
