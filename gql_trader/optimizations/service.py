"""Rules of the optimization domain: what may be searched, cancelled and deleted, and by whom."""

import asyncio
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert

from gql_trader.accounts.quotas import check_quota
from gql_trader.backtests.execution import (
    check_execution,
    execution_to_json,
    on_market,
    searchable_fields,
)
from gql_trader.backtests.history import SIGNAL_BARS, find_history
from gql_trader.backtests.types import RunStatus
from gql_trader.core.actor import Actor
from gql_trader.core.errors import (
    Conflict,
    DomainErrors,
    ErrorCode,
    InvalidInput,
)
from gql_trader.core.ids import uuid7
from gql_trader.engine.plugins import PluginRegistry
from gql_trader.engine.version import ENGINE_VERSION, METRICS_VERSION
from gql_trader.infra.advisory_locks import lock_name
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.keyset import PageRequest, Slice
from gql_trader.infra.rate_limits import RateLimits
from gql_trader.infra.runs import OwnedRuns
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.optimizations import lifecycle, repository, sampling
from gql_trader.optimizations.checking import Limits, check_request, count_trials, windows_for
from gql_trader.optimizations.content import content_hash, request_hash
from gql_trader.optimizations.models import OptimizationChunkRow, OptimizationKeyRow, OptimizationRow
from gql_trader.optimizations.planning import largest_warmup, plan_chunks
from gql_trader.optimizations.ranges import axes_to_json, read_ranges
from gql_trader.optimizations.types import (
    ChunkStatus,
    OptimizationRequest,
    SearchMethod,
)
from gql_trader.optimizations.windows import (
    training_bars,
    windows_to_json,
)
from gql_trader.strategies import service as strategies

_OWNED = OwnedRuns("optimization", OptimizationRow, repository.optimization, lifecycle.cancel)


