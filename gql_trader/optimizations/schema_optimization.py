"""A parameter search as a GraphQL object, its list and its events."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from gql_trader.backtests.schema_enums import RunStatus
from gql_trader.backtests.schema_execution import Execution
from gql_trader.core.intervals import Interval
from gql_trader.gql.context import Info
from gql_trader.gql.cost import COLUMNS_COST, costs
from gql_trader.gql.pagination import After, Before, Connection, First, Last
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import Node, encode_id
from gql_trader.gql.scalars import JSON
from gql_trader.infra.keyset import page_request
from gql_trader.market_data.loaders import MarketDataLoaders
from gql_trader.market_data.schema import Market
from gql_trader.optimizations.heatmaps import cells_of
from gql_trader.optimizations.loaders import HeatmapKey, OptimizationLoaders, SearchKey, TrialsKey
from gql_trader.optimizations.paging import TrialOrdering
from gql_trader.optimizations.schema_enums import Objective, SearchMethod
from gql_trader.optimizations.schema_inputs import TrialOrder
from gql_trader.optimizations.schema_types import (
    OWNER,
    Heatmap,
    ParameterRange,
    Trial,
    TrialConnection,
    WeightedObjective,
)
from gql_trader.strategies.loaders import StrategyLoaders
from gql_trader.strategies.schema import Strategy

Axis = Annotated[str, strawberry.argument(description="A searched parameter, by its name.")]


@visible(OWNER)
@strawberry.type(
    description="A parameter search: what was asked for, how far it is, and what was found. The best of many "
    "trials is partly luck: the more were tried, the less its figures say about the future."
)
class Optimization(Node):
    """A search of the viewer."""

    row: strawberry.Private[Row[Any]]
    status: RunStatus = strawberry.field(description="State of the search.")
    progress: float = strawberry.field(description="How far the search is, 0 to 1.")
    error: str | None = strawberry.field(description="Why the search failed; null unless it did.")
    label: str | None = strawberry.field(description="A name for people.")
    method: SearchMethod = strawberry.field(description="How combinations are chosen.")
    objective: Objective = strawberry.field(
        description="The figure that is maximised; the first of them where it is a weighted sum."
    )
    objectives: list[WeightedObjective] = strawberry.field(
        description="The figures whose weighted sum is maximised."
    )
    min_trades: int = strawberry.field(description="Trials with fewer trades are not considered.")
    max_drawdown: float | None = strawberry.field(
        description="Trials with a deeper drawdown are not considered; null: any."
    )
    seed: int = strawberry.field(description="Equal seeds draw equal combinations.")
    trials_total: int = strawberry.field(description="Trials that the search has in all.")
    trials_done: int = strawberry.field(description="Trials that are done.")
    strategy_version: int = strawberry.field(description="Version of the strategy that is run.")
    interval: Interval = strawberry.field(description="Length of a bar.")
    start: datetime = strawberry.field(description="Bars open at or after this moment.")
    end: datetime = strawberry.field(description="Bars open before this moment.")
    bars: int = strawberry.field(description="Bars of each trial, warm-up not counted.")
    initial_capital: Decimal = strawberry.field(description="Starting capital in the quote currency.")
    parameters: JSON = strawberry.field(
        description="All parameters of the strategy, as they are where they are not searched."
    )
    ranges: list[ParameterRange] = strawberry.field(
        description="What is searched; combinations next to each other differ in the last ones."
    )
    content_hash: str = strawberry.field(
        description="SHA-256 of everything that the result depends on; equal hashes give equal results, bit "
        "for bit, on however many workers."
    )
    engine_version: str = strawberry.field(description="Version of the engine's semantics.")
    created_at: datetime = strawberry.field(description="When it was requested.")
    started_at: datetime | None = strawberry.field(description="When a worker first took a part of it.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")
    duration_ms: float | None = strawberry.field(description="From its start to its end, in milliseconds.")

    @classmethod
    def from_row(cls, row: Row[Any]) -> "Optimization":
        """Return the GraphQL object of a search."""
        objectives = [
            WeightedObjective(metric=Objective(each["metric"]), weight=float(each["weight"]))
            for each in row.objectives
        ]
        return cls(
            id=encode_id("Optimization", row.id),
            row=row,
            status=RunStatus(row.status),
            progress=row.progress,
            error=row.error,
            label=row.label,
            method=SearchMethod(row.method),
            objective=objectives[0].metric,
            objectives=objectives,
            min_trades=row.min_trades,
            max_drawdown=row.max_drawdown,
            seed=row.seed,
            trials_total=row.trials_total,
            trials_done=row.trials_done,
            strategy_version=row.strategy_version,
            interval=Interval[row.interval],
            start=row.start_time,
            end=row.end_time,
            bars=row.bars,
            initial_capital=row.initial_capital,
            parameters=row.parameters,
            ranges=[ParameterRange.from_json(each) for each in row.axes],
            content_hash=row.content_hash,
            engine_version=row.engine_version,
            created_at=row.created_at,
            started_at=row.started_at,
            finished_at=row.finished_at,
            duration_ms=row.duration_ms,
        )

    @property
    def _key(self) -> SearchKey:
        return SearchKey(self.row.id, self.row)

    @strawberry.field(description="How signals become fills, where that is not searched.")
    def execution(self) -> Execution:
        return Execution.from_json(self.row.execution)

    @strawberry.field(description="The strategy that is run.")
    async def strategy(self, info: Info) -> Strategy:
        strategy = await info.context.loaders(StrategyLoaders).strategy.load(self.row.strategy_id)
        assert strategy is not None, "the foreign key keeps it"
        return Strategy.from_record(strategy)

    @strawberry.field(description="The market it is run on.")
    async def market(self, info: Info) -> Market:
        market = await info.context.loaders(MarketDataLoaders).market.load(self.row.market_id)
        assert market is not None, "the foreign key keeps it"
        return Market.from_record(market)

    @strawberry.field(
        description="The trials that are done, the best first unless ordered otherwise.",
        metadata=costs(COLUMNS_COST),
    )
    async def trials(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        order_by: Annotated[
            TrialOrder | None, strawberry.argument(description="The ordering; none: the best first.")
        ] = None,
    ) -> TrialConnection:
        ordering = order_by.to_ordering() if order_by else TrialOrdering()
        asked = TrialsKey(self._key, ordering, page_request(first, after, last, before))
        loaded = await info.context.loaders(OptimizationLoaders).trials.load(asked)

        async def count() -> int:
            return int(self.row.trials_done)

        return TrialConnection(
            items=[Trial.from_record(each) for each in loaded.trials],
            cursors=loaded.page.cursors[: len(loaded.trials)],
            has_next=loaded.page.has_next,
            has_previous=loaded.page.has_previous,
            count=count,
        )

    @strawberry.field(description="The best trial so far; null if none has an objective.")
    async def best(self, info: Info) -> Trial | None:
        record = await info.context.loaders(OptimizationLoaders).best.load(self._key)
        return Trial.from_record(record) if record else None

    @strawberry.field(
        description="The objective along two of the searched parameters, of the trials that are done.",
        metadata=costs(COLUMNS_COST),
    )
    async def heatmap(self, info: Info, x: Axis, y: Axis) -> Heatmap | None:
        info.context.spend(3 * cells_of(self.row, x, y))
        cells = await info.context.loaders(OptimizationLoaders).heatmap.load(HeatmapKey(self._key, x, y))
        return Heatmap.from_cells(x, y, cells)


@visible(OWNER)
@strawberry.type(description="News of a search.")
class OptimizationEvent:
    """Event of optimizationProgress."""

    cursor: str = strawberry.field(description="Pass it as `after` to go on behind this event.")
    status: RunStatus = strawberry.field(description="State of the search.")
    progress: float = strawberry.field(description="How far the search is, 0 to 1.")
    trials_done: int = strawberry.field(description="Trials that are done.")
    optimization: Optimization | None = strawberry.field(
        description="The whole search, with the final event."
    )


@visible(OWNER)
@strawberry.type(name="OptimizationConnection", description="One page of your parameter searches.")
class OptimizationConnection(Connection[Optimization]):
    """Searches of the viewer."""
