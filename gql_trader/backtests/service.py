"""Rules of the backtest domain: what may be run, cancelled and deleted, and by whom."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, insert
from sqlalchemy.exc import IntegrityError

from gql_trader.backtests import lifecycle, repository
from gql_trader.backtests.execution import check_execution, execution_to_json
from gql_trader.backtests.models import BacktestRow
from gql_trader.backtests.types import BacktestRequest, RunStatus
from gql_trader.core.actor import Actor
from gql_trader.core.errors import (
    Conflict,
    DomainError,
    DomainErrors,
    ErrorCode,
    InvalidInput,
    InvalidState,
    NotFound,
    QuotaExceeded,
)
from gql_trader.core.ids import uuid7
from gql_trader.engine.version import ENGINE_VERSION, METRICS_VERSION
from gql_trader.infra import json_codec
from gql_trader.infra.unit_of_work import UnitOfWork

MAXIMUM_TAGS = 20
MAXIMUM_TEXT = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """What one user may ask for.

    Attributes
    ----------
    active
        Queued and running backtests at a time.
    bars
        Bars of one backtest.
    """

    active: int
    bars: int


def content_hash(
    *,
    strategy: dict[str, Any],
    parameters: dict[str, Any],
    execution: dict[str, Any],
    market: str,
    interval: str,
    start: datetime,
    end: datetime,
    initial_capital: str,
    candles: str,
) -> str:
    """Return the SHA-256 (hex) of all that a result depends on, over canonical JSON.

    Two runs with the same hash give the same result, bit for bit.
    """
    content = {
        "engine": ENGINE_VERSION,
        "metrics": METRICS_VERSION,
        "strategy": strategy,
        "parameters": parameters,
        "execution": execution,
        "market": market,
        "interval": interval,
        "start": start,
        "end": end,
        "initialCapital": initial_capital,
        "candles": candles,
    }
    return hashlib.sha256(json_codec.dumps_canonical(content)).hexdigest()
