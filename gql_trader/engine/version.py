"""Versions that a result depends on; both are part of a backtest's content hash."""

from typing import Final

ENGINE_VERSION: Final = "2"
"""Changes whenever the same bars, signals and spec may give other fills."""

METRICS_VERSION: Final = 2
"""Changes whenever the same fills and equity may give other metrics.

1 took 365 days for a year of every currency, whether it traded at weekends or not, and a Sunday evening for a
day of its own where a year had 252.
"""
