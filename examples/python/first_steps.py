"""First steps with gql_trader: sign in, look around, run a backtest, read its result, trade on paper.

GQL_TRADER_PASSWORD=… python first_steps.py
"""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from gql import Client, GraphQLRequest
from gql.client import AsyncClientSession
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.aiohttp_websockets import AIOHTTPWebsocketsTransport

LOGIN = """
  mutation($input: LoginInput!) {
    login(input: $input) { accessToken errors { message path } }
  }
"""
AUTHORIZE = """
  mutation($input: CreateApiTokenInput!) {
    createApiToken(input: $input) { secret errors { message path } }
  }
"""
OVERVIEW = """
  query {
    strategies(first: 5) { nodes { slug name } }
    markets(first: 5) { nodes { symbol exchange intervals } }
    strategy(slug: "golden-cross") { id name defaultParameters }
  }
"""
RUN_BACKTEST = """
  mutation($input: RunBacktestInput!) {
    runBacktest(input: $input) { backtest { id bars } cached errors { message path } }
  }
"""
PROGRESS = """
  subscription($id: ID!) {
    backtestProgress(id: $id) { status progress }
  }
"""
RESULT = """
  query($id: ID!, $first: Int!, $after: String) {
    backtest(id: $id) {
      status
      error
      metrics { totalReturn sharpeRatio maxDrawdown trades finalEquity }
      ledger(first: $first, after: $after) {
        totalCount
        nodes { number side entryTime entryPrice exitPrice profit exitReason }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
"""
CREATE_BOT = """
  mutation($input: CreateBotInput!) {
    createBot(input: $input) { bot { id } errors { message path } }
  }
"""
START_BOT = """
  mutation($input: StartBotInput!) {
    startBot(input: $input) { bot { state } errors { message path } }
  }
"""
BOT_STATUS = """
  subscription($botId: ID!) {
    botStatus(botId: $botId) { state bot { error session { profit } } }
  }
"""
TRADES = """
  subscription($botId: ID!) {
    trades(botId: $botId) { trade { number side status entryPrice exitPrice profit } }
  }
"""

URL = os.environ.get("GQL_TRADER_URL", "http://127.0.0.1:8000/graphql")
USERNAME = os.environ.get("GQL_TRADER_LOGIN", "demo")
PASSWORD = os.environ["GQL_TRADER_PASSWORD"]  # what `gql-trader up` printed


def accepted(payload: dict[str, Any]) -> dict[str, Any]:
    """Return a mutation's payload; raise what it reports: refused input, a limit that was reached."""
    if payload["errors"]:
        raise ValueError(
            "\n".join(f"{'.'.join(each['path'])}: {each['message']}" for each in payload["errors"])
        )
    return payload


def over_http(token: str | None = None) -> Client:
    """Return a client for queries and mutations."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return Client(transport=AIOHTTPTransport(URL, headers=headers))


def over_websocket(token: str) -> Client:
    """Return a client for subscriptions; its socket carries any number of them at once."""
    payload = {"authorization": f"Bearer {token}"}
    return Client(transport=AIOHTTPWebsocketsTransport(URL.replace("http", "ws", 1), init_payload=payload))


def request(document: str, **variables: Any) -> GraphQLRequest:
    """Return an operation with its variables."""
    return GraphQLRequest(document, variable_values=variables)


async def new_token() -> str:
    """Sign in, and return an API token of our own that may do no more than what follows, for an hour."""
    async with over_http() as api:
        answer = await api.execute(request(LOGIN, input={"login": USERNAME, "password": PASSWORD}))
    wanted = {
        "label": "first steps in Python",
        "scopes": ["READ", "BACKTEST", "TRADE"],
        "expiresAt": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
    }
    async with over_http(accepted(answer["login"])["accessToken"]) as api:
        answer = await api.execute(request(AUTHORIZE, input=wanted))
    secret: str = accepted(answer["createApiToken"])["secret"]
    return secret


async def show_trades(live: AsyncClientSession, bot_id: str) -> None:
    """Print the trades of a bot as they are opened and closed, for ever."""
    async for event in live.subscribe(request(TRADES, botId=bot_id)):
        trade = event["trades"]["trade"]
        what = (
            f"opened at {trade['entryPrice']}"
            if trade["status"] == "OPEN"
            else f"closed at {trade['exitPrice']}: {trade['profit']}"
        )
        print(f"  Trade {trade['number']} ({trade['side']}) {what}")


async def main() -> None:
    """Take the first steps."""
    token = await new_token()
    async with over_http(token) as api, over_websocket(token) as live:
        found = await api.execute(request(OVERVIEW))
        print("Strategies:", ", ".join(each["slug"] for each in found["strategies"]["nodes"]))
        print(
            "Markets:",
            ", ".join(f"{each['exchange']}:{each['symbol']}" for each in found["markets"]["nodes"]),
        )

        traded = {
            "strategyId": found["strategy"]["id"],
            "market": "demo:BTC/USD",
            "interval": "H1",
            "parameters": {"fast": 20, "slow": 100},
            "execution": {"stopLoss": 0.05, "takerFee": 0.001},
        }
        answer = await api.execute(request(RUN_BACKTEST, input=traded))
        started = accepted(answer["runBacktest"])
        backtest = started["backtest"]
        print(f"Backtest of {backtest['bars']} bars" + (", computed before" if started["cached"] else ""))
        async for event in live.subscribe(request(PROGRESS, id=backtest["id"])):
            progress = event["backtestProgress"]
            print(f"  {progress['status']} {progress['progress']:.0%}")

        answer = await api.execute(request(RESULT, id=backtest["id"], first=5))
        result = answer["backtest"]
        if result["metrics"] is None:
            raise RuntimeError(result["error"])
        print("Metrics:", result["metrics"])
        print(f"The first of {result['ledger']['totalCount']} trades:")
        for each in result["ledger"]["nodes"]:
            prices = f"{each['entryPrice']} -> {each['exitPrice']}"
            print(f"  {each['number']} {each['side']} {prices}: {each['profit']} ({each['exitReason']})")
        # The next page is the same query with after=result["ledger"]["pageInfo"]["endCursor"].

        # A bot that trades a month of history on paper, in about three seconds.
        month = {"start": "2024-03-01T00:00:00Z", "end": "2024-04-01T00:00:00Z", "speed": 1_000_000}
        wanted = traded | {"name": "First steps in Python", "feed": {"replay": month}}
        bot = accepted((await api.execute(request(CREATE_BOT, input=wanted)))["createBot"])["bot"]
        accepted((await api.execute(request(START_BOT, input={"id": bot["id"]})))["startBot"])
        shown = asyncio.create_task(show_trades(live, bot["id"]))
        async for event in live.subscribe(request(BOT_STATUS, botId=bot["id"])):
            status = event["botStatus"]
            print(f"Bot {status['state']}")
            if status["state"] == "FAILED":
                raise RuntimeError(status["bot"]["error"])
            if status["state"] == "STOPPED":
                print(f"Profit on paper: {status['bot']['session']['profit']}")
                break
        shown.cancel()


asyncio.run(main())
