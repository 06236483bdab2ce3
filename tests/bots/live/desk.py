"""Trading live by hand: a trader with a second factor, an account at a simulated exchange, and a worker."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import select, text

from gql_trader.accounts.models import UserRow
from gql_trader.accounts.models_credentials import TOTP_SECRET, TotpSecretRow
from gql_trader.bots.live import jobs_orders
from gql_trader.bots.live.orders import claiming
from gql_trader.bots.types_live import LEASE
from gql_trader.core.actor import Actor, Role
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.ids import UserId
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.exchange_keys import service as exchange_keys
from gql_trader.exchange_keys.types import ExchangeKeyStatus, GivenCredentials, NewExchangeKey, Verdict
from gql_trader.gql.relay import encode_id, parse_id
from gql_trader.infra.exchange.records import ExchangePermission, KnownExchange
from gql_trader.market_data.service import ensure_market, find_market, save_candles
from gql_trader.market_data.types import MarketRecord
from gql_trader.runtime import Runtime
from tests.accounts.accounts_api import Accounts
from tests.factories.actors import make_access_token
from tests.factories.exchange_simulator import Account, ExchangeSimulator
from tests.graphql_client import GraphQLClient
from tests.settings.live_trader import Trader
from tests.settings.settings_api import Member

KEY, SECRET = "k" * 64, "s" * 64
CONTRACT = "/fapi/v1/order"
"""Where orders of contracts go."""

LEASE_SECONDS = LEASE.total_seconds() + 1
"""As long as this the orders of a dead worker stay its own."""

ORDER = "/api/v3/order"
MARKET = "binance:BTC/USDT"

_ORDER = """
  order {
    id clientOrderId side type status quantity filledQuantity price stopPrice averagePrice fee reason
    exchangeOrderId cancelRequestedAt
  }
  errors { __typename code path message }
"""
PLACE = f"mutation($input: PlaceOrderInput!) {{ placeOrder(input: $input) {{ {_ORDER} }} }}"
CANCEL = f"mutation($id: ID!) {{ cancelOrder(input: {{id: $id}}) {{ {_ORDER} }} }}"
START = """
mutation($input: StartTradingSessionInput!) {
  startTradingSession(input: $input) { tradingSession { id mode status } errors { code path message } }
}
"""
STOP = """
mutation($input: StopTradingSessionInput!) {
  stopTradingSession(input: $input) { tradingSession { status } errors { code path message } }
}
"""
SESSION = """
query($id: ID!) {
  tradingSession(id: $id) {
    status cash equity profit
    positions { quantity entryPrice markPrice unrealizedProfit }
    orders { nodes { id type side status quantity filledQuantity averagePrice fee reason } }
    trades { nodes { status exitReason quantity entryPrice exitPrice profit fees } }
  }
}
"""
ONE_ORDER = """
query($id: ID!) {
  node(id: $id) {
    ... on Order { id type side status quantity filledQuantity averagePrice fee reason session { id } }
  }
}
"""
_keys = count(1)


class KilledError(BaseException):
    """Ends a worker where it stands."""


@dataclass
class LiveDesk:
    """What a test of live trading by hand has."""

    trader: Trader
    runtime: Runtime
    client: GraphQLClient
    simulator: ExchangeSimulator
    account: Account
    key_id: str
    headers: dict[str, str] | None = None

    async def do(self, document: str, **variables: Any) -> Any:
        """Send an operation as the trader and return its only field."""
        data = (await self.client.execute(document, variables, headers=self.headers)).data
        return next(iter(data.values()))

    async def begin(self, **changes: Any) -> Any:
        """Try to start a live session; return the payload."""
        given = {
            "mode": "LIVE",
            "capital": "10000",
            "exchangeKeyId": self.key_id,
            "totpCode": self.trader.code(),
        }
        return await self.do(START, input=given | changes)

    async def start(self, **changes: Any) -> str:
        """Start a live session; return its id."""
        payload = await self.begin(**changes)
        assert payload["errors"] == [], payload
        return str(payload["tradingSession"]["id"])

    async def place(self, session_id: str, side: str, kind: str, quantity: str, **changes: Any) -> Any:
        """Try to place an order; return the payload."""
        given = {
            "sessionId": session_id,
            "market": MARKET,
            "side": side,
            "type": kind,
            "quantity": quantity,
            "idempotencyKey": f"key {next(_keys)}",
        }
        return await self.do(PLACE, input=given | changes)

    async def placed(self, *arguments: Any, **changes: Any) -> Any:
        """Place an order; return it."""
        payload = await self.place(*arguments, **changes)
        assert payload["errors"] == [], payload
        return payload["order"]

    async def work(self, order: Any) -> None:
        """Do what a worker does with an order."""
        await jobs_orders.live_order({"runtime": self.runtime}, str(parse_id(order["id"])[1]))

    async def done(self, *arguments: Any, **changes: Any) -> Any:
        """Place an order and have a worker send it; return what became of it."""
        order = await self.placed(*arguments, **changes)
        await self.work(order)
        return await self.order(arguments[0], order)

    async def session(self, session_id: str) -> Any:
        """Return a session as its owner sees it."""
        return await self.do(SESSION, id=session_id)

    async def order(self, session_id: str, order: Any) -> Any:
        """Return an order as its owner sees it."""
        found = await self.do(ONE_ORDER, id=order["id"])
        assert found["session"] == {"id": session_id}
        return found

    async def pass_time(self, seconds: float) -> None:
        """Let time pass for the workers: leases end, and what was to be done later is due."""
        shift = ", ".join(
            f"{name} = {name} - make_interval(secs => :seconds)"
            for name in ("lease_expires_at", "due_at", "sent_at", "absent_since")
        )
        async with self.runtime.unit_of_work() as uow:
            await uow.session.execute(text(f"UPDATE live_orders SET {shift}"), {"seconds": seconds})

    async def due(self) -> list[UUID]:
        """Return the orders that wait for a worker."""
        async with self.runtime.unit_of_work() as uow:
            return await claiming.due(uow)

    async def follow(self, seconds: float = 10.0) -> None:
        """Let time pass, and workers do what is due by then."""
        await self.pass_time(seconds)
        for order_id in await self.due():
            await jobs_orders.live_order({"runtime": self.runtime}, str(order_id))

    async def advance(self, session_id: str) -> None:
        """Do what a worker does with a session after something has happened to its orders."""
        await jobs_orders.live_session({"runtime": self.runtime}, str(parse_id(session_id)[1]))

    async def market(self) -> MarketRecord:
        """Return the market of `MARKET`."""
        async with self.runtime.unit_of_work() as uow:
            return await find_market(uow, MARKET)

    async def set_key(self, **values: Any) -> None:
        """Change what is known of the trader's key."""
        assignments = ", ".join(f"{name} = :{name}" for name in values)
        async with self.runtime.unit_of_work() as uow:
            await uow.session.execute(text(f"UPDATE exchange_keys SET {assignments}"), values)

    async def set_user(self, **values: Any) -> None:
        """Change the trader's account."""
        assignments = ", ".join(f"{name} = :{name}" for name in values)
        async with self.runtime.unit_of_work() as uow:
            await uow.session.execute(
                text(f"UPDATE users SET {assignments} WHERE id = :id"),
                values | {"id": self.trader.member.actor.user_id},
            )

    def sent(self, method: str = "POST") -> int:
        """Return how many requests about orders have arrived at the exchange, by default to place one."""
        return sum(each.path == ORDER and each.method == method for each in self.simulator.received)

    def other_server(self, **settings: Any) -> "LiveDesk":
        """Return the desk with workers that have other settings."""
        chosen = self.runtime.settings.model_copy(update=settings)
        return replace(self, runtime=replace(self.runtime, settings=chosen))


