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
