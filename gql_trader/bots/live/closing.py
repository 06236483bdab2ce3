"""Comparing the account again for live sessions that are being ended after their key was rotated.

Nothing is sent with a key whose account was not compared. A session that is to sell what it holds before it
ends waits for that, as long as the key is not verified or the exchange does not answer; what does not fit
ends it without selling anything.
"""

import asyncio
from dataclasses import replace
from uuid import UUID

import structlog
from sqlalchemy import select

from gql_trader.bots import lifecycle
from gql_trader.bots.ledger.storing import lock_ledger
from gql_trader.bots.live import stopping
from gql_trader.bots.live.bots import ending
from gql_trader.bots.live.checks import comparison, markets, rights
from gql_trader.bots.live.checks.comparison import Believed, Comparison
from gql_trader.bots.live.exits import is_untouched
from gql_trader.bots.models import OrderRow, TradeRow, TradingSessionRow
from gql_trader.bots.models_live import LiveMarketRow, LiveSessionRow
from gql_trader.bots.models_live_bot import LiveBotRow
from gql_trader.bots.types import CLOSING, WAITING
from gql_trader.core.errors import DomainError
from gql_trader.infra.exchange.pacing import Patience
from gql_trader.infra.leases import settle
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

_PATIENCE = Patience(seconds=30.0, attempts=4)
_LEASE_SECONDS = 240.0
"""How long a worker may be at it; it gives up after half of it."""


async def compare_again(runtime: Runtime, session_id: UUID) -> None:
    """Compare the account of a session that is being ended, where it is to sell and that was not done.

    May be called any number of times, by any number of workers.
    """
    async with runtime.unit_of_work() as uow:
        if not await _uncompared(uow, session_id):
            return
        claimed = await lifecycle.claim(uow, session_id, CLOSING, _LEASE_SECONDS)
    if claimed is None:
        return
    held = claimed[0]
    try:
        async with asyncio.timeout(_LEASE_SECONDS / 2):
            await _compare(runtime, session_id)
    except TimeoutError:
        _log.info("account_unknown", session_id=str(session_id), failure="TimeoutError")
    finally:
        await asyncio.shield(settle(runtime.unit_of_work, lambda uow: lifecycle.release(uow, held)))


async def _uncompared(uow: UnitOfWork, session_id: UUID) -> list[UUID]:
    """Return the markets on which a session that is being ended is to sell, and may not yet."""
    waits = (
        select(OrderRow.id)
        .where(
            OrderRow.session_id == session_id,
            OrderRow.status.in_([each.value for each in WAITING]),
            # It is taken back once what is to be sold may be.
            ~is_untouched(),
        )
        .exists()
    )
    left = (
        select(LiveMarketRow.market_id)
        .where(
            LiveMarketRow.session_id == TradeRow.session_id,
            LiveMarketRow.market_id == TradeRow.market_id,
            LiveMarketRow.left_stop.is_not(None),
        )
        .exists()
    )
    statement = (
        select(TradeRow.market_id)
        .join(TradingSessionRow, TradingSessionRow.id == TradeRow.session_id)
        .join(LiveSessionRow, LiveSessionRow.session_id == TradeRow.session_id)
        .where(
            TradeRow.session_id == session_id,
            TradeRow.exit_time.is_(None),
            TradingSessionRow.status == CLOSING,
            LiveSessionRow.close_positions.is_(True),
            ~left,
            ~markets.comparison_of(TradeRow.session_id, TradeRow.market_id).exists(),
            # What they have filled is not known yet.
            ~waits,
        )
    )
    return [each for each in await uow.session.scalars(statement) if each is not None]


async def _compare(runtime: Runtime, session_id: UUID) -> None:
    async with runtime.unit_of_work() as uow:
        beliefs = []
        for market_id in await _uncompared(uow, session_id):
            market, _ = await market_data.market_with_base(uow, market_id)
            belief = await markets.believed(uow, runtime.keys, session_id, market)
            if belief is not None:
                # Nothing is missing of what is to be closed, and nothing has to be set for that.
                beliefs.append(replace(belief, funds=None, sets=False))
    for belief in beliefs:
        if (problem := rights.problem_of_key(belief.key.record)) is not None:
            _log.info("account_not_compared", session_id=str(session_id), problem=problem)
            return
        try:
            found = await comparison.compare(
                runtime.exchanges, belief, acknowledged=False, patience=_PATIENCE
            )
        except DomainError as failure:
            _log.info("account_unknown", session_id=str(session_id), failure=type(failure).__name__)
            return
        async with runtime.unit_of_work() as uow:
            await _note(uow, belief, found)


async def _note(uow: UnitOfWork, belief: Believed, found: Comparison) -> None:
    locked = await lock_ledger(uow, belief.session_id)
    if locked is None or (ledger := locked[1]) is None or locked[0].status != CLOSING:
        return
    if await markets.is_fitting(uow, belief, found):
        await markets.note(uow, belief, found, acknowledged=True)
        return
    reason = f"After the key was rotated: {found.mismatch}"
    live = await uow.session.get(LiveBotRow, belief.session_id, populate_existing=True)
    if live is not None:
        await ending.fail(uow, ledger, live, reason)
    elif (trade := ledger.held.get(belief.market.id)) is not None:
        await stopping.leave(uow, ledger, trade, reason)
