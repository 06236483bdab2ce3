"""What every job with a lease does: renew it while it works, and write down how it ended."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import structlog
from sqlalchemy.exc import DBAPIError

from gql_trader.infra.unit_of_work import UnitOfWork, UnitOfWorkFactory

_log = structlog.get_logger(__name__)

DATABASE_LOST = (DBAPIError, OSError)
"""What is raised where the database is away, restarting, or has cut the connection."""

RENEW_SECONDS = 0.5
"""Often enough for whoever polls to see the progress, and for a cancelled run to stop soon."""

_RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0, 4.0)


@asynccontextmanager
async def kept_lease(
    unit_of_work: UnitOfWorkFactory,
    seconds: float,
    renew: Callable[[UnitOfWork], Awaitable[bool]],
    lost: Callable[[], None],
) -> AsyncIterator[None]:
    """Renew a lease as long as the block runs.

    Parameters
    ----------
    seconds
        How long the lease lasts.
    renew
        Extends it; returns False if it is no longer this worker's.
    lost
        Called then, once.
    """
    keeper = asyncio.create_task(_keep(unit_of_work, seconds, renew, lost))
    try:
        yield
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper


async def _keep(
    unit_of_work: UnitOfWorkFactory,
    seconds: float,
    renew: Callable[[UnitOfWork], Awaitable[bool]],
    lost: Callable[[], None],
) -> None:
    while True:
        await asyncio.sleep(min(seconds / 4, RENEW_SECONDS))
        try:
            async with unit_of_work() as uow:
                if not await renew(uow):
                    lost()
                    return
        except DATABASE_LOST as error:
            # Should the lease run out meanwhile, the fence keeps this worker from storing anything.
            _log.warning("lease_not_renewed", reason=str(error))


async def settle(unit_of_work: UnitOfWorkFactory, change: Callable[[UnitOfWork], Awaitable[bool]]) -> bool:
    """Write how a run ended, waiting for a database that is being restarted.

    Every change is a compare-and-set, so that repeating one whose commit went through does nothing.
    """
    for delay in _RETRY_SECONDS:
        try:
            async with unit_of_work() as uow:
                return await change(uow)
        except DATABASE_LOST as error:
            _log.warning("result_not_stored_yet", reason=str(error))
            await asyncio.sleep(delay)
    async with unit_of_work() as uow:
        return await change(uow)
