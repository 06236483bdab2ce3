"""What a live session finds at its exchange before its first order on a market: it has to be as it believes.

Nothing is traded on a market until the account was compared with what is believed here: which orders wait,
and how much is held. What differs has to be acknowledged by the session's user, who alone knows where it
comes from. With leverage, it and the margin mode are set then too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Select, case, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from gql_trader.accounts.audit import record_event
from gql_trader.accounts.types_credentials import AuditAction
from gql_trader.bots.models import OrderRow, TradeRow, TradingSessionRow
from gql_trader.bots.models_live import LiveAccountRow, LiveMarketRow, LiveOrderRow, LiveSessionRow
from gql_trader.bots.types import WAITING, OrderStatus
from gql_trader.core.errors import DomainError, ErrorCode, InvalidState
from gql_trader.engine.execution import Side
from gql_trader.exchange_keys import service as exchange_keys
from gql_trader.exchange_keys.models import ExchangeKeyRow
from gql_trader.exchange_keys.types import OpenedKey
from gql_trader.infra.exchange.client import ExchangeClient
from gql_trader.infra.exchange.errors import ExchangeFailure, OutcomeUnknown, UnknownMarket
from gql_trader.infra.exchange.exchanges import Exchanges
from gql_trader.infra.exchange.markets import MarketRules
from gql_trader.infra.exchange.orders import ExchangeOrder, MarginMode, Wallet
from gql_trader.infra.exchange.pacing import IMPATIENT, Patience
from gql_trader.infra.exchange.trading import TradingClient
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data.fetching import spot_market
from gql_trader.market_data.types import MarketRecord

# Not the one of a statement around it.
_OWN = aliased(LiveSessionRow)
_NOTHING = Decimal(0)
_SIGNED = case((TradeRow.side == Side.SHORT.value, -TradeRow.quantity), else_=TradeRow.quantity)
_WAITING = [each.value for each in WAITING]
_UNSETTLED = frozenset({OrderStatus.NEW.value, OrderStatus.UNKNOWN.value})


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
    """

    mismatch: str | None = None
    moved: Decimal = _NOTHING
    amount_step: Decimal | None = None


async def believed(uow: UnitOfWork, keys: KeyRing, session_id: UUID, market: MarketRecord) -> Believed | None:
    """Return what a live session takes its account for on a market; None if that was compared already."""
    if await is_compared(uow, session_id, market.id):
        return None
    session = await uow.session.get_one(TradingSessionRow, session_id)
    own = await uow.session.get_one(LiveSessionRow, session_id)
    contracts = LiveSessionRow.leverage.is_not(None)
    sessions = (
        select(LiveSessionRow.session_id)
        .where(LiveSessionRow.exchange_key_id == own.exchange_key_id)
        .where(contracts if own.leverage is not None else ~contracts)
    )
    held = await uow.session.scalar(
        select(func.coalesce(func.sum(_SIGNED), 0)).where(
            TradeRow.session_id.in_(sessions),
            TradeRow.market_id == market.id,
            TradeRow.exit_time.is_(None),
        )
    )
    key = await exchange_keys.open_key(uow, keys, session.user_id, own.exchange_key_id)
    found = await uow.session.execute(
        select(OrderRow.client_order_id, OrderRow.status, OrderRow.filled_quantity, LiveOrderRow.key_version)
        .outerjoin(LiveOrderRow, LiveOrderRow.order_id == OrderRow.id)
        .where(
            OrderRow.session_id.in_(sessions),
            OrderRow.market_id == market.id,
            OrderRow.status.in_(_WAITING),
        )
    )
    waiting = found.all()
    # What was sent with an earlier version of the key may be in another account.
    with_key = [each for each in waiting if each.key_version in (None, key.record.version)]
    return Believed(
        session_id=session_id,
        market=market,
        key=key,
        held=held or _NOTHING,
        waiting=frozenset(each.client_order_id for each in waiting),
        resting={
            each.client_order_id: each.filled_quantity for each in with_key if each.status not in _UNSETTLED
        },
        unsettled=any(each.status in _UNSETTLED for each in with_key),
        settings=await _settings_of_others(uow, own, market),
        read_at=uow.clock.now(),
        leverage=own.leverage,
        margin_mode=own.margin_mode,
        funds=own.funds,
    )


async def _settings_of_others(uow: UnitOfWork, own: LiveSessionRow, market: MarketRecord) -> str | None:
    """Return how other sessions with a key have set a contract, if a session would set it otherwise."""
    if own.leverage is None:
        return None
    wanted = LiveSessionRow.leverage != own.leverage
    if own.margin_mode is not None:
        wanted = or_(wanted, LiveSessionRow.margin_mode.is_distinct_from(own.margin_mode))
    other = (
        await uow.session.execute(
            select(LiveSessionRow.leverage, LiveSessionRow.margin_mode)
            .join(LiveMarketRow, LiveMarketRow.session_id == LiveSessionRow.session_id)
            .where(
                LiveMarketRow.market_id == market.id,
                LiveMarketRow.exchange_key_id == own.exchange_key_id,
                LiveSessionRow.exchange_key_id == own.exchange_key_id,
                LiveSessionRow.session_id != own.session_id,
                wanted,
            )
            .order_by(LiveSessionRow.session_id)
            .limit(1)
        )
    ).one_or_none()
    if other is None:
        return None
    mode = f" and the margin mode {other.margin_mode}" if other.margin_mode else ""
    return (
        f"Another session with this key trades {market.symbol} with a leverage of {other.leverage}{mode}; "
        "an account has one setting for a contract, and this would change it."
    )


