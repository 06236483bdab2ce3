"""GraphQL types of walk-forward searches: windows, and the curve of the tests."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import strawberry
from sqlalchemy import Row

from gql_trader.backtests.curves import thinned_equity
from gql_trader.backtests.schema_backtest import MaxPoints
from gql_trader.backtests.schema_types import DailyColumns, EquityColumns, points_of_curve
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.money import to_decimal, to_float
from gql_trader.gql.context import Info
from gql_trader.gql.cost import COLUMNS_COST, costs
from gql_trader.gql.permissions import visible
from gql_trader.gql.scalars import JSON
from gql_trader.infra.column_codec import decode_columns
from gql_trader.optimizations.schema_types import OWNER, TrialMetrics
from gql_trader.optimizations.windows import windows_of

_COLUMNS = 3


@visible(OWNER)
@strawberry.type(description="One training and the test that follows it.")
class WalkForwardWindow:
    """A window of a walk-forward search."""

    number: int = strawberry.field(description="1 for the first.")
    train_start: datetime = strawberry.field(description="Bars that choose the parameters open from here,")
    train_end: datetime = strawberry.field(description="and before this moment.")
    test_start: datetime = strawberry.field(
        description="Bars that the parameters are run over open from here,"
    )
    test_end: datetime = strawberry.field(description="and before this moment.")
    trial: int | None = strawberry.field(
        description="Number of the best trial; null if none of the window's trials has an objective, and the "
        "test is not traded."
    )
    parameters: JSON | None = strawberry.field(description="What was chosen, by name.")
    in_sample: TrialMetrics | None = strawberry.field(description="Figures of the training.")
    out_of_sample: TrialMetrics | None = strawberry.field(
        description="Figures of the test, which begins with what the test before has left."
    )


@visible(OWNER)
@strawberry.type(
    description="The tests of a walk-forward search put together: what came of parameters on days that did "
    "not choose them. Between two tests the account has no position."
)
class OutOfSample:
    """The result of a walk-forward search."""

    search: strawberry.Private[Row[Any]]
    report: strawberry.Private[Row[Any]]
    metrics: TrialMetrics = strawberry.field(description="Figures of the whole curve.")
    bars: int = strawberry.field(description="Bars that were tested on.")
    final_equity: Decimal = strawberry.field(description="Equity after the last test, in the quote currency.")

    @classmethod
    def from_rows(cls, search: Row[Any], report: Row[Any]) -> "OutOfSample":
        """Return the GraphQL object of a completed walk-forward search."""
        return cls(
            search=search,
            report=report,
            metrics=TrialMetrics.from_values(report.summary["metrics"]),
            bars=report.summary["bars"],
            final_equity=to_decimal(report.summary["finalEquity"]),
        )

    @strawberry.field(description="Equity at the close of every bar.", metadata=costs(COLUMNS_COST))
    async def equity(self, info: Info, max_points: MaxPoints = None) -> EquityColumns:
        info.context.spend(_COLUMNS * points_of_curve(self.bars, max_points))

        def decode() -> EquityColumns:
            curve = decode_columns(self.report.equity)
            initial = to_float(self.search.initial_capital)
            return EquityColumns.from_columns(thinned_equity(curve, initial, max_points))

        # A curve of many bars takes a while.
        return await asyncio.to_thread(decode)

    @strawberry.field(description="Equity and return of every day.", metadata=costs(COLUMNS_COST))
    def daily(self, info: Info) -> DailyColumns:
        columns = decode_columns(self.report.daily)
        info.context.spend(sum(map(len, columns.values())))
        return DailyColumns.from_columns(columns)


def windows(search: Row[Any], report: Row[Any]) -> list[WalkForwardWindow]:
    """Return the GraphQL objects of a completed search's windows."""
    return [
        WalkForwardWindow(
            number=number,
            train_start=from_milliseconds(window.train_start),
            train_end=from_milliseconds(window.test_start),
            test_start=from_milliseconds(window.test_start),
            test_end=from_milliseconds(window.test_end),
            trial=found["trial"],
            parameters=found["values"],
            in_sample=_figures(found["inSample"]),
            out_of_sample=_figures(found["outOfSample"]),
        )
        for number, (window, found) in enumerate(
            zip(windows_of(search), report.summary["windows"], strict=True), start=1
        )
    ]


def _figures(values: Mapping[str, float | None] | None) -> TrialMetrics | None:
    return TrialMetrics.from_values(values) if values is not None else None