async def make_trader(accounts: Accounts) -> Trader:
    """Return a trader with a second factor and a login of just now."""
    runtime = accounts.runtime
    await accounts.make_user("tess")
    trader, now = Trader(accounts), runtime.clock.now()
    trader.secret = bytes(range(20))
    async with runtime.unit_of_work() as uow:
        user = (await uow.session.scalars(select(UserRow))).one()
        actor = Actor(UserId(user.id), Role.TRADER)
        user.totp_enabled = True
        sealed = runtime.keys.encrypt(TOTP_SECRET, user.id, trader.secret)
        uow.session.add(TotpSecretRow(user_id=user.id, secret=sealed, created_at=now))
    trader.member = Member(accounts, actor, await make_access_token(runtime, actor))
    return trader


async def make_key(runtime: Runtime, actor: Actor) -> str:
    """Return the id of a key of somebody's to Binance, verified: it may read and trade."""
    known = {"binance": KnownExchange("binance", "Binance", frozenset({"apiKey", "secret"}))}
    given = NewExchangeKey("binance", GivenCredentials(KEY, SECRET))
    may = frozenset({ExchangePermission.READ, ExchangePermission.TRADE})
    async with runtime.unit_of_work() as uow:
        key = await exchange_keys.add_key(uow, runtime.keys, known, actor, given)
        await exchange_keys.note_verdict(uow, key, Verdict(ExchangeKeyStatus.VALID, may, True))
    return encode_id("ExchangeKey", key.id)


async def quote(runtime: Runtime, price: float, market: str = MARKET, precision: int = 5) -> None:
    """Store a minute that has just closed at a price."""
    venue, _, symbol = market.partition(":")
    now = to_milliseconds(runtime.clock.now())
    time = np.array([Interval.M1.floor(now) - Interval.M1.milliseconds], dtype=np.int64)
    closes = np.array([price])
    bars = Bars(time, closes, closes, closes, closes, np.ones(1), interval=Interval.M1.milliseconds)
    async with runtime.unit_of_work() as uow:
        found = await ensure_market(uow, venue, symbol, price_precision=2, amount_precision=precision)
        await save_candles(uow, found.id, Interval.M1, bars)


def killing(after: Callable[..., Awaitable[Any]] | None = None) -> Callable[..., Awaitable[Any]]:
    """Return a function at which a worker is killed, once it has done what it is given."""

    async def killed(*positional: Any, **named: Any) -> Any:
        if after is not None:
            await after(*positional, **named)
        raise KilledError

    return killed


def contracts_sent(desk: LiveDesk) -> list[dict[str, str]]:
    """Return the orders of contracts that have arrived at the exchange."""
    return [
        dict(each.params)
        for each in desk.simulator.received
        if each.path == CONTRACT and each.method == "POST"
    ]
