"""Why a session did what it did: what its strategy said at every bar, kept for a while.

Sessions that share their signals share what is kept. Replays are left out: their backtest has a plot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import isfinite
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Row, delete

from gql_trader.bots.models import SignalRow
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.engine.rules import PlotLine
from gql_trader.engine.signals import Signals
from gql_trader.infra import json_codec
from gql_trader.infra.bulk import insert_rows
from gql_trader.infra.unit_of_work import UnitOfWork

MOST_BARS = 1_000
"""Bars of one step that are kept, the latest."""

ENTRY_LONG, EXIT_LONG, ENTRY_SHORT, EXIT_SHORT = 1, 2, 4, 8

_NAMESPACE = UUID("5d2d6b0e-5f5b-4b43-8a0a-6f2b1f6f9c51")


@dataclass(frozen=True, slots=True)
class Said:
    """What a strategy said at the close of a bar; ``values`` by the text of the series."""

    key: UUID
    time: int
    signals: int
    values: Mapping[str, float | None]


def signal_key(row: Row[Any], anchor_time: int) -> UUID:
    """Return what stands for the signals of a session whose window begins at a bar."""
    interval = Interval[row.interval]
    return key_of_signals(
        row.strategy_id, row.strategy_version, row.parameters, row.market_id, interval, anchor_time
    )


def key_of_signals(
    strategy_id: UUID,
    strategy_version: int,
    parameters: Mapping[str, Any],
    market_id: UUID,
    interval: Interval,
    anchor_time: int,
) -> UUID:
    """Return what stands for the signals of a strategy on a market from a bar on."""
    content = [
        str(strategy_id),
        strategy_version,
        parameters,
        str(market_id),
        interval.name,
        anchor_time,
    ]
    return uuid5(_NAMESPACE, json_codec.dumps_canonical(content).decode())


def explained(key: UUID, lines: Sequence[PlotLine], bars: Bars, signals: Signals, new: int) -> list[Said]:
    """Return what a strategy said at the bars of a window from index ``new`` on."""
    first = max(new, len(bars) - MOST_BARS)
    found = []
    for at in range(first, len(bars)):
        said = (
            ENTRY_LONG * bool(signals.entry_long[at])
            + EXIT_LONG * bool(signals.exit_long[at])
            + ENTRY_SHORT * bool(signals.entry_short[at])
            + EXIT_SHORT * bool(signals.exit_short[at])
        )
        numbers = {line.text: float(line.values[at]) for line in lines}
        values = {text: value if isfinite(value) else None for text, value in numbers.items()}
        found.append(Said(key, int(bars.time[at]), said, values))
    return found


_COLUMNS = ("key", "time", "signals", "values", "noted_at")


async def note(uow: UnitOfWork, said: Sequence[Said]) -> None:
    """Keep what strategies said; what is kept already stays as it is."""
    if said:
        now = uow.clock.now()
        rows = [(each.key, each.time, each.signals, dict(each.values), now) for each in said]
        await uow.session.execute(insert_rows(SignalRow, _COLUMNS, rows).on_conflict_do_nothing())


async def forget(uow: UnitOfWork, age: timedelta) -> int:
    """Delete what was said longer ago than this; return how many bars."""
    statement = delete(SignalRow).where(SignalRow.noted_at < uow.clock.now() - age)
    return len((await uow.session.execute(statement.returning(SignalRow.time))).all())
