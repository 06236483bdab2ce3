"""Specs, enums and names of the bots domain."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid5

from gql_trader.core.ids import MarketId, StrategyId, TradingSessionId
from gql_trader.core.intervals import Interval
from gql_trader.engine.execution import ExecutionSpec, ExitReason
from gql_trader.market_data.types import BARS_CLOSED_QUEUE
from gql_trader.settings.types import MarginMode, SessionMode

QUEUE: Final = BARS_CLOSED_QUEUE
RUN_SESSION: Final = "run_session"
CLOSE_SESSION: Final = "close_session"
TICK: Final = "tick"
CHECK: Final = "check"
LIVE_BOT: Final = "live_bot"
CHECK_LIVE_BOT: Final = "check_live_bot"
MATCH_ORDERS: Final = "match_orders"

ENGINE_FAILED: Final = "The engine failed. The server's log tells more under this session's id."
"""What a user is told of a defect; the rest is for the log."""

SHARD_SESSIONS: Final = 1000
"""Most sessions on one market and interval that are advanced together."""

DEFAULT_CHECK_SECONDS: Final = 60


class BotState(StrEnum):
    """What a bot is doing."""

    STOPPED = "STOPPED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    FAILED = "FAILED"

    @property
    def is_idle(self) -> bool:
        """Whether the bot trades nothing and may be changed, deleted and started."""
        return self in _IDLE


_IDLE = frozenset({BotState.STOPPED, BotState.FAILED})
STARTED = (BotState.PENDING, BotState.RUNNING)
"""States in which a bot may be stopped."""


class SessionStatus(StrEnum):
    """Whether a session still trades."""

    ACTIVE = "ACTIVE"
    STOPPED = "STOPPED"


CLOSING: Final = "CLOSING"
"""Status at rest of a session that trades no more and waits for a worker to close its position."""


class TradeStatus(StrEnum):
    """Whether a trade's position is still held."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


class OrderSide(StrEnum):
    """What an order does with the base asset."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """How an order fills."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"

    @property
    def has_limit(self) -> bool:
        """Whether it has a price that it does not go beyond."""
        return self in (OrderType.LIMIT, OrderType.STOP_LIMIT)

    @property
    def has_stop(self) -> bool:
        """Whether it waits for a stop price."""
        return self in (OrderType.STOP, OrderType.STOP_LIMIT)


class OrderStatus(StrEnum):
    """What has become of an order."""

    NEW = "NEW"
    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"


WAITING = (OrderStatus.NEW, OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED, OrderStatus.UNKNOWN)
"""What has become of orders that may still fill."""

TYPES_OF_EXITS: Mapping[ExitReason, OrderType] = {
    ExitReason.SIGNAL: OrderType.MARKET,
    ExitReason.STOP_LOSS: OrderType.STOP,
    ExitReason.TAKE_PROFIT: OrderType.LIMIT,
    ExitReason.TRAILING_STOP: OrderType.STOP,
    ExitReason.ROI: OrderType.LIMIT,
    ExitReason.LIQUIDATION: OrderType.MARKET,
    ExitReason.DAILY_LIMIT: OrderType.MARKET,
    ExitReason.MAX_DRAWDOWN: OrderType.MARKET,
    ExitReason.END_OF_DATA: OrderType.MARKET,
}
"""The order by which the engine closes a position for each reason."""


@dataclass(frozen=True, slots=True)
class Replay:
    """History in place of the live market.

    Attributes
    ----------
    start, end
        Bars that open in [start, end); an end of None is that of the candles when the bot is made.
    speed
        Market time over real time: at 60, a bar of an hour takes a minute. 0: as fast as possible.
    """

    start: datetime
    end: datetime | None
    speed: float = 0.0


@dataclass(frozen=True, slots=True)
class Feed:
    """Where a bot's bars come from; without a replay, the live market."""

    replay: Replay | None = None


