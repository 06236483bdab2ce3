"""What the account gained or lost in each calendar month.

Numpy alone, since the process that serves the API asks for it and loads no compiled code.
"""

from dataclasses import dataclass

import numpy as np

from gql_trader.engine.bars import Floats, Integers


@dataclass(frozen=True, slots=True)
class MonthlyReturns:
    """Returns of m months, oldest first.

    Attributes
    ----------
    year, month
        int64[m], of the UTC calendar; January is 1.
    value
        float64[m], equity at the month's end over that at its beginning, less 1; NaN if there was nothing
        left at its beginning.
    """

    year: Integers
    month: Integers
    value: Floats

    def __len__(self) -> int:
        return len(self.year)


def monthly_returns(time: Integers, value: Floats, initial: float) -> MonthlyReturns:
    """Return the return of every UTC month that has a day of a daily curve.

    (1 + first) × (1 + second) × … is final equity over initial capital.

    Parameters
    ----------
    time, value
        int64[d] and float64[d] of a daily curve, d ≥ 1: beginnings of days, ascending, and the equity at
        their ends.
    initial
        Starting capital, what the first month begins with; positive.
    """
    months = time.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    last = np.append(np.flatnonzero(np.diff(months)), len(months) - 1)
    ends = value[last]
    begins = np.concatenate(([initial], ends))[: len(ends)]
    ratio = np.divide(ends, begins, out=np.full(len(ends), np.nan), where=begins != 0.0)
    # Months are counted from January 1970.
    return MonthlyReturns(1970 + months[last] // 12, 1 + months[last] % 12, ratio - 1.0)
