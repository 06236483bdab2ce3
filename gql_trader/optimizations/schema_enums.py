"""Enums of the optimization domain as GraphQL enums; whoever uses one in a type imports it from here."""

from gql_trader.engine.search.scoring import Objective
from gql_trader.gql.enums import register_enum
from gql_trader.optimizations.types import SearchMethod, TrialOrderField

__all__ = ["Objective", "SearchMethod", "TrialOrderField"]

register_enum(
    SearchMethod,
    "How a search chooses the combinations that it tries.",
    {
        "GRID": "Every combination of the ranges' values, once.",
        "RANDOM": "Combinations drawn independently of one another; the same seed draws the same ones.",
        "TPE": "Combinations like those that did well so far, by a tree-structured Parzen estimator: a "
        "generation of trials after the other, the first at random. At most 10,000 trials.",
    },
)
register_enum(
    Objective,
    "A figure that a search can maximise. Defined as in `Metrics`.",
    {
        "TOTAL_RETURN": "Final over initial equity, less one.",
        "CAGR": "Compound annual growth rate.",
        "SHARPE_RATIO": "Sharpe ratio of daily returns, annualised.",
        "SORTINO_RATIO": "Sortino ratio of daily returns, annualised.",
        "CALMAR_RATIO": "CAGR over maximum drawdown.",
        "PROFIT_FACTOR": "Profits over losses.",
        "EXPECTANCY": "Mean profit of a trade, in the quote currency.",
        "SQN": "System quality number of the trades.",
    },
)
register_enum(
    TrialOrderField,
    "What trials are ordered by; trials without an objective come last in either direction.",
    {"OBJECTIVE": "The objective.", "NUMBER": "The trial's number."},
)
