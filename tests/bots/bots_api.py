"""Bots through GraphQL: what is asked, and a client that asks it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from starlette.applications import Starlette

from gql_trader.core.actor import Actor, Role
from gql_trader.gql.relay import encode_id, parse_id
from tests.factories.actors import make_access_token, make_actor
from tests.factories.backtests import BARS
from tests.factories.bots import BotDesk, bar_time
from tests.graphql_client import GraphQLClient, GraphQLSocket, InProcessTransport

_STATE = "{ bot { id state error session { id status } } errors { code message path } }"
CREATE = """
mutation($input: CreateBotInput!) {
  createBot(input: $input) {
    bot {
      id name state error mode interval parameters initialCapital strategyVersion checkIntervalSeconds
      market { symbol } strategy { slug } execution { stopLoss } replay { start end speed }
      session { id } guards { kind limit used tripped trippedBy resetsAt } waitingFor
    }
    errors { __typename code message path }
  }
}
"""
UPDATE = """
mutation($input: UpdateBotInput!) {
  updateBot(input: $input) {
    bot { name initialCapital execution { stopLoss } replay { speed } parameters } errors { code path }
  }
}
"""
DELETE = "mutation($id: ID!) { deleteBot(input: {id: $id}) { deletedId errors { code } } }"
START = f"mutation($id: ID!) {{ startBot(input: {{id: $id}}) {_STATE} }}"
STOP = f"mutation($id: ID!) {{ stopBot(input: {{id: $id}}) {_STATE} }}"
STOP_ALL = """
mutation($everyone: Boolean) { stopAllBots(input: {everyone: $everyone}) { count errors { code path } } }
"""
LIST = """
query($first: Int, $state: [BotState!]) {
  bots(first: $first, state: $state) {
    totalCount
    nodes {
      id name waitingFor guards { kind used } market { symbol } strategy { slug }
      session {
        id equity profit positions { quantity market { symbol } }
        trades(first: 3) { totalCount nodes { number market { symbol } bot { name } session { id } } }
        orders(last: 2) { totalCount nodes { clientOrderId side type } }
        decisions(first: 2) { totalCount nodes { time entryLong values guards { kind } } }
        equityCurve(maxPoints: 10) { time equity drawdown }
      }
      sessions(first: 2) { totalCount nodes { id } }
    }
  }
}
"""


def iso(index: int) -> str:
    """Return the opening time of a bar of the desk's, as the API takes it."""
    return bar_time(index).isoformat().replace("+00:00", "Z")


@dataclass
class Api:
    """The application with a signed-in trader."""

    bots: BotDesk
    app: Starlette
    client: GraphQLClient
    token: str

    def input(self, **changes: Any) -> dict[str, Any]:
        """Return an input of createBot: a replay of the EMA cross, as fast as possible."""
        return {
            "name": "Cross",
            "market": "BTC/USD",
            "interval": "H1",
            "strategyId": encode_id("Strategy", self.bots.desk.strategy_id),
            "feed": {"replay": {"start": iso(500), "end": iso(BARS)}},
        } | changes

    async def do(self, document: str, client: GraphQLClient | None = None, **variables: Any) -> Any:
        """Send a mutation; return its payload."""
        data = (await (client or self.client).execute(document, variables)).data
        return next(iter(data.values()))

    async def create(self, **changes: Any) -> str:
        """Make a bot; return its id."""
        payload = await self.do(CREATE, input=self.input(**changes))
        assert payload["errors"] == [], payload
        return str(payload["bot"]["id"])

    async def start(self, bot_id: str) -> UUID:
        """Start a bot; return its session's key."""
        payload = await self.do(START, id=bot_id)
        assert payload["errors"] == [], payload
        return parse_id(payload["bot"]["session"]["id"])[1]

    @asynccontextmanager
    async def as_user(
        self, name: str, role: Role = Role.TRADER
    ) -> AsyncIterator[tuple[GraphQLClient, Actor]]:
        """Yield the client of another user."""
        actor = await make_actor(self.bots.runtime, name, role)
        yield self.client.signed_in(await make_access_token(self.bots.runtime, actor)), actor

    def socket(self) -> GraphQLSocket:
        """Return the trader's socket."""
        return GraphQLSocket(InProcessTransport(self.app), {"authorization": f"Bearer {self.token}"})
