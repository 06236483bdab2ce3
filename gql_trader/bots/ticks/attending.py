"""Holding a session: its lease while a worker is at it, and what becomes of it when the work fails."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row

from gql_trader.bots import lifecycle
from gql_trader.bots.types import ENGINE_FAILED, Held, SessionStatus
from gql_trader.core.errors import DomainError
from gql_trader.engine.plugins import PluginError
from gql_trader.infra.leases import DATABASE_LOST, kept_lease, settle
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

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
        seconds = runtime.settings.job_lease_seconds

        async def renew(uow: UnitOfWork) -> bool:
            return await lifecycle.renew(uow, held, seconds)

        # Whoever has lost the session finds out when it writes.
        async with kept_lease(runtime.unit_of_work, seconds, renew, lambda: None):
            await work(runtime, held, row)
    except asyncio.CancelledError:
        # The worker is stopping: somebody else shall go on at once instead of waiting for the lease.
        await asyncio.shield(settle(runtime.unit_of_work, lambda uow: lifecycle.hand_back(uow, held, status)))
        raise
    except LostError:
        log.info("session_taken_over")
    except DATABASE_LOST as error:
        # The sweeper hands it out again once the lease is over.
        log.warning("database_lost", reason=str(error))
    except (DomainError, PluginError) as error:
        message = str(error)
        await settle(runtime.unit_of_work, lambda uow: lifecycle.end_session(uow, held, message))
    except Exception:
        log.exception("session_failed")
        await settle(runtime.unit_of_work, lambda uow: lifecycle.end_session(uow, held, ENGINE_FAILED))
