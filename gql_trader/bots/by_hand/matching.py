"""Orders by hand against the bars that have closed since, and positions at their last close."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, union_all

from gql_trader.backtests.execution import execution_from_json
from gql_trader.bots.by_hand.brokers import resting_of
from gql_trader.bots.by_hand.resting import within
from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.fills import Hit
from gql_trader.bots.ledger.storing import lock_ledger, write_ledger
from gql_trader.bots.models import OrderRow, TradeRow, TradingSessionRow
from gql_trader.bots.quotes import Quote, newest_series, quotes
from gql_trader.bots.types import MATCH_ORDERS, QUEUE, WAITING, OrderType, SessionStatus
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_exact
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.unit_of_work import Job, UnitOfWork
from gql_trader.market_data import repository as market_data
from gql_trader.settings.types import SessionMode


def match_job(session_id: UUID) -> Job:
    """Return the job that brings a session up to the newest bars."""
    return Job(MATCH_ORDERS, QUEUE, f"{MATCH_ORDERS}:{session_id}", (str(session_id),))


async def match_orders(uow: UnitOfWork, arrays: ArrayCache, session_id: UUID) -> int:
    """Fill what the bars that have closed since fill; return how many orders were filled or given up.

    Fills come in the order of their times; inside one bar stops come before limits. May be called any number
    of times, by any number of workers: the session is locked, and a bar is tested once.
    """
    locked = await lock_ledger(uow, session_id)
    if locked is None or (ledger := locked[1]) is None or locked[0].status != SessionStatus.ACTIVE.value:
        return 0
    on_paper = locked[0].mode == SessionMode.PAPER.value
    since: dict[UUID, int | None] = dict.fromkeys(ledger.held)
    # What is traded live fills at the exchange; here it is only valued.
    for order in ledger.waiting if on_paper else ():
        assert order.market_id is not None
        assert order.tested_until is not None
        before = since.get(order.market_id)
        since[order.market_id] = order.tested_until if before is None else min(before, order.tested_until)
    newest = await quotes(uow, arrays, since)
    share, precisions = locked[0].volume_share, dict[UUID, int]()
    if on_paper and share is not None:
        markets = await market_data.markets_by_ids(uow.session, newest)
        precisions = {key: market.amount_precision for key, market in markets.items()}
    done = _match(ledger, newest, share, precisions) if on_paper else 0
    for market_id, quote in newest.items():
        ledger.mark(market_id, quote)
    if done or ledger.valued_at is not None:
        await write_ledger(uow, ledger)
    return done


def _match(
    ledger: HandLedger, newest: dict[UUID, Quote], share: float | None, precisions: dict[UUID, int]
) -> int:
    """Fill orders in the order of their hits; return how many were filled, in part or whole, or given up.

    Parameters
    ----------
    share
        Of a bar's volume, what an order with a limit can fill of it at most; None: any quantity.
    precisions
        Decimals of the quantities of markets, with a share.
    """
    costs = execution_from_json(ledger.session.execution)
    hits: list[tuple[tuple[int, bool, bool, int], OrderRow, Hit, Quote]] = []

    def look(order: OrderRow, quote: Quote, since: int) -> None:
        resting = replace(resting_of(order), tested_until=since)
        hit, order.triggered = within(resting, quote.bars, costs.slippage)
        if hit is not None:
            heapq.heappush(hits, (_precedence(order, hit), order, hit, quote))

    for order in ledger.waiting:
        assert order.market_id is not None
        assert order.tested_until is not None
        quote = newest.get(order.market_id)
        if quote is None or not len(quote.bars):
            continue
        look(order, quote, order.tested_until)
        order.tested_until = max(order.tested_until, quote.until)
    changed: set[UUID] = set()
    while hits:
        _, order, hit, quote = heapq.heappop(hits)
        most = None
        if share is not None and order.price is not None:
            assert order.market_id is not None
            step = Decimal(1).scaleb(-precisions[order.market_id])
            most = to_exact(hit.volume * share).quantize(step, rounding=ROUND_FLOOR)
        ledger.fill(order, hit, costs.maker_fee if hit.maker else costs.taker_fee, quote, most)
        if most != 0:
            changed.add(order.id)
        if order in ledger.waiting:
            # The rest of it goes on with the next bar.
            look(order, quote, hit.opened + quote.bars.interval)
    return len(changed)


def _precedence(order: OrderRow, hit: Hit) -> tuple[int, bool, bool, int]:
    # A bar closes when the next one opens. Of a stop and a target inside one bar the stop is taken: the
    # pessimistic reading, as in the engine.
    return hit.time, hit.at_open, not OrderType(order.type).has_stop, order.number


async def unmatched(uow: UnitOfWork, market_ids: Iterable[UUID] | None = None) -> list[UUID]:
    """Return the sessions by hand that stored bars have left behind.

    Parameters
    ----------
    market_ids
        Only what concerns these markets; None: all.
    """
    rows = await _concerned(uow, market_ids)
    newest = await newest_series(uow, {row.market_id for row in rows})
    behind = {
        row.session_id: None
        for row in rows
        # A bar that opens where the last one closed has not been seen.
        if (series := newest.get(row.market_id)) is not None and series.last >= row.until
    }
    return list(behind)


async def followed(uow: UnitOfWork) -> list[tuple[UUID, Interval]]:
    """Return what sessions by hand wait for or hold: markets, and the bars of their prices."""
    rows = await _concerned(uow, None)
    newest = await newest_series(uow, {row.market_id for row in rows})
    return [(market_id, series.interval) for market_id, series in newest.items()]


async def _concerned(uow: UnitOfWork, market_ids: Iterable[UUID] | None) -> Sequence[Row[Any]]:
    """Return session_id, market_id and until: bars that open from then on (Unix milliseconds) concern it."""
    waiting: Any = select(OrderRow.session_id, OrderRow.market_id, OrderRow.tested_until.label("until"))
    waiting = waiting.where(
        OrderRow.status.in_([each.value for each in WAITING]), OrderRow.tested_until.is_not(None)
    )
    held: Any = select(TradeRow.session_id, TradeRow.market_id, TradeRow.marked_until.label("until"))
    held = held.where(TradeRow.exit_time.is_(None), TradeRow.market_id.is_not(None))
    if market_ids is not None:
        markets = list(market_ids)
        waiting = waiting.where(OrderRow.market_id.in_(markets))
        held = held.where(TradeRow.market_id.in_(markets))
    open_ = union_all(waiting, held).subquery()
    statement: Any = (
        select(open_.c.session_id, open_.c.market_id, func.min(open_.c.until).label("until"))
        .join(TradingSessionRow, TradingSessionRow.id == open_.c.session_id)
        .where(TradingSessionRow.status == SessionStatus.ACTIVE.value)
        .group_by(open_.c.session_id, open_.c.market_id)
    )
    found: Sequence[Row[Any]] = (await uow.session.execute(statement)).all()
    return found