@dataclass(frozen=True, slots=True)
class BotRequest:
    """A bot as asked for; nothing in it has been looked up yet.

    Attributes
    ----------
    mode, initial_capital
        None: what the user prefers.
    """

    name: str
    market: str
    interval: Interval
    strategy_id: StrategyId
    parameters: Mapping[str, Any] = field(default_factory=dict)
    mode: SessionMode | None = None
    initial_capital: Decimal | None = None
    execution: ExecutionSpec = field(default_factory=ExecutionSpec)
    check_interval_seconds: int = DEFAULT_CHECK_SECONDS
    feed: Feed = field(default_factory=Feed)
    exchange_key_id: UUID | None = None
    transfer_amount: Decimal | None = None
    auto_transfer_funds: bool = False
    contracts: bool = False


@dataclass(frozen=True, slots=True)
class BotChange:
    """What to change of a bot; None: leave it."""

    name: str | None = None
    market: str | None = None
    interval: Interval | None = None
    strategy_id: StrategyId | None = None
    parameters: Mapping[str, Any] | None = None
    mode: SessionMode | None = None
    initial_capital: Decimal | None = None
    execution: ExecutionSpec | None = None
    check_interval_seconds: int | None = None
    feed: Feed | None = None
    exchange_key_id: UUID | None = None
    transfer_amount: Decimal | None = None
    auto_transfer_funds: bool | None = None
    contracts: bool | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What one user may have.

    Attributes
    ----------
    bots
        Bots at a time.
    running
        Bots that are not stopped, at a time.
    replay_bars
        Bars of one replay.
    hourly
        Replays within any hour, counted together with backtests.
    """

    bots: int
    running: int
    replay_bars: int
    hourly: int


@dataclass(frozen=True, slots=True)
class Shard:
    """Live sessions on one market and interval that are advanced together."""

    market_id: MarketId
    interval: Interval
    number: int


@dataclass(frozen=True, slots=True)
class Held:
    """A worker's right to act for a session.

    Attributes
    ----------
    fence
        Fencing token: whatever the worker writes names it, so that one that lost its lease changes
        nothing.
    """

    session_id: TradingSessionId
    fence: int


def trade_id(session_id: UUID, number: int) -> UUID:
    """Return the key of a session's trade, the same whoever books it and how often."""
    return uuid5(session_id, f"trade:{number}")


def order_id(session_id: UUID, number: int) -> UUID:
    """Return the key of a session's order, the same whoever books it and how often."""
    return uuid5(session_id, f"order:{number}")


def client_order_id(session_id: UUID, number: int) -> str:
    """Return our own id of a session's order: unique for ever, and short enough for every exchange."""
    return f"gt{session_id.hex[16:]}-{number}"


def status_stream(user_id: UUID) -> str:
    """Return the name of the stream of what a user's bots are doing."""
    return f"bot-status:{user_id}"


def equity_stream(user_id: UUID) -> str:
    """Return the name of the stream of the equity of a user's sessions."""
    return f"bot-equity:{user_id}"


def trade_stream(user_id: UUID) -> str:
    """Return the name of the stream of the trades of a user's sessions."""
    return f"bot-trades:{user_id}"


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """A session to be traded by hand.

    Attributes
    ----------
    mode, capital
        None: what the user prefers.
    maker_fee, taker_fee, slippage
        Fractions, as in `gql_trader.engine.execution.ExecutionSpec`; None: its defaults.
    exchange_key_id
        What a live session trades with.
    leverage, margin_mode
        For a live session that trades contracts; None: it does not.
    auto_transfer_funds
        Whether what its contracts' wallet lacks of ``transfer_amount`` (None: of the capital) is moved there
        before the first order.
    max_volume_share
        Of a bar's volume, what an order with a limit can fill of it at most, on paper; None: it fills whole.
    """

    mode: SessionMode | None = None
    capital: Decimal | None = None
    maker_fee: float | None = None
    taker_fee: float | None = None
    slippage: float | None = None
    exchange_key_id: UUID | None = None
    leverage: int | None = None
    margin_mode: MarginMode | None = None
    auto_transfer_funds: bool = False
    transfer_amount: Decimal | None = None
    max_volume_share: float | None = None


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order as asked for by hand; nothing in it has been looked up yet."""

    session_id: UUID
    market: str
    side: OrderSide
    type: OrderType
    quantity: Decimal
    idempotency_key: str
    price: Decimal | None = None
    stop_price: Decimal | None = None
    reduce_only: bool = False
