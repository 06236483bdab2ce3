"""GraphQL inputs of the optimization domain, and how they become specs."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import strawberry

from gql_trader.backtests.schema_execution import ExecutionInput, execution_of
from gql_trader.backtests.schema_inputs import DEFAULT_CAPITAL
from gql_trader.core.errors import InvalidInput
from gql_trader.core.ids import StrategyId
from gql_trader.core.intervals import Interval
from gql_trader.engine.search.scoring import Goal
from gql_trader.gql.relay import decode_id
from gql_trader.gql.scalars import JSON, UnstatedDecimal
from gql_trader.gql.sorting import OrderDirection
from gql_trader.optimizations.paging import TrialOrdering
from gql_trader.optimizations.schema_enums import Objective, SearchMethod, TrialOrderField
from gql_trader.optimizations.types import OptimizationRequest, ParameterRange, WalkForward
from gql_trader.settings.types import NOTHING_PREFERRED, Preferences


def _empty_object(description: str) -> Any:
    return strawberry.field(default_factory=dict, description=description)


@strawberry.input(
    description="What a parameter may be: values, or numbers from min to max. What is left out is taken from "
    "the parameter's definition; of BOOL, CHOICE and SOURCE all values are tried."
)
class ParameterRangeInput:
    """Input of Optimization.ranges."""

    name: str = strawberry.field(
        description="A parameter of the strategy, or a field of the execution such as execution.stopLoss, "
        "execution.takeProfit, execution.trailingStop or execution.sizing.equityFraction."
    )
    min: float | None = strawberry.field(default=None, description="Least number, inclusive.")
    max: float | None = strawberry.field(default=None, description="Greatest number, inclusive.")
    step: float | None = strawberry.field(
        default=None,
        description="Distance of one number from the next. Whole numbers: 1 unless given. Other numbers: "
        "GRID needs one; without one, the others draw any number of the range.",
    )
    values: list[JSON] | None = strawberry.field(
        default=None,
        description="The values to try, instead of min, max and step. false switches a stop or target off.",
    )
    log: bool | None = strawberry.field(
        default=False,
        description="Draw so that equal ratios, not equal differences, are equally likely.",
    )

    def to_range(self) -> ParameterRange:
        """Return the domain's range."""
        return ParameterRange(
            self.name, self.min, self.max, self.step, self.values, logarithmic=bool(self.log)
        )


@strawberry.input(description="A figure with its weight in the sum that is maximised.")
class WeightedObjectiveInput:
    """Input of Optimization.objectives."""

    metric: Objective = strawberry.field(description="The figure.")
    weight: float | None = strawberry.field(
        default=1.0, description="Its weight; a negative one looks for little of it."
    )


@strawberry.input(
    description="Windows of training and test, one test behind the other: the best parameters of each "
    "training are run over the test that follows it."
)
class WalkForwardInput:
    """Input of Optimization.walkForward."""

    train_days: int = strawberry.field(description="Days that choose the parameters.")
    test_days: int = strawberry.field(description="Days that the chosen parameters are run over.")
    anchored: bool | None = strawberry.field(
        default=False, description="Begin every training with the first bar, so that it grows."
    )

    def to_spec(self) -> WalkForward:
        """Return the domain's spec, not yet checked."""
        return WalkForward(self.train_days, self.test_days, bool(self.anchored))


