"""A GraphQL client that sees market data only, and a trader with candles at a simulated exchange."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest

from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.core.actor import Actor, Role
from gql_trader.core.ids import UserId
from gql_trader.gql.api import GraphQLApi
from gql_trader.gql.context import Services
from gql_trader.gql.http import HttpEndpoint
from gql_trader.gql.limits import Limits
from gql_trader.gql.middleware import RequestIdMiddleware
from gql_trader.gql.schema_builder import build_schema
from gql_trader.infra.exchange.exchanges import Exchanges
from gql_trader.market_data.schema import MarketDataQuery, resolve_asset_nodes, resolve_market_nodes
from gql_trader.runtime import Runtime
from tests.factories.actors import make_access_token, make_actor
from tests.factories.candles import random_bars
from tests.factories.exchange_simulator import exchange_simulator
from tests.factories.waits import VirtualWaits
from tests.graphql_client import GraphQLClient, graphql_client
from tests.market_data.feed_desk import FeedDesk, hours_back

SCHEMA = build_schema(
    [MarketDataQuery], node_resolvers={"Asset": resolve_asset_nodes, "Market": resolve_market_nodes}
)


@dataclass(frozen=True)
class Credentials:
    """Somebody who may read, or nobody."""

    actor: Actor | None
    problem: str | None = None
    expires_at: datetime | None = None
    grant: None = None


async def authenticate(_services: Services, header: str | None) -> Credentials:
    """Take any header for a viewer's."""
    return Credentials(Actor(UserId(UUID(int=1)), Role.VIEWER) if header else None)


@pytest.fixture
async def anonymous(runtime: Runtime) -> AsyncIterator[GraphQLClient]:
    """A client that is not signed in."""
    endpoint = HttpEndpoint(GraphQLApi(SCHEMA, Limits(), timeout=10.0), lambda: runtime, authenticate)
    async with graphql_client(RequestIdMiddleware(endpoint)) as client:
        yield client


@pytest.fixture
def client(anonymous: GraphQLClient) -> GraphQLClient:
    """A viewer's client."""
    return anonymous.signed_in("viewer")


@pytest.fixture
async def desk(settings: Settings, runtime: Runtime, exchange_list: Path) -> AsyncIterator[FeedDesk]:
    """A trader, and an exchange with 2,500 hourly candles of BTC/USDT."""
    waits = VirtualWaits()
    async with exchange_simulator() as simulator:
        exchanges = Exchanges({"binance": simulator.url}, None, 5.0, exchange_list, waits.waits)
        chosen = replace(runtime, exchanges=exchanges)
        actor = await make_actor(chosen, "ada")
        token = await make_access_token(chosen, actor)
        app = create_app(settings, chosen)
        start = hours_back(2_500)
        bars = random_bars(2_500, seed=5, start=start)
        async with graphql_client(app) as client:
            desk = FeedDesk(app, client.signed_in(token), chosen, actor, token, simulator, waits, start, bars)
            desk.serve(bars)
            yield desk
        await exchanges.close()
