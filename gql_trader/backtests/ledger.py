"""The ledger at rest: compressed columns in segments, so that a page of trades costs one segment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gql_trader.core.errors import InvalidInput
from gql_trader.engine.execution import ExitReason, Side
from gql_trader.engine.ledger import EXIT_REASONS, Ledger
from gql_trader.infra.column_codec import decode_columns, encode_columns
from gql_trader.infra.keyset import PageRequest, decode_cursor, encode_cursor

SEGMENT_ROWS = 1000

COLUMNS = (
    "side",
    "quantity",
    "entry_time",
    "entry_price",
    "exit_time",
    "exit_price",
    "profit",
    "profit_fraction",
    "fees",
    "bars",
    "exit_reason",
    "max_favorable",
    "max_adverse",
    "equity_after",
    "funding",
)

_ADDED = ("funding",)
"""Columns that earlier releases did not have: nothing but zeros then."""

_CURSOR = "ledger"


@dataclass(frozen=True, slots=True)
class LedgerRows:
    """Some trades of a ledger.

    Attributes
    ----------
    number
        int64[k], 1 for the first trade of the run.
    columns
        The columns of `gql_trader.engine.ledger.Ledger`, k values each, by name.
    """

    number: NDArray[np.int64]
    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.number)

    def take(self, chosen: NDArray[Any] | slice) -> "LedgerRows":
        """Return the trades at the given positions, or where a mask is true."""
        return LedgerRows(
            self.number[chosen], {name: column[chosen] for name, column in self.columns.items()}
        )


def encode_ledger(ledger: Ledger) -> list[bytes]:
    """Return a ledger as encoded segments of a thousand trades each."""
    columns = {field.name: getattr(ledger, field.name) for field in fields(ledger)}
    return [
        encode_columns({name: columns[name][start : start + SEGMENT_ROWS] for name in COLUMNS})
        for start in range(0, len(ledger), SEGMENT_ROWS)
    ]


def decode_segments(segments: Mapping[int, bytes]) -> LedgerRows:
    """Return the trades in encoded segments, given by segment number."""
    numbers = sorted(segments)
    decoded = [_with_added(decode_columns(segments[number])) for number in numbers]
    sizes = [len(columns["side"]) for columns in decoded]
    starts = [number * SEGMENT_ROWS + 1 for number in numbers]
    return LedgerRows(
        np.concatenate(
            [np.arange(start, start + size) for start, size in zip(starts, sizes, strict=True)]
            or [np.zeros(0, np.int64)]
        ),
        {
            name: np.concatenate([columns[name] for columns in decoded]) if decoded else np.zeros(0)
            for name in COLUMNS
        },
    )


def _with_added(columns: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    return {name: np.zeros(len(columns["side"])) for name in _ADDED} | dict(columns)


@dataclass(frozen=True, slots=True)
class LedgerFilter:
    """Which trades to list; None: all."""

    side: Side | None = None
    exit_reason: ExitReason | None = None

    @property
    def is_empty(self) -> bool:
        """Whether every trade passes."""
        return self.side is None and self.exit_reason is None

    def mask(self, rows: LedgerRows) -> NDArray[np.bool_]:
        """Return which trades pass."""
        mask = np.ones(len(rows), np.bool_)
        if self.side is not None:
            mask &= rows.columns["side"] == (1 if self.side is Side.LONG else -1)
        if self.exit_reason is not None:
            mask &= rows.columns["exit_reason"] == EXIT_REASONS.index(self.exit_reason)
        return mask


@dataclass(frozen=True, slots=True)
class LedgerWindow:
    """Trade numbers ``first`` to ``last``, both included, from which a page is taken."""

    first: int
    last: int
    page: PageRequest

    def segments(self, trades: int, chosen: LedgerFilter) -> range:
        """Return the segments that a page needs.

        Without a filter the page's place follows from its numbers; with one, any trade may be on it.
        """
        first, last = max(self.first, 1), min(self.last, trades)
        if chosen.is_empty:
            if self.page.backwards:
                first = max(first, last - self.page.limit)
            else:
                last = min(last, first + self.page.limit)
        return (
            range((first - 1) // SEGMENT_ROWS, (last - 1) // SEGMENT_ROWS + 1) if first <= last else range(0)
        )


def window(page: PageRequest) -> LedgerWindow:
    """Return the trade numbers between a page's cursors.

    Raises
    ------
    InvalidInput
        If a cursor is not one of a ledger.
    """
    first = _number(page.after, "after") + 1 if page.after is not None else 1
    last = _number(page.before, "before") - 1 if page.before is not None else 2**62
    return LedgerWindow(first, last, page)


def _number(cursor: str, argument: str) -> int:
    values = decode_cursor(cursor, _CURSOR, argument)
    if len(values) != 1 or type(values[0]) is not int or not 0 < values[0] < 2**62:
        raise InvalidInput(f"{argument} is not a cursor of this list.", (argument,))
    return int(values[0])


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """One page of trades, in order."""

    rows: LedgerRows
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool


def cut_page(rows: LedgerRows, wanted: LedgerWindow, chosen: LedgerFilter) -> LedgerPage:
    """Return the page out of the trades in the segments that it needs."""
    inside = (rows.number >= wanted.first) & (rows.number <= wanted.last)
    if not chosen.is_empty:
        inside &= chosen.mask(rows)
    places = np.flatnonzero(inside)
    limit, more = wanted.page.limit, len(places) > wanted.page.limit
    if wanted.page.backwards:
        rows = rows.take(places[max(len(places) - limit, 0) :])
        following, preceding = wanted.page.before is not None, more
    else:
        rows = rows.take(places[:limit])
        following, preceding = more, wanted.page.after is not None
    return LedgerPage(rows, [encode_cursor(_CURSOR, [n]) for n in rows.number.tolist()], following, preceding)
