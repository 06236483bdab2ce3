"""What is gone from an account at an exchange: closed there by the exchange or by its owner, not from here.

It is booked at the prices that the account's own trades tell, in proportion to what the sessions hold that
share the position. Without such trades nothing is booked: no price is invented.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import structlog
from sqlalchemy import insert, select

from gql_trader.bots.announcing import tell_closed
from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.fills import Filled, closing_order
from gql_trader.bots.ledger.storing import add_order, write_ledger
from gql_trader.bots.live.accounts.sharing import split
from gql_trader.bots.live.bots import ending
from gql_trader.bots.live.checks.doubts import UNEXPLAINED
from gql_trader.bots.live.orders import filling, states
from gql_trader.bots.live.orders.fees import fee_prices
from gql_trader.bots.models import OrderRow, TradeRow
from gql_trader.bots.models_live import LiveAccountRow, OrderFillRow
from gql_trader.bots.models_live_bot import LiveBotRow
from gql_trader.bots.types import OrderRequest, OrderStatus, OrderType
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.money import MONEY_DIGITS
from gql_trader.engine.execution import ExitReason
from gql_trader.engine.execution import Side as EngineSide
from gql_trader.infra.exchange.errors import (
    AnswerUnreadable,
    ExchangeFailure,
    PermissionMissing,
    RequestRefused,
)
from gql_trader.infra.exchange.orders import Fee, Fill, Side
from gql_trader.infra.exchange.trading import TradingClient
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data
from gql_trader.market_data.types import MarketRecord
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

_BEFORE = timedelta(minutes=1)
"""Trades are asked for from so long before the last time that all was there: clocks differ."""

_CENT = Decimal(1).scaleb(-MONEY_DIGITS)
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Gone:
    """A position that is smaller at the exchange than the sessions believe, for good.

    Attributes
    ----------
    missing
        In the base currency, positive.
    believed
        What the sessions take themselves to hold, negative if they are short.
    there
        What there is of that, positive.
    since
        When it was first seen.
    """

    missing: Decimal
    believed: Decimal
    there: Decimal
    since: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """What the exchange says of how it went.

    Attributes
    ----------
    fills
        Trades of the account, whoever has ordered them.
    forced
        Ids of the orders by which the exchange has liquidated.
    prices
        What third currencies of fees are worth in the quote currency.
    """

    fills: list[Fill]
    forced: frozenset[str]
    prices: Mapping[str, Decimal]


async def ask(runtime: Runtime, client: TradingClient, symbol: str, pair: str, agreed_at: datetime) -> Told:
    """Ask an exchange for an account's trades since its position was last as believed.

    Parameters
    ----------
    symbol
        ccxt's, of the contract.
    pair
        ``BASE/QUOTE``.
    """
    since = agreed_at - _BEFORE
    fills, forced = list[Fill](), frozenset[str]()
    try:
        forced = await _forced(client, symbol, since)
        fills = await client.trades(symbol, since)
    except ExchangeFailure as failure:
        # That nobody knows why is told after a while, whatever the exchange does not say.
        _log.warning("closing_not_told", failure=type(failure).__name__)
    return Told(fills, forced, await fee_prices(runtime, client, pair, fills, contracts=True))


async def _forced(client: TradingClient, symbol: str, since: datetime) -> frozenset[str]:
    """Return the orders by which the exchange has liquidated; none if it will not tell.

    If it only does not answer nothing is concluded: what it has liquidated is not called closed by its owner.
    """
    try:
        return await client.liquidations(symbol, since)
    except (RequestRefused, PermissionMissing, AnswerUnreadable) as failure:
        _log.info("liquidations_not_told", failure=type(failure).__name__)
        return frozenset()


async def conclude(
    uow: UnitOfWork, ledgers: Sequence[HandLedger], account: LiveAccountRow, gone: Gone, told: Told
) -> None:
    """Close here what is gone there, at the exchange's prices; let bots fail that held it, and tell users.

    Parameters
    ----------
    ledgers
        The locked accounts of the sessions that share the position.
    """
    market, _ = await market_data.market_with_base(uow, account.market_id)
    holders = [
        (each, trade)
        for each in ledgers
        if each.session.ended_at is None and (trade := each.held.get(market.id)) is not None
    ]
    if not holders:
        return
    strange = await _strange(uow, holders[0][0].session.user_id, market.id, gone, told.fills)
    forced = [each for each in strange if each.order_id in told.forced]
    fills = _covering(forced, gone.missing, account.agreed_at)
    by_force = fills is not None
    fills = fills or _covering(strange, gone.missing, account.agreed_at)
    amount = f"{gone.missing.normalize():f} of {market.symbol}"
    if fills is None:
        if uow.clock.now() - gone.since >= UNEXPLAINED and not account.told:
            account.told = True
            reason = (
                f"{amount} is missing at the exchange, and its trades do not tell why. "
                "Look at your account at the exchange."
            )
            for ledger, _ in holders:
                await _tell(uow, ledger, market, reason)
        return
    # Nothing is missing of what is left.
    account.missing = account.missing_since = None
    account.looks, account.told = 0, False
    await uow.session.flush()
    _log.warning("position_gone", market_id=str(market.id), by_force=by_force)
    worth = sum((each.amount * each.price for each in fills), _NOTHING)
    price = f"{(worth / gone.missing).quantize(_CENT).normalize():f}"
    reason = (
        f"The exchange has liquidated {amount} at {price}."
        if by_force
        else f"{amount} was closed at the exchange at {price}, not from here."
    )
    exit_reason = ExitReason.LIQUIDATION if by_force else None
    quote = market.symbol.partition("/")[2]
    worth_of = {each.id: filling.worth_of(each.fee, quote, told.prices) for each in fills}
    parts = _parts(fills, [trade.quantity for _, trade in holders], worth_of)
    for (ledger, trade), booked in zip(holders, parts, strict=True):
        if booked:
            await _book(uow, ledger, trade, exit_reason, booked, worth_of)
            await write_ledger(uow, ledger)
            await _tell(uow, ledger, market, reason)
            uow.enqueue(states.session_job(ledger.session.id))


async def _strange(
    uow: UnitOfWork, user_id: UUID, market_id: UUID, gone: Gone, fills: Sequence[Fill]
) -> list[Fill]:
    """Return the trades that make such a position smaller and that no order of a session has made.

    Sessions that hold nothing any more, or have ended, have made some of them. A trade that was booked in
    part has explained all that was missing then, and explains nothing again.
    """
    of_market = OrderRow.user_id == user_id, OrderRow.market_id == market_id
    orders = set(
        await uow.session.scalars(
            select(OrderRow.exchange_order_id).where(
                *of_market, OrderRow.exchange_order_id.in_({each.order_id for each in fills})
            )
        )
    )
    known = set(
        await uow.session.scalars(
            select(OrderFillRow.fill_id)
            .join(OrderRow, OrderRow.id == OrderFillRow.order_id)
            .where(*of_market, OrderFillRow.fill_id.in_({each.id for each in fills}))
        )
    )
    closing = Side.SELL if gone.believed > 0 else Side.BUY
    return [
        each
        for each in fills
        if each.side is closing and each.order_id not in orders and each.id not in known
    ]


def _covering(fills: Sequence[Fill], missing: Decimal, agreed_at: datetime) -> list[Fill] | None:
    """Return the newest of some trades that make up what is missing, oldest first; None if they are too few.

    Of the oldest that is needed a part may be enough: its owner has closed more besides, or has bought some
    back. Not of one from before all was there: that closed something else.
    """
    found, left = [], missing
    for fill in sorted(fills, key=lambda each: (each.time, each.id), reverse=True):
        if not left:
            break
        if fill.amount > left and fill.time <= agreed_at:
            return None
        found.append(_part_of(fill, min(fill.amount, left)))
        left -= found[-1].amount
    return found[::-1] if found and not left else None


def _part_of(fill: Fill, amount: Decimal) -> Fill:
    """Return so much of a trade, with as much of its fee."""
    if amount == fill.amount or fill.fee is None:
        return replace(fill, amount=amount)
    fee = (fill.fee.amount * amount / fill.amount).quantize(_CENT)
    return replace(fill, amount=amount, fee=Fee(fee, fill.fee.currency))


def _parts(
    fills: Sequence[Fill], held: Sequence[Decimal], fees_of: Mapping[str, Decimal | None]
) -> list[list[tuple[Fill, Filled]]]:
    """Return what each of some positions has of the trades that have made them smaller together.

    Parameters
    ----------
    fees_of
        By trade, in the quote currency; None: not known.
    """
    found: list[list[tuple[Fill, Filled]]] = [[] for _ in held]
    until, before = _NOTHING, [_NOTHING] * len(held)
    for fill in fills:
        until += fill.amount
        # Of all so far, so that the sums fit exactly, however the single ones are rounded.
        now = split(until, held, _CENT)
        shares = [max(after - earlier, _NOTHING) for after, earlier in zip(now, before, strict=True)]
        fees = split((fees_of[fill.id] or _NOTHING).quantize(_CENT), shares, _CENT)
        for part, share, fee in zip(found, shares, fees, strict=True):
            if share:
                part.append((fill, Filled(share, fill.price, to_milliseconds(fill.time), fee)))
        before = now
    return found


async def _book(
    uow: UnitOfWork,
    ledger: HandLedger,
    trade: TradeRow,
    exit_reason: ExitReason | None,
    parts: Sequence[tuple[Fill, Filled]],
    fees_of: Mapping[str, Decimal | None],
) -> None:
    """Book trades of the exchange's as an order that was never sent from here."""
    session, last = ledger.session, parts[-1][0]
    side = closing_order(EngineSide(trade.side))
    quantity = sum((filled.quantity for _, filled in parts), _NOTHING)
    assert trade.market_id is not None
    request = OrderRequest(session.id, "", side, OrderType.MARKET, quantity, "", reduce_only=True)
    order = add_order(uow, ledger, request, trade.market_id)
    # The database refuses a second one, whatever happens.
    order.idempotency_key = f"gone:{session.id}:{last.order_id}:{last.id}"
    order.exchange_order_id, order.status = last.order_id, OrderStatus.FILLED.value
    order.exit_reason = None if exit_reason is None else exit_reason.value
    await uow.session.flush()
    for fill, filled in parts:
        cash, share = ledger.book(order, filled), filled.quantity / fill.amount
        await uow.session.execute(
            insert(OrderFillRow).values(
                order_id=order.id,
                fill_id=fill.id,
                session_id=session.id,
                price=fill.price,
                quantity=filled.quantity,
                fee=None if fill.fee is None else (fill.fee.amount * share).quantize(_CENT),
                fee_currency=None if fill.fee is None else fill.fee.currency,
                fee_worth=None if fees_of[fill.id] is None else filled.fee,
                maker=fill.maker,
                cash=cash,
                time=fill.time,
            )
        )


async def _tell(uow: UnitOfWork, ledger: HandLedger, market: MarketRecord, reason: str) -> None:
    """Let a session's bot fail; tell the user of one by hand."""
    live = await uow.session.get(LiveBotRow, ledger.session.id, populate_existing=True)
    if live is None:
        await tell_closed(uow, ledger.session.user_id, ledger.session.id, market.name, reason)
    elif live.left_stop is not None:
        # It has failed before.
        await ending.tell_more(uow, ledger.session.id, reason)
    else:
        await ending.fail(uow, ledger, live, reason)
