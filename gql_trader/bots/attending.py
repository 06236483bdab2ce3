"""Holding a session: its lease while a worker is at it, and what becomes of it when the work fails."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row
from sqlalchemy.exc import DBAPIError

from gql_trader.bots import lifecycle
from gql_trader.bots.types import Held, SessionStatus
from gql_trader.core.errors import DomainError
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

_RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0, 4.0)

Work = Callable[[Runtime, Held, Row[Any]], Awaitable[None]]


class LostError(Exception):
    """The session was stopped or taken over: what is at hand is not needed any more."""


async def attend(runtime: Runtime, session_id: UUID, status: str, work: Work) -> None:
    """Do some work on a session, if it is in a state and nobody is at it.

    What the work raises ends the session and lets its bot fail, unless the worker is stopping, the
    database is away or the session is another's by now: then it is taken up again later.

    Parameters
    ----------
    work
        Receives the session's columns together with those of its state.
    """
    async with runtime.unit_of_work() as uow:
        claimed = await lifecycle.claim(uow, session_id, status, runtime.settings.job_lease_seconds)
        if claimed is not None and status == SessionStatus.ACTIVE.value:
            await lifecycle.mark_running(uow, [session_id])
    if claimed is None:
        return
    held, row = claimed
    log = _log.bind(session_id=str(session_id), fence=held.fence)
    try:
        async with _kept_lease(runtime, held):
            await work(runtime, held, row)
    except asyncio.CancelledError:
        # The worker is stopping: somebody else shall go on at once instead of waiting for the lease.
        await asyncio.shield(settle(runtime, lambda uow: lifecycle.hand_back(uow, held, status)))
        raise
    except LostError:
        log.info("session_taken_over")
    except (DBAPIError, OSError) as error:
        # The sweeper hands it out again once the lease is over.
        log.warning("database_lost", reason=str(error))
    except DomainError as error:
        message = error.message
        await settle(runtime, lambda uow: lifecycle.end_session(uow, held, message))
    except Exception:
        log.exception("session_failed")
        reason = "The engine failed. The server's log tells more under this session's id."
        await settle(runtime, lambda uow: lifecycle.end_session(uow, held, reason))


@asynccontextmanager
async def _kept_lease(runtime: Runtime, held: Held) -> AsyncIterator[None]:
    keeper = asyncio.create_task(_keep_lease(runtime, held))
    try:
        yield
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper


async def _keep_lease(runtime: Runtime, held: Held) -> None:
    seconds = runtime.settings.job_lease_seconds
    while True:
        await asyncio.sleep(seconds / 4)
        try:
            async with runtime.unit_of_work() as uow:
                if not await lifecycle.renew(uow, held, seconds):
                    return
        except (DBAPIError, OSError) as error:
            # Should the lease run out meanwhile, the fence keeps this worker from writing anything.
            _log.warning("lease_not_renewed", session_id=str(held.session_id), reason=str(error))


async def settle(runtime: Runtime, change: Callable[[UnitOfWork], Awaitable[bool]]) -> bool:
    """Write something, waiting for a database that is being restarted.

    Every change is a compare-and-set, so that repeating one whose commit went through does nothing.
    """
    for delay in _RETRY_SECONDS:
        try:
            async with runtime.unit_of_work() as uow:
                return await change(uow)
        except (DBAPIError, OSError) as error:
            _log.warning("step_not_written_yet", reason=str(error))
            await asyncio.sleep(delay)
    async with runtime.unit_of_work() as uow:
        return await change(uow)
