"""Time-series momentum: buy what has risen by more than it usually moves, and sell when that has turned."""

from collections.abc import Mapping

import numpy as np

from gql_trader.engine.plugins import (
    Bars,
    Floats,
    Parameter,
    ParameterType,
    ParameterValues,
    Plugin,
    Signals,
)


def strength(bars: Bars, lookback: int) -> Floats:
    """Return the return over the last ``lookback`` bars in standard deviations of such a return.

    float64[n], NaN on the first ``lookback`` bars and where the price has not moved.
    """
    n = len(bars)
    score = np.full(n, np.nan)
    if n > lookback:
        steps = np.diff(np.log(bars.close))
        windows = np.lib.stride_tricks.sliding_window_view(steps, lookback)
        spread = windows.std(axis=1) * np.sqrt(lookback)
        score[lookback:] = np.divide(
            windows.sum(axis=1), spread, out=np.full(len(spread), np.nan), where=spread > 0.0
        )
    return score


def signals(bars: Bars, values: ParameterValues) -> Signals:
    """Enter above the threshold, leave when the momentum has turned."""
    score = strength(bars, int(values["lookback"]))
    found = Signals.none(len(bars))
    # NaN compares false, as in the rule language.
    found.entry_long[:] = score > float(values["threshold"])
    found.exit_long[:] = score < 0.0
    found.entry_short[:] = score < -float(values["threshold"])
    found.exit_short[:] = score > 0.0
    return found


def lines(bars: Bars, values: ParameterValues) -> Mapping[str, Floats]:
    """Return what a chart draws."""
    return {"momentum": strength(bars, int(values["lookback"]))}


PLUGIN = Plugin(
    code_ref="examples:momentum",
    name="Momentum in standard deviations",
    version="1.0.0",
    description="Buys what has risen by more than usual over a number of bars, and sells when that has "
    "turned.",
    parameters=(
        Parameter("lookback", ParameterType.INT, 48, 5, 1000, 1, description="Bars that the return is over."),
        Parameter(
            "threshold",
            ParameterType.FLOAT,
            1.0,
            0.0,
            5.0,
            0.1,
            description="Standard deviations to enter at.",
        ),
    ),
    signals=signals,
    warmup=lambda values: int(values["lookback"]),
    lines=lines,
)
