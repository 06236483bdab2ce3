"""Rules of the backtest domain: what may be run, cancelled and deleted, and by whom."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, insert, select

from gql_trader.accounts.models import UserRow
from gql_trader.backtests import lifecycle, repository
from gql_trader.backtests.content import content_hash, request_hash
from gql_trader.backtests.execution import check_execution, execution_to_json, on_market
from gql_trader.backtests.models import BacktestKeyRow, BacktestRow
from gql_trader.backtests.types import BacktestOrdering, BacktestQuery, BacktestRequest, RunStatus
from gql_trader.core.actor import Actor
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.errors import (
    Conflict,
    DomainError,
    DomainErrors,
    ErrorCode,
    InvalidInput,
    InvalidState,
    NotFound,
    QuotaExceeded,
    RateLimited,
)
from gql_trader.core.ids import uuid7
from gql_trader.engine.rules import is_plain_text
from gql_trader.engine.version import ENGINE_VERSION
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.keyset import PageRequest, Slice
from gql_trader.infra.rate_limits import Policy, RateLimits, Subject
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data.loading import find_series, load_bars
from gql_trader.market_data.service import find_market
from gql_trader.strategies import service as strategies

MAXIMUM_TAGS = 20
MAXIMUM_TEXT = 200
MAXIMUM_CAPITAL = 10**15
SIGNAL_BARS = 1
"""Bars wanted before the start besides those for warming up: a signal there fills at the first open."""


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
    problems = check_execution(request.execution)
    if not (0 < request.initial_capital <= MAXIMUM_CAPITAL):
        problems.append(
            InvalidInput(f"initialCapital is above 0 and at most {MAXIMUM_CAPITAL}.", ("initialCapital",))
        )
    if request.start and request.end and request.start >= request.end:
        problems.append(InvalidInput("end must be after start.", ("end",)))
    if len(request.tags) > MAXIMUM_TAGS:
        problems.append(InvalidInput(f"At most {MAXIMUM_TAGS} tags.", ("tags",)))
    texts = [
        ("label", request.label),
        ("idempotencyKey", request.idempotency_key),
        *(("tags", tag) for tag in request.tags),
    ]
    for name, text in texts:
        if text is not None and not (text.strip() == text != "" and is_plain_text(text, MAXIMUM_TEXT)):
            problems.append(
                InvalidInput(
                    f"{name}: 1 to {MAXIMUM_TEXT} printable characters, without spaces around them.",
                    (name,),
                )
            )
    return problems


async def request_run(
    uow: UnitOfWork,
    arrays: ArrayCache,
    rate_limits: RateLimits,
    actor: Actor,
    request: BacktestRequest,
    limits: Limits,
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
        await _lock_key(uow, actor, key)
        before = await repository.requested_before(uow.session, actor.user_id, key)
        if before is not None:
            return await _same_request(uow, actor, before, request_hash(request)), False
    definition = await strategies.get_visible(uow, actor, request.strategy_id)
    parameters: dict[str, Any] = {}
    lookback = SIGNAL_BARS
    try:
        # In a thread: long rules take a while to compile.
        parameters, warmup = await asyncio.to_thread(
            strategies.prepare, definition, request.parameters, request.interval
        )
        lookback += warmup
    except DomainErrors as errors:
        problems += errors.errors
    if problems:
        raise DomainErrors(problems)
    market = await find_market(uow, request.market)
    series = await find_series(uow, market.id, request.interval)
    if series is None:
        raise DomainError(
            f"There are no candles of {market.name} from which {request.interval.name} could be made.",
            ("interval",),
            ErrorCode.NO_DATA,
        )
    loaded = await load_bars(uow, arrays, series, request.start, request.end, lookback)
    bars = len(loaded.bars) - loaded.warmup
    if bars == 0:
        raise DomainError(
            f"{market.name} has no {request.interval.name} candles between start and end.",
            ("start",),
            ErrorCode.NO_DATA,
        )
    if bars > limits.bars:
        raise InvalidInput(f"At most {limits.bars} bars at a time; this would be {bars}.", ("start",))
    first, last = (from_milliseconds(int(loaded.bars.time[i])) for i in (loaded.warmup, -1))
    values: dict[str, Any] = {
        "start_time": request.start or first,
        "end_time": request.end or last + timedelta(milliseconds=request.interval.milliseconds),
        "parameters": parameters,
        "execution": execution_to_json(on_market(request.execution, market)),
        "initial_capital": request.initial_capital,
        "interval": request.interval.name,
    }
    hashed = content_hash(definition, market, values, loaded.content_hash)
    if not request.force:
        done = await repository.completed_like(uow.session, actor.user_id, hashed)
        if done is not None:
            await _remember(uow, actor, request, done.id)
            return done, True
    await _check_quota(uow, rate_limits, actor, limits)
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
                bars=bars,
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
    return await _own(uow, actor, before.backtest_id)


async def _lock_key(uow: UnitOfWork, actor: Actor, key: str) -> None:
    # Two requests with one key at once: the second waits here and then finds what the first made.
    number = int.from_bytes(
        hashlib.blake2b(f"{actor.user_id}:{key}".encode(), digest_size=8).digest(), "big", signed=True
    )
    await uow.session.execute(select(func.pg_advisory_xact_lock(number)))


async def _check_quota(uow: UnitOfWork, rate_limits: RateLimits, actor: Actor, limits: Limits) -> None:
    # Locks the user's row, so that requests at the same moment are counted one after the other.
    await uow.session.execute(
        select(UserRow.id).where(UserRow.id == actor.user_id).with_for_update(key_share=True)
    )
    active = await repository.count_active(uow.session, actor.user_id)
    if active >= limits.active:
        raise QuotaExceeded(
            f"{active} of your backtests are queued or running, which is as many as may be.",
            retry_after_seconds=5,
        )
    await count_run(rate_limits, actor, limits.hourly)


async def count_run(rate_limits: RateLimits, actor: Actor, hourly: int) -> None:
    """Count one run of the engine against what a user may queue within an hour.

    Raises
    ------
    QuotaExceeded
        If that many were queued already.
    """
    policy = Policy("backtests", hourly, 3600)
    try:
        await rate_limits.count(Subject(policy, str(actor.user_id)))
    except RateLimited as error:
        raise QuotaExceeded(
            f"You have queued {hourly} backtests within the last hour, which is as many as may be.",
            retry_after_seconds=error.retry_after_seconds,
        ) from error


async def cancel(uow: UnitOfWork, actor: Actor, backtest_id: UUID) -> Row[Any]:
    """Cancel one of a user's backtests and return it.

    Raises
    ------
    NotFound
        If the user has no such backtest.
    InvalidState
        If it has ended already.
    """
    row = await _own(uow, actor, backtest_id)
    if not await lifecycle.cancel(uow, backtest_id):
        raise InvalidState(f"This backtest has ended: {row.status}.", ("id",))
    return await _own(uow, actor, backtest_id)


async def delete_backtest(uow: UnitOfWork, actor: Actor, backtest_id: UUID) -> None:
    """Delete one of a user's backtests with all that belongs to it.

    Raises
    ------
    NotFound
        If the user has no such backtest.
    InvalidState
        If it is queued or running.
    """
    row = await _own(uow, actor, backtest_id)
    ended = [status.value for status in RunStatus if status.is_final]
    statement = (
        delete(BacktestRow)
        .where(BacktestRow.id == backtest_id, BacktestRow.status.in_(ended))
        .returning(BacktestRow.id)
    )
    if await uow.session.scalar(statement) is None:
        raise InvalidState(f"This backtest is {row.status}; cancel it first.", ("id",))


async def _own(uow: UnitOfWork, actor: Actor, backtest_id: UUID) -> Row[Any]:
    row = await repository.backtest(uow.session, actor.user_id, backtest_id)
    if row is None:
        raise NotFound("There is no such backtest.", ("id",))
    return row


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
