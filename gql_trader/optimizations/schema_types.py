"""GraphQL types of the optimization domain: trials, ranges and heatmaps."""

from collections.abc import Mapping
from typing import Any

import strawberry

from gql_trader.gql.pagination import Connection
from gql_trader.gql.permissions import visible
from gql_trader.gql.scalars import JSON, FloatSeries
from gql_trader.optimizations.heatmaps import Cells
from gql_trader.optimizations.schema_enums import Objective
from gql_trader.optimizations.trials import TrialRecord

OWNER = "the user who requested the optimization"


def _figure(description: str) -> Any:
    return strawberry.field(description=description)


@visible(OWNER)
@strawberry.type(
    description="Figures of a trial, defined as in `Metrics`. An undefined figure is null, never a stand-in."
)
class TrialMetrics:
    """The metrics that are kept of each trial."""

    total_return: float = _figure("Final equity over initial capital, less one.")
    cagr: float | None = _figure("Compound annual growth rate.")
    sharpe_ratio: float | None = _figure("Sharpe ratio of daily returns, annualised.")
    sortino_ratio: float | None = _figure("Sortino ratio of daily returns, annualised.")
    calmar_ratio: float | None = _figure("CAGR over maximum drawdown.")
    max_drawdown: float = _figure("Largest fall of equity from a running peak, over all bars; 0 to 1.")
    trades: int = _figure("Closed trades.")
    win_rate: float | None = _figure("Share of trades with a profit after all costs.")
    profit_factor: float | None = _figure("Sum of profits over sum of losses; null without a losing trade.")
    expectancy: float | None = _figure("Mean profit of a trade, in the quote currency.")
    sqn: float | None = _figure("System quality number of the trades.")

    @classmethod
    def from_values(cls, values: Mapping[str, float | None]) -> "TrialMetrics":
        """Return the GraphQL object of a valid trial's figures."""
        trades = values["trades"]
        assert trades is not None
        return cls(**{**values, "trades": int(trades)})  # type: ignore[arg-type]


@visible(OWNER)
@strawberry.type(description="A combination that was tried.")
class Trial:
    """A trial of a search."""

    number: int = strawberry.field(description="1 for the first trial of the search.")
    window: int | None = strawberry.field(
        description="Window of a walk-forward search, 1 for the first; null: it is none."
    )
    parameters: JSON = strawberry.field(
        description='What was searched, by name, such as {"fast": 10, "execution.stopLoss": 0.02}.'
    )
    objective: float | None = strawberry.field(
        description="What the search maximises; null where a figure of it is undefined or a constraint is "
        "not kept."
    )
    valid: bool = strawberry.field(
        description="False where the combination cannot be run, such as a period that an indicator refuses."
    )
    metrics: TrialMetrics | None = strawberry.field(description="Its figures; null unless it is valid.")

    @classmethod
    def from_record(cls, record: TrialRecord) -> "Trial":
        """Return the GraphQL object of a trial."""
        return cls(
            number=record.number,
            window=None if record.window is None else record.window + 1,
            parameters=JSON(dict(record.values)),
            objective=record.score,
            valid=record.valid,
            metrics=TrialMetrics.from_values(record.metrics) if record.valid else None,
        )


@visible(OWNER)
@strawberry.type(name="TrialConnection", description="One page of trials.")
class TrialConnection(Connection[Trial]):
    """Trials of a search."""


@visible(OWNER)
@strawberry.type(
    description="What a searched parameter may be: one of some values, or any number of a range."
)
class ParameterRange:
    """An axis of a search."""

    name: str = strawberry.field(description="A parameter of the strategy, or a field of the execution.")
    values: list[JSON | None] | None = strawberry.field(
        description="The values, null standing for a stop or target that is off; null for a whole range."
    )
    min: float | None = strawberry.field(description="Least number of a range.")
    max: float | None = strawberry.field(description="Greatest number of a range.")
    log: bool = strawberry.field(description="Whether equal ratios are equally likely.")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ParameterRange":
        """Return the GraphQL object of a stored axis."""
        return cls(
            name=data["name"], values=data["values"], min=data["min"], max=data["max"], log=data["log"]
        )


@visible(OWNER)
@strawberry.type(description="A figure with its weight in the sum that is maximised.")
class WeightedObjective:
    """A term of the objective."""

    metric: Objective = strawberry.field(description="The figure.")
    weight: float = strawberry.field(description="Its weight.")


@visible(OWNER)
@strawberry.type(
    description="The objective along two of the searched parameters, over whatever the others were. Ranges "
    "without steps are cut into 20 parts."
)
class Heatmap:
    """A search along two axes."""

    x: str = strawberry.field(description="The parameter along the columns.")
    y: str = strawberry.field(description="The parameter along the rows.")
    x_values: list[JSON | None] = strawberry.field(
        description="What each column stands for: a value, or the middle of a part of a range."
    )
    y_values: list[JSON | None] = strawberry.field(description="What each row stands for.")
    best: list[FloatSeries] = strawberry.field(
        description="Highest objective in each cell, a list for each row; null where no trial has one."
    )
    mean: list[FloatSeries] = strawberry.field(
        description="Mean objective of each cell: a high one among high ones is more likely to last."
    )
    trials: list[list[int]] = strawberry.field(description="Trials with an objective in each cell.")

    @classmethod
    def from_cells(cls, x: str, y: str, cells: Cells) -> "Heatmap":
        """Return the GraphQL object of a search's cells."""
        return cls(
            x=x,
            y=y,
            x_values=[None if each is None else JSON(each) for each in cells.xs],
            y_values=[None if each is None else JSON(each) for each in cells.ys],
            best=[FloatSeries(row) for row in cells.best],
            mean=[FloatSeries(row) for row in cells.mean],
            trials=cells.trials.tolist(),
        )
