"""Windows of training and test of a walk-forward search, one behind the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Row

from gql_trader.core.clock import to_milliseconds
from gql_trader.core.intervals import DAY
from gql_trader.engine.bars import Integers
from gql_trader.optimizations.types import WalkForward

MOST_WINDOWS = 500


@dataclass(frozen=True, slots=True)
class Window:
    """Bars that open in [train_start, test_start) choose the parameters for those in [test_start, test_end).

    Attributes
    ----------
    train_start, test_start, test_end
        Unix milliseconds.
    """

    train_start: int
    test_start: int
    test_end: int


def plan_windows(time: Integers, start: datetime, end: datetime, wanted: WalkForward) -> list[Window]:
    """Return the windows of a range, one test behind the other; the last may be shorter.

    Windows that have no bars to train or to test on are left out.

    Parameters
    ----------
    time
        int64[n], opening times of the bars, Unix milliseconds.
    """
    train, test = wanted.train_days * DAY, wanted.test_days * DAY
    first, last = to_milliseconds(start), to_milliseconds(end + timedelta(milliseconds=1))
    windows: list[Window] = []
    for test_start in range(first + train, int(time[-1]) + 1, test):
        window = Window(
            first if wanted.anchored else test_start - train, test_start, min(test_start + test, last)
        )
        if all(_count(time, *bounds) for bounds in (training_range(window), testing_range(window))):
            windows.append(window)
    return windows


def training_bars(time: Integers, windows: Sequence[Window]) -> list[int]:
    """Return how many bars each window trains on."""
    return [_count(time, *training_range(window)) for window in windows]


def training_range(window: Window) -> tuple[int, int]:
    """Return the first moment of the training and the one behind its last."""
    return window.train_start, window.test_start


def testing_range(window: Window) -> tuple[int, int]:
    """Return the first moment of the test and the one behind its last."""
    return window.test_start, window.test_end


def _count(time: Integers, low: int, high: int) -> int:
    begin, stop = np.searchsorted(time, (low, high))
    return int(stop - begin)


def windows_to_json(wanted: WalkForward, windows: Sequence[Window]) -> dict[str, Any]:
    """Return what is stored of a walk-forward search."""
    return {
        "trainDays": wanted.train_days,
        "testDays": wanted.test_days,
        "anchored": wanted.anchored,
        "windows": [[each.train_start, each.test_start, each.test_end] for each in windows],
    }


def windows_of(search: Row[Any]) -> list[Window]:
    """Return the windows of a search; none unless it walks forward."""
    return [Window(*each) for each in search.walk_forward["windows"]] if search.walk_forward else []
