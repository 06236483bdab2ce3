"""Funding payments of contracts, booked once by the exchange's id of each.

An exchange tells what an account paid or received for all that it held of a contract. Sessions that share the
account have shares in proportion to what each of them held at that moment by the exchange's fills; what the
account held besides is its owner's, and bears its own share.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import structlog
from sqlalchemy import case, func, insert, or_, select

from gql_trader.bots import rollups
from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.storing import write_ledger
from gql_trader.bots.live.accounts.sharing import split
from gql_trader.bots.models import OrderRow, TradeRow
from gql_trader.bots.models_live import FundingRow, LiveOrderRow, OrderFillRow
from gql_trader.bots.types import OrderSide, OrderStatus, TradeStatus
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.money import MONEY_DIGITS
from gql_trader.infra.exchange.orders import FundingPayment
from gql_trader.infra.unit_of_work import UnitOfWork

_log = structlog.get_logger(__name__)

SETTLED = timedelta(seconds=60)
"""So long after a payment it is taken for known what was held at its moment."""

_CENT = Decimal(1).scaleb(-MONEY_DIGITS)
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Booked:
    """How far payments were booked.

    Attributes
    ----------
    until
        Time of the last one; None: there was none.
    complete
        Whether that was all; else the rest has to be asked for again soon.
    """

    until: datetime | None
    complete: bool


async def book_funding(
    uow: UnitOfWork,
    ledgers: Sequence[HandLedger],
    market_id: UUID,
    currency: str,
    payments: Sequence[FundingPayment],
    foreign: Decimal,
    known_at: datetime,
) -> Booked:
    """Book payments for a contract that are not booked yet; doing it again books nothing again.

    Parameters
    ----------
    ledgers
        The locked accounts of all sessions that share the exchange's, in a fixed order.
    currency
        The contract's quote currency; a payment in another one is left out.
    foreign
        How much of the contract the account held besides what the sessions did, in the base currency.
    known_at
        When that was so.
    """
    keys = [each.session.id for each in ledgers]
    known = set(
        await uow.session.scalars(select(FundingRow.payment_id).where(FundingRow.session_id.in_(keys)))
    )
    # What was given up with a session stays unknown.
    goes_on = [each.session.id for each in ledgers if each.session.ended_at is None]
    doubtful = await _doubtful_since(uow, goes_on, market_id)
    until, complete = None, True
    booked: set[UUID] = set()
    for payment in sorted(payments, key=lambda each: (each.time, each.id)):
        if payment.time + SETTLED > uow.clock.now() or (doubtful is not None and doubtful <= payment.time):
            complete = False
            break
        until = payment.time
        if payment.id in known:
            continue
        if payment.currency != currency:
            _log.warning("funding_in_another_currency", currency=payment.currency)
            continue
        held = await _held_at(uow, keys, market_id, payment.time)
        # What a session that has ended has left is its owner's from then on, and not before.
        quantities = [
            _NOTHING if _has_ended(ledger, payment.time) else quantity
            for ledger, quantity in zip(ledgers, held, strict=True)
        ]
        if not any(quantities):
            continue
        besides = foreign - sum(
            (
                ledger.quantity(market_id)
                for ledger in ledgers
                if _has_ended(ledger, known_at) and not _has_ended(ledger, payment.time)
            ),
            _NOTHING,
        )
        amount = payment.amount.quantize(_CENT)
        shares = split(amount, [*quantities, max(besides, _NOTHING)], _CENT)
        for ledger, quantity, share in zip(ledgers, quantities, shares[:-1], strict=True):
            if quantity:
                await _book(uow, ledger, market_id, payment, share)
                booked.add(ledger.session.id)
    for ledger in ledgers:
        if ledger.session.id in booked:
            await write_ledger(uow, ledger)
    return Booked(until, complete)


def _has_ended(ledger: HandLedger, moment: datetime) -> bool:
    return ledger.session.ended_at is not None and ledger.session.ended_at <= moment


async def _doubtful_since(uow: UnitOfWork, keys: Sequence[UUID], market_id: UUID) -> datetime | None:
    """Return since when it is not known what the sessions have of a market; None: it is."""
    statement = (
        select(func.min(func.coalesce(LiveOrderRow.sent_at, OrderRow.created_at)))
        .select_from(OrderRow)
        .join(LiveOrderRow, LiveOrderRow.order_id == OrderRow.id)
        .where(
            OrderRow.session_id.in_(keys),
            OrderRow.market_id == market_id,
            or_(
                OrderRow.status == OrderStatus.UNKNOWN.value,
                # The exchange has filled more of it than it has listed.
                OrderRow.status.in_((OrderStatus.OPEN.value, OrderStatus.PARTIALLY_FILLED.value))
                & (LiveOrderRow.failures > 0),
            ),
        )
    )
    found: datetime | None = await uow.session.scalar(statement)
    return found


async def _held_at(uow: UnitOfWork, keys: Sequence[UUID], market_id: UUID, moment: datetime) -> list[Decimal]:
    """Return how much of a contract each session held at a moment, long or short, by the exchange's fills."""
    signed = case((OrderRow.side == OrderSide.BUY.value, OrderFillRow.quantity), else_=-OrderFillRow.quantity)
    rows = await uow.session.execute(
        select(OrderFillRow.session_id, func.sum(signed))
        .join(OrderRow, OrderRow.id == OrderFillRow.order_id)
        .where(
            OrderFillRow.session_id.in_(keys), OrderRow.market_id == market_id, OrderFillRow.time <= moment
        )
        .group_by(OrderFillRow.session_id)
    )
    found = {key: abs(quantity) for key, quantity in rows}
    return [found.get(key, _NOTHING) for key in keys]


async def _book(
    uow: UnitOfWork, ledger: HandLedger, market_id: UUID, payment: FundingPayment, amount: Decimal
) -> None:
    """Book a session's share of a payment: in its cash, and in the trades that were held then."""
    session_id = ledger.session.id
    await uow.session.execute(
        insert(FundingRow).values(
            session_id=session_id,
            payment_id=payment.id,
            market_id=market_id,
            amount=amount,
            time=payment.time,
        )
    )
    ledger.cash += amount
    if ledger.session.ended_at is not None:
        ledger.late += amount
    trades = list(
        await uow.session.scalars(
            select(TradeRow)
            .where(
                TradeRow.session_id == session_id,
                TradeRow.market_id == market_id,
                TradeRow.entry_time <= payment.time,
                or_(TradeRow.exit_time.is_(None), TradeRow.exit_time > payment.time),
            )
            .order_by(TradeRow.number)
        )
    )
    if not trades:
        return
    more = rollups.Totals()
    for trade, share in zip(trades, split(amount, [each.quantity for each in trades], _CENT), strict=True):
        trade.funding = (trade.funding or _NOTHING) - share
        if trade.profit is None:
            ledger.told.append((trade.id, TradeStatus.OPEN))
            continue
        # Told of after the position was closed: the trade has gained as much more, or less.
        assert trade.cost is not None
        before = trade.profit
        trade.profit = before + share
        trade.profit_fraction = (trade.profit_fraction or 0.0) + float(share / (trade.cost + trade.fees))
        trade.changed_at = uow.clock.now()
        more.profit += share
        more.wins += (trade.profit > 0) - (before > 0)
        ledger.told.append((trade.id, TradeStatus.CLOSED))
    await uow.session.flush()
    await rollups.correct(uow, session_id, more)
    _log.info("funding_booked", session_id=str(session_id), time=to_milliseconds(payment.time))
