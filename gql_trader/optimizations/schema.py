"""GraphQL queries, mutations and subscriptions of the optimization domain."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.backtests.schema import backtest_limits
from gql_trader.backtests.schema_backtest import Backtest
from gql_trader.core.actor import Role, TokenScope
from gql_trader.gql.context import Context, Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.pagination import After, Before, First, Last, connection
from gql_trader.gql.permissions import requires, visible
from gql_trader.gql.relay import decode_id, encode_id
from gql_trader.infra.keyset import page_request
from gql_trader.optimizations import following, promotion, service
from gql_trader.optimizations.checking import Limits
from gql_trader.optimizations.loaders import OptimizationLoaders
from gql_trader.optimizations.schema_inputs import RunOptimizationInput
from gql_trader.optimizations.schema_optimization import (
    Optimization,
    OptimizationConnection,
    OptimizationEvent,
)
from gql_trader.optimizations.schema_types import OWNER
from gql_trader.settings.service import preferences_of

OptimizationID = Annotated[strawberry.ID, strawberry.argument(description="The search.")]


@visible(OWNER)
@strawberry.type(description="Result of `runOptimization`.")
class RunOptimizationPayload:
    """Payload of runOptimization."""

    optimization: Optimization | None = strawberry.field(
        default=None, description="The search, queued or completed."
    )
    cached: bool = strawberry.field(
        default=False, description="True if an equal search had completed already and is returned at once."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why nothing was searched; empty on success."
    )


@strawberry.input(description="A search to cancel.")
class CancelOptimizationInput:
    """Input of cancelOptimization."""

    id: strawberry.ID = strawberry.field(description="The search; it must be queued or running.")


@visible(OWNER)
@strawberry.type(description="Result of `cancelOptimization`.")
class CancelOptimizationPayload:
    """Payload of cancelOptimization."""

    optimization: Optimization | None = strawberry.field(
        default=None, description="The search, cancelled, with the trials that were done."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why it was not cancelled; empty on success."
    )


@strawberry.input(description="A search to delete.")
class DeleteOptimizationInput:
    """Input of deleteOptimization."""

    id: strawberry.ID = strawberry.field(description="The search; it must have ended.")


@visible(OWNER)
@strawberry.type(description="Result of `deleteOptimization`.")
class DeleteOptimizationPayload:
    """Payload of deleteOptimization."""

    deleted_id: strawberry.ID | None = strawberry.field(default=None, description="Id of what is gone.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why it was not deleted; empty on success."
    )


@strawberry.input(description="A trial to run as a backtest.")
class PromoteTrialInput:
    """Input of promoteTrial."""

    optimization_id: strawberry.ID = strawberry.field(description="The search.")
    number: int | None = strawberry.field(
        default=None, description="The trial's number; none: the best trial so far."
    )
    label: str | None = strawberry.field(
        default=None, description="A name for the backtest, up to 200 characters."
    )


@visible(OWNER)
@strawberry.type(description="Result of `promoteTrial`.")
class PromoteTrialPayload:
    """Payload of promoteTrial."""

    backtest: Backtest | None = strawberry.field(
        default=None, description="The backtest, queued or completed; its figures will be the trial's."
    )
    cached: bool = strawberry.field(
        default=False, description="True if an equal backtest had completed already and is returned at once."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why nothing was run; empty on success."
    )


@strawberry.type
class OptimizationQuery:
    """Queries of the optimization domain."""

    @strawberry.field(
        description="Your parameter searches, the newest first.", extensions=requires(Role.VIEWER)
    )
    async def optimizations(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> OptimizationConnection | None:
        viewer = info.context.viewer
        async with info.context.uow() as uow:
            page = await service.list_optimizations(uow, viewer, page_request(first, after, last, before))

        async def count() -> int:
            async with info.context.uow() as uow:
                return await service.count_optimizations(uow, viewer)

        return connection(OptimizationConnection, page, Optimization.from_row, count)

    @strawberry.field(
        description="One of your parameter searches; null if there is none with this id.",
        extensions=requires(Role.VIEWER),
    )
    async def optimization(self, info: Info, id: OptimizationID) -> Optimization | None:
        row = await info.context.loaders(OptimizationLoaders).optimization.load(decode_id(id, "Optimization"))
        return Optimization.from_row(row) if row else None


def _limits(context: Context) -> Limits:
    settings = context.services.settings
    return Limits(
        active=settings.max_active_optimizations_per_user,
        hourly=settings.max_optimizations_per_hour_per_user,
        bars=settings.max_backtest_bars,
        trials=settings.max_optimization_trials,
        work=settings.max_optimization_work,
    )


@strawberry.type
class OptimizationMutation:
    """Mutations of the optimization domain."""

    @mutation(
        RunOptimizationPayload,
        Role.TRADER,
        "Try many combinations of a strategy's parameters and its execution over the same history. Answers "
        "with the queued search; follow it with `optimizationProgress`.",
        TokenScope.BACKTEST,
    )
    async def run_optimization(
        self,
        info: Info,
        input: Annotated[RunOptimizationInput, strawberry.argument(description="What to search.")],
    ) -> RunOptimizationPayload:
        services = info.context.services
        async with info.context.uow() as uow:
            viewer = info.context.viewer
            request = input.to_request(await preferences_of(uow, viewer.user_id))
            row, cached = await service.request_search(
                uow,
                services.arrays,
                services.rate_limits,
                viewer,
                request,
                _limits(info.context),
                services.plugins,
            )
        return RunOptimizationPayload(optimization=Optimization.from_row(row), cached=cached)

    @mutation(
        CancelOptimizationPayload,
        Role.TRADER,
        "End a queued or running search; the trials that are done stay.",
        TokenScope.BACKTEST,
    )
    async def cancel_optimization(
        self,
        info: Info,
        input: Annotated[CancelOptimizationInput, strawberry.argument(description="What to cancel.")],
    ) -> CancelOptimizationPayload:
        key = decode_id(input.id, "Optimization")
        async with info.context.uow() as uow:
            row = await service.cancel(uow, info.context.viewer, key)
        return CancelOptimizationPayload(optimization=Optimization.from_row(row))

    @mutation(
        DeleteOptimizationPayload,
        Role.TRADER,
        "Delete a search that has ended, with all its trials.",
        TokenScope.BACKTEST,
    )
    async def delete_optimization(
        self,
        info: Info,
        input: Annotated[DeleteOptimizationInput, strawberry.argument(description="What to delete.")],
    ) -> DeleteOptimizationPayload:
        key = decode_id(input.id, "Optimization")
        async with info.context.uow() as uow:
            await service.delete_optimization(uow, info.context.viewer, key)
        return DeleteOptimizationPayload(deleted_id=encode_id("Optimization", key))

    @mutation(
        PromoteTrialPayload,
        Role.TRADER,
        "Run a trial as a full backtest, with its ledger and curves: the same version of the strategy over "
        "the same bars.",
        TokenScope.BACKTEST,
    )
    async def promote_trial(
        self,
        info: Info,
        input: Annotated[PromoteTrialInput, strawberry.argument(description="What to run.")],
    ) -> PromoteTrialPayload:
        services = info.context.services
        key = decode_id(input.optimization_id, "Optimization", ("optimizationId",))
        async with info.context.uow() as uow:
            row, cached = await promotion.promote(
                uow,
                services.arrays,
                services.rate_limits,
                info.context.viewer,
                key,
                input.number,
                input.label,
                backtest_limits(services.settings),
                services.plugins,
            )
        return PromoteTrialPayload(backtest=Backtest.from_row(row), cached=cached)


@strawberry.type
class OptimizationSubscription:
    """Subscriptions of the optimization domain."""

    @strawberry.subscription(
        description="Follow a search: its present state, then progress, at last the whole search; "
        "then it completes.",
        extensions=requires(Role.VIEWER),
    )
    async def optimization_progress(
        self,
        info: Info,
        id: OptimizationID,
        after: Annotated[
            str | None,
            strawberry.argument(description="Cursor of the last event seen; replays what was missed since."),
        ] = None,
    ) -> AsyncGenerator[OptimizationEvent, None]:
        context = info.context
        key = decode_id(id, "Optimization")
        feed = following.follow(context.uow, context.services.events, context.viewer, key, after)
        async with aclosing(feed):
            async for news in feed:
                yield OptimizationEvent(
                    cursor=news.cursor,
                    status=news.status,
                    progress=news.progress,
                    trials_done=news.data["trialsDone"] if news.row is None else news.row.trials_done,
                    optimization=Optimization.from_row(news.final) if news.final is not None else None,
                )


async def resolve_optimization_nodes(info: Info, ids: Sequence[UUID]) -> list[Optimization | None]:
    """Return the viewer's searches for ``node``."""
    rows = await info.context.loaders(OptimizationLoaders).optimization.load_many(list(ids))
    return [Optimization.from_row(row) if row else None for row in rows]
