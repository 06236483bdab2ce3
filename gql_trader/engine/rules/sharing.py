"""Columns that several runs over the same bars have in common, computed once while there is room."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, cast, get_args

import numpy as np

from gql_trader.core.intervals import Interval
from gql_trader.engine.indicators.columns import Result
from gql_trader.engine.resampling import HigherBars
from gql_trader.engine.rules.plan import Slot, Step
from gql_trader.engine.signals import Words, packed


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
        self._results: OrderedDict[tuple[int, bool], Result | Words] = OrderedDict()
        self._bytes = 0
        self._constants: dict[bool, Words] = {}
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
        result = self._results.get((number, False))
        if result is not None:
            self._results.move_to_end((number, False))
        return cast("Result | None", result)

    def put(self, number: int, result: Result) -> None:
        """Keep a result, unless it alone is too large."""
        self._keep((number, False), result)

    def _keep(self, key: tuple[int, bool], result: Result | Words) -> None:
        size = _size(result)
        if size > self._capacity or key in self._results:
            return
        self._results[key] = result
        self._bytes += size
        while self._bytes > self._capacity:
            _, dropped = self._results.popitem(last=False)
            self._bytes -= _size(dropped)

    def get_packed(self, number: int) -> Words | None:
        """Return the condition with this number, a bit a bar, if it is kept."""
        result = self._results.get((number, True))
        if result is None:
            return None
        self._results.move_to_end((number, True))
        assert not isinstance(result, tuple)
        return result.astype(np.uint64, copy=False)

    def put_packed(self, number: int, words: Words) -> None:
        """Keep a condition, a bit a bar."""
        self._keep((number, True), words)

    def constant(self, value: bool, n: int) -> Words:
        """Return a condition that always or never holds, which is not to be changed."""
        if value not in self._constants:
            self._constants[value] = packed(np.full(n, value, dtype=np.bool_))
        return self._constants[value]


_FIELDS = {kind: tuple(each.name for each in fields(kind)) for kind in get_args(Step)}


def _size(result: Result | Words) -> int:
    return sum(each.nbytes for each in result) if isinstance(result, tuple) else result.nbytes


def _canonical(value: Any, numbers: Sequence[int]) -> Any:
    if isinstance(value, Slot):
        return (Slot, numbers[value.number])
    if isinstance(value, tuple):
        return tuple(_canonical(each, numbers) for each in value)
    # True, 1 and 1.0 are equal in Python but not here.
    return (type(value), value)
