"""A stored result against one computed again: equal bit for bit, or where not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gql_trader.backtests.ledger import decode_segments
from gql_trader.backtests.lifecycle import Outcome
from gql_trader.infra.column_codec import decode_columns

Columns = Mapping[str, NDArray[Any]]


class ResultPart(StrEnum):
    """A part of a backtest's result."""

    EQUITY = "EQUITY"
    DAILY = "DAILY"
    LEDGER = "LEDGER"
    METRICS = "METRICS"


@dataclass(frozen=True, slots=True)
class Difference:
    """Values of one column, or one metric, that are not the same.

    Attributes
    ----------
    name
        The column or metric; ``rows`` if there are more rows in one of them.
    count
        How many values differ.
    row
        The first that does, from 0; None for a metric.
    stored, recomputed
        Its values; None where it is undefined.
    """

    part: ResultPart
    name: str
    count: int
    row: int | None
    stored: float | None
    recomputed: float | None


@dataclass(frozen=True, slots=True)
class StoredResult:
    """What is stored of a completed backtest: encoded curves and segments, metrics by column name."""

    equity: bytes
    daily: bytes
    ledger: Sequence[bytes]
    metrics: Mapping[str, Any]


def compare(stored: StoredResult, outcome: Outcome) -> list[Difference]:
    """Return every column and metric that differs in as little as one bit; none if the results are equal.

    Columns that a later version has added are left out: there is nothing to compare them to.
    """
    before, now = (decode_segments(dict(enumerate(each))).columns for each in (stored.ledger, outcome.ledger))
    return [
        *_columns(ResultPart.EQUITY, decode_columns(stored.equity), decode_columns(outcome.equity)),
        *_columns(ResultPart.DAILY, decode_columns(stored.daily), decode_columns(outcome.daily)),
        *_columns(ResultPart.LEDGER, before, now),
        *_metrics(stored.metrics, outcome.metrics),
    ]


def _columns(part: ResultPart, stored: Columns, recomputed: Columns) -> list[Difference]:
    names = [name for name in stored if name in recomputed]
    lengths = [len(columns[names[0]]) for columns in (stored, recomputed)]
    shared = min(lengths)
    found: list[Difference] = []
    if lengths[0] != lengths[1]:
        before, now = map(float, lengths)
        found.append(Difference(part, "rows", abs(lengths[0] - lengths[1]), shared, before, now))
    for name in names:
        x, y = (np.ascontiguousarray(columns[name][:shared]) for columns in (stored, recomputed))
        # As bytes: 0.0 and −0.0 are equal numbers but not equal results.
        differs = np.flatnonzero((_bytes(x) != _bytes(y)).any(axis=1)) if shared else np.zeros(0, np.int64)
        if len(differs):
            row = int(differs[0])
            found.append(Difference(part, name, len(differs), row, float(x[row]), float(y[row])))
    return found


def _bytes(column: NDArray[Any]) -> NDArray[np.uint8]:
    wide = column.astype(np.int64) if column.dtype.kind in "biu" else column
    return wide.view(np.uint8).reshape(len(column), -1)


def _metrics(stored: Mapping[str, Any], recomputed: Mapping[str, Any]) -> list[Difference]:
    return [
        Difference(ResultPart.METRICS, name, 1, None, _plain(stored[name]), _plain(value))
        for name, value in recomputed.items()
        if name in stored and stored[name] != value
    ]


def _plain(value: float | int | Decimal | None) -> float | None:
    return None if value is None else float(value)
