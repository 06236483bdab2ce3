"""GraphQL inputs of the bots domain, and how they become requests."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import strawberry

from gql_trader.backtests.schema_execution import ExecutionInput, default_object, execution_of
from gql_trader.bots.schema_enums import SessionMode
from gql_trader.bots.types import DEFAULT_CHECK_SECONDS, BotChange, BotRequest, Feed, Replay
from gql_trader.core.errors import InvalidInput
from gql_trader.core.ids import StrategyId
from gql_trader.core.intervals import Interval
from gql_trader.gql.relay import decode_id
from gql_trader.gql.scalars import JSON
from gql_trader.settings.types import NOTHING_PREFERRED, Preferences


@strawberry.input(description="History to trade in place of the live market.")
class ReplayInput:
    """Input of Bot.replay."""

    start: datetime = strawberry.field(description="Bars that open at or after this moment.")
    end: datetime | None = strawberry.field(
        default=None,
        description="Bars that open before this moment; none: to the last candle at present.",
    )
    speed: float | None = strawberry.field(
        default=0.0,
        description="Market time over real time: at 60, a bar of an hour takes a minute. 0: as fast as "
        "possible.",
    )


@strawberry.input(one_of=True, description="Where bars come from; give exactly one.")
class BotFeedInput:
    """Input of createBot."""

    live: bool | None = strawberry.field(
        default=strawberry.UNSET, description="true: the live market, which is the default."
    )
    replay: ReplayInput | None = strawberry.field(
        default=strawberry.UNSET, description="History: the bot stops by itself at its end."
    )

    def to_feed(self) -> Feed:
        """Return the domain's feed."""
        if isinstance(self.replay, ReplayInput):
            given = self.replay
            return Feed(Replay(given.start, given.end, 0.0 if given.speed is None else given.speed))
        if self.live is True:
            return Feed()
        raise InvalidInput("Give live: true, or a replay.", ("feed",))


def _parameters(given: object) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise InvalidInput('parameters is an object such as {"fast": 20}.', ("parameters",))
    return given


def _key(given: str | None) -> UUID | None:
    return None if given is None else decode_id(given, "ExchangeKey", ("exchangeKeyId",))


@strawberry.input(description="A bot to make. It does nothing until it is started.")
class CreateBotInput:
    """Input of createBot."""

    name: str = strawberry.field(description="A name for people, up to 100 characters.")
    market: str = strawberry.field(
        description='"BTC/USD", or "coinbase:BTC/USD" where several exchanges have candles of the pair.'
    )
    interval: Interval = strawberry.field(description="Length of a bar.")
    strategy_id: strawberry.ID = strawberry.field(description="The strategy, in its current version.")
    parameters: JSON | None = default_object(
        {}, 'Parameters of the strategy by name, such as {"fast": 20}; the rest take their defaults.'
    )
    mode: SessionMode | None = strawberry.field(
        default=None,
        description="Whether orders are simulated or sent to an exchange; left out: what your preferences "
        "say, which is PAPER unless you have changed it. LIVE needs `exchangeKeyId`, and a start with a "
        "second factor; it sells short on contracts only.",
    )
    initial_capital: Decimal | None = strawberry.field(
        default=None,
        description="What each session begins with, in the quote currency; left out: what your preferences "
        "say.",
    )
    execution: ExecutionInput | None = default_object({}, "How signals become fills.")
    check_interval_seconds: int | None = strawberry.field(
        default=DEFAULT_CHECK_SECONDS,
        description="How often a position is looked at between the closes of bars, with the newest price "
        "that is known; as long as a bar or longer: at closes only. What it reaches, a stop for example, is "
        "told at once (`Position.exitDue`) and booked as in backtests, once the bar has closed.",
    )
    exchange_key_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="Your key that it trades with in the mode LIVE, to the exchange of its market; it needs "
        "TRADE, and must not have WITHDRAW.",
    )
    transfer_amount: Decimal | None = strawberry.field(
        default=None,
        description="How much of the quote currency the wallet of contracts shall have when it starts, with "
        "`autoTransferFunds`; left out: its capital.",
    )
    auto_transfer_funds: bool | None = strawberry.field(
        default=False,
        description="true: what the wallet of contracts lacks is moved there from the spot wallet before a "
        "live session's first order. Only with contracts; the key needs the permission to transfer.",
    )
    contracts: bool | None = strawberry.field(
        default=False,
        description="true: in the mode LIVE it trades contracts that are settled in the quote currency, in "
        "place of the currencies, even with a leverage of 1. With a leverage above 1 it does so anyway. Only "
        "contracts can be sold short: the directions SHORT and BOTH need them.",
    )
    feed: BotFeedInput | None = strawberry.field(
        default=None, description="Where bars come from; left out: the live market."
    )

    def to_request(self, preferred: Preferences = NOTHING_PREFERRED) -> BotRequest:
        """Return the request, its parts not yet looked up.

        Parameters
        ----------
        preferred
            What to take for the execution where the client has not said.
        """
        check = self.check_interval_seconds
        return BotRequest(
            name=self.name,
            market=self.market,
            interval=self.interval,
            strategy_id=StrategyId(decode_id(self.strategy_id, "Strategy", ("strategyId",))),
            parameters=_parameters({} if self.parameters is None else self.parameters),
            mode=self.mode,
            initial_capital=self.initial_capital,
            execution=execution_of(self.execution, preferred),
            check_interval_seconds=DEFAULT_CHECK_SECONDS if check is None else check,
            feed=Feed() if self.feed is None else self.feed.to_feed(),
            exchange_key_id=_key(self.exchange_key_id),
            transfer_amount=self.transfer_amount,
            auto_transfer_funds=bool(self.auto_transfer_funds),
            contracts=bool(self.contracts),
        )


