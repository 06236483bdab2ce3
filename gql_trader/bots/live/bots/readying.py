"""Comparing the account of a live bot with what it needs, before it trades."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import structlog
from sqlalchemy import Row, select

from gql_trader.bots import lifecycle
from gql_trader.bots.ledger.storing import lock_ledger
from gql_trader.bots.live.bots.ending import fail_session
from gql_trader.bots.live.checks import comparison, markets, rights
from gql_trader.bots.models_live import LiveMarketRow
from gql_trader.bots.models_live_bot import LiveBotRow
from gql_trader.bots.types import SessionStatus
from gql_trader.core.errors import DomainError, InvalidState
from gql_trader.exchange_keys import service as exchange_keys
from gql_trader.exchange_keys.types import OpenedKey
from gql_trader.infra.exchange.errors import ExchangeFailure
from gql_trader.infra.exchange.markets import MarketRules
from gql_trader.infra.exchange.orders import Wallet
from gql_trader.infra.exchange.pacing import Patience
from gql_trader.infra.leases import settle
from gql_trader.market_data import service as market_data
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

_PATIENCE = Patience(seconds=30.0, attempts=4)

_PATIENT = timedelta(minutes=10)
"""An exchange that does not say what is in the account is asked for so long."""

_READY_SECONDS = 240.0
"""How long a worker may be at comparing an account; it gives up after half of it."""
_LIVE = LiveBotRow.__table__.c


async def make_ready(runtime: Runtime, row: Row[Any]) -> bool:
    """Compare the account with what the bot needs, before it trades; return whether it may.

    Without an answer it is asked again later, for a while; what does not fit lets the bot fail, and says how.
    """
    # One worker at a time: two of them might both move the funds that they find missing.
    async with runtime.unit_of_work() as uow:
        claimed = await lifecycle.claim(uow, row.id, SessionStatus.ACTIVE.value, _READY_SECONDS)
    if claimed is None:
        return False
    held, is_interrupted = claimed[0], True
    try:
        async with asyncio.timeout(_READY_SECONDS / 2):
            is_ready = await _compare(runtime, row)
        is_interrupted = False
        return is_ready
    except (TimeoutError, comparison.TransferUnknown) as failure:
        _log.info("account_unknown", session_id=str(row.id), failure=type(failure).__name__)
        return False
    finally:
        # Funds that may be on their way are not looked for again before the lease has ended.
        if not (is_interrupted and row.leverage is not None and row.ready_at is None):
            await asyncio.shield(settle(runtime.unit_of_work, lambda uow: lifecycle.release(uow, held)))


async def _compare(runtime: Runtime, row: Row[Any]) -> bool:
    async with runtime.unit_of_work() as uow:
        ready_at = await uow.session.scalar(select(_LIVE.ready_at).where(_LIVE.session_id == row.id))
        uncompared_since = await uow.session.scalar(
            select(LiveMarketRow.compared_at).where(
                LiveMarketRow.session_id == row.id,
                LiveMarketRow.market_id == row.market_id,
                LiveMarketRow.key_version.is_(None),
            )
        )
        market, _ = await market_data.market_with_base(uow, row.market_id)
        belief = await markets.believed(uow, runtime.keys, row.id, market)
        if ready_at is not None:
            if belief is None:
                return True
            # What is in a position by now is not missing.
            belief = replace(belief, funds=None)
        key = await exchange_keys.open_key(uow, runtime.keys, row.user_id, row.exchange_key_id)
    # Another account, or another time, has other mismatches.
    acknowledged = row.acknowledged and ready_at is None
    found = comparison.Comparison()
    began = (row.started_at, key.record.rotated_at, uncompared_since)
    asked_since = max(each for each in began if each is not None)
    try:
        if ready_at is not None and (problem := rights.problem_of_key(key.record)):
            # Rotated, and not verified yet: nothing would be sent with it.
            raise InvalidState(problem)
        if belief is not None:
            found = await comparison.compare(
                runtime.exchanges, belief, acknowledged=acknowledged, patience=_PATIENCE
            )
            async with runtime.unit_of_work() as uow:
                markets.record_moved(uow, belief, found)
        wallet = Wallet.SPOT if row.leverage is None else Wallet.FUTURES
        rules, free = await _ask(runtime, key, market.symbol, wallet)
    except (DomainError, ExchangeFailure) as failure:
        _log.info("account_unknown", session_id=str(row.id), failure=type(failure).__name__)
        if runtime.clock.now() - asked_since > _PATIENT:
            await fail_session(runtime, row.id, failure.message)
        if isinstance(failure, comparison.TransferUnknown):
            raise
        return False
    if found.against is not None:
        # Whether its user takes what is there for right or not.
        await fail_session(runtime, row.id, found.against)
        return False
    if ready_at is None and free < row.capital and (found.mismatch is None or acknowledged):
        quote = market.symbol.partition("/")[2]
        needed, there = f"{row.capital.normalize():f} {quote}", f"{free.normalize():f}"
        await fail_session(runtime, row.id, f"The bot was given {needed}, the account has {there} free.")
        return False
    try:
        async with runtime.unit_of_work() as uow:
            await lock_ledger(uow, row.id)
            live = await uow.session.get(LiveBotRow, row.id, populate_existing=True)
            if live is None:
                return False
            if belief is not None:
                await markets.note(uow, belief, found, acknowledged=acknowledged)
            live.ready_at = uow.clock.now()
            live.amount_step, live.price_tick = rules.amount_step, rules.price_tick
            live.least_amount, live.least_cost = rules.minimum_amount, rules.minimum_cost
            await uow.session.flush()
            await lifecycle.mark_running(uow, [row.id])
    except InvalidState as mismatch:
        await fail_session(runtime, row.id, str(mismatch))
        return False
    return True


async def _ask(runtime: Runtime, key: OpenedKey, symbol: str, wallet: Wallet) -> tuple[MarketRules, Decimal]:
    """Return what an exchange takes on a market, and how much there is to pay with."""
    exchange = key.record.exchange
    async with runtime.exchanges.client(exchange, key.credentials, _PATIENCE) as client:
        rules = await comparison.rules_of(client, symbol, contracts=wallet is Wallet.FUTURES)
        balances = await client.balances(wallet)
    return rules, balances[rules.quote].free if rules.quote in balances else Decimal(0)
