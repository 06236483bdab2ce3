"""GraphQL types and resolvers of administration and the audit log."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry.dataloader import DataLoader

from gql_trader.accounts import administration, audit
from gql_trader.accounts import repository_credentials as repository
from gql_trader.accounts.loaders import AccountLoaders
from gql_trader.accounts.schema_types import User
from gql_trader.accounts.service import record
from gql_trader.accounts.types import UserRecord, UserStatus
from gql_trader.accounts.types_credentials import AuditFilter, AuditRecord, UserFilter
from gql_trader.core.actor import Actor, Role, TokenScope
from gql_trader.gql.context import Context, Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.pagination import After, Before, Connection, First, Last, connection
from gql_trader.gql.permissions import requires, visible
from gql_trader.gql.relay import Node, decode_id, encode_id
from gql_trader.gql.scalars import JSON
from gql_trader.infra.keyset import page_request
from gql_trader.infra.unit_of_work import UnitOfWork


@visible("administrators")
@strawberry.type(description="A privileged action: who did what to whom, and when. Events never change.")
class AuditEvent(Node):
    """An entry of the audit log."""

    actor_id: strawberry.Private[UUID | None]
    target_id: strawberry.Private[UUID | None]
    action: str = strawberry.field(description="What was done, such as USER_APPROVED.")
    metadata: JSON = strawberry.field(description="What else is known of it; depends on the action.")
    created_at: datetime = strawberry.field(description="When it was done.")

    @strawberry.field(
        description="Who did it; null if it was the server's operator from the command line, an identity "
        "provider, or a user who exists no more."
    )
    async def actor(self, info: Info) -> User | None:
        return await _load_user(info, self.actor_id)

    @strawberry.field(description="The user to whom it was done; null if the user exists no more.")
    async def target(self, info: Info) -> User | None:
        return await _load_user(info, self.target_id)

    @classmethod
    def from_record(cls, event: AuditRecord) -> "AuditEvent":
        """Return the GraphQL object of an event."""
        return cls(
            id=encode_id("AuditEvent", event.id),
            actor_id=event.actor_id,
            target_id=event.target_id,
            action=event.action,
            metadata=JSON(dict(event.metadata)),
            created_at=event.created_at,
        )


async def _load_user(info: Info, user_id: UUID | None) -> User | None:
    if user_id is None:
        return None
    user = await info.context.loaders(AccountLoaders).user.load(user_id)
    return User.from_record(user) if user else None


class AuditLoaders:
    """Audit events by id, one statement a batch."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.event: DataLoader[UUID, AuditRecord | None] = DataLoader(self._events)

    async def _events(self, ids: Sequence[UUID]) -> list[AuditRecord | None]:
        async with self._context.uow() as uow:
            rows = await repository.audit_events_by_ids(uow.session, ids)
        return [audit.audit_record(rows[key]) if key in rows else None for key in ids]


