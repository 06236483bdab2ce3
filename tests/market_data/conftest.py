"""A GraphQL client that sees market data only."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import pytest

from gql_trader.core.actor import Actor, Role
from gql_trader.core.ids import UserId
from gql_trader.gql.api import GraphQLApi
from gql_trader.gql.context import Services
from gql_trader.gql.http import HttpEndpoint
from gql_trader.gql.limits import Limits
from gql_trader.gql.middleware import RequestIdMiddleware
from gql_trader.gql.schema_builder import build_schema
from gql_trader.market_data.schema import MarketDataQuery, resolve_asset_nodes, resolve_market_nodes
from gql_trader.runtime import Runtime
from tests.graphql_client import GraphQLClient, graphql_client

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
