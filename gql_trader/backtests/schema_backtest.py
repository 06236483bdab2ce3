"""A backtest as a GraphQL object, its lists and its events."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import Row

from gql_trader.backtests.ledger import SEGMENT_ROWS, LedgerFilter, cut_page, window
from gql_trader.backtests.loaders import BacktestLoaders, EquityKey, LedgerKey
from gql_trader.backtests.schema_charts import (
    CHART_COST,
    BacktestPlot,
    LookaheadReport,
    PlotEnd,
    PlotPoints,
    PlotStart,
    resolve_lookahead,
    resolve_plot,
)
from gql_trader.backtests.schema_enums import RunStatus
from gql_trader.backtests.schema_execution import Execution
from gql_trader.backtests.schema_exports import ExportFile, export_link
from gql_trader.backtests.schema_ledger import (
    LEDGER_COLUMNS,
    LedgerColumns,
    LedgerConnection,
    OnlyReason,
    OnlySide,
)
from gql_trader.backtests.schema_types import (
    OWNER,
    DailyColumns,
    EquityColumns,
    Metrics,
    MonthlyReturn,
    ledger_entries,
    points_of_curve,
)
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_float
from gql_trader.engine.monthly import monthly_returns
from gql_trader.gql.context import Info
from gql_trader.gql.cost import COLUMNS_COST, costs
from gql_trader.gql.pagination import After, Before, First, Last
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import Node, encode_id
from gql_trader.gql.scalars import JSON
from gql_trader.infra.keyset import page_request
from gql_trader.market_data.loaders import MarketDataLoaders
from gql_trader.market_data.schema_types import Asset, Market
from gql_trader.market_data.types import MarketRecord
from gql_trader.strategies.loaders import StrategyLoaders
from gql_trader.strategies.schema import Strategy

if TYPE_CHECKING:
    from gql_trader.backtests.schema_verification import BacktestVerification

EQUITY_COLUMNS = ("time", "equity", "drawdown")

MaxPoints = Annotated[
    int | None,
    strawberry.argument(
        description="Thin the curve to at most this many points, keeping what stands out; 4 to 100,000. "
        "Left out: every bar. All columns of one operation have at most 4,000,000 numbers together."
    ),
]


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
        side: OnlySide = None,
        exit_reason: OnlyReason = None,
    ) -> LedgerConnection | None:
        if not self._completed:
            return None
        wanted = window(page_request(first, after, last, before))
        chosen = LedgerFilter(side, exit_reason)
        loader = info.context.loaders(BacktestLoaders).ledger
        needed = wanted.segments(self.row.trades, chosen)
        rows = await loader.load(LedgerKey(self.row.id, needed.start, needed.stop))
        if rows is None:
            return None
        page = cut_page(rows, wanted, chosen)

        async def count() -> int | None:
            if chosen.is_empty:
                return int(self.row.trades)
            whole = window(page_request()).segments(self.row.trades, chosen)
            rows = await loader.load(LedgerKey(self.row.id, whole.start, whole.stop))
            return None if rows is None else int(chosen.mask(rows).sum())

        return LedgerConnection(
            items=ledger_entries(page.rows),
            cursors=page.cursors,
            has_next=page.has_next,
            has_previous=page.has_previous,
            count=count,
        )

    @strawberry.field(
        description="Every closed trade as columns, oldest first: much less to send and read than objects. "
        "Null until the run has completed. All columns of one operation have at most 4,000,000 "
        "numbers together; of more than 250,000 trades there are pages and a file.",
        metadata=costs(COLUMNS_COST),
    )
    async def ledger_columns(
        self, info: Info, side: OnlySide = None, exit_reason: OnlyReason = None
    ) -> LedgerColumns | None:
        if not self._completed:
            return None
        info.context.spend(LEDGER_COLUMNS * self.row.trades)
        chosen = LedgerFilter(side, exit_reason)
        whole = LedgerKey(self.row.id, 0, -(-self.row.trades // SEGMENT_ROWS))
        rows = await info.context.loaders(BacktestLoaders).ledger.load(whole)
        if rows is None:
            return None
        return LedgerColumns.from_rows(rows if chosen.is_empty else rows.take(chosen.mask(rows)))

    @strawberry.field(
        description="Equity at every bar's close; null until the run has completed.",
        metadata=costs(COLUMNS_COST),
    )
    async def equity(self, info: Info, max_points: MaxPoints = None) -> EquityColumns | None:
        if not self._completed:
            return None
        info.context.spend(len(EQUITY_COLUMNS) * points_of_curve(self.bars, max_points))
        wanted = EquityKey(self.row.id, to_float(self.row.initial_capital), max_points)
        columns = await info.context.loaders(BacktestLoaders).equity.load(wanted)
        return EquityColumns.from_columns(columns) if columns else None

    @strawberry.field(
        description="Equity and return of every UTC day; null until the run has completed.",
        metadata=costs(COLUMNS_COST),
    )
    async def daily(self, info: Info) -> DailyColumns | None:
        if not self._completed:
            return None
        columns = await info.context.loaders(BacktestLoaders).daily.load(self.row.id)
        if columns is None:
            return None
        info.context.spend(sum(map(len, columns.values())))
        return DailyColumns.from_columns(columns)

    @strawberry.field(
        description="The return of every calendar month, oldest first; null until the run has completed.",
        metadata=costs(COLUMNS_COST),
    )
    async def monthly_returns(self, info: Info) -> list[MonthlyReturn] | None:
        if not self._completed:
            return None
        columns = await info.context.loaders(BacktestLoaders).daily.load(self.row.id)
        if columns is None:
            return None
        initial = to_float(self.row.initial_capital)
        months = monthly_returns(columns["time"], columns["equity"], initial)
        info.context.spend(3 * len(months))
        return MonthlyReturn.list_of(months)

    @strawberry.field(
        description="Candles, indicator lines and markers for a chart; null until the run has completed. A "
        "worker computes it from the candles of the run, which must still be there.",
        metadata=costs(CHART_COST),
    )
    async def plot(
        self, info: Info, max_points: PlotPoints = None, start: PlotStart = None, end: PlotEnd = None
    ) -> BacktestPlot | None:
        return await resolve_plot(info, self.row, max_points, start, end) if self._completed else None

    @strawberry.field(
        description="Whether the run's signals know the future: computed again on bars that end earlier, do "
        "they stay the same? Null until the run has completed. A worker computes it.",
        metadata=costs(CHART_COST),
    )
    async def lookahead(self, info: Info) -> LookaheadReport | None:
        return await resolve_lookahead(info, self.row) if self._completed else None

    @strawberry.field(
        description="Link to the daily curve as a CSV file, good for some minutes and for whoever has it; "
        "null until the run has completed."
    )
    def daily_csv_url(self, info: Info) -> str | None:
        return self._export(info, ExportFile.DAILY)

    @strawberry.field(
        description="Link to the whole ledger as a CSV file, good for some minutes and for whoever has it; "
        "null until the run has completed."
    )
    def ledger_csv_url(self, info: Info) -> str | None:
        return self._export(info, ExportFile.LEDGER)

    @strawberry.field(
        description="Link to the whole equity curve as a Parquet file with the columns `time` (UTC), "
        "`equity` and `drawdown`, good for some minutes and for whoever has it; null until the run has "
        "completed."
    )
    def equity_parquet_url(self, info: Info) -> str | None:
        return self._export(info, ExportFile.EQUITY)

    @strawberry.field(
        description="Link to a report: one page of HTML with curves, monthly returns, metrics and trades "
        "(the first 5,000), which needs no network when it was saved. Good for some minutes and for "
        "whoever has it; null until the run has completed."
    )
    def report_url(self, info: Info) -> str | None:
        return self._export(info, ExportFile.REPORT)

    def _export(self, info: Info, file: ExportFile) -> str | None:
        if not self._completed:
            return None
        return export_link(info.context.services, info.context.viewer.user_id, self.row.id, file)

    @strawberry.field(
        description="What came of the last `verifyBacktest`; null if there was none.",
    )
    async def verification(
        self, info: Info
    ) -> (
        Annotated["BacktestVerification", strawberry.lazy("gql_trader.backtests.schema_verification")] | None
    ):
        # Imported when it is asked for: a verification's payload names the backtest.
        from gql_trader.backtests.schema_verification import BacktestVerification

        row = await info.context.loaders(BacktestLoaders).verification.load(self.row.id)
        return BacktestVerification.from_row(row) if row is not None else None
