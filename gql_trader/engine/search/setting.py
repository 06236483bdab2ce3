"""What the trials of a search have in common, and what each has of its own."""

from dataclasses import dataclass

from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.plugins import StrategyCode
from gql_trader.engine.rules import ParameterValues
from gql_trader.engine.trading_days import TradingDays


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
    trading_days
        Which days count for daily figures, and by how many a year they are annualised.
    """

    bars: Bars
    start: int
    rules: StrategyCode
    initial_capital: float
    trading_days: TradingDays


@dataclass(frozen=True, slots=True)
class Trial:
    """A combination to be run.

    Attributes
    ----------
    execution
        None: the combination is not a valid one, and gets no figures.
    """

    parameters: ParameterValues
    execution: ExecutionSpec | None