def _optional(description: str) -> Any:
    return strawberry.field(default=None, description=description)


@strawberry.input(description="What to change of a bot that is stopped; what is left out or null stays.")
class UpdateBotInput:
    """Input of updateBot."""

    id: strawberry.ID = strawberry.field(description="The bot; it must be stopped.")
    name: str | None = _optional("A name for people, up to 100 characters.")
    market: str | None = _optional("Another market.")
    interval: Interval | None = _optional("Another length of a bar.")
    strategy_id: strawberry.ID | None = _optional(
        "Another strategy, or the same one to take its current version."
    )
    parameters: JSON | None = _optional(
        "Parameters by name, in place of all that were given before; the rest take their defaults. The bot "
        "then takes the strategy's current version."
    )
    mode: SessionMode | None = _optional("Whether orders are simulated or sent to an exchange.")
    initial_capital: Decimal | None = _optional("What each session begins with, in the quote currency.")
    execution: ExecutionInput | None = _optional(
        "How signals become fills, in place of all that was given before."
    )
    check_interval_seconds: int | None = _optional(
        "How often a position is looked at between the closes of bars."
    )
    exchange_key_id: strawberry.ID | None = _optional("Your key that it trades with in the mode LIVE.")
    transfer_amount: Decimal | None = _optional(
        "How much of the quote currency the wallet of contracts shall have when it starts."
    )
    auto_transfer_funds: bool | None = _optional(
        "Whether what the wallet of contracts lacks is moved there before a live session's first order."
    )
    contracts: bool | None = _optional("Whether it trades contracts in the mode LIVE even without leverage.")
    feed: BotFeedInput | None = _optional("Where bars come from.")

    def to_change(self) -> BotChange:
        """Return the change, its parts not yet looked up."""
        strategy_id = self.strategy_id
        return BotChange(
            name=self.name,
            market=self.market,
            interval=self.interval,
            strategy_id=None
            if strategy_id is None
            else StrategyId(decode_id(strategy_id, "Strategy", ("strategyId",))),
            parameters=None if self.parameters is None else _parameters(self.parameters),
            mode=self.mode,
            initial_capital=self.initial_capital,
            execution=None if self.execution is None else self.execution.to_spec(),
            check_interval_seconds=self.check_interval_seconds,
            feed=None if self.feed is None else self.feed.to_feed(),
            exchange_key_id=_key(self.exchange_key_id),
            transfer_amount=self.transfer_amount,
            auto_transfer_funds=self.auto_transfer_funds,
            contracts=self.contracts,
        )
