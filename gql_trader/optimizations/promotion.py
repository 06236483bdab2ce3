"""A trial as a backtest of its own, with its ledger, its curves and all its figures."""

import asyncio
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from gql_trader.backtests import service as backtests
from gql_trader.backtests.execution import execution_from_json
from gql_trader.backtests.types import BacktestRequest
from gql_trader.core.actor import Actor
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.errors import InvalidState, NotFound
from gql_trader.core.ids import StrategyId
from gql_trader.core.intervals import Interval
from gql_trader.engine.plugins import PluginRegistry
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.rate_limits import RateLimits
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data
from gql_trader.optimizations import repository
from gql_trader.optimizations.ranges import trial_execution, trial_parameters
from gql_trader.optimizations.trials import decode_trials
from gql_trader.optimizations.windows import windows_of


async def promote(
    uow: UnitOfWork,
    arrays: ArrayCache,
    rate_limits: RateLimits,
    actor: Actor,
    optimization_id: UUID,
    number: int | None,
    label: str | None,
    limits: backtests.Limits,
    plugins: PluginRegistry,
) -> tuple[Row[Any], bool]:
    """Queue a backtest of a trial; return its row and whether an equal one had completed already.

    It runs the version of the strategy that was searched, over the same bars and warm-up, so that its
    figures are the trial's. Of a walk-forward search these are the bars that the trial's window trains on.

    Parameters
    ----------
    number
        None: the best trial so far.

    Raises
    ------
    NotFound
        If the user has no such search, or it has no such trial yet.
    InvalidState
        If the trial's combination could not be run.
    QuotaExceeded
        As for any backtest.
    """
    search = await repository.optimization(uow.session, actor.user_id, optimization_id)
    if search is None:
        raise NotFound("There is no such optimization.", ("optimizationId",))
    if number is None:
        number = (await repository.best_trials(uow.session, [search.id])).get(search.id)
        if number is None:
            raise NotFound("No trial of this optimization has an objective so far.", ("number",))
    chunks = await repository.chunks_with(uow.session, [(search.id, number, number)])
    found = await asyncio.to_thread(decode_trials, search, chunks[search.id], [number])
    if number not in found:
        raise NotFound(f"There is no trial {number} in this optimization so far.", ("number",))
    chosen = found[number]
    if not chosen.valid:
        raise InvalidState("This combination could not be run; see its parameters.", ("number",))
    start, end = search.start_time, search.end_time
    if chosen.window is not None:
        window = windows_of(search)[chosen.window]
        start, end = from_milliseconds(window.train_start), from_milliseconds(window.test_start)
    market, _ = await market_data.market_with_base(uow, search.market_id)
    request = BacktestRequest(
        strategy_id=StrategyId(search.strategy_id),
        strategy_version=search.strategy_version,
        market=market.name,
        interval=Interval[search.interval],
        start=start,
        end=end,
        initial_capital=search.initial_capital,
        parameters=trial_parameters(search.parameters, chosen.values),
        execution=execution_from_json(trial_execution(search.execution, chosen.values)),
        label=label,
        warmup_bars=search.warmup_bars,
    )
    return await backtests.request_run(uow, arrays, rate_limits, actor, request, limits, plugins)
