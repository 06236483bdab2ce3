"""Reading all that a queued backtest needs."""

from typing import Any

from sqlalchemy import Row

from gql_trader.backtests.compute import RunInput
from gql_trader.backtests.content import Versions, content_hash
from gql_trader.backtests.execution import execution_from_json
from gql_trader.backtests.history import SIGNAL_BARS
from gql_trader.core.errors import DomainError, ErrorCode
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_float
from gql_trader.engine.plugins import PluginRegistry
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data
from gql_trader.market_data.store.loading import find_series, load_bars
from gql_trader.strategies import service as strategies

_CONTENT = ("start_time", "end_time", "parameters", "execution", "initial_capital", "interval")


async def load_again(uow: UnitOfWork, arrays: ArrayCache, row: Row[Any], plugins: PluginRegistry) -> RunInput:
    """Read all that a completed backtest has run on, to compute something else of it.

    Raises
    ------
    DomainError
        NO_DATA, if that is not there any more.
    """
    run = await load_input(uow, arrays, row, plugins, Versions(row.engine_version, row.metrics_version))
    if run.content_hash != row.content_hash:
        raise DomainError(
            "The candles are not those that this backtest ran on: they have been imported anew since.",
            code=ErrorCode.NO_DATA,
        )
    return run


async def load_input(
    uow: UnitOfWork,
    arrays: ArrayCache,
    row: Row[Any],
    plugins: PluginRegistry,
    versions: Versions = Versions(),  # noqa: B008 -- frozen
) -> RunInput:
    """Read all that a backtest needs.

    Parameters
    ----------
    versions
        Those for the content hash and the metrics: of this release, or of the one that computed a stored
        result.

    Raises
    ------
    DomainError
        NO_DATA, if its candles have gone since it was requested.
    """
    definition = await strategies.load_version(uow, row.strategy_id, row.strategy_version)
    market, base = await market_data.market_with_base(uow, row.market_id)
    series = await find_series(uow, market.id, Interval[row.interval])
    rules = strategies.compiled(definition, plugins)
    own = rules.warmup(row.parameters, Interval[row.interval].milliseconds)
    lookback = max(own, row.warmup_bars or 0) + SIGNAL_BARS
    loaded = await load_bars(uow, arrays, series, row.start_time, row.end_time, lookback) if series else None
    if loaded is None or len(loaded.bars) == loaded.warmup:
        raise DomainError("The candles of this backtest are gone.", (), ErrorCode.NO_DATA)
    columns = {name: getattr(row, name) for name in _CONTENT}
    traded = loaded.bars.slice(loaded.warmup, len(loaded.bars))
    return RunInput(
        bars=loaded.bars,
        start=loaded.warmup,
        rules=rules,
        parameters=row.parameters,
        execution=execution_from_json(row.execution),
        initial_capital=to_float(row.initial_capital),
        trading_days=market_data.trading_days(base, traded, versions.metrics),
        metrics_version=versions.metrics,
        # The candles may have changed since the request: the hash is that of those used.
        content_hash=content_hash(
            strategies.content(definition, plugins), market, columns, loaded.content_hash, versions
        ),
    )
