"""GraphQL resolvers of the backtest domain."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import Row

from gql_trader.backtests import following, service
from gql_trader.backtests.ledger import LedgerFilter, cut_page, window
from gql_trader.backtests.loaders import BacktestLoaders, LedgerKey
from gql_trader.backtests.schema_enums import ExitReason, RunStatus, Side
from gql_trader.backtests.schema_inputs import BacktestFilter, BacktestOrder, RunBacktestInput
from gql_trader.backtests.schema_types import (
    OWNER,
    DailyColumns,
    EquityColumns,
    Execution,
    LedgerEntry,
    Metrics,
    ledger_entries,
)
from gql_trader.backtests.types import BacktestQuery
from gql_trader.core.actor import Role, TokenScope
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_decimal
from gql_trader.gql.context import Info
from gql_trader.gql.cost import COLUMNS_COST, costs
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.pagination import After, Before, Connection, First, Last, connection
from gql_trader.gql.permissions import requires, visible
from gql_trader.gql.relay import Node, decode_id, encode_id
from gql_trader.gql.scalars import JSON
from gql_trader.infra.keyset import page_request
from gql_trader.market_data.loaders import MarketDataLoaders
from gql_trader.market_data.schema import Asset, Market
from gql_trader.market_data.types import MarketRecord
from gql_trader.strategies.loaders import StrategyLoaders
from gql_trader.strategies.schema import Strategy

MaxPoints = Annotated[
    int | None,
    strawberry.argument(
        description="Thin the curve to at most this many points, keeping what stands out; 4 to 100,000."
    ),
]
Where = Annotated[
    BacktestFilter | None, strawberry.argument(description="Which backtests to list; none: all.")
]
OrderBy = Annotated[
    list[BacktestOrder] | None,
    strawberry.argument(description="Orderings, the most important first; none: the newest first."),
]
BacktestID = Annotated[strawberry.ID, strawberry.argument(description="The backtest.")]


@visible(OWNER)
@strawberry.type(name="LedgerConnection", description="One page of a ledger, oldest trade first.")
class LedgerConnection(Connection[LedgerEntry]):
    """Trades of a run."""


@visible(OWNER)
@strawberry.type(
    description="A strategy run over history: what was asked for, how far it is, and its results."
)
class Backtest(Node):
    """A backtest of the viewer."""

    row: strawberry.Private[Row[Any]]
    status: RunStatus = strawberry.field(description="State of the run.")
    progress: float = strawberry.field(description="How far the run is, 0 to 1.")
    error: str | None = strawberry.field(description="Why the run failed; null unless it did.")
    label: str | None = strawberry.field(description="A name for people.")
    tags: list[str] = strawberry.field(description="Words to find it by.")
    strategy_version: int = strawberry.field(description="Version of the strategy that was run.")
    interval: Interval = strawberry.field(description="Length of a bar.")
    start: datetime = strawberry.field(description="Bars open at or after this moment.")
    end: datetime = strawberry.field(description="Bars open before this moment.")
    bars: int = strawberry.field(description="Number of bars, warm-up not counted.")
    initial_capital: Decimal = strawberry.field(description="Starting capital in the quote currency.")
    parameters: JSON = strawberry.field(description="All parameters of the strategy, defaults filled in.")
    content_hash: str = strawberry.field(
        description="SHA-256 of everything that the result depends on; equal hashes give equal results."
    )
    engine_version: str = strawberry.field(description="Version of the engine's semantics.")
    created_at: datetime = strawberry.field(description="When it was requested.")
    started_at: datetime | None = strawberry.field(description="When a worker first took it.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")
    duration_ms: float | None = strawberry.field(description="From its start to its end, in milliseconds.")

    @classmethod
    def from_row(cls, row: Row[Any]) -> "Backtest":
        """Return the GraphQL object of a backtest."""
        return cls(
            id=encode_id("Backtest", row.id),
            row=row,
            status=RunStatus(row.status),
            progress=row.progress,
            error=row.error,
            label=row.label,
            tags=row.tags,
            strategy_version=row.strategy_version,
            interval=Interval[row.interval],
            start=row.start_time,
            end=row.end_time,
            bars=row.bars,
            initial_capital=row.initial_capital,
            parameters=row.parameters,
            content_hash=row.content_hash,
            engine_version=row.engine_version,
            created_at=row.created_at,
            started_at=row.started_at,
            finished_at=row.finished_at,
            duration_ms=row.duration_ms,
        )

    @property
    def _completed(self) -> bool:
        return self.status is RunStatus.COMPLETED

    @strawberry.field(description="How signals become fills.")
    def execution(self) -> Execution:
        return Execution.from_json(self.row.execution)

    @strawberry.field(description="Figures of the result; null until the run has completed.")
    def metrics(self) -> Metrics | None:
        return Metrics.from_row(self.row) if self._completed else None

    @strawberry.field(description="The strategy that was run.")
    async def strategy(self, info: Info) -> Strategy:
        strategy = await info.context.loaders(StrategyLoaders).strategy.load(self.row.strategy_id)
        assert strategy is not None, "the foreign key keeps it"
        return Strategy.from_record(strategy)

    @strawberry.field(description="The market it was run on.")
    async def market(self, info: Info) -> Market:
        return Market.from_record(await self._market(info))

    @strawberry.field(description="The market's base asset.")
    async def asset(self, info: Info) -> Asset:
        market = await self._market(info)
        asset = await info.context.loaders(MarketDataLoaders).asset.load(market.base_id)
        assert asset is not None, "the foreign key keeps it"
        return Asset.from_record(asset)

    async def _market(self, info: Info) -> MarketRecord:
        market = await info.context.loaders(MarketDataLoaders).market.load(self.row.market_id)
        assert market is not None, "the foreign key keeps it"
        return market

    @strawberry.field(description="Every closed trade, oldest first; null until the run has completed.")
    async def ledger(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        side: Annotated[Side | None, strawberry.argument(description="Only trades on this side.")] = None,
        exit_reason: Annotated[
            ExitReason | None, strawberry.argument(description="Only trades closed for this reason.")
        ] = None,
    ) -> LedgerConnection | None:
        if not self._completed:
            return None
        wanted = window(page_request(first, after, last, before))
        chosen = LedgerFilter(side, exit_reason)
        loader = info.context.loaders(BacktestLoaders).ledger
        needed = wanted.segments(self.row.trades, chosen)
        page = cut_page(await loader.load(LedgerKey(self.row.id, needed.start, needed.stop)), wanted, chosen)

        async def count() -> int:
            if chosen.is_empty:
                return int(self.row.trades)
            whole = window(page_request()).segments(self.row.trades, chosen)
            rows = await loader.load(LedgerKey(self.row.id, whole.start, whole.stop))
            return int(chosen.mask(rows).sum())

        return LedgerConnection(
            items=ledger_entries(page.rows),
            cursors=page.cursors,
            has_next=page.has_next,
            has_previous=page.has_previous,
            count=count,
        )

    @strawberry.field(
        description="Equity at every bar's close; null until the run has completed.",
        metadata=costs(COLUMNS_COST),
    )
    async def equity(self, info: Info, max_points: MaxPoints = None) -> EquityColumns | None:
        if not self._completed:
            return None
        columns = await info.context.loaders(BacktestLoaders).equity.load(self.row.id)
        return (
            EquityColumns.from_columns(columns, float(self.row.initial_capital), max_points)
            if columns
            else None
        )

    @strawberry.field(
        description="Equity and return of every UTC day; null until the run has completed.",
        metadata=costs(COLUMNS_COST),
    )
    async def daily(self, info: Info) -> DailyColumns | None:
        if not self._completed:
            return None
        columns = await info.context.loaders(BacktestLoaders).daily.load(self.row.id)
        return DailyColumns.from_columns(columns) if columns else None


@visible(OWNER)
@strawberry.type(description="News of a run.")
class BacktestEvent:
    """Event of backtestProgress."""

    cursor: str = strawberry.field(description="Pass it as `after` to go on behind this event.")
    status: RunStatus = strawberry.field(description="State of the run.")
    progress: float = strawberry.field(description="How far the run is, 0 to 1.")
    bar_time: datetime | None = strawberry.field(description="Opening time of the bar that was reached.")
    equity: Decimal | None = strawberry.field(description="Equity at that bar, in the quote currency.")
    backtest: Backtest | None = strawberry.field(description="The whole backtest, with the final event.")


@visible(OWNER)
@strawberry.type(description="Result of `runBacktest`.")
class RunBacktestPayload:
    """Payload of runBacktest."""

    backtest: Backtest | None = strawberry.field(
        default=None, description="The backtest, queued or completed."
    )
    cached: bool = strawberry.field(
        default=False, description="True if an equal backtest had completed already and is returned at once."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why nothing was run; empty on success."
    )


@strawberry.input(description="A backtest to cancel.")
class CancelBacktestInput:
    """Input of cancelBacktest."""

    id: strawberry.ID = strawberry.field(description="The backtest; it must be queued or running.")


@visible(OWNER)
@strawberry.type(description="Result of `cancelBacktest`.")
class CancelBacktestPayload:
    """Payload of cancelBacktest."""

    backtest: Backtest | None = strawberry.field(default=None, description="The backtest, cancelled.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why it was not cancelled; empty on success."
    )


@strawberry.input(description="A backtest to delete.")
class DeleteBacktestInput:
    """Input of deleteBacktest."""

    id: strawberry.ID = strawberry.field(description="The backtest; it must have ended.")


@visible(OWNER)
@strawberry.type(description="Result of `deleteBacktest`.")
class DeleteBacktestPayload:
    """Payload of deleteBacktest."""

    deleted_id: strawberry.ID | None = strawberry.field(default=None, description="Id of what is gone.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why it was not deleted; empty on success."
    )


@visible(OWNER)
@strawberry.type(name="BacktestConnection", description="One page of your backtests.")
class BacktestConnection(Connection[Backtest]):
    """Backtests of the viewer."""


Paging = tuple[int | None, str | None, int | None, str | None]
"""first, after, last, before."""


async def list_backtests(
    info: Info, query: BacktestQuery, order_by: Sequence[BacktestOrder] | None, paging: Paging
) -> BacktestConnection:
    """Return one page of the viewer's backtests."""
    viewer = info.context.viewer
    orderings = [order.to_ordering() for order in order_by or ()]
    async with info.context.uow() as uow:
        page = await service.list_backtests(uow, viewer, query, orderings, page_request(*paging))

    async def count() -> int:
        async with info.context.uow() as uow:
            return await service.count_backtests(uow, viewer, query)

    return connection(BacktestConnection, page, Backtest.from_row, count)


