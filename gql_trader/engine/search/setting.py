"""What all trials of a search have in common."""

from dataclasses import dataclass

from gql_trader.engine.bars import Bars
from gql_trader.engine.plugins import StrategyCode


@dataclass(frozen=True, slots=True)
class Setting:
    """What all trials have in common.

    Attributes
    ----------
    bars
        Bars for warming up, then those of the run.
    start
        Index of the first bar that may trade.
    initial_capital
        Account currency.
    annual_days
        Days a year by which daily figures are annualised.
    """

    bars: Bars
    start: int
    rules: StrategyCode
    initial_capital: float
    annual_days: int
