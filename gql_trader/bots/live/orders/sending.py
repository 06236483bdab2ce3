"""The half of live orders that talks to exchanges: between two transactions, never inside one."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import structlog

from gql_trader.bots.live.checks.comparison import position_of, rules_of
from gql_trader.bots.live.checks.sides import problem_of_position
from gql_trader.bots.live.orders import answers, claiming
from gql_trader.bots.live.orders.fees import fee_prices
from gql_trader.bots.types_live import LEASE, LONGEST_CALL, Answer, Outcome, Task
from gql_trader.infra.exchange.errors import (
    DuplicateOrder,
    ExchangeBusy,
    ExchangeFailure,
    ExchangeUnavailable,
    OrderForgotten,
    OrderMissing,
    OutcomeUnknown,
)
from gql_trader.infra.exchange.orders import ExchangeOrder, Fill, OrderKind, OrderName, OrderRequest, Side
from gql_trader.infra.exchange.pacing import Patience
from gql_trader.infra.exchange.trading import TradingClient
from gql_trader.infra.leases import settle
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

PATIENCE = Patience(seconds=30.0, attempts=4)


async def attend(runtime: Runtime, order_id: UUID) -> None:
    """Send an order, or find out what has become of it, if it is due and nobody is at it.

    May be called any number of times, by any number of workers, and be killed anywhere: what was committed
    before the exchange was asked says what may have been done.
    """
    enabled = runtime.settings.live_trading_enabled
    async with runtime.unit_of_work() as uow:
        task = await claiming.claim(uow, runtime.keys, order_id, enabled=enabled)
    if task is None:
        return
    outcome = await _ask(runtime, task)
    seconds = runtime.settings.live_order_poll_seconds
    if not await settle(runtime.unit_of_work, lambda uow: answers.write(uow, task, outcome, seconds)):
        _log.warning("live_order_taken_over", order_id=str(order_id), fence=task.fence)


async def _ask(runtime: Runtime, task: Task) -> Outcome:
    key = task.key
    try:
        async with (
            asyncio.timeout(LONGEST_CALL),
            runtime.exchanges.client(key.record.exchange, key.credentials, PATIENCE) as client,
        ):
            outcome = await (_send(runtime, client, task) if task.sends else _look(client, task))
            if not outcome.fills:
                return outcome
            prices = await fee_prices(runtime, client, task.symbol, outcome.fills, contracts=task.contracts)
            return replace(outcome, prices=prices)
    except TimeoutError:
        return Outcome(Answer.UNTOLD, message="The exchange did not answer in time.")


async def _send(runtime: Runtime, client: TradingClient, task: Task) -> Outcome:
    try:
        rules = await rules_of(client, task.symbol, contracts=task.contracts)
        symbol = rules.symbol
    except ExchangeUnavailable as failure:
        return _not_taken(failure)
    except ExchangeFailure as failure:
        return Outcome(Answer.REFUSED, message=failure.message)
    request = OrderRequest(
        symbol=symbol,
        client_order_id=task.client_order_id,
        side=Side(task.side.value.lower()),
        kind=OrderKind(task.type.value),
        amount=task.quantity,
        price=task.price,
        stop_price=task.stop_price,
        # What is sold of the currency itself cannot be more than there is.
        reduce_only=task.contracts and task.closes,
        reference_price=task.reference_price,
    )
    try:
        if task.contracts and not task.closes:
            # Known as late as may be: its owner trades the account, too.
            problem = problem_of_position(await position_of(client, symbol), task.side, rules.amount_step)
            if problem is not None:
                return Outcome(Answer.NOT_TAKEN, message=problem)
    except ExchangeUnavailable as failure:
        return _not_taken(failure)
    except ExchangeFailure as failure:
        return Outcome(Answer.REFUSED, message=failure.message)
    if runtime.clock.now() - task.claimed_at > LEASE / 2:
        # This process was asleep: another one may be asking for the order by now.
        return Outcome(Answer.NOT_TAKEN, message="It could not be sent in time.")
    try:
        found = await client.place(request)
    except (OutcomeUnknown, DuplicateOrder) as failure:
        return Outcome(Answer.UNTOLD, message=failure.message)
    except ExchangeUnavailable as failure:
        # It was sent, and is not found: it may not be told yet. That is asked again, and nothing is sent.
        return Outcome(Answer.UNTOLD, message=failure.message) if failure.sent else _not_taken(failure)
    except ExchangeFailure as failure:
        return Outcome(Answer.REFUSED, message=failure.message)
    return await _found(client, task, found)


def _not_taken(failure: ExchangeUnavailable) -> Outcome:
    wait = failure.retry_after if isinstance(failure, ExchangeBusy) else None
    return Outcome(Answer.NOT_TAKEN, message=failure.message, retry_after=wait)


async def _look(client: TradingClient, task: Task) -> Outcome:
    try:
        name = task.name((await rules_of(client, task.symbol, contracts=task.contracts)).symbol)
        found, filled = await _named(client, task, name)
        if found is not None:
            return await _found(client, task, found)
        fills: list[Fill] = []
        if task.exchange_order_id is not None:
            # It had the order: what was filled of it counts, whatever has become of it.
            told = await client.trades_of(name.symbol, task.exchange_order_id, task.created_at)
            fills = [each for each in told if each.side is Side(task.side.value.lower())]
        same_account = await _has_witness(client, task, name.symbol)
    except ExchangeFailure as failure:
        return Outcome(Answer.UNTOLD, message=failure.message)
    # That it is cancelled is the end of it only if it is known what was filled of it before.
    cancelled = filled is not None and sum((each.amount for each in fills), Decimal(0)) >= filled
    return Outcome(Answer.ABSENT, fills=fills, cancelled=cancelled, same_account=same_account)


async def _has_witness(client: TradingClient, task: Task, symbol: str) -> bool:
    if task.witness is None:
        return False
    ours, theirs = task.witness
    found = await client.find(OrderName(symbol, ours, exchange_id=theirs))
    return found is not None and found.client_order_id == ours


async def _named(
    client: TradingClient, task: Task, name: OrderName
) -> tuple[ExchangeOrder | None, Decimal | None]:
    """Return an order if the exchange tells of it, or else what of one that it has cancelled was filled."""
    try:
        return await (client.cancel(name) if task.cancels else client.find(name)), None
    except OrderForgotten as forgotten:
        return None, forgotten.filled
    except OrderMissing:
        return None, None


async def _found(client: TradingClient, task: Task, found: ExchangeOrder) -> Outcome:
    fills: list[Fill] = []
    if found.filled > task.booked:
        try:
            fills = await client.fills(found)
        except ExchangeFailure as failure:
            # The order is known by now; its fills are asked for again.
            _log.warning("fills_not_read", order_id=str(task.order_id), failure=type(failure).__name__)
    return Outcome(Answer.FOUND, found, fills)
