"""Comparing an account with what is believed of it, at the exchange: no transaction is open meanwhile.

With leverage, it and the margin mode are set then too, and funds are moved that the contracts' wallet lacks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from gql_trader.bots.live.checks.sides import problem_of_direction
from gql_trader.core.errors import DomainError, ErrorCode
from gql_trader.engine.execution import Direction
from gql_trader.exchange_keys.types import OpenedKey
from gql_trader.infra.exchange.client import ExchangeClient
from gql_trader.infra.exchange.errors import ExchangeFailure, OutcomeUnknown, UnknownMarket
from gql_trader.infra.exchange.exchanges import Exchanges
from gql_trader.infra.exchange.markets import MarketRules
from gql_trader.infra.exchange.orders import ExchangeOrder, MarginMode, Wallet
from gql_trader.infra.exchange.pacing import IMPATIENT, Patience
from gql_trader.infra.exchange.trading import TradingClient
from gql_trader.market_data.syncs.fetching import spot_market
from gql_trader.market_data.types import MarketRecord

_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Believed:
    """What an account should be like on a market.

    Attributes
    ----------
    held
        In the base currency, by all live sessions that trade with this key; negative if they are short.
    waiting
        Client order ids of their orders that may be open.
    resting
        How much is booked as filled of those that are open with this key, by client order id.
    unsettled
        Whether others are being sent, so that it is not known what they have filled.
    settings
        What others of these sessions want to be set otherwise for this contract, a sentence; None: nothing.
    read_at
        When this was so.
    sets
        Whether leverage and margin mode are set for a contract.
    direction
        Which way positions are to be opened; None: none are.
    leverage, margin_mode
        Of a contract; None: the currency itself is traded.
    funds
        What the contracts' wallet has to have of the quote currency; None: as much as there is.
    """

    session_id: UUID
    market: MarketRecord
    key: OpenedKey
    held: Decimal
    waiting: frozenset[str]
    resting: Mapping[str, Decimal]
    unsettled: bool
    settings: str | None
    read_at: datetime
    leverage: int | None
    margin_mode: str | None
    funds: Decimal | None
    sets: bool = True
    direction: Direction | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found when an account was compared.

    Attributes
    ----------
    mismatch
        What differs from what is believed, in sentences; None: nothing.
    moved
        How much of the quote currency was moved from the wallet of the currencies to that of the contracts.
    amount_step
        Of what quantities are multiples on the market; None if the exchange does not tell.
    least_amount, least_cost
        What an order is at least, in the base currency and in the quote currency; None as before.
    against
        Why positions must not be opened as they are to be, whether that is acknowledged or not: they would
        close one of the account's owner. None: nothing speaks against it.
    """

    mismatch: str | None = None
    moved: Decimal = _NOTHING
    amount_step: Decimal | None = None
    least_amount: Decimal | None = None
    least_cost: Decimal | None = None
    against: str | None = None


class TransferUnknown(DomainError):
    """It is not known whether funds were moved: nobody may move any before they must have arrived."""

    default_code = ErrorCode.EXCHANGE_ERROR


async def compare(
    exchanges: Exchanges, belief: Believed, *, acknowledged: bool, patience: Patience = IMPATIENT
) -> Comparison:
    """Return what of an account differs from what is believed.

    For a contract, leverage and margin mode are set besides, and funds moved that are missing there, unless
    something differs and that was not acknowledged, or positions must not be opened. No transaction may be
    open. Doing it again after it was interrupted moves nothing twice: what has arrived is not missing any
    more. Only one may do it at a time, and nobody right after one of whom it is not known what became of it.

    Raises
    ------
    DomainError
        EXCHANGE_ERROR, if the exchange does not answer, or will not set or move them, or if what differs may
        be what an order has filled meanwhile; `TransferUnknown` is one of these.
    """
    record, moved = belief.key.record, _NOTHING
    try:
        async with exchanges.client(record.exchange, belief.key.credentials, patience) as client:
            rules = await rules_of(client, belief.market.symbol, contracts=belief.leverage is not None)
            found = _of_orders(await client.open_orders(rules.symbol), belief, rules)
            position = None if belief.leverage is None else await position_of(client, rules.symbol)
            against = None
            if position is not None and belief.direction is not None:
                against = problem_of_direction(position, belief.held, belief.direction, rules.amount_step)
            held = await _of_holdings(client, belief, rules, position)
            differs = bool(held) and not (found or acknowledged)
            # What is filling of a session's is nobody else's to be traded against, whatever is acknowledged.
            if (differs or against is not None) and await _is_moving(client, belief, rules):
                raise ExchangeFailure(
                    client.exchange,
                    f"Orders on {rules.symbol} with this key are being filled at this moment; try again.",
                )
            found += held
            if belief.sets and belief.settings is not None:
                found.append(belief.settings)
            if belief.leverage is not None and against is None and (acknowledged or not found):
                if belief.sets and belief.margin_mode is not None:
                    await client.set_margin_mode(rules.symbol, MarginMode(belief.margin_mode.lower()))
                if belief.sets:
                    await client.set_leverage(rules.symbol, belief.leverage)
                moved = await _fund(client, rules.quote, belief.funds)
    except ExchangeFailure as failure:
        raise DomainError(failure.message, ("market",), ErrorCode.EXCHANGE_ERROR) from None
    least = rules.minimum_amount, rules.minimum_cost
    mismatch = " ".join(found) or None
    if against is not None and mismatch is not None:
        against = f"{mismatch} {against}"
    return Comparison(mismatch, moved, rules.amount_step, *least, against)


