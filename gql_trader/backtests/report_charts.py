"""Curves of a report as SVG paths, and where the labels of their axes stand.

Paths are drawn in a square of 1000 by 1000 that the page stretches; labels are placed in percent of it, and
keep their size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from typing import Final

import numpy as np

from gql_trader.engine import sampling
from gql_trader.engine.bars import Floats, Integers

SIDE: Final = 1000.0
POINTS: Final = 1600
"""Points of a curve that are drawn at most: more than a page has pixels across."""

_DAY: Final = 86_400_000
_HOUR: Final = 3_600_000
_MOST_LABELS: Final = 7
_MONTH_STEPS: Final = (1, 2, 3, 6, 12, 24, 60, 120)
_SPANS: Final = tuple(_HOUR * hours for hours in (1, 2, 4, 8, 12, 24, 48, 120, 240, 360))


@dataclass(frozen=True, slots=True)
class Label:
    """A label on an axis: how far along it, in percent, and what it says."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A curve.

    Attributes
    ----------
    line
        Path of the curve.
    area
        Path of what is between the curve and the base line.
    base
        Where the base line is, in percent from the top.
    rows
        Labels of the vertical axis, percent from the top.
    columns
        Labels of the horizontal axis, percent from the left.
    """

    line: str
    area: str
    base: float
    rows: tuple[Label, ...]
    columns: tuple[Label, ...]


def draw(
    time: Integers, values: Floats, base: float, describe: Callable[[float, int], str], rows: int = 5
) -> Chart:
    """Return a curve over time, thinned so that nothing that could be seen is lost.

    Parameters
    ----------
    time
        int64[n], Unix milliseconds, ascending, n ≥ 1.
    values
        float64[n], finite.
    base
        The value that the area reaches to; always in view.
    describe
        Writes a value of the vertical axis, given how many decimal places its labels differ in.
    rows
        About how many labels it has.
    """
    ticks = nice_ticks(min(float(values.min()), base), max(float(values.max()), base), rows)
    low = min(ticks[0], float(values.min()), base)
    high = max(ticks[-1], float(values.max()), base)
    kept = sampling.downsample_indices(values, POINTS)
    first, last = int(time[0]), int(time[-1])
    across = (time[kept] - first) / max(last - first, 1) * SIDE
    down = (high - values[kept]) / (high - low) * SIDE
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(across.tolist(), down.tolist(), strict=True))
    base_down = (high - base) / (high - low) * SIDE
    area = f"{line}L{across[-1]:.1f} {base_down:.1f}L{across[0]:.1f} {base_down:.1f}Z"
    places = max(0, -floor(log10(ticks[1] - ticks[0]) + 1e-9))
    labels = tuple(Label((high - each) / (high - low) * 100, describe(each, places)) for each in ticks)
    return Chart(line, area, base_down / 10, labels, _time_labels(first, last))


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """Return round values from the first at or below ``low`` to the first at or above ``high``.

    They are apart by 1, 2 or 5 times a power of ten, and about ``most`` of them. Where ``low`` is ``high``,
    they are apart by something.
    """
    if not (isfinite(low) and isfinite(high)):
        raise ValueError("only finite values have an axis")
    spread = high - low
    if spread <= abs(high) * 1e-12:
        spread = abs(high) * 0.02 or 1.0
    rough = spread / most
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [count * step for count in range(first, max(last, first + 1) + 1)]


def _time_labels(first: int, last: int) -> tuple[Label, ...]:
    """Return round moments between two, as dates or, within some days, as hours; all in UTC."""
    span = last - first
    for step in _SPANS:
        if span <= step * _MOST_LABELS:
            start = -(-first // step) * step
            return _labels(np.arange(start, last + 1, step), first, span, "m" if step < _DAY else "D")
    months = np.array([first, last]).astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    count = int(months[1] - months[0])
    step = next((each for each in _MONTH_STEPS if count <= each * _MOST_LABELS), _MONTH_STEPS[-1])
    start = -(-int(months[0]) // step) * step
    chosen = np.arange(start, int(months[1]) + 1, step).astype("datetime64[M]").astype("datetime64[ms]")
    moments = chosen.astype(np.int64)
    return _labels(moments[(moments >= first) & (moments <= last)], first, span, "M")


def _labels(moments: Integers, first: int, span: int, unit: str) -> tuple[Label, ...]:
    texts = moments.astype("datetime64[ms]").astype(f"datetime64[{unit}]").astype(str)
    return tuple(
        Label((moment - first) / max(span, 1) * 100, str(text).replace("T", " "))
        for moment, text in zip(moments.tolist(), texts, strict=True)
    )
