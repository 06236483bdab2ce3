"""Metrics of a finished run (version 2): pure functions of arrays, one each, and all of them at once.

A metric that is not defined for a run is None; it is never NaN, infinite or a stand-in number. Returns are
those of UTC days, the risk-free rate is 0, and standard deviations have one degree of freedom less than
values.
"""

from gql_trader.engine.metrics.daily import DailyCurve, daily_curve
from gql_trader.engine.metrics.drawdowns import Drawdown, drawdown
from gql_trader.engine.metrics.summary import Metrics, compute

__all__ = ["DailyCurve", "Drawdown", "Metrics", "compute", "daily_curve", "drawdown"]
