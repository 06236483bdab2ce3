"""What the report of a search says about its own result."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from gql_trader.core.errors import InvalidInput
from gql_trader.engine.bars import Floats
from gql_trader.engine.search import honesty
from gql_trader.engine.search.honesty import Moments
from gql_trader.infra.column_codec import decode_columns

MOST_SAMPLES = 5_000
FEWEST_SAMPLES = 100


@dataclass(frozen=True, slots=True)
class Found:
    """The Sharpe ratio of a result, and what it proves.

    Attributes
    ----------
    trials
        Trials with a Sharpe ratio.
    expected_maximum, deflated
        Sharpe ratio of a day, and a probability; None where the result was not chosen among trials.
    """

    moments: Moments
    annual_days: int
    trials: int
    probabilistic: float | None
    expected_maximum: float | None
    deflated: float | None


def daily_returns(report: Row[Any]) -> Floats:
    """Return the daily returns of a search's result; empty if it has none."""
    return decode_columns(report.daily)["return"]


def significance(report: Row[Any]) -> Found | None:
    """Return what the Sharpe ratio of a search's result proves; None if it has none."""
    moments = honesty.moments(daily_returns(report))
    if moments is None:
        return None
    summary = report.summary
    trials, annual = summary["sharpes"], summary["annualDays"]
    maximum = deflated = None
    if "windows" not in summary:
        # Stored as it is shown, annualised; the formulas are of days.
        variance = (summary["sharpeVariance"] or 0.0) / annual
        maximum = honesty.expected_maximum(trials, variance)
        deflated = honesty.deflated_sharpe_ratio(moments, trials, variance)
    return Found(
        moments=moments,
        annual_days=annual,
        trials=trials,
        probabilistic=honesty.probabilistic_sharpe_ratio(moments),
        expected_maximum=maximum,
        deflated=deflated,
    )


def check_bootstrap(samples: int, confidence: float, block_days: float | None, seed: int) -> None:
    """Raise unless intervals can be computed with these.

    Raises
    ------
    InvalidInput
        Naming the argument.
    """
    if not FEWEST_SAMPLES <= samples <= MOST_SAMPLES:
        message = f"samples is between {FEWEST_SAMPLES} and {MOST_SAMPLES}; got {samples}."
        raise InvalidInput(message, ("samples",))
    if not 0.5 <= confidence <= 0.999:
        message = f"confidence is between 0.5 and 0.999, such as 0.95; got {confidence:g}."
        raise InvalidInput(message, ("confidence",))
    if block_days is not None and not 1.0 <= block_days <= 1000.0:
        raise InvalidInput(f"blockDays is between 1 and 1000; got {block_days:g}.", ("blockDays",))
    if not 0 <= seed <= 2**31 - 1:
        raise InvalidInput("seed is between 0 and 2147483647.", ("seed",))
