"""Questions about a completed backtest that a worker answers: its plot, and its lookahead report.

The answers' side is in `gql_trader.backtests.jobs_charts`; this one loads no compiled code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from gql_trader.backtests.types import CHARTS, CHECK_LOOKAHEAD, DRAW_PLOT
from gql_trader.engine.bars import Bars
from gql_trader.engine.lookahead import SignalChange, SignalKind
from gql_trader.infra import json_codec
from gql_trader.infra.column_codec import decode_columns
from gql_trader.infra.unit_of_work import Job

PRICES = ("time", "open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart, float64[m], NaN where it is undefined; ``plot``: one of the strategy's plots."""

    label: str
    plot: bool
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Plot:
    """Candles that were joined, so many bars in each, and lines at the close of each one's last bar."""

    candles: Bars
    bars_per_candle: int
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Lookahead:
    """What came of cutting.

    Attributes
    ----------
    cuts
        How many were tried.
    planned
        How many there would have been had time allowed.
    times
        For each change, the opening times of its bar and of the first bar that was left out, Unix
        milliseconds.
    """

    cuts: int
    planned: int
    changes: tuple[SignalChange, ...]
    times: tuple[tuple[int, int], ...]


def plot_job(backtest_id: UUID, low: int, high: int, points: int) -> Job:
    """Return the job that draws the bars that open in [low, high), Unix milliseconds."""
    key = f"{DRAW_PLOT}:{backtest_id}:{low}:{high}:{points}"
    return Job(DRAW_PLOT, CHARTS, key, (str(backtest_id), low, high, points))


def lookahead_job(backtest_id: UUID) -> Job:
    """Return the job that looks for signals that know the future."""
    return Job(CHECK_LOOKAHEAD, CHARTS, f"{CHECK_LOOKAHEAD}:{backtest_id}", (str(backtest_id),))


def read_plot(answer: bytes) -> Plot:
    """Return the plot in an answer."""
    columns = decode_columns(answer)
    header = json_codec.loads(columns["header"].tobytes())
    lines = tuple(
        Line(label, plot, columns[f"line{number}"]) for number, (label, plot) in enumerate(header["lines"])
    )
    prices: Mapping[str, NDArray[Any]] = {name: columns[name] for name in PRICES}
    return Plot(Bars(**prices, interval=header["interval"]), header["size"], lines)


def read_lookahead(answer: bytes) -> Lookahead:
    """Return the report in an answer."""
    found = json_codec.loads(answer)
    return Lookahead(
        found["cuts"],
        found["planned"],
        tuple(SignalChange(**{**each, "signal": SignalKind(each["signal"])}) for each in found["changes"]),
        tuple((bar, cut) for bar, cut in found["times"]),
    )
