"""Jobs of live orders: sending them, following them, and ending sessions."""

import asyncio
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from gql_trader.bots.live import closing, stopping
from gql_trader.bots.live.accounts import looks
from gql_trader.bots.live.bots import acting
from gql_trader.bots.live.orders import claiming, sending, states, unknown
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

LOOKS_AT_ONCE: Final = 8
"""Accounts that a process looks at at a time. One at an exchange that does not answer takes half a minute:
all of them together leave most of the queue's slots to orders."""

_looking = asyncio.Semaphore(LOOKS_AT_ONCE)


async def live_order(ctx: dict[str, Any], order_id: str) -> None:
    """Send an order, or ask the exchange what has become of it; calling it again sends nothing again."""
    await sending.attend(ctx["runtime"], UUID(order_id))


async def live_session(ctx: dict[str, Any], session_id: str) -> None:
    """Go on with a live session, by hand or of a bot, after something has happened to its orders."""
    runtime: Runtime = ctx["runtime"]
    await closing.compare_again(runtime, UUID(session_id))
    async with runtime.unit_of_work() as uow:
        await stopping.advance(uow, UUID(session_id))
        await acting.advance(uow, UUID(session_id))


async def live_account(ctx: dict[str, Any], key_id: str, market_id: str) -> None:
    """Look at a contract in a live account, if it is time to; calling it again books nothing again.

    If this process is at as many as it may, nothing is done: it is due still, and handed out again.
    """
    if _looking.locked():
        return
    async with _looking:
        await looks.look(ctx["runtime"], UUID(key_id), UUID(market_id))


async def follow_orders(runtime: Runtime) -> None:
    """Hand out the orders and the accounts that are due. Any worker may, at any time."""
    async with runtime.unit_of_work() as uow:
        for order_id in await claiming.due(uow):
            uow.enqueue(states.order_job(order_id))
        for job in await looks.due_jobs(uow):
            uow.enqueue(job)


async def sweep_sessions(runtime: Runtime) -> None:
    """End the sessions of who may not trade live any more, and go on with those that are being ended.

    Tell of orders, too, whose outcome has not been known for long.
    """
    async with runtime.unit_of_work() as uow:
        barred = await stopping.stop_barred(uow, enabled=runtime.settings.live_trading_enabled)
        for session_id in await stopping.to_advance(uow):
            uow.enqueue(states.session_job(session_id))
        untold = await unknown.long_unknown(
            uow, timedelta(minutes=runtime.settings.live_order_unknown_minutes)
        )
    for order_id in untold:
        async with runtime.unit_of_work() as uow:
            await unknown.tell(uow, order_id)
    if barred:
        _log.warning("live_sessions_stopped", count=len(barred))