async def compare(
    exchanges: Exchanges, belief: Believed, *, acknowledged: bool, patience: Patience = IMPATIENT
) -> Comparison:
    """Return what of an account differs from what is believed.

    For a contract, leverage and margin mode are set besides, and funds moved that are missing there, unless
    something differs and that was not acknowledged. No transaction may be open. Doing it again after it was
    interrupted moves nothing twice: what has arrived is not missing any more.

    Raises
    ------
    DomainError
        EXCHANGE_ERROR, if the exchange does not answer, or will not set or move them, or if what differs may
        be what an order has filled meanwhile.
    """
    record, moved = belief.key.record, _NOTHING
    try:
        async with exchanges.client(record.exchange, belief.key.credentials, patience) as client:
            rules = await rules_of(client, belief.market.symbol, contracts=belief.leverage is not None)
            found = _of_orders(await client.open_orders(rules.symbol), belief, rules)
            held = await _of_holdings(client, belief, rules)
            if held and not (found or acknowledged) and await _is_moving(client, belief, rules):
                raise ExchangeFailure(
                    client.exchange,
                    f"Orders on {rules.symbol} with this key are being filled at this moment; try again.",
                )
            found += held
            if belief.sets and belief.settings is not None:
                found.append(belief.settings)
            if belief.leverage is not None and (acknowledged or not found):
                if belief.sets and belief.margin_mode is not None:
                    await client.set_margin_mode(rules.symbol, MarginMode(belief.margin_mode.lower()))
                if belief.sets:
                    await client.set_leverage(rules.symbol, belief.leverage)
                moved = await _fund(client, rules.quote, belief.funds)
    except ExchangeFailure as failure:
        raise DomainError(failure.message, ("market",), ErrorCode.EXCHANGE_ERROR) from None
    return Comparison(" ".join(found) or None, moved, rules.amount_step)


async def note(uow: UnitOfWork, belief: Believed, found: Comparison, *, acknowledged: bool) -> None:
    """Let a session trade on a market after the comparison, if nothing differs or that is acknowledged.

    Raises
    ------
    InvalidState
        If something differs and was not acknowledged; the message tells what.
    """
    mismatch = found.mismatch
    if mismatch is not None and not acknowledged:
        raise InvalidState(
            f"{mismatch} Nothing was placed. Look at your account at the exchange; if this is as it should "
            "be, send the same again with acknowledgeMismatch: true.",
            ("acknowledgeMismatch",),
        )
    values = {
        "mismatch": mismatch,
        "key_version": belief.key.record.version,
        "amount_step": found.amount_step,
        "exchange_key_id": None if belief.leverage is None else belief.key.record.id,
        "compared_at": belief.read_at,
    }
    await uow.session.execute(
        insert(LiveMarketRow)
        .values(session_id=belief.session_id, market_id=belief.market.id, **values)
        .on_conflict_do_update(index_elements=["session_id", "market_id"], set_=values)
    )
    if belief.leverage is not None:
        now = uow.clock.now()
        await uow.session.execute(
            insert(LiveAccountRow)
            .values(
                exchange_key_id=belief.key.record.id,
                market_id=belief.market.id,
                due_at=now,
                paid_until=now,
                agreed_at=now,
                foreign_amount=_NOTHING,
                looks=0,
                told=False,
            )
            # Whoever takes the account for left waits for this transaction, and then sees its session.
            .on_conflict_do_update(index_elements=["exchange_key_id", "market_id"], set_={"due_at": now})
        )
    if mismatch is not None:
        _record(uow, AuditAction.LIVE_MISMATCH_ACKNOWLEDGED, belief, mismatch=mismatch)


def record_moved(uow: UnitOfWork, belief: Believed | None, found: Comparison) -> None:
    """Write down in the audit log what a comparison has moved, whatever becomes of the order after it."""
    if belief is not None and found.moved:
        _record(uow, AuditAction.FUNDS_MOVED, belief, amount=f"{found.moved:f}")


def _record(uow: UnitOfWork, action: AuditAction, belief: Believed, **metadata: str) -> None:
    user_id = belief.key.record.user_id
    record_event(
        uow,
        action,
        actor_id=user_id,
        target_id=user_id,
        tradingSessionId=str(belief.session_id),
        market=belief.market.name,
        **metadata,
    )


async def is_compared(uow: UnitOfWork, session_id: UUID, market_id: UUID) -> bool:
    """Return whether a live session may trade on a market: the account was compared, with this key."""
    return await uow.session.scalar(comparison_of(session_id, market_id)) is not None


async def step_of(uow: UnitOfWork, session_id: UUID, market_id: UUID) -> Decimal | None:
    """Return of what the quantities of a live session's orders on a market are multiples; None: not known."""
    step: Decimal | None = await uow.session.scalar(
        select(LiveMarketRow.amount_step).where(
            LiveMarketRow.session_id == session_id, LiveMarketRow.market_id == market_id
        )
    )
    return step


def comparison_of(session_id: Any, market_id: Any) -> Select[UUID]:
    """Return the statement that finds a comparison with this key; its arguments may be columns."""
    return (
        select(LiveMarketRow.market_id)
        .join_from(LiveMarketRow, _OWN, _OWN.session_id == LiveMarketRow.session_id)
        .join(ExchangeKeyRow, ExchangeKeyRow.id == _OWN.exchange_key_id)
        .where(
            LiveMarketRow.session_id == session_id,
            LiveMarketRow.market_id == market_id,
            LiveMarketRow.key_version == ExchangeKeyRow.version,
        )
    )


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
        raise ExchangeFailure(
            client.exchange,
            f"It is not known whether {missing:f} {currency} was moved to the wallet of contracts. "
            "Look at your account at the exchange, and try again.",
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


async def _of_holdings(client: TradingClient, belief: Believed, rules: MarketRules) -> list[str]:
    if belief.leverage is not None:
        position = sum((each.amount for each in await client.positions([rules.symbol])), _NOTHING)
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
