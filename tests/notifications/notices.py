"""Somebody to notify, and what a worker does about the outbox."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from gql_trader.core.actor import Actor
from gql_trader.notifications import service
from gql_trader.notifications.jobs import deliver_outbox
from gql_trader.notifications.types import NotificationKind
from gql_trader.runtime import Runtime
from tests.factories.people import PASSWORD
from tests.graphql_client import GraphQLClient, GraphQLSocket

LIST = """query($unread: Boolean, $kind: [NotificationKind!], $first: Int, $after: String) {
    notifications(unread: $unread, kind: $kind, first: $first, after: $after) {
        nodes { id kind title body payload readAt } totalCount pageInfo { endCursor hasNextPage } } }"""
EVENTS = """subscription($after: String) { notifications(after: $after) {
    cursor id kind title body payload createdAt readAt } }"""


@dataclass
class Person:
    """Somebody with a client and a socket."""

    actor: Actor
    client: GraphQLClient
    socket: GraphQLSocket

    async def act(self, name: str, fields: str, **given: Any) -> Any:
        """Send a mutation and return its payload."""
        kind = f"{name[0].upper()}{name[1:]}Input!"
        query = f"mutation($input: {kind}) {{ {name}(input: $input) {{ {fields} errors {{ code path }} }} }}"
        return (await self.client.execute(query, {"input": given})).data[name]

    async def listed(self, **variables: Any) -> Any:
        """Return a page of notifications."""
        return (await self.client.execute(LIST, variables)).data["notifications"]


@dataclass
class Scene:
    """An application with an administrator and a trader."""

    anonymous: GraphQLClient
    runtime: Runtime
    root: Person
    ada: Person


async def approve(runtime: Runtime, actor: Actor, name: str) -> None:
    """Notify a user; the name is in the text, so that notifications can be told apart."""
    async with runtime.unit_of_work() as uow:
        await service.notify(uow, actor.user_id, NotificationKind.ACCOUNT_APPROVED, {"username": name})


async def work(runtime: Runtime) -> None:
    """Do what is due."""
    await deliver_outbox({"runtime": runtime})


async def make_due(runtime: Runtime) -> None:
    """Let all pauses and leases be over."""
    async with runtime.unit_of_work() as uow:
        await uow.session.execute(text("UPDATE outbox_messages SET next_attempt_at = now()"))


async def sign_up(scene: Scene, username: str, email: str) -> None:
    document = "mutation($input: SignupInput!) { signup(input: $input) { status errors { code } } }"
    given = {"username": username, "email": email, "password": PASSWORD}
    payload = (await scene.anonymous.execute(document, {"input": given})).data["signup"]
    assert payload == {"status": "PENDING", "errors": []}
