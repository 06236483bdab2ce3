"""The application over HTTP, with a clock that tests move and a mail server."""

from collections.abc import AsyncIterator

import pytest

from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.runtime import open_runtime
from tests.accounts.accounts_api import Accounts
from tests.factories.clock import MovableClock
from tests.factories.mail_server import MailServer, mail_server
from tests.graphql_client import graphql_client


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    """A mail server."""
    async with mail_server() as server:
        yield server


@pytest.fixture
async def accounts(settings: Settings, mail: MailServer) -> AsyncIterator[Accounts]:
    """The account area of an application that runs."""
    clock = MovableClock()
    chosen = settings.model_copy(
        update={
            "public_url": "https://trader.example/",
            "smtp_host": "127.0.0.1",
            "smtp_port": mail.port,
            "smtp_tls": "none",
            "mail_from": "gql_trader <trader@trader.example>",
        }
    )
    async with open_runtime(chosen, clock) as runtime:
        app = create_app(chosen, runtime)
        async with graphql_client(app) as client:
            yield Accounts(app, runtime, clock, client)
