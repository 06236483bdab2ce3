"""GraphQL queries, mutations and subscriptions of the backtest domain."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.backtests import following, service
from gql_trader.backtests.loaders import BacktestLoaders
from gql_trader.backtests.schema_backtest import Backtest
from gql_trader.backtests.schema_enums import RunStatus
from gql_trader.backtests.schema_inputs import BacktestFilter, BacktestOrder, RunBacktestInput
from gql_trader.backtests.schema_lists import BacktestConnection, list_backtests
from gql_trader.backtests.schema_types import OWNER
from gql_trader.backtests.types import BacktestQuery
from gql_trader.config import Settings
from gql_trader.core.actor import Role, TokenScope
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.money import to_decimal
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.pagination import After, Before, First, Last
from gql_trader.gql.permissions import requires, visible
from gql_trader.gql.relay import decode_id, encode_id
from gql_trader.settings.service import preferences_of

Where = Annotated[
    BacktestFilter | None, strawberry.argument(description="Which backtests to list; none: all.")
]
OrderBy = Annotated[
    list[BacktestOrder] | None,
    strawberry.argument(description="Orderings, the most important first; none: the newest first."),
]
BacktestID = Annotated[strawberry.ID, strawberry.argument(description="The backtest.")]


@visible(OWNER)
@strawberry.type(description="Result of `runBacktest`.")
class RunBacktestPayload:
    """Payload of runBacktest."""

    backtest: Backtest | None = strawberry.field(
        default=None, description="The backtest, queued or completed."
    )
    cached: bool = strawberry.field(
        default=False,
        description="True if an equal backtest of yours had completed already and is returned at once, with "
        "its own label and tags instead of those given now.",
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


def backtest_limits(settings: Settings) -> service.Limits:
    """Return what one user may ask for."""
    return service.Limits(
        active=settings.max_active_backtests_per_user,
        bars=settings.max_backtest_bars,
        hourly=settings.max_backtests_per_hour_per_user,
    )


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
        async with info.context.uow() as uow:
            viewer = info.context.viewer
            request = input.to_request(await preferences_of(uow, viewer.user_id))
            row, cached = await service.request_run(
                uow,
                services.arrays,
                services.rate_limits,
                viewer,
                request,
                backtest_limits(services.settings),
                services.plugins,
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
                bar_time, equity = news.data.get("barTime"), news.data.get("equity")
                yield BacktestEvent(
                    cursor=news.cursor,
                    status=news.status,
                    progress=news.progress,
                    bar_time=from_milliseconds(bar_time) if bar_time is not None else None,
                    equity=to_decimal(equity) if equity is not None else None,
                    backtest=Backtest.from_row(news.final) if news.final is not None else None,
                )


async def resolve_backtest_nodes(info: Info, ids: Sequence[UUID]) -> list[Backtest | None]:
    """Return the viewer's backtests for ``node``."""
    rows = await info.context.loaders(BacktestLoaders).backtest.load_many(list(ids))
    return [Backtest.from_row(row) if row else None for row in rows]
