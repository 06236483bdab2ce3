"""Jobs of the account domain: forgetting login sessions that have ended."""

import structlog

from gql_trader.accounts import sessions
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)


async def forget_ended_sessions(runtime: Runtime) -> None:
    """Delete the login sessions that ended a week ago; a second time changes nothing."""
    async with runtime.unit_of_work() as uow:
        forgotten = await sessions.forget(uow)
    if forgotten:
        _log.info("login_sessions_forgotten", count=forgotten)
