"""What may be requested, and what a request returns."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from gql_trader.backtests import service
from gql_trader.backtests.jobs import run_backtest
from gql_trader.backtests.lifecycle import job_key
from gql_trader.backtests.types import QUEUE, BacktestQuery, RunStatus
from gql_trader.core.errors import (
    Conflict,
    DomainError,
    DomainErrors,
    ErrorCode,
    InvalidState,
    NotFound,
    QuotaExceeded,
)
from gql_trader.core.ids import StrategyId
from gql_trader.core.intervals import Interval
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.plugins import NO_PLUGINS
from gql_trader.engine.rules import Rules
from gql_trader.strategies import service as strategies
from gql_trader.strategies.types import NewStrategy, StrategyChange
from tests.factories.actors import make_actor
from tests.factories.backtests import BARS, LIMITS, Desk


async def test_a_request_is_queued_with_its_defaults_filled_in(desk: Desk) -> None:
    row, cached = await desk.submit(parameters={"fast": 5})
    assert not cached
    assert row.status == RunStatus.QUEUED
    assert row.parameters == {"fast": 5, "slow": 26, "source": "close"}
    assert row.bars == BARS
    assert row.start_time == datetime(2024, 1, 1, tzinfo=UTC)
    waiting = await desk.runtime.queue.waiting(QUEUE, [job_key(row.id, 0)])
    assert waiting == {job_key(row.id, 0)}


async def test_only_bars_that_open_in_the_range_are_run(desk: Desk) -> None:
    row, _ = await desk.submit(start=datetime(2024, 1, 10, tzinfo=UTC), end=datetime(2024, 1, 12, tzinfo=UTC))
    assert row.bars == 48


async def test_a_range_ends_with_the_candles_so_that_later_ones_do_not_change_it(desk: Desk) -> None:
    row, _ = await desk.submit(end=datetime(2100, 1, 1, tzinfo=UTC))
    assert row.bars == BARS
    assert row.end_time == datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=BARS)


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"strategy_id": StrategyId(uuid4())}, ErrorCode.NOT_FOUND, ("strategyId",)),
        ({"market": "test:DOGE/USD"}, ErrorCode.NOT_FOUND, ("market",)),
        ({"market": "nonsense"}, ErrorCode.NOT_FOUND, ("market",)),
        ({"market": "a\0b"}, ErrorCode.NOT_FOUND, ("market",)),
        ({"interval": Interval.M5}, ErrorCode.NO_DATA, ("interval",)),
        ({"start": datetime(2030, 1, 1, tzinfo=UTC)}, ErrorCode.NO_DATA, ("start",)),
        ({"end": datetime(2020, 1, 1, tzinfo=UTC)}, ErrorCode.NO_DATA, ("start",)),
    ],
)
async def test_what_does_not_exist_is_named(
    desk: Desk, changes: dict[str, Any], code: ErrorCode, path: tuple[str, ...]
) -> None:
    with pytest.raises(DomainError) as refusal:
        await desk.submit(**changes)
    assert (refusal.value.code, refusal.value.path) == (code, path)


async def test_everything_that_is_wrong_is_reported_at_once(desk: Desk) -> None:
    request = desk.request(
        initial_capital=Decimal(-1),
        start=datetime(2024, 2, 1, tzinfo=UTC),
        end=datetime(2024, 1, 1, tzinfo=UTC),
        parameters={"fast": -3, "nonsense": 1},
        execution=ExecutionSpec(stop_loss=2.0, taker_fee=-1.0),
        label=" ",
        tags=("x" * 300,),
    )
    with pytest.raises(DomainErrors) as refusal:
        await desk.submit(request)
    assert {error.path for error in refusal.value.errors} == {
        ("initialCapital",),
        ("end",),
        ("parameters", "fast"),
        ("parameters", "nonsense"),
        ("execution", "stopLoss"),
        ("execution", "takerFee"),
        ("label",),
        ("tags",),
    }
    async with desk.runtime.unit_of_work() as uow:
        assert await service.count_backtests(uow, desk.trader, BacktestQuery()) == 0


async def test_an_equal_backtest_that_completed_is_returned_at_once(desk: Desk) -> None:
    first, _ = await desk.submit()
    await run_backtest({"runtime": desk.runtime}, str(first.id))
    again, cached = await desk.submit()
    assert (again.id, cached) == (first.id, True)
    forced, cached = await desk.submit(force=True)
    assert forced.id != first.id
    assert not cached
    other, cached = await desk.submit(parameters={"fast": 7})
    assert other.content_hash != first.content_hash
    assert not cached


async def test_another_users_result_is_not_reused(desk: Desk) -> None:
    first, _ = await desk.submit()
    await run_backtest({"runtime": desk.runtime}, str(first.id))
    stranger = replace(desk, trader=await make_actor(desk.runtime, "stranger"))
    row, cached = await stranger.submit()
    assert not cached
    assert row.content_hash == first.content_hash
    with pytest.raises(NotFound):
        async with desk.runtime.unit_of_work() as uow:
            await service.cancel(uow, stranger.trader, first.id)


async def test_an_idempotency_key_runs_once_even_at_the_same_moment(desk: Desk) -> None:
    request = desk.request(idempotency_key="k1")
    rows = await asyncio.gather(*(desk.submit(request) for _ in range(5)))
    assert len({row.id for row, _ in rows}) == 1
    with pytest.raises(Conflict) as refusal:
        await desk.submit(replace(request, parameters={"fast": 6}))
    assert refusal.value.code is ErrorCode.IDEMPOTENCY_MISMATCH


async def test_an_idempotency_key_answers_the_same_whatever_became_of_the_strategy(desk: Desk) -> None:
    async with desk.runtime.unit_of_work() as uow:
        own = await strategies.create_strategy(
            uow, desk.trader, NewStrategy("Own", "", Rules("close > open"))
        )
    request = desk.request(strategy_id=own.id, idempotency_key="k2")
    first, _ = await desk.submit(request)
    async with desk.runtime.unit_of_work() as uow:
        await strategies.update_strategy(uow, desk.trader, own.id, StrategyChange(description="Changed."))
    assert (await desk.submit(request))[0].id == first.id
    async with desk.runtime.unit_of_work() as uow:
        await strategies.delete_strategy(uow, desk.trader, own.id)
    assert (await desk.submit(request))[0].id == first.id


async def test_an_idempotency_key_holds_for_a_cached_answer_too(desk: Desk) -> None:
    first, _ = await desk.submit()
    await run_backtest({"runtime": desk.runtime}, str(first.id))
    request = desk.request(idempotency_key="k3")
    again, cached = await desk.submit(request)
    assert (again.id, cached) == (first.id, True)
    with pytest.raises(Conflict):
        await desk.submit(replace(request, force=True))


@pytest.mark.parametrize("text", ["", " ", "a ", "x" * 201, "a" + " " * 300, "a\x07b"])
async def test_texts_are_short_and_plain(desk: Desk, text: str) -> None:
    for changes in ({"label": text}, {"tags": (text,)}, {"idempotency_key": text}):
        with pytest.raises(DomainErrors):
            await desk.submit(**changes)


async def test_a_negative_zero_is_the_zero_that_is_stored(desk: Desk) -> None:
    first, _ = await desk.submit(execution=ExecutionSpec(slippage=-0.0))
    await run_backtest({"runtime": desk.runtime}, str(first.id))
    again, cached = await desk.submit(execution=ExecutionSpec(slippage=-0.0))
    assert (again.id, cached) == (first.id, True)


async def test_the_quota_counts_requests_of_the_same_moment(desk: Desk) -> None:
    limits = replace(LIMITS, active=3)

    async def submit(number: int) -> None:
        async with desk.runtime.unit_of_work() as uow:
            request = desk.request(parameters={"fast": 3 + number})
            runtime = desk.runtime
            await service.request_run(
                uow, runtime.arrays, runtime.rate_limits, desk.trader, request, limits, NO_PLUGINS
            )

    outcomes = await asyncio.gather(*map(submit, range(8)), return_exceptions=True)
    refusals = [each for each in outcomes if isinstance(each, QuotaExceeded)]
    assert outcomes.count(None) == 3
    assert len(refusals) == 5
    assert {each.retry_after_seconds for each in refusals} == {5}


async def test_only_so_many_may_be_queued_in_an_hour(desk: Desk) -> None:
    limits = replace(LIMITS, hourly=2)

    async def submit(fast: int) -> UUID:
        async with desk.runtime.unit_of_work() as uow:
            runtime, request = desk.runtime, desk.request(parameters={"fast": fast})
            row, _ = await service.request_run(
                uow, runtime.arrays, runtime.rate_limits, desk.trader, request, limits, NO_PLUGINS
            )
            return row.id  # type: ignore[no-any-return]

    first = await submit(3)
    await submit(4)
    # Deleting one does not make room.
    async with desk.runtime.unit_of_work() as uow:
        await service.cancel(uow, desk.trader, first)
        await service.delete_backtest(uow, desk.trader, first)
    with pytest.raises(QuotaExceeded, match="2 backtests within the last hour") as refusal:
        await submit(5)
    assert 3590 <= (refusal.value.retry_after_seconds or 0) <= 3600


async def test_more_bars_than_allowed_are_refused(desk: Desk) -> None:
    with pytest.raises(DomainError, match="At most 1000 bars"):
        async with desk.runtime.unit_of_work() as uow:
            await service.request_run(
                uow,
                desk.runtime.arrays,
                desk.runtime.rate_limits,
                desk.trader,
                desk.request(),
                replace(LIMITS, bars=1000),
                NO_PLUGINS,
            )


async def test_a_queued_backtest_can_be_cancelled_and_then_deleted(desk: Desk) -> None:
    row, _ = await desk.submit()
    async with desk.runtime.unit_of_work() as uow:
        with pytest.raises(InvalidState, match="cancel it first"):
            await service.delete_backtest(uow, desk.trader, row.id)
    async with desk.runtime.unit_of_work() as uow:
        cancelled = await service.cancel(uow, desk.trader, row.id)
    assert cancelled.status == RunStatus.CANCELLED
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    assert (await desk.row(row.id)).status == RunStatus.CANCELLED
    async with desk.runtime.unit_of_work() as uow:
        with pytest.raises(InvalidState, match="has ended"):
            await service.cancel(uow, desk.trader, row.id)
    async with desk.runtime.unit_of_work() as uow:
        await service.delete_backtest(uow, desk.trader, row.id)
    async with desk.runtime.unit_of_work() as uow:
        with pytest.raises(NotFound):
            await service.delete_backtest(uow, desk.trader, row.id)
