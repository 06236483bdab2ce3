"""Columns that several runs over the same bars have in common, computed once while there is room."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, get_args

import numpy as np

from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Flags
from gql_trader.engine.indicators.columns import Column, Result
from gql_trader.engine.resampling import HigherBars
from gql_trader.engine.rules.plan import Slot, Step


class SharedColumns:
    """Results of steps over one series of bars, kept by what they compute.

    Parameters
    ----------
    capacity
        Bytes of columns that are kept; those used longest ago go first.

    Attributes
    ----------
    higher
        The bars of the higher intervals that were needed.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._results: OrderedDict[int, Result] = OrderedDict()
        self._bytes = 0
        self._constants: dict[bool, Flags] = {}
        self.higher: dict[Interval, HigherBars] = {}

    def number(self, step: Step, numbers: Sequence[int], interval: Interval | None = None) -> int:
        """Return a number that only steps with the same result have.

        Parameters
        ----------
        numbers
            What this method has returned for the earlier steps of the same plan.
        interval
            The higher interval that the step is computed on; None: that of the bars.
        """
        values = [_canonical(getattr(step, name), numbers) for name in _FIELDS[type(step)]]
        return self._numbers.setdefault((type(step).__name__, interval, *values), len(self._numbers))

    def get(self, number: int) -> Result | None:
        """Return the result with this number if it is kept."""
        result = self._results.get(number)
        if result is not None:
            self._results.move_to_end(number)
        return result

    def put(self, number: int, result: Result) -> None:
        """Keep a result, unless it alone is too large."""
        size = _size(result)
        if size > self._capacity or number in self._results:
            return
        self._results[number] = result
        self._bytes += size
        while self._bytes > self._capacity:
            _, dropped = self._results.popitem(last=False)
            self._bytes -= _size(dropped)

    def flags(self, found: Column | float | bool | str, n: int) -> Flags:
        """Return a condition as bool[n], which is not to be changed: constants have a column each."""
        if isinstance(found, np.ndarray):
            return found.astype(np.bool_, copy=False)
        value = bool(found)
        if value not in self._constants:
            self._constants[value] = np.full(n, value, dtype=np.bool_)
        return self._constants[value]


_FIELDS = {kind: tuple(each.name for each in fields(kind)) for kind in get_args(Step)}


def _size(result: Result) -> int:
    return sum(each.nbytes for each in result) if isinstance(result, tuple) else result.nbytes


def _canonical(value: Any, numbers: Sequence[int]) -> Any:
    if isinstance(value, Slot):
        return (Slot, numbers[value.number])
    if isinstance(value, tuple):
        return tuple(_canonical(each, numbers) for each in value)
    # True, 1 and 1.0 are equal in Python but not here.
    return (type(value), value)