async def request_search(
    uow: UnitOfWork,
    arrays: ArrayCache,
    rate_limits: RateLimits,
    actor: Actor,
    request: OptimizationRequest,
    limits: Limits,
    plugins: PluginRegistry,
) -> tuple[Row[Any], bool]:
    """Queue a search; return its row and whether an equal one had completed and is returned instead.

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
    problems = check_request(request)
    key = request.idempotency_key
    if key is not None and not any(error.path == ("idempotencyKey",) for error in problems):
        await lock_name(uow.session, f"optimization:{actor.user_id}:{key}")
        before = await repository.requested_before(uow.session, actor.user_id, key)
        if before is not None:
            if before.request_hash != request_hash(request):
                raise Conflict(
                    "This idempotency key was used before with other input.",
                    ("idempotencyKey",),
                    ErrorCode.IDEMPOTENCY_MISMATCH,
                )
            return await _OWNED.get(uow, actor, before.optimization_id), False
    definition = await strategies.get_visible(uow, actor, request.strategy_id)
    parameters: dict[str, Any] = {}
    try:
        parameters, _ = await asyncio.to_thread(
            strategies.prepare, definition, request.parameters, request.interval, plugins
        )
    except DomainErrors as errors:
        problems += errors.errors
    of_execution = check_execution(request.execution)
    problems += of_execution
    if not of_execution:
        grid = request.method is SearchMethod.GRID
        fields = searchable_fields(request.execution)
        space, of_ranges = read_ranges(request.ranges, definition.parameters, fields, listed=grid)
        problems += of_ranges
    if problems:
        raise DomainErrors(problems)
    trials = count_trials(request, space, limits)
    rules = strategies.compiled(definition, plugins)
    warmup = await asyncio.to_thread(largest_warmup, rules, parameters, space, request.interval)
    if warmup is None:
        message = "None of these combinations is valid for the strategy's rules."
        raise InvalidInput(message, ("ranges",))
    history = await find_history(
        uow,
        arrays,
        request.market,
        request.interval,
        request.start,
        request.end,
        warmup + SIGNAL_BARS,
        limits.bars,
    )
    windows = windows_for(request, history)
    time = history.loaded.bars.time[history.loaded.warmup :]
    bars = training_bars(time, windows) if windows else [history.bars]
    if trials * len(bars) > limits.trials:
        message = f"A search has at most {limits.trials} trials; this would be {len(bars)} × {trials}."
        raise InvalidInput(message, ("walkForward",))
    if trials * sum(bars) > limits.work:
        message = (
            f"At most {limits.work:,} bars times trials; this would be {trials:,} × {sum(bars):,}. "
            "Try fewer combinations, a shorter range or a longer interval."
        )
        raise InvalidInput(message, ("ranges",))
    values: dict[str, Any] = {
        "start_time": history.start,
        "end_time": history.end,
        "interval": request.interval.name,
        "warmup_bars": warmup,
        "initial_capital": request.initial_capital,
        "parameters": parameters,
        "execution": execution_to_json(on_market(request.execution, history.market)),
        "axes": axes_to_json(space),
        "method": request.method.value,
        "seed": request.seed,
        "objectives": [
            {"metric": metric.value, "weight": weight} for metric, weight in request.goal.objectives
        ],
        "min_trades": request.goal.min_trades,
        "max_drawdown": request.goal.max_drawdown,
        "walk_forward": windows_to_json(request.walk_forward, windows) if request.walk_forward else None,
        "trials_total": trials * len(bars),
        "candles_hash": history.loaded.content_hash,
    }
    hashed = content_hash(strategies.content(definition, plugins), history.market, values)
    if not request.force:
        done = await repository.completed_like(uow.session, actor.user_id, hashed)
        if done is not None:
            await _remember(uow, actor, request, done.id)
            return done, True
    await check_quota(
        uow,
        rate_limits,
        actor,
        "optimizations",
        repository.count_active,
        active=limits.active,
        hourly=limits.hourly,
    )
    generation = sampling.generation_size(trials) if request.method is SearchMethod.TPE else None
    statement = (
        insert(OptimizationRow)
        .values(
            id=uuid7(),
            user_id=actor.user_id,
            status=RunStatus.QUEUED.value,
            label=request.label,
            strategy_id=definition.strategy_id,
            strategy_version=definition.version,
            market_id=history.market.id,
            bars=history.bars,
            content_hash=hashed,
            engine_version=ENGINE_VERSION,
            metrics_version=METRICS_VERSION,
            created_at=uow.clock.now(),
            **values,
        )
        .returning(*OptimizationRow.__table__.c)
    )
    row = (await uow.session.execute(statement)).one()
    await uow.session.execute(
        insert(OptimizationChunkRow),
        [
            {
                "optimization_id": row.id,
                "number": number,
                "kind": chunk.kind.value,
                "stage": chunk.stage,
                "first_trial": chunk.first,
                "trial_count": chunk.count,
                "status": ChunkStatus.WAITING.value,
            }
            for number, chunk in enumerate(plan_chunks(trials, bars, generation))
        ],
    )
    await _remember(uow, actor, request, row.id)
    lifecycle.announce_queued(uow, row)
    await lifecycle.hand_out(uow, row.id)
    return row, False


async def _remember(uow: UnitOfWork, actor: Actor, request: OptimizationRequest, key: UUID) -> None:
    if request.idempotency_key is not None:
        await uow.session.execute(
            insert(OptimizationKeyRow).values(
                user_id=actor.user_id,
                key=request.idempotency_key,
                request_hash=request_hash(request),
                optimization_id=key,
            )
        )


async def cancel(uow: UnitOfWork, actor: Actor, optimization_id: UUID) -> Row[Any]:
    """Cancel one of a user's searches and return it; its trials so far are kept.

    Raises
    ------
    NotFound
        If the user has no such search.
    InvalidState
        If it has ended already.
    """
    return await _OWNED.cancel(uow, actor, optimization_id)


async def delete_optimization(uow: UnitOfWork, actor: Actor, optimization_id: UUID) -> None:
    """Delete one of a user's searches with all its trials.

    Raises
    ------
    NotFound
        If the user has no such search.
    InvalidState
        If it is queued or running.
    """
    await _OWNED.delete(uow, actor, optimization_id)


async def list_optimizations(uow: UnitOfWork, actor: Actor, page: PageRequest) -> Slice[Row[Any]]:
    """Return one page of a user's searches, the newest first."""
    return await repository.page_of_optimizations(uow.session, actor.user_id, page)


async def count_optimizations(uow: UnitOfWork, actor: Actor) -> int:
    """Return how many searches a user has."""
    return await repository.count_optimizations(uow.session, actor.user_id)
