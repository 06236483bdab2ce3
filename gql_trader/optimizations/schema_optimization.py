"""A parameter search as a GraphQL object, its list and its events."""

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from gql_trader.backtests.schema_enums import RunStatus
from gql_trader.backtests.schema_execution import Execution
from gql_trader.core.errors import InvalidInput
from gql_trader.core.intervals import Interval
from gql_trader.engine.search import honesty
from gql_trader.gql.context import Info
from gql_trader.gql.cost import COLUMNS_COST, costs
from gql_trader.gql.pagination import After, Before, Connection, First, Last
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import Node, encode_id
from gql_trader.gql.scalars import JSON
from gql_trader.infra.keyset import page_request
from gql_trader.market_data.loaders import MarketDataLoaders
from gql_trader.market_data.schema_types import Market
from gql_trader.optimizations.heatmaps import cells_of
from gql_trader.optimizations.loaders import HeatmapKey, OptimizationLoaders, SearchKey, TrialsKey
from gql_trader.optimizations.paging import TrialOrdering
from gql_trader.optimizations.schema_enums import Objective, SearchMethod
from gql_trader.optimizations.schema_honesty import Bootstrap, Significance
from gql_trader.optimizations.schema_inputs import TrialOrder
from gql_trader.optimizations.schema_types import (
    OWNER,
    Heatmap,
    ParameterRange,
    Trial,
    TrialConnection,
    WeightedObjective,
)
from gql_trader.optimizations.schema_walk import OutOfSample, WalkForwardWindow, windows
from gql_trader.optimizations.significance import check_bootstrap, daily_returns, significance
from gql_trader.optimizations.trials import window_count
from gql_trader.strategies.loaders import StrategyLoaders
from gql_trader.strategies.schema import Strategy

BOOTSTRAP_COST = 100
RESAMPLED_PER_NUMBER = 10
"""Resampled days that cost as much as one number of a column."""

WindowNumber = Annotated[
    int | None,
    strawberry.argument(description="Only a window of a walk-forward search, 1 for the first; none: all."),
]
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
    metrics_version: int = strawberry.field(
        description="Version of the definitions of all figures, the same for all trials even if the server "
        "was updated meanwhile."
    )
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
            metrics_version=row.metrics_version,
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
        window: WindowNumber = None,
    ) -> TrialConnection:
        ordering = order_by.to_ordering() if order_by else TrialOrdering()
        asked = TrialsKey(self._key, ordering, page_request(first, after, last, before), self._window(window))
        loaded = await info.context.loaders(OptimizationLoaders).trials.load(asked)

        async def count() -> int | None:
            return int(self.row.trials_done) if window is None else loaded.page.total

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
    async def heatmap(self, info: Info, x: Axis, y: Axis, window: WindowNumber = None) -> Heatmap | None:
        info.context.spend(3 * cells_of(self.row, x, y))
        wanted = HeatmapKey(self._key, x, y, self._window(window))
        cells = await info.context.loaders(OptimizationLoaders).heatmap.load(wanted)
        return Heatmap.from_cells(x, y, cells)

    def _window(self, number: int | None) -> int | None:
        windows = window_count(self.row) if self.row.walk_forward else 0
        if number is not None and not 1 <= number <= windows:
            raise InvalidInput(f"There is no window {number}; there are {windows}.", ("window",))
        return None if number is None else number - 1

    async def _report(self, info: Info) -> Row[Any] | None:
        if self.status is not RunStatus.COMPLETED:
            return None
        return await info.context.loaders(OptimizationLoaders).report.load(self.row.id)

    @strawberry.field(
        description="The windows of a walk-forward search; null unless it is one and has completed."
    )
    async def walk_forward(self, info: Info) -> list[WalkForwardWindow] | None:
        report = await self._report(info) if self.row.walk_forward else None
        return windows(self.row, report) if report else None

    @strawberry.field(
        description="The result of a walk-forward search; null unless it is one and has completed."
    )
    async def out_of_sample(self, info: Info) -> OutOfSample | None:
        report = await self._report(info) if self.row.walk_forward else None
        return OutOfSample.from_rows(self.row, report) if report else None

    @strawberry.field(
        description="How much the result's Sharpe ratio proves, given how many trials it was chosen among; "
        "null until the search has completed, and where the result has no Sharpe ratio."
    )
    async def significance(self, info: Info) -> Significance | None:
        report = await self._report(info)
        found = significance(report) if report else None
        return Significance.from_found(found) if found else None

    @strawberry.field(
        description="Confidence intervals of the result by resampling its days; null until the search has "
        "completed, and where it has no result.",
        metadata=costs(BOOTSTRAP_COST),
    )
    async def bootstrap(
        self,
        info: Info,
        samples: Annotated[int, strawberry.argument(description="Curves to make, 100 to 5,000.")] = 1000,
        confidence: Annotated[
            float, strawberry.argument(description="Share of them within the bounds, 0.5 to 0.999.")
        ] = 0.95,
        block_days: Annotated[
            float | None,
            strawberry.argument(
                description="Mean length of a block of days, 1 to 1,000; the cube root of the days unless "
                "given."
            ),
        ] = None,
        seed: Annotated[int, strawberry.argument(description="Equal seeds give equal bounds.")] = 1,
    ) -> Bootstrap | None:
        check_bootstrap(samples, confidence, block_days, seed)
        report = await self._report(info)
        if report is None or len(returns := daily_returns(report)) < 2:
            return None
        info.context.spend(samples * len(returns) // RESAMPLED_PER_NUMBER)
        block = honesty.usual_block(len(returns)) if block_days is None else block_days
        found = await asyncio.to_thread(honesty.bootstrap, returns, samples, confidence, block, seed)
        return Bootstrap.from_resampled(found, samples, confidence, block, report.summary["annualDays"])


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
