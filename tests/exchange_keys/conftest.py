"""A trader with an account at a simulated exchange."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.infra.exchange.exchanges import Exchanges
from gql_trader.runtime import Runtime
from tests.exchange_keys.key_desk import API_KEY, SECRET, KeyDesk
from tests.factories.actors import make_access_token, make_actor
from tests.factories.exchange_simulator import Account, exchange_simulator
from tests.factories.waits import VirtualWaits
from tests.graphql_client import graphql_client

# Long enough for a busy machine, short enough to wait for three of them.
_TIMEOUT = 0.5


@pytest.fixture
async def desk(settings: Settings, runtime: Runtime, exchange_list: Path) -> AsyncIterator[KeyDesk]:
    """A signed-in trader, whose requests to Binance go to the simulator."""
    waits = VirtualWaits()
    async with exchange_simulator() as simulator:
        exchanges = Exchanges({"binance": simulator.url}, None, _TIMEOUT, exchange_list, waits.waits)
        chosen = replace(runtime, exchanges=exchanges)
        actor = await make_actor(chosen, "ada")
        token = await make_access_token(chosen, actor)
        account = simulator.add_account(Account(API_KEY, SECRET))
        app = create_app(settings, chosen)
        async with graphql_client(app) as client:
            yield KeyDesk(client.signed_in(token), chosen, actor, simulator, account, waits)
        await exchanges.close()
