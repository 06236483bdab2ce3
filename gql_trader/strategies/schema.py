"""GraphQL resolvers of the strategy domain."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.core.actor import Role, TokenScope
from gql_trader.core.ids import StrategyId
from gql_trader.core.intervals import Interval
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.pagination import After, Before, Connection, First, Last, connection
from gql_trader.gql.permissions import requires, visible
from gql_trader.gql.relay import decode_id
from gql_trader.infra.keyset import page_request
from gql_trader.strategies import service
from gql_trader.strategies.loaders import RuleChecks, StrategyLoaders
from gql_trader.strategies.schema_inputs import (
    CreateStrategyInput,
    DeleteStrategyInput,
    StrategyRulesInput,
    UpdateStrategyInput,
)
from gql_trader.strategies.schema_types import (
    IndicatorInfo,
    RuleIssueInfo,
    Strategy,
    StrategyCheck,
    all_indicators,
)

__all__ = ["Strategy", "StrategyMutation", "StrategyQuery", "resolve_strategy_nodes"]


@visible("whoever sent the mutation")
@strawberry.type(description="Result of `createStrategy`.")
class CreateStrategyPayload:
    """Payload of createStrategy."""

    strategy: Strategy | None = strawberry.field(
        default=None, description="The new strategy; null if refused."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list,
        description="Why it was refused, with one error for each mistake in a rule; empty on success.",
    )


@visible("whoever sent the mutation")
@strawberry.type(description="Result of `updateStrategy`.")
class UpdateStrategyPayload:
    """Payload of updateStrategy."""

    strategy: Strategy | None = strawberry.field(
        default=None, description="The changed strategy; null if refused."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why it was refused and nothing changed; empty on success."
    )


@visible("whoever sent the mutation")
@strawberry.type(description="Result of `deleteStrategy`.")
class DeleteStrategyPayload:
    """Payload of deleteStrategy."""

    deleted_id: strawberry.ID | None = strawberry.field(
        default=None, description="The id that no longer names a strategy; null if refused."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why it was refused; empty on success."
    )


@strawberry.type
class StrategyQuery:
    """Queries of the strategy domain."""

    @strawberry.field(
        description="Every function of the rule language, by name.", extensions=requires(Role.VIEWER)
    )
    def indicators(self) -> list[IndicatorInfo] | None:
        return all_indicators()

    @strawberry.field(
        description="Built-in strategies and your own, in the order of their names.",
        extensions=requires(Role.VIEWER),
    )
    async def strategies(
        self,
        info: Info,
        search: Annotated[
            str | None,
            strawberry.argument(description="Only those with this text in name, slug or description."),
        ] = None,
        builtin: Annotated[
            bool | None, strawberry.argument(description="true: only built-in ones; false: only your own.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Strategy] | None:
        context, viewer = info.context, info.context.viewer
        async with context.uow() as uow:
            request = page_request(first, after, last, before)
            page = await service.list_strategies(uow, viewer, search, builtin, request)

        async def count() -> int:
            async with context.uow() as uow:
                return await service.count_strategies(uow, viewer, search, builtin)

        return connection(
            Connection[Strategy], page, lambda row: Strategy.from_record(service.record(row)), count
        )

    @strawberry.field(
        description="The strategy with this id or slug; null if there is none, or it is not yours. Your own "
        "comes before a built-in one with the same slug.",
        extensions=requires(Role.VIEWER),
    )
    async def strategy(
        self,
        info: Info,
        id: Annotated[strawberry.ID | None, strawberry.argument(description="Its global id.")] = None,
        slug: Annotated[
            str | None, strawberry.argument(description="Its short name, such as golden-cross.")
        ] = None,
    ) -> Strategy | None:
        key = decode_id(id, "Strategy") if id is not None else None
        async with info.context.uow() as uow:
            found = await service.find_strategy(uow, info.context.viewer, key=key, slug=slug)
        return Strategy.from_record(found) if found else None

    @strawberry.field(
        description="Check rules without storing them: every mistake with line and column, and how many bars "
        "of warm-up they need. One request checks at most 20,000 characters in all.",
        extensions=requires(Role.VIEWER),
    )
    async def check_strategy(
        self,
        info: Info,
        input: Annotated[StrategyRulesInput, strawberry.argument(description="The rules and parameters.")],
        interval: Annotated[
            Interval | None,
            strawberry.argument(
                description="The bars to run on, which matter to rules with on(); none: any."
            ),
        ] = None,
    ) -> StrategyCheck | None:
        parameters = [each.to_parameter() for each in input.parameters or ()]
        found = await info.context.loaders(RuleChecks).check(input.to_rules(), parameters, interval)
        return StrategyCheck(
            valid=not found.issues,
            issues=list(map(RuleIssueInfo.from_issue, found.issues)),
            warmup_bars=found.warmup,
            indicators=list(found.indicators),
        )


@strawberry.type
class StrategyMutation:
    """Mutations of the strategy domain."""

    @mutation(CreateStrategyPayload, Role.TRADER, "Make a strategy of your own.", TokenScope.BACKTEST)
    async def create_strategy(
        self,
        info: Info,
        input: Annotated[CreateStrategyInput, strawberry.argument(description="The new strategy.")],
    ) -> CreateStrategyPayload:
        async with info.context.uow() as uow:
            created = await service.create_strategy(
                uow, info.context.viewer, input.to_new(), info.context.services.plugins
            )
        return CreateStrategyPayload(strategy=Strategy.from_record(created))

    @mutation(
        UpdateStrategyPayload,
        Role.TRADER,
        "Change a strategy of your own. The change is a new version; backtests keep the one that they ran.",
        TokenScope.BACKTEST,
    )
    async def update_strategy(
        self,
        info: Info,
        input: Annotated[UpdateStrategyInput, strawberry.argument(description="What to change.")],
    ) -> UpdateStrategyPayload:
        async with info.context.uow() as uow:
            changed = await service.update_strategy(
                uow, info.context.viewer, input.key, input.to_change(), info.context.services.plugins
            )
        return UpdateStrategyPayload(strategy=Strategy.from_record(changed))

    @mutation(
        DeleteStrategyPayload,
        Role.TRADER,
        "Delete a strategy of your own. Backtests that ran it keep their version of it.",
        TokenScope.BACKTEST,
    )
    async def delete_strategy(
        self,
        info: Info,
        input: Annotated[DeleteStrategyInput, strawberry.argument(description="What to delete.")],
    ) -> DeleteStrategyPayload:
        key = StrategyId(decode_id(input.id, "Strategy"))
        async with info.context.uow() as uow:
            await service.delete_strategy(uow, info.context.viewer, key)
        return DeleteStrategyPayload(deleted_id=input.id)


async def resolve_strategy_nodes(info: Info, ids: Sequence[UUID]) -> list[Strategy | None]:
    """Return strategies for ``node``: built-in ones and the viewer's own, not deleted."""
    records = await info.context.loaders(StrategyLoaders).present.load_many(list(ids))
    return [Strategy.from_record(each) if each is not None else None for each in records]
