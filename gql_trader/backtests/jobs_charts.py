"""Jobs that answer whoever looks at a completed backtest: its plot, and its lookahead report.

Nothing of it is stored: it follows from the candles, the rules and the parameters.
"""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import asdict
from time import monotonic
from typing import Any
from uuid import UUID

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy.exc import DBAPIError

from gql_trader.backtests import repository
from gql_trader.backtests.charts import PRICES, lookahead_job, plot_job
from gql_trader.backtests.compute import RunInput
from gql_trader.backtests.progress import RunStopped
from gql_trader.backtests.running import load_again
from gql_trader.core.errors import DomainError
from gql_trader.engine import lookahead
from gql_trader.engine.bars import Bars
from gql_trader.engine.plugins import PluginError
from gql_trader.engine.signals import Signals
from gql_trader.infra import json_codec
from gql_trader.infra.column_codec import encode_columns
from gql_trader.market_data.store.resampling import downsample
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

CUTS = 32
"""Cuts of one lookahead report, at most."""

LOOKAHEAD_SECONDS = 10.0
"""How long a lookahead report goes on cutting; each cut is a computation of all signals."""

MOST_CHANGES = 100


async def draw_plot(ctx: dict[str, Any], backtest_id: str, low: int, high: int, points: int) -> None:
    """Answer with the plot of a completed backtest."""
    key = plot_job(UUID(backtest_id), low, high, points).key
    await _answer(ctx["runtime"], key, backtest_id, lambda run, stop: _plot(run, low, high, points, stop))


async def check_lookahead(ctx: dict[str, Any], backtest_id: str) -> None:
    """Answer with the lookahead report of a completed backtest."""
    await _answer(ctx["runtime"], lookahead_job(UUID(backtest_id)).key, backtest_id, _lookahead)


Stop = Callable[[float], None]
"""Called between steps; raises `RunStopped` once nobody waits any longer."""


async def _answer(
    runtime: Runtime, key: str, backtest_id: str, compute: Callable[[RunInput, Stop], bytes]
) -> None:
    stopped = threading.Event()

    def stop(_: float) -> None:
        if stopped.is_set():
            raise RunStopped

    try:
        async with runtime.unit_of_work() as uow:
            row = await repository.backtest_of_anybody(uow.session, UUID(backtest_id))
            run = await load_again(uow, runtime.arrays, row, runtime.plugins) if row is not None else None
        if run is None:
            await runtime.answers.refuse(key, "The backtest has been deleted.")
            return
        answer = await asyncio.to_thread(compute, run, stop)
    except asyncio.CancelledError:
        stopped.set()
        raise
    except (DomainError, PluginError) as error:
        await runtime.answers.refuse(key, str(error))
    except (DBAPIError, OSError) as error:
        _log.warning("database_lost", backtest_id=backtest_id, reason=str(error))
        await runtime.answers.refuse(key, "The database is away; try again.")
    except Exception:
        _log.exception("chart_failed", backtest_id=backtest_id, key=key)
        await runtime.answers.refuse(
            key, "The engine failed. The server's log tells more under this backtest's id."
        )
    else:
        await runtime.answers.answer(key, answer)


def _plot(run: RunInput, low: int, high: int, points: int, stop: Stop) -> bytes:
    lines = run.rules.lines(run.bars, run.parameters, stop)
    at, to = (int(index) for index in np.searchsorted(run.bars.time, (low, high)))
    at = max(at, run.start)
    shown = run.bars.slice(at, max(at, to))
    size = max(1, -(-len(shown) // points))
    candles = downsample(shown, points)
    last = at + np.minimum(np.arange(len(candles)) * size + size, len(shown)) - 1
    columns: dict[str, NDArray[Any]] = {name: getattr(candles, name) for name in PRICES}
    described = [[line.text, line.plot] for line in lines]
    header = json_codec.dumps({"size": size, "interval": candles.interval, "lines": described})
    columns["header"] = np.frombuffer(header, np.uint8)
    columns |= {f"line{number}": line.values[last] for number, line in enumerate(lines)}
    return encode_columns(columns)


def _lookahead(run: RunInput, stop: Stop) -> bytes:
    def compute(bars: Bars) -> Signals:
        return run.rules.signals(bars, run.parameters, stop)

    end = monotonic() + LOOKAHEAD_SECONDS
    signals = compute(run.bars)
    cuts = lookahead.cut_points(signals, run.start, CUTS)
    changes: list[lookahead.SignalChange] = []
    tried = 0
    # In an order that covers the whole range early, should there be no time for all.
    for cut in np.random.default_rng(0).permutation(cuts).tolist():
        if tried and monotonic() > end:
            break
        changes += lookahead.changes_at(cut, run.bars, signals, compute, run.start)
        tried += 1
    changes.sort(key=lambda change: (change.bar, change.cut, change.signal))
    time = run.bars.time
    return json_codec.dumps(
        {
            "cuts": tried,
            "planned": len(cuts),
            "changes": [asdict(each) for each in changes[:MOST_CHANGES]],
            "times": [[int(time[each.bar]), int(time[each.cut])] for each in changes[:MOST_CHANGES]],
        }
    )
