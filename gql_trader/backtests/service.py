"""Rules of the backtest domain: what may be run, cancelled and deleted, and by whom."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert

from gql_trader.accounts.quotas import check_quota
from gql_trader.backtests import lifecycle, repository
from gql_trader.backtests.content import content_hash, request_hash
from gql_trader.backtests.execution import check_execution, execution_to_json, on_market
from gql_trader.backtests.history import SIGNAL_BARS, check_basics, find_history
from gql_trader.backtests.models import BacktestKeyRow, BacktestRow
from gql_trader.backtests.types import BacktestOrdering, BacktestQuery, BacktestRequest, RunStatus
from gql_trader.core.actor import Actor
from gql_trader.core.errors import (
    Conflict,
    DomainError,
    DomainErrors,
    ErrorCode,
    InvalidInput,
)
from gql_trader.core.ids import uuid7
from gql_trader.engine.plugins import PluginRegistry
from gql_trader.engine.version import ENGINE_VERSION
from gql_trader.infra.advisory_locks import lock_name
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.keyset import PageRequest, Slice
from gql_trader.infra.rate_limits import RateLimits
from gql_trader.infra.runs import OwnedRuns
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.strategies import service as strategies

MAXIMUM_TAGS = 20

_OWNED = OwnedRuns("backtest", BacktestRow, repository.backtest, lifecycle.cancel)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one user may ask for.

    Attributes
    ----------
    active
        Queued and running backtests at a time.
    bars
        Bars of one backtest.
    hourly
        Backtests queued within any hour, deleted ones too.
    """

    active: int
    bars: int
    hourly: int


def _check_request(request: BacktestRequest) -> list[DomainError]:
    texts = [
        ("label", request.label),
        ("idempotencyKey", request.idempotency_key),
        *(("tags", tag) for tag in request.tags),
    ]
    problems = check_execution(request.execution)
    problems += check_basics(request.initial_capital, request.start, request.end, texts)
    if len(request.tags) > MAXIMUM_TAGS:
        problems.append(InvalidInput(f"At most {MAXIMUM_TAGS} tags.", ("tags",)))
    return problems


async def request_run(
    uow: UnitOfWork,
    arrays: ArrayCache,
    rate_limits: RateLimits,
    actor: Actor,
    request: BacktestRequest,
    limits: Limits,
    plugins: PluginRegistry,
) -> tuple[Row[Any], bool]:
    """Queue a backtest; return its row and whether an equal one had completed and is returned instead.

    Raises
    ------
    DomainErrors
        Everything in the request that is wrong by itself or does not fit the strategy.
    NotFound
        If the strategy or the market does not exist.
    DomainError
        NO_DATA, if there are no candles in the range.
    Conflict
        IDEMPOTENCY_MISMATCH.
    QuotaExceeded
        If too many are active, or were queued within the last hour.
    """
    problems = _check_request(request)
    key = request.idempotency_key
    if key is not None and not any(error.path == ("idempotencyKey",) for error in problems):
        # Before anything else is looked up: the same request gets the same answer, whatever has become
        # of its strategy and candles meanwhile.
        await lock_name(uow.session, f"{actor.user_id}:{key}")
        before = await repository.requested_before(uow.session, actor.user_id, key)
        if before is not None:
            return await _same_request(uow, actor, before, request_hash(request)), False
    definition = await strategies.get_visible(uow, actor, request.strategy_id)
    if request.strategy_version is not None and request.strategy_version != definition.version:
        definition = await strategies.load_version(uow, request.strategy_id, request.strategy_version)
    parameters: dict[str, Any] = {}
    warmup = 0
    try:
        # In a thread: long rules take a while to compile.
        parameters, warmup = await asyncio.to_thread(
            strategies.prepare, definition, request.parameters, request.interval, plugins
        )
    except DomainErrors as errors:
        problems += errors.errors
    if problems:
        raise DomainErrors(problems)
    lookback = max(warmup, request.warmup_bars or 0) + SIGNAL_BARS
    history = await find_history(
        uow, arrays, request.market, request.interval, request.start, request.end, lookback, limits.bars
    )
    market = history.market
    values: dict[str, Any] = {
        "start_time": history.start,
        "end_time": history.end,
        "parameters": parameters,
        "execution": execution_to_json(on_market(request.execution, market)),
        "initial_capital": request.initial_capital,
        "interval": request.interval.name,
    }
    hashed = content_hash(
        strategies.content(definition, plugins), market, values, history.loaded.content_hash
    )
    if not request.force:
        done = await repository.completed_like(uow.session, actor.user_id, hashed)
        if done is not None:
            await _remember(uow, actor, request, done.id)
            return done, True
    await check_quota(
        uow,
        rate_limits,
        actor,
        "backtests",
        repository.count_active,
        active=limits.active,
        hourly=limits.hourly,
    )
    backtest_id = uuid7()
    now = uow.clock.now()
    row = (
        await uow.session.execute(
            insert(BacktestRow)
            .values(
                id=backtest_id,
                user_id=actor.user_id,
                status=RunStatus.QUEUED.value,
                label=request.label,
                tags=list(request.tags),
                strategy_id=definition.strategy_id,
                strategy_version=definition.version,
                market_id=market.id,
                bars=history.bars,
                warmup_bars=request.warmup_bars,
                content_hash=hashed,
                engine_version=ENGINE_VERSION,
                created_at=now,
                queued_at=now,
                **values,
            )
            .returning(*BacktestRow.__table__.c)
        )
    ).one()
    await _remember(uow, actor, request, backtest_id)
    lifecycle.announce_queued(uow, backtest_id)
    return row, False


async def _remember(uow: UnitOfWork, actor: Actor, request: BacktestRequest, backtest_id: UUID) -> None:
    if request.idempotency_key is not None:
        await uow.session.execute(
            insert(BacktestKeyRow).values(
                user_id=actor.user_id,
                key=request.idempotency_key,
                request_hash=request_hash(request),
                backtest_id=backtest_id,
            )
        )


async def _same_request(uow: UnitOfWork, actor: Actor, before: Row[str, UUID], hashed: str) -> Row[Any]:
    if before.request_hash != hashed:
        raise Conflict(
            "This idempotency key was used before with other input.",
            ("idempotencyKey",),
            ErrorCode.IDEMPOTENCY_MISMATCH,
        )
    return await _OWNED.get(uow, actor, before.backtest_id)


async def cancel(uow: UnitOfWork, actor: Actor, backtest_id: UUID) -> Row[Any]:
    """Cancel one of a user's backtests and return it.

    Raises
    ------
    NotFound
        If the user has no such backtest.
    InvalidState
        If it has ended already.
    """
    return await _OWNED.cancel(uow, actor, backtest_id)


async def delete_backtest(uow: UnitOfWork, actor: Actor, backtest_id: UUID) -> None:
    """Delete one of a user's backtests with all that belongs to it.

    Raises
    ------
    NotFound
        If the user has no such backtest.
    InvalidState
        If it is queued or running.
    """
    await _OWNED.delete(uow, actor, backtest_id)


async def list_backtests(
    uow: UnitOfWork,
    actor: Actor,
    query: BacktestQuery,
    orderings: Sequence[BacktestOrdering],
    page: PageRequest,
) -> Slice[Row[Any]]:
    """Return one page of a user's backtests."""
    return await repository.page_of_backtests(uow.session, actor.user_id, query, orderings, page)


async def count_backtests(uow: UnitOfWork, actor: Actor, query: BacktestQuery) -> int:
    """Return how many of a user's backtests match a filter."""
    return await repository.count_backtests(uow.session, actor.user_id, query)