@strawberry.type
class AdministrationQuery:
    """Queries of administration."""

    @strawberry.field(
        description="The server's users, newest first.", extensions=requires(Role.ADMIN, TokenScope.ADMIN)
    )
    async def users(
        self,
        info: Info,
        status: Annotated[
            list[UserStatus] | None,
            strawberry.argument(description="Only these; [PENDING] lists who waits for approval."),
        ] = None,
        search: Annotated[
            str | None,
            strawberry.argument(
                description="Only those whose username or e-mail address contains this text."
            ),
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[User] | None:
        where = UserFilter(None if status is None else tuple(status), search)
        async with info.context.uow() as uow:
            page = await administration.list_users(uow, where, page_request(first, after, last, before))

        async def count() -> int:
            async with info.context.uow() as uow:
                return await administration.count_users(uow, where)

        return connection(Connection[User], page, lambda row: User.from_record(record(row[0])), count)

    @strawberry.field(
        description="Privileged actions, newest first.", extensions=requires(Role.ADMIN, TokenScope.ADMIN)
    )
    async def audit_log(
        self,
        info: Info,
        actor_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only what this user did.")
        ] = None,
        target_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only what was done to this user.")
        ] = None,
        action: Annotated[
            list[str] | None,
            strawberry.argument(description='Only these actions, such as ["USER_APPROVED"].'),
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[AuditEvent] | None:
        where = AuditFilter(
            decode_id(actor_id, "User", ("actorId",)) if actor_id is not None else None,
            decode_id(target_id, "User", ("targetId",)) if target_id is not None else None,
            None if action is None else tuple(action),
        )
        async with info.context.uow() as uow:
            page = await audit.list_events(uow, where, page_request(first, after, last, before))

        async def count() -> int:
            async with info.context.uow() as uow:
                return await audit.count_events(uow, where)

        def convert(row: Any) -> AuditEvent:
            return AuditEvent.from_record(audit.audit_record(row[0]))

        return connection(Connection[AuditEvent], page, convert, count)


@strawberry.input(description="A user to let in.")
class ApproveUserInput:
    """Input of approveUser."""

    id: strawberry.ID = strawberry.field(description="The user.")


@strawberry.input(description="A user to shut out.")
class DisableUserInput:
    """Input of disableUser."""

    id: strawberry.ID = strawberry.field(description="The user.")


@strawberry.input(description="A user to let in again.")
class EnableUserInput:
    """Input of enableUser."""

    id: strawberry.ID = strawberry.field(description="The user.")


@strawberry.input(description="A user's new role.")
class ChangeUserRoleInput:
    """Input of changeUserRole."""

    id: strawberry.ID = strawberry.field(description="The user.")
    role: Role = strawberry.field(description="What the user may do from now on.")


@strawberry.type
class _UserPayload:
    user: User | None = strawberry.field(
        default=None, description="The user as it is now; null if nothing was done."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why nothing was done; empty on success."
    )


@visible("administrators")
@strawberry.type(description="Result of `approveUser`.")
class ApproveUserPayload(_UserPayload):
    """Payload of approveUser."""


@visible("administrators")
@strawberry.type(description="Result of `disableUser`.")
class DisableUserPayload(_UserPayload):
    """Payload of disableUser."""


@visible("administrators")
@strawberry.type(description="Result of `enableUser`.")
class EnableUserPayload(_UserPayload):
    """Payload of enableUser."""


@visible("administrators")
@strawberry.type(description="Result of `changeUserRole`.")
class ChangeUserRolePayload(_UserPayload):
    """Payload of changeUserRole."""


_Act = Callable[[UnitOfWork, Actor, UUID], Awaitable[UserRecord]]


async def _act(info: Info, user_id: strawberry.ID, act: _Act) -> User:
    key = decode_id(user_id, "User")
    async with info.context.uow() as uow:
        return User.from_record(await act(uow, info.context.viewer, key))


@strawberry.type
class AdministrationMutation:
    """Mutations of administration. Each leaves an event in the audit log, in the same transaction."""

    @mutation(
        ApproveUserPayload,
        Role.ADMIN,
        "Let a pending user in. Approving an active one changes nothing.",
        TokenScope.ADMIN,
    )
    async def approve_user(
        self,
        info: Info,
        input: Annotated[ApproveUserInput, strawberry.argument(description="Whom to approve.")],
    ) -> ApproveUserPayload:
        return ApproveUserPayload(user=await _act(info, input.id, administration.approve_user))

    @mutation(
        DisableUserPayload,
        Role.ADMIN,
        "Shut a user out, ending what the user is signed in with at once. Not oneself, nor the last active "
        "administrator.",
        TokenScope.ADMIN,
    )
    async def disable_user(
        self,
        info: Info,
        input: Annotated[DisableUserInput, strawberry.argument(description="Whom to disable.")],
    ) -> DisableUserPayload:
        return DisableUserPayload(user=await _act(info, input.id, administration.disable_user))

    @mutation(
        EnableUserPayload,
        Role.ADMIN,
        "Let a disabled user in again. Enabling an active one changes nothing.",
        TokenScope.ADMIN,
    )
    async def enable_user(
        self,
        info: Info,
        input: Annotated[EnableUserInput, strawberry.argument(description="Whom to enable.")],
    ) -> EnableUserPayload:
        return EnableUserPayload(user=await _act(info, input.id, administration.enable_user))

    @mutation(
        ChangeUserRolePayload,
        Role.ADMIN,
        "Give a user another role, who then has to log in again. Not oneself, and one active administrator "
        "remains.",
        TokenScope.ADMIN,
    )
    async def change_user_role(
        self,
        info: Info,
        input: Annotated[ChangeUserRoleInput, strawberry.argument(description="Who gets which role.")],
    ) -> ChangeUserRolePayload:
        async def act(uow: UnitOfWork, actor: Actor, key: UUID) -> UserRecord:
            return await administration.change_role(uow, actor, key, input.role)

        return ChangeUserRolePayload(user=await _act(info, input.id, act))


async def resolve_audit_event_nodes(info: Info, ids: Sequence[UUID]) -> list[AuditEvent | None]:
    """Return audit events for ``node``, to administrators only."""
    if not info.context.viewer.is_admin:
        return [None] * len(ids)
    events = await info.context.loaders(AuditLoaders).event.load_many(list(ids))
    return [AuditEvent.from_record(event) if event else None for event in events]
