"""Hashes of what the result of a search depends on, and of what a client asked for."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from gql_trader.backtests.execution import execution_to_json
from gql_trader.engine.version import ENGINE_VERSION, METRICS_VERSION
from gql_trader.infra import json_codec
from gql_trader.market_data.types import MarketRecord
from gql_trader.optimizations.types import OptimizationRequest

SEARCH_VERSION = 1
"""Changes whenever the same search may try other combinations or get other figures."""

_CONTENT = (
    "parameters",
    "execution",
    "interval",
    "start_time",
    "end_time",
    "warmup_bars",
    "axes",
    "method",
    "seed",
    "objectives",
    "min_trades",
    "max_drawdown",
    "walk_forward",
    "trials_total",
    "candles_hash",
)


def content_hash(strategy: Mapping[str, Any], market: MarketRecord, columns: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hexadecimal) of all that a search depends on, over canonical JSON.

    Two searches with the same hash try the same combinations and get the same figures, bit for bit, on
    however many workers.

    Parameters
    ----------
    strategy
        What the strategy's signals depend on, from `gql_trader.strategies.service.content`.
    columns
        As in the search's row.
    """
    content = {
        "search": SEARCH_VERSION,
        "engine": ENGINE_VERSION,
        "metrics": METRICS_VERSION,
        "strategy": strategy,
        "market": market.name,
        "initialCapital": f"{columns['initial_capital'].normalize():f}",
        **{name: columns[name] for name in _CONTENT},
    }
    return hashlib.sha256(json_codec.dumps_canonical(content)).hexdigest()


def request_hash(request: OptimizationRequest) -> str:
    """Return the SHA-256 (hexadecimal) of what a client asked for, as it asked for it, but for the key."""
    content = {
        "strategy": str(request.strategy_id),
        "market": request.market,
        "interval": request.interval.name,
        "start": request.start and request.start.isoformat(),
        "end": request.end and request.end.isoformat(),
        "initialCapital": str(request.initial_capital) if request.states_capital else None,
        "parameters": request.parameters,
        "execution": execution_to_json(request.stated_execution or request.execution),
        "ranges": [
            [each.name, each.minimum, each.maximum, each.step, each.values, each.logarithmic]
            for each in request.ranges
        ],
        "method": request.method.value,
        "trials": request.trials,
        "seed": request.seed,
        "objectives": [[each.value, weight] for each, weight in request.goal.objectives],
        "minTrades": request.goal.min_trades,
        "maxDrawdown": request.goal.max_drawdown,
        "walkForward": request.walk_forward
        and [
            request.walk_forward.train_days,
            request.walk_forward.test_days,
            request.walk_forward.anchored,
        ],
        "label": request.label,
        "force": request.force,
    }
    # The standard library's: parameters may be any JSON, whole numbers beyond 64 bits included.
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
