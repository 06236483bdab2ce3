"""What a search maximises: one number for each trial, or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from gql_trader.engine.bars import Floats

METRICS = (
    "total_return",
    "cagr",
    "sharpe_ratio",
    "sortino_ratio",
    "calmar_ratio",
    "max_drawdown",
    "trades",
    "win_rate",
    "profit_factor",
    "expectancy",
    "sqn",
)
"""What is kept of each trial; as in `gql_trader.engine.metrics`, with NaN for what is undefined."""


class Objective(StrEnum):
    """A metric that can be maximised: all but the market's own return, which no trial changes."""

    TOTAL_RETURN = "TOTAL_RETURN"
    CAGR = "CAGR"
    SHARPE_RATIO = "SHARPE_RATIO"
    SORTINO_RATIO = "SORTINO_RATIO"
    CALMAR_RATIO = "CALMAR_RATIO"
    PROFIT_FACTOR = "PROFIT_FACTOR"
    EXPECTANCY = "EXPECTANCY"
    SQN = "SQN"
    ANNUAL_VOLATILITY = "ANNUAL_VOLATILITY"
    OMEGA_RATIO = "OMEGA_RATIO"
    MAX_DRAWDOWN = "MAX_DRAWDOWN"
    MAX_DRAWDOWN_DURATION_DAYS = "MAX_DRAWDOWN_DURATION_DAYS"
    ULCER_INDEX = "ULCER_INDEX"
    VALUE_AT_RISK_95 = "VALUE_AT_RISK_95"
    EXPECTED_SHORTFALL_95 = "EXPECTED_SHORTFALL_95"
    TRADES = "TRADES"
    WIN_RATE = "WIN_RATE"
    PAYOFF_RATIO = "PAYOFF_RATIO"
    KELLY = "KELLY"
    AVG_TRADE_RETURN = "AVG_TRADE_RETURN"
    BEST_TRADE = "BEST_TRADE"
    WORST_TRADE = "WORST_TRADE"
    AVG_TRADE_DURATION_HOURS = "AVG_TRADE_DURATION_HOURS"
    MAX_CONSECUTIVE_WINS = "MAX_CONSECUTIVE_WINS"
    MAX_CONSECUTIVE_LOSSES = "MAX_CONSECUTIVE_LOSSES"
    EXPOSURE = "EXPOSURE"
    TURNOVER = "TURNOVER"
    FEES_PAID = "FEES_PAID"
    FUNDING_PAID = "FUNDING_PAID"
    FINAL_EQUITY = "FINAL_EQUITY"
    ALPHA = "ALPHA"
    BETA = "BETA"

    @property
    def metric(self) -> str:
        """Its name among the metrics."""
        return self.value.lower()


LESS_IS_BETTER = frozenset(
    (
        Objective.ANNUAL_VOLATILITY,
        Objective.MAX_DRAWDOWN,
        Objective.MAX_DRAWDOWN_DURATION_DAYS,
        Objective.ULCER_INDEX,
        Objective.VALUE_AT_RISK_95,
        Objective.EXPECTED_SHORTFALL_95,
        Objective.MAX_CONSECUTIVE_LOSSES,
        Objective.FEES_PAID,
        Objective.FUNDING_PAID,
    )
)
"""What nobody wants much of: maximising one of these alone is a mistake."""


@dataclass(frozen=True, slots=True)
class Goal:
    """The objective with its constraints.

    Attributes
    ----------
    objectives
        Metrics with their weights; the score is the weighted sum.
    min_trades
        Fewer trades than this, and a trial has no score.
    max_drawdown
        A deeper drawdown than this, and a trial has no score; None: any.
    """

    objectives: Sequence[tuple[Objective, float]]
    min_trades: int = 1
    max_drawdown: float | None = None

    @property
    def further(self) -> tuple[str, ...]:
        """Names of metrics that the objectives need beside `METRICS`."""
        return tuple(each.metric for each, _ in self.objectives if each.metric not in METRICS)

    def scores(self, metrics: Mapping[str, Floats]) -> Floats:
        """Return the score of each trial, the higher the better.

        Parameters
        ----------
        metrics
            float64[n] for each of `METRICS` and of `further`.

        Returns
        -------
        float64[n]
            NaN where a metric of the objective is undefined or a constraint is not kept.
        """
        total = np.zeros(len(metrics["trades"]))
        for objective, weight in self.objectives:
            total += weight * metrics[objective.metric]
        kept = metrics["trades"] >= self.min_trades
        if self.max_drawdown is not None:
            kept &= metrics["max_drawdown"] <= self.max_drawdown
        return np.where(kept & np.isfinite(total), total, np.nan)


def best_of(scores: Floats) -> int | None:
    """Return the place of the highest score, of equal ones the first; None if there is none."""
    if not len(scores) or np.isnan(scores).all():
        return None
    return int(np.nanargmax(scores))
