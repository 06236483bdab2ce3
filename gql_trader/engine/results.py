"""What a simulation leaves behind."""

from dataclasses import dataclass

from gql_trader.engine.bars import Floats
from gql_trader.engine.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Result:
    """What a simulation did from its start.

    Attributes
    ----------
    ledger
        The closed trades.
    equity
        float64[n], account currency: marked at the close of each bar from `start`; the last value, once
        finished, is the final cash.
    start
        Bar of the series that ``equity[0]`` belongs to.
    initial_capital, final_equity
        Account currency.
    bars_in_position
        Bars during which a position was open.
    traded_notional
        Σ quantity × price over all fills, account currency.
    fees_paid
        Σ fees, account currency, those of an open position's entry included.
    funding_paid
        Σ funding and borrow costs, account currency, those of an open position included.
    """

    ledger: Ledger
    equity: Floats
    start: int
    initial_capital: float
    final_equity: float
    bars_in_position: int
    traded_notional: float
    fees_paid: float
    funding_paid: float


@dataclass(frozen=True, slots=True)
class OpenPosition:
    """The position that a simulation holds.

    Attributes
    ----------
    side
        1 long, −1 short.
    quantity
        Base currency, positive.
    entry_price
        Quote currency, slippage included.
    entry_fee
        Account currency.
    entry_time
        Unix milliseconds, as in the ledger.
    entry_index
        Bar of the fill, counted from the first bar of the series.
    """

    side: int
    quantity: float
    entry_price: float
    entry_fee: float
    entry_time: int
    entry_index: int


@dataclass(frozen=True, slots=True)
class GuardFigures:
    """What the guards of a simulation look at, after its last bar.

    Attributes
    ----------
    day
        Days since 1970, UTC, of the last bar's close; the daily figures are of that day. −1 where the
        spec has no daily guard.
    day_start_equity
        Account currency, marked at the last close of the day before.
    day_entries
        Positions opened on that day.
    halted
        Whether a daily guard has tripped: none is opened for the rest of the day.
    resting_bars
        Bars that the cooldown still lasts, the one being traded next included.
    peak_equity
        Account currency, the highest close so far; 0.0 where the spec limits no drawdown.
    drawn_down
        Whether the drawdown has reached its limit: none is opened again.
    """

    day: int
    day_start_equity: float
    day_entries: int
    halted: bool
    resting_bars: int
    peak_equity: float = 0.0
    drawn_down: bool = False

    def tripped_since(self, before: "GuardFigures") -> bool:
        """Return whether a guard that looks at equity has tripped since then."""
        return (self.halted and not before.halted) or (self.drawn_down and not before.drawn_down)
