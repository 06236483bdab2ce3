"""Jobs of the account domain: forgetting login sessions and API tokens that have ended."""

import structlog

from gql_trader.accounts import api_tokens, sessions
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)


async def forget_ended_sessions(runtime: Runtime) -> None:
    """Delete the login sessions that ended a week ago; a second time changes nothing."""
    async with runtime.unit_of_work() as uow:
        forgotten = await sessions.forget(uow)
    if forgotten:
        _log.info("login_sessions_forgotten", count=forgotten)


async def forget_ended_api_tokens(runtime: Runtime) -> None:
    """Delete the API tokens that ended a month ago; a second time changes nothing."""
    async with runtime.unit_of_work() as uow:
        forgotten = await api_tokens.forget(uow)
    if forgotten:
        _log.info("api_tokens_forgotten", count=forgotten)
