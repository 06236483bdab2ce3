"""The simulated exchange's HTTP side: routes, who may call them, and faults."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.types import Receive, Scope, Send

from tests.factories.exchange_simulator.accounts import Account, Rejection, check_time
from tests.factories.exchange_simulator.faults import CutOff, Failure, Faults, Hang, Pause, Refusal
from tests.factories.exchange_simulator.futures import Futures
from tests.factories.exchange_simulator.markets import BTC_USDT, Candle, SimulatedMarket
from tests.factories.exchange_simulator.orders import Orders
from tests.graphql_client import serve

Params = Mapping[str, str]

_GRACE = 1


@dataclass(frozen=True)
class Received:
    """A request that arrived."""

    method: str
    path: str
    params: Params
    headers: Mapping[str, str]

    @property
    def api_key(self) -> str | None:
        """Whose request it is."""
        return self.headers.get("x-mbx-apikey")


@dataclass
class ExchangeSimulator:
    """An exchange.

    Attributes
    ----------
    url
        Its origin.
    ahead
        Milliseconds by which its clock is ahead of the machine's.
    received
        Every request, in order.
    subscribed
        Streams that somebody has subscribed to, in order.
    streams
        What is to be sent to each socket that has subscribed.
    stop
        Goes out of service.
    """

    url: str = ""
    ahead: int = 0
    accounts: dict[str, Account] = field(default_factory=dict)
    markets: dict[str, SimulatedMarket] = field(default_factory=dict)
    orders: Orders = field(default_factory=Orders)
    futures: Futures = field(default_factory=Futures)
    faults: Faults = field(default_factory=Faults)
    received: list[Received] = field(default_factory=list)
    subscribed: list[str] = field(default_factory=list)
    streams: list["asyncio.Queue[bytes]"] = field(default_factory=list)
    stop: Callable[[], Awaitable[None]] = field(init=False)

    def __post_init__(self) -> None:
        self.add_market(BTC_USDT())

    def add_account(self, account: Account) -> Account:
        """Open an account."""
        self.accounts[account.api_key] = account
        return account

    def add_market(self, market: SimulatedMarket) -> SimulatedMarket:
        """List a market."""
        self.markets[market.symbol] = market
        return market

    def now(self) -> int:
        """Return the exchange's time, Unix ms."""
        return int(time.time() * 1000) + self.ahead

    def paths(self) -> list[str]:
        """Return the paths that were asked for, in order."""
        return [each.path for each in self.received]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or serve a stream."""
        if scope["type"] == "websocket":
            await self._stream(receive, send)
            return
        body = await _body(receive)
        query = scope["query_string"].decode()
        path, method = scope["path"], scope["method"]
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        params = dict(parse_qsl(query) + parse_qsl(body))
        received = Received(method, path, params, headers)
        self.received.append(received)
        fault = self.faults.take(method, path)
        if isinstance(fault, Pause):
            fault.arrived.set()
            await fault.released.wait()
            fault = None
        if fault is None or fault.done:
            status, answer = self._answer(method, path, query + body, params, received.api_key)
        if fault is None:
            await _send(send, status, orjson.dumps(answer))
        else:
            await _fail(fault, receive, send)

    async def _stream(self, receive: Receive, send: Send) -> None:
        """Confirm subscriptions, and send what `tell` is given, until the client leaves."""
        await receive()
        await send({"type": "websocket.accept"})
        messages: asyncio.Queue[bytes] = asyncio.Queue()
        sending = asyncio.create_task(_forward(messages, send))
        try:
            while (message := await receive())["type"] == "websocket.receive":
                asked = orjson.loads(message.get("text") or message.get("bytes") or b"{}")
                messages.put_nowait(orjson.dumps({"result": None, "id": asked.get("id")}))
                if asked.get("method") == "SUBSCRIBE":
                    self.subscribed.extend(asked["params"])
                    self.streams.append(messages)
        finally:
            sending.cancel()
            if messages in self.streams:
                self.streams.remove(messages)

    def tell(self, market: SimulatedMarket, interval: str, candle: Candle, *, closed: bool) -> None:
        """Send a candle to everybody who has subscribed to anything."""
        time, opened, high, low, close, volume = candle
        kline = {
            **{"t": time, "T": time, "s": market.symbol, "i": interval, "o": opened, "c": close, "h": high},
            **{"l": low, "v": volume, "n": 1, "x": closed, "q": "0", "V": "0", "Q": "0", "B": "0"},
        }
        message = orjson.dumps({"e": "kline", "E": self.now(), "s": market.symbol, "k": kline})
        for stream in self.streams:
            stream.put_nowait(message)

    def hang_up(self) -> None:
        """Close the sockets of all who have subscribed."""
        for stream in self.streams:
            stream.put_nowait(b"")

    def _answer(
        self, method: str, path: str, signed: str, params: Params, api_key: str | None
    ) -> tuple[int, Any]:
        try:
            if (method, path) in self._public:
                return 200, self._public[method, path](params)
            if (method, path) in self._private:
                account = self._account(api_key, signed, params)
                return 200, self._private[method, path](account, params)
        except Rejection as rejection:
            return rejection.status, {"code": rejection.code, "msg": rejection.message}
        return 404, {"error": "Not Found", "path": path}

    def _account(self, api_key: str | None, signed: str, params: Params) -> Account:
        if not api_key or len(api_key) != 64:
            raise Rejection(-2014, "API-key format invalid.", 401)
        account = self.accounts.get(api_key)
        if account is None:
            raise Rejection(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        text, _, signature = signed.rpartition("&signature=")
        account.check_signature(text, signature or None)
        check_time(params, self.now())
        return account

    @property
    def _public(self) -> Mapping[tuple[str, str], Callable[[Params], Any]]:
        return {
            ("GET", "/api/v3/time"): lambda _: {"serverTime": self.now()},
            ("GET", "/api/v3/exchangeInfo"): lambda _: self._information(),
            ("GET", "/fapi/v1/exchangeInfo"): lambda _: self.futures.information(),
            ("GET", "/api/v3/klines"): self._klines,
            ("GET", "/api/v3/ticker/24hr"): lambda params: self._market(params).ticker(self.now()),
        }

    @property
    def _private(self) -> Mapping[tuple[str, str], Callable[[Account, Params], Any]]:
        return {
            ("GET", "/sapi/v1/account/apiRestrictions"): lambda account, _: account.restrictions(),
            ("GET", "/api/v3/account"): self._wallet,
            ("POST", "/api/v3/order"): self._place,
            ("GET", "/api/v3/order"): lambda account, params: self.orders.find(account, params).told(),
            ("DELETE", "/api/v3/order"): self.orders.cancel,
            ("GET", "/api/v3/openOrders"): self.orders.open_orders,
            ("GET", "/api/v3/allOrders"): self.orders.all_orders,
            ("GET", "/api/v3/myTrades"): self.orders.own_trades,
            ("POST", "/sapi/v1/asset/transfer"): self.futures.transfer,
            ("POST", "/fapi/v1/order"): self.futures.place,
            ("GET", "/fapi/v1/order"): self.futures.find,
            ("DELETE", "/fapi/v1/order"): self.futures.cancel,
            ("GET", "/fapi/v1/openOrders"): lambda a, _: self.futures.open_orders(a, conditional=False),
            ("POST", "/fapi/v1/algoOrder"): self.futures.place,
            ("GET", "/fapi/v1/algoOrder"): self.futures.find,
            ("DELETE", "/fapi/v1/algoOrder"): self.futures.cancel,
            ("GET", "/fapi/v1/openAlgoOrders"): lambda a, _: self.futures.open_orders(a, conditional=True),
            ("GET", "/fapi/v1/userTrades"): self.futures.own_trades,
            ("GET", "/fapi/v1/income"): self.futures.payments,
            ("GET", "/fapi/v1/forceOrders"): self.futures.liquidations,
            ("POST", "/fapi/v1/leverage"): self.futures.set_leverage,
            ("POST", "/fapi/v1/marginType"): self.futures.set_margin,
            ("GET", "/fapi/v3/positionRisk"): self.futures.risk,
            ("GET", "/fapi/v1/leverageBracket"): self.futures.brackets,
            ("GET", "/fapi/v3/account"): self.futures.wallet,
            ("GET", "/fapi/v2/account"): self.futures.wallet,
        }

    def _information(self) -> dict[str, Any]:
        return {
            "timezone": "UTC",
            "serverTime": self.now(),
            "rateLimits": [],
            "symbols": [market.information() for market in self.markets.values()],
        }

    def _klines(self, params: Params) -> list[list[Any]]:
        market = self._market(params)
        start, end = (int(params[name]) if name in params else None for name in ("startTime", "endTime"))
        return market.klines(params["interval"], start, end, int(params.get("limit", 500)))

    def _wallet(self, account: Account, _params: Params) -> dict[str, Any]:
        if not account.reading:
            raise Rejection(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return {
            "makerCommission": 10,
            "takerCommission": 10,
            "canTrade": account.trading,
            "canWithdraw": account.withdrawing,
            "canDeposit": True,
            "updateTime": self.now(),
            "accountType": "SPOT",
            "balances": account.balances(),
            "permissions": ["SPOT"],
        }

    def _place(self, account: Account, params: Params) -> dict[str, Any]:
        return self.orders.place(account, self._market(params), params, self.now())

    def _market(self, params: Params) -> SimulatedMarket:
        market = self.markets.get(params.get("symbol", ""))
        if market is None:
            raise Rejection(-1121, "Invalid symbol.")
        return market


@asynccontextmanager
async def exchange_simulator() -> AsyncIterator[ExchangeSimulator]:
    """Run an exchange on a port of its own."""
    simulator = ExchangeSimulator()
    async with AsyncExitStack() as serving:
        served = await serving.enter_async_context(serve(simulator, grace=_GRACE))
        simulator.url = f"http://{served.address}"
        simulator.stop = serving.aclose
        yield simulator


async def _forward(messages: "asyncio.Queue[bytes]", send: Send) -> None:
    while message := await messages.get():
        await send({"type": "websocket.send", "text": message.decode()})
    await send({"type": "websocket.close"})


async def _body(receive: Receive) -> str:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body.decode()


async def _send(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    kind = (b"content-type", b"application/json" if body[:1] in b"{[" else b"text/html")
    await send({"type": "http.response.start", "status": status, "headers": [kind, *headers]})
    await send({"type": "http.response.body", "body": body})


async def _fail(fault: Failure, receive: Receive, send: Send) -> None:
    match fault:
        case Refusal():
            after = [(b"retry-after", fault.retry_after.encode())] if fault.retry_after else []
            await _send(send, fault.status, fault.body.encode(), *after)
        case Hang():
            while (await receive())["type"] != "http.disconnect":
                pass
        case CutOff():
            headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"half', "more_body": True})
            # Returning before the end of the answer makes uvicorn close the connection.
