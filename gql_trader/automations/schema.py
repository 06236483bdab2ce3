"""GraphQL queries and mutations of the automation domain."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.automations import service
from gql_trader.automations.loaders import AutomationLoaders
from gql_trader.automations.schema_enums import AutomationStatus
from gql_trader.automations.schema_inputs import CreateAutomationInput, UpdateAutomationInput
from gql_trader.automations.schema_types import OWNER, Automation, AutomationConnection, AutomationRun
from gql_trader.automations.types import Limits
from gql_trader.core.actor import Role, TokenScope
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.pagination import After, Before, First, Last, connection
from gql_trader.gql.permissions import requires, visible
from gql_trader.gql.relay import decode_id, encode_id
from gql_trader.infra.keyset import page_request
from gql_trader.settings.service import preferences_of


def _result(description: str) -> Automation | None:
    field: Automation | None = strawberry.field(default=None, description=description)
    return field


def _errors() -> list[UserError]:
    field: list[UserError] = strawberry.field(
        default_factory=list, description="Why nothing was done; empty on success."
    )
    return field


@visible(OWNER)
@strawberry.type(description="Result of `createAutomation`.")
class CreateAutomationPayload:
    """Payload of createAutomation."""

    automation: Automation | None = _result("The new automation.")
    errors: list[UserError] = _errors()


@visible(OWNER)
@strawberry.type(description="Result of `updateAutomation`.")
class UpdateAutomationPayload:
    """Payload of updateAutomation."""

    automation: Automation | None = _result("The automation as it is now.")
    errors: list[UserError] = _errors()


@strawberry.input(description="An automation to pause.")
class PauseAutomationInput:
    """Input of pauseAutomation."""

    id: strawberry.ID = strawberry.field(description="One of your automations that is not paused.")


@visible(OWNER)
@strawberry.type(description="Result of `pauseAutomation`.")
class PauseAutomationPayload:
    """Payload of pauseAutomation."""

    automation: Automation | None = _result("The automation, paused.")
    errors: list[UserError] = _errors()


@strawberry.input(description="An automation to resume.")
class ResumeAutomationInput:
    """Input of resumeAutomation."""

    id: strawberry.ID = strawberry.field(description="One of your automations that is paused.")


@visible(OWNER)
@strawberry.type(description="Result of `resumeAutomation`.")
class ResumeAutomationPayload:
    """Payload of resumeAutomation."""

    automation: Automation | None = _result("The automation; moments that passed are not made up for.")
    errors: list[UserError] = _errors()


@strawberry.input(description="An automation to run at once.")
class RunAutomationInput:
    """Input of runAutomation."""

    id: strawberry.ID = strawberry.field(description="One of your automations, paused or not.")


@visible(OWNER)
@strawberry.type(description="Result of `runAutomation`.")
class RunAutomationPayload:
    """Payload of runAutomation."""

    automation_run: AutomationRun | None = strawberry.field(default=None, description="The run, queued.")
    errors: list[UserError] = _errors()


@strawberry.input(description="An automation to delete.")
class DeleteAutomationInput:
    """Input of deleteAutomation."""

    id: strawberry.ID = strawberry.field(description="One of your automations.")


@visible(OWNER)
@strawberry.type(description="Result of `deleteAutomation`.")
class DeleteAutomationPayload:
    """Payload of deleteAutomation."""

    deleted_id: strawberry.ID | None = strawberry.field(
        default=None, description="Id of what is gone; the backtests that it ran stay."
    )
    errors: list[UserError] = _errors()


@strawberry.type
class AutomationQuery:
    """Queries of the automation domain."""

    @strawberry.field(description="Your automations, the newest first.", extensions=requires(Role.VIEWER))
    async def automations(
        self,
        info: Info,
        status: Annotated[
            AutomationStatus | None, strawberry.argument(description="Only those in this state.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> AutomationConnection | None:
        viewer = info.context.viewer
        async with info.context.uow() as uow:
            request = page_request(first, after, last, before)
            page = await service.list_automations(uow, viewer, status, request)

        async def count() -> int:
            async with info.context.uow() as uow:
                return await service.count_automations(uow, viewer, status)

        return connection(AutomationConnection, page, Automation.from_row, count)

    @strawberry.field(
        description="One of your automations; null if there is none with this id.",
        extensions=requires(Role.VIEWER),
    )
    async def automation(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The automation.")]
    ) -> Automation | None:
        row = await info.context.loaders(AutomationLoaders).automation.load(decode_id(id, "Automation"))
        return Automation.from_row(row) if row else None


@strawberry.type
class AutomationMutation:
    """Mutations of the automation domain."""

    @mutation(
        CreateAutomationPayload,
        Role.TRADER,
        "Have a strategy run by the clock, such as every morning over the last 90 days.",
        TokenScope.BACKTEST,
    )
    async def create_automation(
        self,
        info: Info,
        input: Annotated[CreateAutomationInput, strawberry.argument(description="What to do, and when.")],
    ) -> CreateAutomationPayload:
        async with info.context.uow() as uow:
            spec = input.to_spec(await preferences_of(uow, info.context.viewer.user_id))
            row = await service.create_automation(
                uow, info.context.viewer, spec, _limits(info), info.context.services.plugins
            )
        return CreateAutomationPayload(automation=Automation.from_row(row))

    @mutation(
        UpdateAutomationPayload,
        Role.TRADER,
        "Change an automation from its next run on.",
        TokenScope.BACKTEST,
    )
    async def update_automation(
        self,
        info: Info,
        input: Annotated[UpdateAutomationInput, strawberry.argument(description="What to change.")],
    ) -> UpdateAutomationPayload:
        async with info.context.uow() as uow:
            row = await service.update_automation(
                uow,
                info.context.viewer,
                input.key,
                input.to_changes(),
                _limits(info),
                info.context.services.plugins,
            )
        return UpdateAutomationPayload(automation=Automation.from_row(row))

    @mutation(
        PauseAutomationPayload,
        Role.TRADER,
        "Keep an automation from running by the clock until it is resumed.",
        TokenScope.BACKTEST,
    )
    async def pause_automation(
        self,
        info: Info,
        input: Annotated[PauseAutomationInput, strawberry.argument(description="What to pause.")],
    ) -> PauseAutomationPayload:
        async with info.context.uow() as uow:
            key = decode_id(input.id, "Automation")
            row = await service.set_active(uow, info.context.viewer, key, active=False)
        return PauseAutomationPayload(automation=Automation.from_row(row))

    @mutation(
        ResumeAutomationPayload,
        Role.TRADER,
        "Let a paused automation run by the clock again.",
        TokenScope.BACKTEST,
    )
    async def resume_automation(
        self,
        info: Info,
        input: Annotated[ResumeAutomationInput, strawberry.argument(description="What to resume.")],
    ) -> ResumeAutomationPayload:
        async with info.context.uow() as uow:
            key = decode_id(input.id, "Automation")
            row = await service.set_active(uow, info.context.viewer, key, active=True)
        return ResumeAutomationPayload(automation=Automation.from_row(row))

    @mutation(
        RunAutomationPayload,
        Role.TRADER,
        "Run an automation at once, besides when its moment comes.",
        TokenScope.BACKTEST,
    )
    async def run_automation(
        self,
        info: Info,
        input: Annotated[RunAutomationInput, strawberry.argument(description="What to run.")],
    ) -> RunAutomationPayload:
        async with info.context.uow() as uow:
            run = await service.run_now(uow, info.context.viewer, decode_id(input.id, "Automation"))
        return RunAutomationPayload(automation_run=AutomationRun.from_row(run))

    @mutation(
        DeleteAutomationPayload,
        Role.TRADER,
        "Delete an automation and its history.",
        TokenScope.BACKTEST,
    )
    async def delete_automation(
        self,
        info: Info,
        input: Annotated[DeleteAutomationInput, strawberry.argument(description="What to delete.")],
    ) -> DeleteAutomationPayload:
        key = decode_id(input.id, "Automation")
        async with info.context.uow() as uow:
            await service.delete_automation(uow, info.context.viewer, key)
        return DeleteAutomationPayload(deleted_id=encode_id("Automation", key))


def _limits(info: Info) -> Limits:
    settings = info.context.services.settings
    return Limits(settings.max_automations_per_user, settings.min_automation_seconds)


async def resolve_automation_nodes(info: Info, ids: Sequence[UUID]) -> list[Automation | None]:
    """Return the viewer's automations for ``node``."""
    rows = await info.context.loaders(AutomationLoaders).automation.load_many(list(ids))
    return [Automation.from_row(row) if row else None for row in rows]


async def resolve_automation_run_nodes(info: Info, ids: Sequence[UUID]) -> list[AutomationRun | None]:
    """Return runs of the viewer's automations for ``node``."""
    rows = await info.context.loaders(AutomationLoaders).run.load_many(list(ids))
    return [AutomationRun.from_row(row) if row else None for row in rows]