async def position_of(client: TradingClient, symbol: str) -> Decimal:
    """Return what an account has of a contract, in the base currency, negative if it is short.

    Raises
    ------
    ExchangeFailure
        If the exchange does not tell.
    """
    return sum((each.amount for each in await client.positions([symbol])), _NOTHING)


async def rules_of(client: ExchangeClient, symbol: str, *, contracts: bool) -> MarketRules:
    """Return what an exchange says of a pair, or of the contract on it that is settled in its quote currency.

    Parameters
    ----------
    symbol
        ``BASE/QUOTE`` in capitals.

    Raises
    ------
    UnknownMarket
        If the exchange has none.
    ExchangeFailure
        If the exchange cannot be asked.
    """
    if not contracts:
        return await spot_market(client, symbol)
    base, _, quote = symbol.partition("/")
    for each in (await client.markets()).values():
        if (each.base.upper(), each.quote.upper()) == (base, quote) and each.settle == each.quote:
            return each
    raise UnknownMarket(client.exchange, f"{client.name} has no contract on {symbol}.")


async def _fund(client: TradingClient, currency: str, wanted: Decimal | None) -> Decimal:
    """Move what is missing of a currency to the contracts' wallet, once; return how much that was."""
    if wanted is None:
        return _NOTHING
    balance = (await client.balances(Wallet.FUTURES)).get(currency)
    missing = wanted - (balance.free if balance else _NOTHING)
    if missing <= 0:
        return _NOTHING
    try:
        await client.transfer(currency, missing, Wallet.SPOT, Wallet.FUTURES)
    except OutcomeUnknown as failure:
        raise TransferUnknown(
            f"It is not known whether {missing:f} {currency} was moved to the wallet of contracts. "
            "Look at your account at the exchange, and try again in some minutes.",
            ("market",),
        ) from failure
    return missing


async def _is_moving(client: TradingClient, belief: Believed, rules: MarketRules) -> bool:
    """Whether orders of the sessions may have filled without its being known here yet."""
    if belief.unsettled:
        return True
    there = {each.client_order_id: each.filled for each in await client.open_orders(rules.symbol)}
    return any(there.get(name) != filled for name, filled in belief.resting.items())


def _of_orders(found: Sequence[ExchangeOrder], belief: Believed, rules: MarketRules) -> list[str]:
    strange = [each for each in found if each.client_order_id not in belief.waiting]
    if not strange:
        return []
    listed = ", ".join(f"{each.side.value} {each.amount:f}" for each in strange[:5])
    return [
        f"{len(strange)} open {'order' if len(strange) == 1 else 'orders'} on {rules.symbol} at the exchange "
        f"({listed}) {'was' if len(strange) == 1 else 'were'} not placed by a session that trades now."
    ]


async def _of_holdings(
    client: TradingClient, belief: Believed, rules: MarketRules, position: Decimal | None
) -> list[str]:
    if position is not None:
        if position == belief.held:
            return []
        return [
            f"The position in {rules.symbol} at the exchange is {position:f}; the sessions that trade now "
            f"believe that they hold {belief.held:f}."
        ]
    balance = (await client.balances()).get(rules.base)
    total = balance.total if balance else _NOTHING
    # More than that is the user's own, and not touched.
    if total >= belief.held:
        return []
    return [
        f"The account has {total:f} {rules.base}; the sessions that trade now believe that they hold "
        f"{belief.held:f}."
    ]
