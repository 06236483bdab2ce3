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
    """

    ledger: Ledger
    equity: Floats
    start: int
    initial_capital: float
    final_equity: float
    bars_in_position: int
    traded_notional: float
    fees_paid: float


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
