"""A runtime whose mails go to a mail server of the test's."""

from collections.abc import AsyncIterator

import pytest

from gql_trader.config import Settings
from gql_trader.runtime import Runtime, open_runtime
from tests.factories.mail_server import MailServer, mail_server


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
        }
    )


@pytest.fixture
async def runtime(settings: Settings) -> AsyncIterator[Runtime]:
    """An open runtime."""
    async with open_runtime(settings) as opened:
        yield opened
