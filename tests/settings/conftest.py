"""The application over HTTP, with a clock that tests move; live trading is allowed on it."""

from collections.abc import AsyncIterator

import pytest

from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.runtime import open_runtime
from tests.accounts.accounts_api import Accounts
from tests.factories.clock import MovableClock
from tests.graphql_client import graphql_client
from tests.settings.settings_api import Member, make_member


@pytest.fixture
async def accounts(settings: Settings) -> AsyncIterator[Accounts]:
    """An application that runs."""
    clock = MovableClock()
    chosen = settings.model_copy(update={"live_trading_enabled": True})
    async with open_runtime(chosen, clock) as runtime:
        app = create_app(chosen, runtime)
        async with graphql_client(app) as client:
            yield Accounts(app, runtime, clock, client)


@pytest.fixture
async def ada(accounts: Accounts) -> Member:
    """A trader who has changed nothing yet."""
    return await make_member(accounts)
