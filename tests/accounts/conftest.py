"""The application over HTTP, with a clock that tests move."""

from collections.abc import AsyncIterator

import pytest

from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.runtime import open_runtime
from tests.accounts.accounts_api import Accounts
from tests.factories.clock import MovableClock
from tests.graphql_client import graphql_client


@pytest.fixture
async def accounts(settings: Settings) -> AsyncIterator[Accounts]:
    """The account area of an application that runs."""
    clock = MovableClock()
    async with open_runtime(settings, clock) as runtime:
        app = create_app(settings, runtime)
        async with graphql_client(app) as client:
            yield Accounts(app, runtime, clock, client)