async def list_backtests_of(
    info: Info,
    strategy_id: UUID,
    where: BacktestFilter | None,
    order_by: Sequence[BacktestOrder] | None,
    paging: Paging,
) -> BacktestConnection:
    """Return one page of the viewer's backtests of a strategy."""
    asked = [where.to_query()] if where else []
    return await list_backtests(
        info, BacktestQuery(all_of=asked, strategy_ids=[strategy_id]), order_by, paging
    )


@strawberry.type
class BacktestsQuery:
    """Queries of the backtest domain."""

    @strawberry.field(
        description="Your backtests, filtered and ordered by their metrics.", extensions=requires(Role.VIEWER)
    )
    async def backtests(
        self,
        info: Info,
        where: Where = None,
        order_by: OrderBy = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> BacktestConnection | None:
        query = where.to_query() if where else BacktestQuery()
        return await list_backtests(info, query, order_by, (first, after, last, before))

    @strawberry.field(
        description="One of your backtests; null if there is none with this id.",
        extensions=requires(Role.VIEWER),
    )
    async def backtest(self, info: Info, id: BacktestID) -> Backtest | None:
        row = await info.context.loaders(BacktestLoaders).backtest.load(decode_id(id, "Backtest"))
        return Backtest.from_row(row) if row else None


@strawberry.type
class BacktestMutation:
    """Mutations of the backtest domain."""

    @mutation(
        RunBacktestPayload,
        Role.TRADER,
        "Run a strategy over history. Answers with the queued backtest; follow it with `backtestProgress`.",
        TokenScope.BACKTEST,
    )
    async def run_backtest(
        self, info: Info, input: Annotated[RunBacktestInput, strawberry.argument(description="What to run.")]
    ) -> RunBacktestPayload:
        services = info.context.services
        limits = service.Limits(
            active=services.settings.max_active_backtests_per_user,
            bars=services.settings.max_backtest_bars,
            hourly=services.settings.max_backtests_per_hour_per_user,
        )
        async with info.context.uow() as uow:
            row, cached = await service.request_run(
                uow,
                services.arrays,
                services.rate_limits,
                info.context.viewer,
                input.to_request(),
                limits,
            )
        return RunBacktestPayload(backtest=Backtest.from_row(row), cached=cached)

    @mutation(
        CancelBacktestPayload,
        Role.TRADER,
        "End a queued or running backtest without a result.",
        TokenScope.BACKTEST,
    )
    async def cancel_backtest(
        self,
        info: Info,
        input: Annotated[CancelBacktestInput, strawberry.argument(description="What to cancel.")],
    ) -> CancelBacktestPayload:
        key = decode_id(input.id, "Backtest")
        async with info.context.uow() as uow:
            row = await service.cancel(uow, info.context.viewer, key)
        return CancelBacktestPayload(backtest=Backtest.from_row(row))

    @mutation(
        DeleteBacktestPayload,
        Role.TRADER,
        "Delete a backtest that has ended, with its ledger and curves.",
        TokenScope.BACKTEST,
    )
    async def delete_backtest(
        self,
        info: Info,
        input: Annotated[DeleteBacktestInput, strawberry.argument(description="What to delete.")],
    ) -> DeleteBacktestPayload:
        key = decode_id(input.id, "Backtest")
        async with info.context.uow() as uow:
            await service.delete_backtest(uow, info.context.viewer, key)
        return DeleteBacktestPayload(deleted_id=encode_id("Backtest", key))


@strawberry.type
class BacktestSubscription:
    """Subscriptions of the backtest domain."""

    @strawberry.subscription(
        description="Follow a run: its present state, then progress, at last the whole backtest; "
        "then it completes.",
        extensions=requires(Role.VIEWER),
    )
    async def backtest_progress(
        self,
        info: Info,
        id: BacktestID,
        after: Annotated[
            str | None,
            strawberry.argument(description="Cursor of the last event seen; replays what was missed since."),
        ] = None,
    ) -> AsyncGenerator[BacktestEvent, None]:
        context = info.context
        key = decode_id(id, "Backtest")
        feed = following.follow(context.uow, context.services.events, context.viewer, key, after)
        async with aclosing(feed):
            async for news in feed:
                yield BacktestEvent(
                    cursor=news.cursor,
                    status=news.status,
                    progress=news.progress,
                    bar_time=from_milliseconds(news.bar_time) if news.bar_time is not None else None,
                    equity=to_decimal(news.equity) if news.equity is not None else None,
                    backtest=Backtest.from_row(news.final) if news.final is not None else None,
                )


async def resolve_backtest_nodes(info: Info, ids: Sequence[UUID]) -> list[Backtest | None]:
    """Return the viewer's backtests for ``node``."""
    rows = await info.context.loaders(BacktestLoaders).backtest.load_many(list(ids))
    return [Backtest.from_row(row) if row else None for row in rows]