@strawberry.input(description="A parameter search to run.")
class RunOptimizationInput:
    """Input of runOptimization."""

    strategy_id: strawberry.ID = strawberry.field(description="The strategy, in its current version.")
    market: str = strawberry.field(
        description='"BTC/USD", or "coinbase:BTC/USD" where several exchanges have candles of the pair.'
    )
    interval: Interval = strawberry.field(description="Length of a bar.")
    start: datetime | None = strawberry.field(
        default=None, description="Bars that open at or after this moment; none: from the first candle."
    )
    end: datetime | None = strawberry.field(
        default=None, description="Bars that open before this moment; none: to the last candle."
    )
    initial_capital: Decimal | None = strawberry.field(
        default=DEFAULT_CAPITAL,
        description="Starting capital of each trial in the quote currency. Where it is left out, the "
        "`defaultCapital` of your preferences goes before this default.",
    )
    parameters: JSON | None = _empty_object(
        'Parameters that are not searched, by name, such as {"source": "hl2"}; the rest take their defaults.'
    )
    execution: ExecutionInput | None = _empty_object("How signals become fills, where that is not searched.")
    ranges: list[ParameterRangeInput] = strawberry.field(
        description="What is searched: 1 to 12 parameters or fields of the execution, with their values."
    )
    method: SearchMethod | None = strawberry.field(
        default=SearchMethod.GRID, description="How combinations are chosen."
    )
    trials: int | None = strawberry.field(
        default=None,
        description="Combinations to try (in each window), 100 unless given. GRID tries all and needs none.",
    )
    seed: int | None = strawberry.field(
        default=1, description="Equal seeds draw equal combinations; 0 to 2147483647."
    )
    objective: Objective | None = strawberry.field(
        default=Objective.SHARPE_RATIO,
        description="The figure to maximise. One of which less is better belongs into `objectives`, with a "
        "negative weight.",
    )
    objectives: list[WeightedObjectiveInput] | None = strawberry.field(
        default=None, description="Instead of objective: maximise the weighted sum of several figures."
    )
    min_trades: int | None = strawberry.field(
        default=1, description="Trials with fewer trades are not considered."
    )
    max_drawdown: float | None = strawberry.field(
        default=None, description="Trials with a deeper drawdown are not considered; 0.2 means 20 %."
    )
    walk_forward: WalkForwardInput | None = strawberry.field(
        default=None,
        description="Search in windows, and report only what comes of the parameters on days that did not "
        "choose them.",
    )
    label: str | None = strawberry.field(default=None, description="A name for people, up to 200 characters.")
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="Sending the same key and input again returns the same search instead of another one.",
    )
    force: bool | None = strawberry.field(
        default=False, description="Search even if a search with the same content has completed."
    )

    @property
    def states_capital(self) -> bool:
        """Whether the client has said with how much capital to begin."""
        return self.initial_capital is not None and not isinstance(self.initial_capital, UnstatedDecimal)

    def to_request(self, preferred: Preferences = NOTHING_PREFERRED) -> OptimizationRequest:
        """Return the request, its parts not yet looked up.

        Parameters
        ----------
        preferred
            What to begin with where the client has not said.
        """
        stated = self.initial_capital if self.states_capital else None
        parameters: object = {} if self.parameters is None else self.parameters
        if not isinstance(parameters, Mapping):
            raise InvalidInput('parameters is an object such as {"fast": 20}.', ("parameters",))
        objectives = (
            [(self.objective or Objective.SHARPE_RATIO, 1.0)]
            if self.objectives is None
            else [(each.metric, 1.0 if each.weight is None else each.weight) for each in self.objectives]
        )
        return OptimizationRequest(
            strategy_id=StrategyId(decode_id(self.strategy_id, "Strategy", ("strategyId",))),
            market=self.market,
            interval=self.interval,
            ranges=[each.to_range() for each in self.ranges],
            start=self.start,
            end=self.end,
            initial_capital=preferred.default_capital if stated is None else stated,
            states_capital=stated is not None,
            parameters=parameters,
            # A search compares whole trials: the largest drawdown is a constraint on them, not their end.
            execution=execution_of(self.execution, replace(preferred, max_drawdown=None)),
            stated_execution=execution_of(self.execution),
            method=self.method or SearchMethod.GRID,
            trials=self.trials,
            seed=1 if self.seed is None else self.seed,
            goal=Goal(objectives, 1 if self.min_trades is None else self.min_trades, self.max_drawdown),
            walk_forward=self.walk_forward.to_spec() if self.walk_forward else None,
            label=self.label,
            idempotency_key=self.idempotency_key,
            force=bool(self.force),
        )


@strawberry.input(description="The ordering of trials.")
class TrialOrder:
    """Input of Optimization.trials."""

    field: TrialOrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.DESC, description="Largest first, or the other way."
    )

    def to_ordering(self) -> TrialOrdering:
        """Return the domain's ordering."""
        return TrialOrdering(self.field, self.direction is OrderDirection.DESC)
