"""Hashes of what a result depends on, and of what a client asked for."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gql_trader.backtests.execution import execution_to_json
from gql_trader.backtests.types import BacktestRequest
from gql_trader.engine.version import ENGINE_VERSION, METRICS_VERSION
from gql_trader.infra import json_codec
from gql_trader.market_data.types import MarketRecord


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions of what computes a result; those of this release unless given."""

    engine: str = ENGINE_VERSION
    metrics: int = METRICS_VERSION


def content_hash(
    strategy: Mapping[str, Any],
    market: MarketRecord,
    columns: Mapping[str, Any],
    candles: str,
    versions: Versions = Versions(),
) -> str:
    """Return the SHA-256 (hexadecimal) of all that a result depends on, over canonical JSON.

    Two runs with the same hash give the same result, bit for bit.

    Parameters
    ----------
    strategy
        What the strategy's signals depend on, from `gql_trader.strategies.service.content`.
    columns
        ``interval``, ``start_time``, ``end_time``, ``initial_capital``, ``parameters`` and ``execution``
        as in the backtest's row.
    candles
        Content hash of the bars used, those for warming up included.
    versions
        Those that computed the result.
    """
    content = {
        "engine": versions.engine,
        "metrics": versions.metrics,
        "strategy": strategy,
        "parameters": columns["parameters"],
        "execution": columns["execution"],
        "market": market.name,
        "interval": columns["interval"],
        "start": columns["start_time"],
        "end": columns["end_time"],
        "initialCapital": f"{columns['initial_capital'].normalize():f}",
        "candles": candles,
    }
    return hashlib.sha256(json_codec.dumps_canonical(content)).hexdigest()


def request_hash(request: BacktestRequest) -> str:
    """Return the SHA-256 (hexadecimal) of what a client asked for, as it asked for it, but for the key."""
    content = {
        "strategy": str(request.strategy_id),
        "market": request.market,
        "interval": request.interval.name,
        "start": request.start and request.start.isoformat(),
        "end": request.end and request.end.isoformat(),
        # A request that left it to the preferences is the same request when those have changed.
        "initialCapital": str(request.initial_capital) if request.states_capital else None,
        "parameters": request.parameters,
        "execution": execution_to_json(request.stated_execution or request.execution),
        "label": request.label,
        "tags": request.tags,
        "force": request.force,
    }
    # The standard library's: parameters may be any JSON, whole numbers beyond 64 bits included.
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
