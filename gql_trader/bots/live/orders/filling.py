"""Booking what exchanges have filled: each fill once, by the exchange's id of it."""

from collections.abc import Mapping
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.fills import Filled
from gql_trader.bots.ledger.storing import write_ledger
from gql_trader.bots.models import OrderRow
from gql_trader.bots.models_live import OrderFillRow
from gql_trader.bots.types_live import Outcome
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.money import MONEY_DIGITS
from gql_trader.infra.exchange.orders import Fee
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data

_NOTHING = Decimal(0)
_CENT = Decimal(1).scaleb(-MONEY_DIGITS)


async def book_fills(uow: UnitOfWork, ledger: HandLedger, order: OrderRow, outcome: Outcome) -> Decimal:
    """Book the fills that are not booked yet; return how much of them was booked for other orders.

    What fills after an order was given up may have been taken for a closing there, `accounts.vanished`.
    """
    assert order.market_id is not None
    statement = (
        select(OrderFillRow.fill_id, OrderFillRow.order_id)
        .join(OrderRow, OrderRow.id == OrderFillRow.order_id)
        # The exchange's ids are those of a market.
        .where(OrderRow.session_id == order.session_id, OrderRow.market_id == order.market_id)
    )
    known, others = set(), set()
    for row in await uow.session.execute(statement):
        known.add(row.fill_id)
        if row.order_id != order.id:
            others.add(row.fill_id)
    market, base = await market_data.market_with_base(uow, order.market_id)
    quote = market.symbol.partition("/")[2]
    for fill in sorted(outcome.fills, key=lambda each: (each.time, each.id)):
        if fill.id in known:
            continue
        known.add(fill.id)
        worth, base_fee = worth_of(fill.fee, quote, outcome.prices), _NOTHING
        if fill.fee is not None and fill.fee.currency == base.symbol and not ledger.contracts:
            worth, base_fee = _NOTHING, fill.fee.amount
        time = to_milliseconds(fill.time)
        booked = Filled(fill.amount, fill.price, time, worth or _NOTHING, base_fee)
        cash = ledger.book(order, booked)
        trade = ledger.held.get(order.market_id)
        if trade is not None and trade.marked_until is None:
            trade.marked_until = time
        await uow.session.execute(
            insert(OrderFillRow).values(
                order_id=order.id,
                fill_id=fill.id,
                session_id=order.session_id,
                price=fill.price,
                quantity=fill.amount,
                fee=fill.fee.amount if fill.fee else None,
                fee_currency=fill.fee.currency if fill.fee else None,
                fee_worth=None if worth is None else worth + booked.base_fee_worth,
                maker=fill.maker,
                cash=cash,
                time=fill.time,
            )
        )
    if ledger.told:
        await write_ledger(uow, ledger)
    return sum((each.amount for each in outcome.fills if each.id in others), _NOTHING)


def worth_of(fee: Fee | None, quote: str, prices: Mapping[str, Decimal]) -> Decimal | None:
    """Return what a fee is counted as in the quote currency; None if nobody knows.

    Parameters
    ----------
    prices
        Of third currencies.
    """
    if fee is None:
        return _NOTHING
    if fee.currency == quote:
        return fee.amount
    price = prices.get(fee.currency)
    return None if price is None else (fee.amount * price).quantize(_CENT)
