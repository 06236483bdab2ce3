"""GraphQL types that say how much a result proves."""

import strawberry

from gql_trader.engine.search.honesty import Bootstrap as Resampled
from gql_trader.engine.search.honesty import Interval
from gql_trader.gql.permissions import visible
from gql_trader.optimizations.schema_types import OWNER
from gql_trader.optimizations.significance import Found


@visible(OWNER)
@strawberry.type(
    description="How much the Sharpe ratio of a search's result proves: of its best trial, or of the tests "
    "of a walk-forward search. Bailey and López de Prado, 2012 and 2014."
)
class Significance:
    """Probabilistic and deflated Sharpe ratios."""

    sharpe_ratio: float = strawberry.field(description="Of the result's daily returns, annualised.")
    days: int = strawberry.field(description="Daily returns that it was measured on.")
    skewness: float = strawberry.field(description="Of the daily returns; 0 for a normal distribution.")
    kurtosis: float = strawberry.field(description="Of the daily returns; 3 for a normal distribution.")
    probabilistic_sharpe_ratio: float | None = strawberry.field(
        description="Probability that the true Sharpe ratio is above 0, as if this had been the only trial."
    )
    trials: int = strawberry.field(description="Trials that have a Sharpe ratio.")
    expected_maximum_sharpe_ratio: float | None = strawberry.field(
        description="What the best of so many independent trials without any merit would have, annualised. "
        "Null for walk-forward, whose result was not chosen among trials."
    )
    deflated_sharpe_ratio: float | None = strawberry.field(
        description="Probability that the true Sharpe ratio is above that: below 0.95 the result may well be "
        "luck. Null for walk-forward."
    )

    @classmethod
    def from_found(cls, found: Found) -> "Significance":
        """Return the GraphQL object."""
        scale = found.annual_days**0.5
        maximum = found.expected_maximum
        return cls(
            sharpe_ratio=found.moments.sharpe * scale,
            days=found.moments.days,
            skewness=found.moments.skewness,
            kurtosis=found.moments.kurtosis,
            probabilistic_sharpe_ratio=found.probabilistic,
            trials=found.trials,
            expected_maximum_sharpe_ratio=None if maximum is None else maximum * scale,
            deflated_sharpe_ratio=found.deflated,
        )


@visible(OWNER)
@strawberry.type(description="Bounds of a figure at the confidence that was asked for, and its median.")
class ConfidenceInterval:
    """An interval."""

    low: float = strawberry.field(description="Lower bound.")
    median: float = strawberry.field(description="As many resampled curves are below as above.")
    high: float = strawberry.field(description="Upper bound.")

    @classmethod
    def from_interval(cls, interval: Interval, scale: float = 1.0) -> "ConfidenceInterval":
        """Return the GraphQL object of an interval, scaled."""
        return cls(low=interval.low * scale, median=interval.median * scale, high=interval.high * scale)


@visible(OWNER)
@strawberry.type(
    description="What luck could have made of a result: figures of curves put together from blocks of its "
    "days (stationary bootstrap). Says nothing about how many trials the result was chosen among."
)
class Bootstrap:
    """Confidence intervals by resampling."""

    samples: int = strawberry.field(description="Curves that were made.")
    confidence: float = strawberry.field(description="Share of them within the bounds.")
    block_days: float = strawberry.field(description="Mean length of a block.")
    total_return: ConfidenceInterval = strawberry.field(description="Final over initial equity, less one.")
    max_drawdown: ConfidenceInterval = strawberry.field(
        description="Largest fall from a peak, over the ends of days; 0 to 1."
    )
    sharpe_ratio: ConfidenceInterval | None = strawberry.field(
        description="Sharpe ratio, annualised; null where the resampled curves hardly vary."
    )

    @classmethod
    def from_resampled(
        cls, found: Resampled, samples: int, confidence: float, block: float, annual_days: int
    ) -> "Bootstrap":
        """Return the GraphQL object."""
        return cls(
            samples=samples,
            confidence=confidence,
            block_days=block,
            total_return=ConfidenceInterval.from_interval(found.total_return),
            max_drawdown=ConfidenceInterval.from_interval(found.max_drawdown),
            sharpe_ratio=ConfidenceInterval.from_interval(found.sharpe_ratio, annual_days**0.5)
            if found.sharpe_ratio
            else None,
        )
