"""Checks of live orders and sessions before anything is stored."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import UUID

import structlog
from sqlalchemy import select

from gql_trader.bots import lifecycle
from gql_trader.bots.ledger.fills import closing_order
from gql_trader.bots.live.checks import comparison, markets
from gql_trader.bots.live.checks.comparison import Believed, Comparison
from gql_trader.bots.models import TradeRow, TradingSessionRow
from gql_trader.bots.models_live import LiveSessionRow
from gql_trader.bots.types import Held, OrderRequest, OrderSide, SessionStatus
from gql_trader.core.actor import Actor
from gql_trader.core.errors import DomainError, ErrorCode, InvalidInput, InvalidState, NotFound
from gql_trader.engine.execution import Direction, Side
from gql_trader.exchange_keys import repository as exchange_keys
from gql_trader.exchange_keys.types import ExchangeKeyRecord
from gql_trader.infra.exchange import orders
from gql_trader.infra.exchange.errors import ExchangeFailure
from gql_trader.infra.exchange.exchanges import Exchanges
from gql_trader.infra.exchange.markets import MarketRules
from gql_trader.infra.exchange.pacing import IMPATIENT
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data
from gql_trader.market_data.types import MarketRecord

_log = structlog.get_logger(__name__)

_ON_THEIR_WAY_SECONDS = 60.0
"""How long somebody has for moving funds; those of whom nothing is known have arrived by then."""


@dataclass(frozen=True, slots=True)
class LivePlan:
    """What has to be asked of an exchange before an order is placed.

    Attributes
    ----------
    belief
        What the account has to be compared with; None: it was compared already.
    held
        The right to move funds, nobody else's until it is given back; None: none are to be moved.
    """

    market: MarketRecord
    contracts: bool
    belief: Believed | None
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class LiveAnswers:
    """What an exchange has said before an order is placed.

    Attributes
    ----------
    rules
        What it says of the market; None: it did not answer.
    found
        What came of comparing the account, if it had to be.
    acknowledged
        Whether the user takes that for right.
    """

    rules: MarketRules | None = None
    belief: Believed | None = None
    found: Comparison = field(default_factory=Comparison)
    acknowledged: bool = False


async def check_live(
    uow: UnitOfWork, request: OrderRequest, market: MarketRecord, close: Decimal, answers: LiveAnswers
) -> None:
    """Let pass what a live session's exchange takes on a market, once the account was compared.

    Raises
    ------
    InvalidInput
        If the market is on another exchange, or the order breaks the exchange's rules.
    InvalidState
        If the account was not compared, or differs and that was not acknowledged, or if the order would
        close what the account's owner holds of a contract.
    """
    held = await uow.session.get(LiveSessionRow, request.session_id)
    assert held is not None, "an active live session has one"
    if market.exchange != held.exchange:
        raise InvalidInput(
            f"This session trades with a key to {held.exchange}, the market is on {market.exchange}.",
            ("market",),
        )
    if answers.found.against is not None:
        raise InvalidState(answers.found.against, ("side",))
    rules = answers.rules
    if answers.belief is not None:
        await markets.note(uow, answers.belief, answers.found, acknowledged=answers.acknowledged)
    if not await markets.is_compared(uow, request.session_id, market.id):
        raise InvalidState("The account at the exchange was not compared.", ("market",))
    if rules is None:
        return
    problem = rules.problem(
        orders.OrderRequest(
            symbol=rules.symbol,
            client_order_id="",
            side=orders.Side(request.side.value.lower()),
            kind=orders.OrderKind(request.type.value),
            amount=request.quantity,
            price=request.price,
            stop_price=request.stop_price,
            # Of contracts the exchange takes whatever closes a position, however small.
            reduce_only=request.reduce_only and held.leverage is not None,
            reference_price=close,
        )
    )
    if problem is not None:
        raise InvalidInput(problem)


async def plan_of_live_order(
    uow: UnitOfWork, keys: KeyRing, actor: Actor, request: OrderRequest
) -> LivePlan | None:
    """Return what to ask before an order is placed; None if it is not for an exchange, or wrong anyway.

    Raises
    ------
    DomainError
        EXCHANGE_ERROR, if funds are to be moved, and are being moved for another order.
    """
    held = await uow.session.scalar(
        select(LiveSessionRow)
        .join(TradingSessionRow, TradingSessionRow.id == LiveSessionRow.session_id)
        .where(
            TradingSessionRow.id == request.session_id,
            TradingSessionRow.user_id == actor.user_id,
            TradingSessionRow.market_id.is_(None),
            TradingSessionRow.status == SessionStatus.ACTIVE.value,
        )
    )
    if held is None:
        return None
    try:
        market = await market_data.find_market(uow, request.market)
    except DomainError:
        # Told by whoever places it, beside the rest.
        return None
    if market.exchange != held.exchange:
        return None
    belief = await markets.believed(uow, keys, request.session_id, market)
    if belief is not None and held.leverage is not None:
        belief = replace(belief, direction=await _opens(uow, request, market))
    right = None
    if belief is not None and belief.funds is not None:
        # Two requests at a time would both move what they find missing.
        claimed = await lifecycle.claim(
            uow, request.session_id, SessionStatus.ACTIVE.value, _ON_THEIR_WAY_SECONDS
        )
        if claimed is None:
            raise DomainError(
                "Funds are on their way to the wallet of contracts, or may be; try again in a minute.",
                ("market",),
                ErrorCode.EXCHANGE_ERROR,
            )
        right = claimed[0]
    return LivePlan(market, held.leverage is not None, belief, right)


async def _opens(uow: UnitOfWork, request: OrderRequest, market: MarketRecord) -> Direction | None:
    """Return which way an order opens a position in a contract; None if it closes one."""
    side = await uow.session.scalar(
        select(TradeRow.side).where(
            TradeRow.session_id == request.session_id,
            TradeRow.market_id == market.id,
            TradeRow.exit_time.is_(None),
        )
    )
    if side is not None and closing_order(Side(side)) is request.side:
        return None
    return Direction.LONG if request.side is OrderSide.BUY else Direction.SHORT


async def answers_for(
    exchanges: Exchanges, unit_of_work: Callable[[], UnitOfWork], plan: LivePlan, *, acknowledged: bool
) -> LiveAnswers:
    """Return what an exchange says before an order is placed, and write down what was moved for that.

    No transaction may be open. The right to move funds is given back, unless it is not known if some were
    moved: then it ends by itself, when they must have arrived.

    Raises
    ------
    DomainError
        As `ask_exchange` does.
    """
    try:
        answers = await ask_exchange(exchanges, plan, acknowledged=acknowledged)
    except comparison.TransferUnknown:
        raise
    except DomainError:
        async with unit_of_work() as uow:
            await _give_back(uow, plan)
        raise
    async with unit_of_work() as uow:
        markets.record_moved(uow, answers.belief, answers.found)
        await _give_back(uow, plan)
    return answers


async def _give_back(uow: UnitOfWork, plan: LivePlan) -> None:
    if plan.held is not None:
        await lifecycle.release(uow, plan.held)


async def ask_exchange(exchanges: Exchanges, plan: LivePlan, *, acknowledged: bool) -> LiveAnswers:
    """Return what an exchange says before an order is placed. No transaction may be open.

    Raises
    ------
    DomainError
        EXCHANGE_ERROR, if the account has to be compared and the exchange does not answer.
    """
    found = Comparison()
    if plan.belief is not None:
        found = await comparison.compare(exchanges, plan.belief, acknowledged=acknowledged)
    try:
        client = await exchanges.public(plan.market.exchange, IMPATIENT)
        rules = await comparison.rules_of(client, plan.market.symbol, contracts=plan.contracts)
    except ExchangeFailure as failure:
        # Whoever sends it asks again.
        _log.info("market_rules_unknown", exchange=plan.market.exchange, failure=type(failure).__name__)
        rules = None
    return LiveAnswers(rules, plan.belief, found, acknowledged)


async def key_to_trade_with(uow: UnitOfWork, actor: Actor, key_id: UUID | None) -> ExchangeKeyRecord:
    """Return one of the user's keys.

    Raises
    ------
    InvalidInput
        If none is named.
    NotFound
        If the user has no such key.
    """
    if key_id is None:
        raise InvalidInput("Live trading needs one of your exchange keys.", ("exchangeKeyId",))
    row = await exchange_keys.key_of(uow.session, actor.user_id, key_id)
    if row is None:
        raise NotFound("There is no such exchange key.", ("exchangeKeyId",))
    return exchange_keys.record(row)
