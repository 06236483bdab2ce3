"""A runtime whose mails go to a mail server of the test's, and people who use it."""

from collections.abc import AsyncIterator

import pytest

from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.core.actor import Role
from gql_trader.runtime import Runtime, open_runtime
from tests.factories.actors import make_access_token, make_actor
from tests.factories.mail_server import MailServer, mail_server
from tests.graphql_client import GraphQLSocket, InProcessTransport, graphql_client
from tests.notifications.notices import Person, Scene


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    """A mail server."""
    async with mail_server() as server:
        yield server


@pytest.fixture
def settings(settings: Settings, mail: MailServer) -> Settings:
    """Settings that name the mail server."""
    return settings.model_copy(
        update={
            "public_url": "https://trader.example",
            "smtp_host": "127.0.0.1",
            "smtp_port": mail.port,
            "smtp_tls": "none",
            "mail_from": "gql_trader <trader@trader.example>",
            # The receivers of these tests are on this machine.
            "webhook_private_addresses": True,
            "webhook_plain_http": True,
        }
    )


@pytest.fixture
async def runtime(settings: Settings) -> AsyncIterator[Runtime]:
    """An open runtime."""
    async with open_runtime(settings) as opened:
        yield opened


@pytest.fixture
async def scene(settings: Settings, runtime: Runtime) -> AsyncIterator[Scene]:
    """An application with people in it."""
    app = create_app(settings, runtime)
    async with graphql_client(app) as client:
        people = []
        for name, role in (("root", Role.ADMIN), ("ada", Role.TRADER)):
            actor = await make_actor(runtime, name, role)
            token = await make_access_token(runtime, actor)
            socket = GraphQLSocket(InProcessTransport(app), {"authorization": f"Bearer {token}"})
            people.append(Person(actor, client.signed_in(token), socket))
        yield Scene(client, runtime, *people)
