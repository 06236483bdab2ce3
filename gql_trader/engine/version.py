"""Versions that a result depends on; both are part of a backtest's content hash."""

from typing import Final

ENGINE_VERSION: Final = "2"
"""Changes whenever the same bars, signals and spec may give other fills."""

METRICS_VERSION: Final = 1
"""Changes whenever the same fills and equity may give other metrics."""
