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
    "A figure that a search can maximise, or, as one of `objectives` with a negative weight, minimise. "
    "Defined as in `Metrics`. A trial where it is undefined has no objective.",
    {
        "TOTAL_RETURN": "Final over initial equity, less one.",
        "CAGR": "Compound annual growth rate.",
        "SHARPE_RATIO": "Sharpe ratio of daily returns, annualised.",
        "SORTINO_RATIO": "Sortino ratio of daily returns, annualised.",
        "CALMAR_RATIO": "CAGR over maximum drawdown.",
        "PROFIT_FACTOR": "Profits over losses.",
        "EXPECTANCY": "Mean profit of a trade, in the quote currency.",
        "SQN": "System quality number of the trades.",
        "ANNUAL_VOLATILITY": "Standard deviation of daily returns, annualised; less is better.",
        "OMEGA_RATIO": "Sum of daily gains over sum of daily losses.",
        "MAX_DRAWDOWN": "Largest fall of equity from a running peak; less is better.",
        "MAX_DRAWDOWN_DURATION_DAYS": "Longest time below a peak, in days; less is better.",
        "ULCER_INDEX": "Root mean square of daily drawdowns; less is better.",
        "VALUE_AT_RISK_95": "Loss that 95 % of days stay below; less is better.",
        "EXPECTED_SHORTFALL_95": "Mean loss of the days beyond that; less is better.",
        "TRADES": "Closed trades.",
        "WIN_RATE": "Share of trades with a profit.",
        "PAYOFF_RATIO": "Mean profit of winners over mean loss of losers.",
        "KELLY": "Kelly fraction of the trades.",
        "AVG_TRADE_RETURN": "Mean profit of a trade over what it cost to enter.",
        "BEST_TRADE": "The same of the best trade.",
        "WORST_TRADE": "The same of the worst trade, negative for a loss: more is better.",
        "AVG_TRADE_DURATION_HOURS": "Mean time in a trade, in hours.",
        "MAX_CONSECUTIVE_WINS": "Longest series of winners.",
        "MAX_CONSECUTIVE_LOSSES": "Longest series of losers; less is better.",
        "EXPOSURE": "Share of bars with an open position.",
        "TURNOVER": "Traded notional over mean equity.",
        "FEES_PAID": "All fees, in the quote currency; less is better.",
        "FUNDING_PAID": "All funding and borrow costs, in the quote currency; less is better.",
        "FINAL_EQUITY": "Equity after the last bar, in the quote currency.",
        "ALPHA": "Intercept of daily returns regressed on the market's, annualised.",
        "BETA": "Slope of daily returns regressed on the market's.",
    },
)
register_enum(
    TrialOrderField,
    "What trials are ordered by; trials without an objective come last in either direction.",
    {"OBJECTIVE": "The objective.", "NUMBER": "The trial's number."},
)
