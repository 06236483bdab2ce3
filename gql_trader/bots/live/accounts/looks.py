"""Looking at the contracts of live accounts, regularly: what was paid for holding them, and whether they are
still there.

One look is for one key and one contract, whichever sessions share them. Exchanges are asked between two
transactions, never inside one. A position that is smaller there than the sessions believe has to be so
several times over some time, and nothing may be under way, before anything is concluded; see `vanished`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import and_, case, delete, exists, func, or_, select, update

from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.fills import sign_of
from gql_trader.bots.ledger.storing import lock_ledger
from gql_trader.bots.live.accounts import funding, vanished
from gql_trader.bots.live.checks import rights
from gql_trader.bots.live.checks.comparison import position_of, rules_of
from gql_trader.bots.models import OrderRow, TradeRow, TradingSessionRow
from gql_trader.bots.models_live import LiveAccountRow, LiveMarketRow, LiveOrderRow
from gql_trader.bots.types import WAITING, OrderStatus
from gql_trader.bots.types_live import ORDERS_QUEUE
from gql_trader.core.clock import to_milliseconds
from gql_trader.engine.execution import Side
from gql_trader.exchange_keys import service as exchange_keys
from gql_trader.exchange_keys.types import ExchangeKeyRecord, OpenedKey
from gql_trader.infra.exchange.errors import ExchangeFailure, NotOffered
from gql_trader.infra.exchange.orders import FundingPayment
from gql_trader.infra.exchange.pacing import Patience
from gql_trader.infra.exchange.trading import TradingClient
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.unit_of_work import Job, UnitOfWork
from gql_trader.market_data import service as market_data
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

LIVE_ACCOUNT: Final = "live_account"

_EVERY = timedelta(seconds=60)
_EVERY_MISSING = timedelta(seconds=20)
"""How often an account is looked at, and while something is missing there, or no answer came."""

_LEASE = timedelta(seconds=120)
_PATIENCE = Patience(seconds=30.0, attempts=4)

_LOOKS = 3
"""So many looks in a row have to find the same missing,"""
_MISSING = timedelta(seconds=45)
"""over at least this long."""

_OVERDUE = timedelta(seconds=10)
"""An order that is to be asked for is asked for within this."""

_AFTERWARDS = timedelta(hours=1)
"""How long after a session has ended payments of before are still told."""

_ASKED_EVERY = 30 * 60
"""Seconds: payments are made at full hours, and asking for them is dear. They are asked for once so much of
an hour has passed, and `funding.SETTLED` besides."""

_LONGEST_SINCE = timedelta(days=7)
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Look:
    """A worker's right to look at an account, and what it needs for that.

    Attributes
    ----------
    since
        From when on payments are asked for; None: they are not this time.
    agreed_at
        When the position was last found to be as believed.
    believed
        What the sessions take themselves to hold, negative if they are short.
    """

    market_id: UUID
    key: OpenedKey
    symbol: str
    since: datetime | None
    agreed_at: datetime
    believed: Decimal


@dataclass(frozen=True, slots=True)
class Seen:
    """What an exchange has told of an account.

    Attributes
    ----------
    position
        Of the contract, in the base currency, negative if it is short.
    """

    position: Decimal
    payments: list[FundingPayment] | None
    symbol: str
    quote: str


async def due_jobs(uow: UnitOfWork) -> list[Job]:
    """Return a job for each account that is to be looked at now."""
    statement = select(LiveAccountRow.exchange_key_id, LiveAccountRow.market_id, LiveAccountRow.due_at).where(
        LiveAccountRow.due_at <= uow.clock.now()
    )
    return [
        Job(
            LIVE_ACCOUNT,
            ORDERS_QUEUE,
            f"{LIVE_ACCOUNT}:{key_id}:{market_id}:{to_milliseconds(due_at)}",
            (str(key_id), str(market_id)),
        )
        for key_id, market_id, due_at in await uow.session.execute(statement)
    ]


async def look(runtime: Runtime, key_id: UUID, market_id: UUID) -> None:
    """Look at what an account has of a contract, if it is time to; book what was paid, and what is gone.

    May be called any number of times, by any number of workers, and be killed anywhere.
    """
    async with runtime.unit_of_work() as uow:
        claimed = await _claim(uow, runtime.keys, key_id, market_id)
    if claimed is None:
        return
    try:
        async with runtime.exchanges.client(
            claimed.key.record.exchange, claimed.key.credentials, _PATIENCE
        ) as client:
            rules = await rules_of(client, claimed.symbol, contracts=True)
            # What was paid first: whoever is liquidated has paid before.
            payments = None if claimed.since is None else await _payments(client, rules.symbol, claimed.since)
            position = await position_of(client, rules.symbol)
            seen = Seen(position, payments, rules.symbol, rules.quote)
            async with runtime.unit_of_work() as uow:
                gone = await _note(uow, claimed, seen)
            if gone is None:
                return
            told = await vanished.ask(runtime, client, rules.symbol, claimed.symbol, claimed.agreed_at)
    except ExchangeFailure as failure:
        _log.info("account_not_looked_at", market_id=str(market_id), failure=type(failure).__name__)
        async with runtime.unit_of_work() as uow:
            await _again(uow, key_id, market_id, _EVERY_MISSING)
        return
    async with runtime.unit_of_work() as uow:
        ledgers = await _ledgers(uow, key_id, market_id, claimed.key.record)
        account = await uow.session.get(LiveAccountRow, (key_id, market_id), populate_existing=True)
        # Whatever has happened since it was seen is looked at again.
        is_same = _believed(ledgers, market_id) == gone.believed
        if account is not None and is_same and not await _under_way(uow, ledgers, market_id):
            await vanished.conclude(uow, ledgers, account, gone, told)


async def _payments(client: TradingClient, symbol: str, since: datetime) -> list[FundingPayment] | None:
    """Return what was paid for holding a contract; None if that is not told, which prevents nothing else."""
    try:
        return await client.funding(symbol, since)
    except NotOffered:
        return []
    except ExchangeFailure as failure:
        _log.warning("funding_not_told", failure=type(failure).__name__)
        return None


async def _claim(uow: UnitOfWork, keys: KeyRing, key_id: UUID, market_id: UUID) -> Look | None:
    now = uow.clock.now()
    account = LiveAccountRow.exchange_key_id == key_id, LiveAccountRow.market_id == market_id
    row = (
        await uow.session.execute(
            update(LiveAccountRow)
            .where(*account, LiveAccountRow.due_at <= now)
            .values(due_at=now + _LEASE)
            .returning(LiveAccountRow.paid_until, LiveAccountRow.asked_at, LiveAccountRow.agreed_at)
            .execution_options(synchronize_session=False)
        )
    ).one_or_none()
    if row is None:
        return None
    rows = (await uow.session.execute(_sessions(key_id, market_id, now))).all()
    if not rows:
        await uow.session.execute(delete(LiveAccountRow).where(*account))
        return None
    key = await exchange_keys.open_key(uow, keys, rows[0].user_id, key_id)
    # Those that hold nothing and wait for nothing are compared again before they trade. Of sessions that have
    # ended, payments of before are told, by the account that they had.
    involved = [each for each in rows if each.ended_at is None and each.involved]
    is_another = not all(_was_of(each, key.record) for each in involved or rows)
    if rights.problem_of_key(key.record) or is_another:
        # It was rotated: it may be another account's by now.
        await _again(uow, key_id, market_id, _EVERY)
        return None
    market, _ = await market_data.market_with_base(uow, market_id)
    since = None
    if row.asked_at is None or _half_hours(row.asked_at) < _half_hours(now):
        since = max(row.paid_until, now - _LONGEST_SINCE)
    signed = case((TradeRow.side == Side.SHORT.value, -TradeRow.quantity), else_=TradeRow.quantity)
    held = await uow.session.scalar(
        select(func.sum(signed)).where(
            TradeRow.session_id.in_([each.id for each in rows if each.ended_at is None]),
            TradeRow.market_id == market_id,
            TradeRow.exit_time.is_(None),
        )
    )
    return Look(market_id, key, market.symbol, since, row.agreed_at, held or _NOTHING)


def _was_of(session: Any, key: ExchangeKeyRecord) -> bool:
    """Whether a session was compared, or told to compare again, with a key as it is since its rotation."""
    if session.key_version is None:
        return key.rotated_at is None or bool(session.compared_at >= key.rotated_at)
    return bool(session.key_version == key.version)


def _half_hours(moment: datetime) -> int:
    """Return how many of the times at which payments may be asked for have come by a moment."""
    return int((moment - funding.SETTLED).timestamp() // _ASKED_EVERY)


def _sessions(key_id: UUID, market_id: UUID, now: datetime) -> Any:
    """Return the statement that finds the sessions that share an account, until a while after their end."""
    of_market = [TradingSessionRow.id == each.session_id for each in (TradeRow, OrderRow)]
    holds = exists().where(of_market[0], TradeRow.market_id == market_id, TradeRow.exit_time.is_(None))
    waits = exists().where(
        of_market[1],
        OrderRow.market_id == market_id,
        OrderRow.status.in_([each.value for each in WAITING]),
    )
    return (
        select(
            TradingSessionRow.id,
            TradingSessionRow.user_id,
            TradingSessionRow.ended_at,
            LiveMarketRow.key_version,
            LiveMarketRow.compared_at,
            or_(holds, waits).label("involved"),
        )
        .join(LiveMarketRow, LiveMarketRow.session_id == TradingSessionRow.id)
        .where(
            LiveMarketRow.exchange_key_id == key_id,
            LiveMarketRow.market_id == market_id,
            or_(TradingSessionRow.ended_at.is_(None), TradingSessionRow.ended_at > now - _AFTERWARDS),
        )
        # Always locked in the same order.
        .order_by(TradingSessionRow.id)
    )


async def _ledgers(
    uow: UnitOfWork, key_id: UUID, market_id: UUID, key: ExchangeKeyRecord
) -> list[HandLedger]:
    """Return the locked accounts of the sessions that have traded with a key as it was when it was opened.

    Others hold nothing in the account that was looked at: it may be another one since the key was rotated.
    """
    found = []
    for row in (await uow.session.execute(_sessions(key_id, market_id, uow.clock.now()))).all():
        if not _was_of(row, key):
            continue
        locked = await lock_ledger(uow, row.id)
        if locked is not None and locked[1] is not None:
            found.append(locked[1])
    return found


def _believed(ledgers: list[HandLedger], market_id: UUID) -> Decimal:
    """Return what the sessions take themselves to hold, negative if they are short."""
    held = [
        trade
        for each in ledgers
        if each.session.ended_at is None and (trade := each.held.get(market_id)) is not None
    ]
    return sum((sign_of(each) * each.quantity for each in held), _NOTHING)


async def _under_way(uow: UnitOfWork, ledgers: list[HandLedger], market_id: UUID) -> bool:
    """Whether orders of the sessions may have changed the position without its being known here.

    What sessions have left behind that were given up says nothing of those that go on.
    """
    waits = OrderRow.status.in_([each.value for each in WAITING])
    statement = (
        select(OrderRow.id)
        .join(LiveOrderRow, LiveOrderRow.order_id == OrderRow.id)
        .where(
            OrderRow.session_id.in_([each.session.id for each in ledgers if each.session.ended_at is None]),
            OrderRow.market_id == market_id,
            or_(
                # The exchange had not got it, and is asked once more, later.
                and_(~waits, LiveOrderRow.due_at.is_not(None)),
                OrderRow.status.in_((OrderStatus.NEW.value, OrderStatus.UNKNOWN.value)),
                and_(
                    waits,
                    or_(
                        LiveOrderRow.failures > 0,
                        LiveOrderRow.absences > 0,
                        # Nobody has asked for it for some time, or whoever does waits for an answer.
                        LiveOrderRow.due_at <= func.clock_timestamp() - _OVERDUE,
                    ),
                ),
            ),
        )
        .limit(1)
    )
    return await uow.session.scalar(statement) is not None


async def _note(uow: UnitOfWork, claimed: Look, seen: Seen) -> vanished.Gone | None:
    """Book payments, and note whether the position is as believed; return what is gone for good."""
    key_id, market_id = claimed.key.record.id, claimed.market_id
    ledgers = await _ledgers(uow, key_id, market_id, claimed.key.record)
    row = await uow.session.get(LiveAccountRow, (key_id, market_id), populate_existing=True)
    if row is None:
        return None
    believed, now = _believed(ledgers, market_id), uow.clock.now()
    # Without a position of the sessions' all that is there is foreign, long or short.
    sign = (1 if believed > 0 else -1) if believed else (1 if seen.position > 0 else -1)
    there = max(sign * seen.position, _NOTHING)
    missing, under_way = abs(believed) - there, await _under_way(uow, ledgers, market_id)
    if missing <= 0:
        row.missing = row.missing_since = None
        row.looks, row.told = 0, False
        # What was bought or sold while the exchange was asked may be in its answer or not.
        if not under_way and believed == claimed.believed:
            row.agreed_at, row.foreign_amount = now, -missing
    elif row.missing != missing:
        row.missing, row.missing_since, row.looks = missing, now, 1
        await _ask_orders(uow, ledgers, market_id)
        _log.warning("position_missing", market_id=str(market_id), missing=str(missing))
    elif not under_way:
        row.looks += 1
    if seen.payments is not None:
        booked = await funding.book_funding(
            uow, ledgers, market_id, seen.quote, seen.payments, row.foreign_amount, row.agreed_at
        )
        row.paid_until = max(row.paid_until, booked.until or row.paid_until)
        if booked.complete:
            row.asked_at = now
    row.due_at = now + (_EVERY if row.missing is None else _EVERY_MISSING)
    if row.missing is None or row.missing_since is None or row.looks < _LOOKS:
        return None
    if now - row.missing_since < _MISSING or under_way:
        return None
    return vanished.Gone(missing, believed, there, row.missing_since)


async def _ask_orders(uow: UnitOfWork, ledgers: list[HandLedger], market_id: UUID) -> None:
    """Have workers ask at once for all orders that may have filled."""
    waiting = [each.id for ledger in ledgers for each in ledger.waiting if each.market_id == market_id]
    await uow.session.execute(
        update(LiveOrderRow)
        .where(LiveOrderRow.order_id.in_(waiting), LiveOrderRow.due_at.is_not(None))
        .values(due_at=func.least(LiveOrderRow.due_at, func.clock_timestamp()))
        .execution_options(synchronize_session=False)
    )


async def _again(uow: UnitOfWork, key_id: UUID, market_id: UUID, pause: timedelta) -> None:
    await uow.session.execute(
        update(LiveAccountRow)
        .where(LiveAccountRow.exchange_key_id == key_id, LiveAccountRow.market_id == market_id)
        .values(due_at=uow.clock.now() + pause)
        .execution_options(synchronize_session=False)
    )
