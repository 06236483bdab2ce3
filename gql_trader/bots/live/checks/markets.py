"""What a live session finds at its exchange before its first order on a market: it has to be as it believes.

Nothing is traded on a market until the account was compared with what is believed here: which orders wait,
and how much is held. What differs has to be acknowledged by the session's user, who alone knows where it
comes from. `comparison` is what asks the exchange.
"""

from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Select, case, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from gql_trader.accounts.audit import record_event
from gql_trader.accounts.types_credentials import AuditAction
from gql_trader.backtests.execution import execution_from_json
from gql_trader.bots.live.checks.comparison import Believed, Comparison
from gql_trader.bots.models import OrderRow, TradeRow, TradingSessionRow
from gql_trader.bots.models_live import LiveAccountRow, LiveMarketRow, LiveOrderRow, LiveSessionRow
from gql_trader.bots.types import WAITING, OrderStatus
from gql_trader.core.errors import InvalidState
from gql_trader.engine.execution import Side
from gql_trader.exchange_keys import service as exchange_keys
from gql_trader.exchange_keys.models import ExchangeKeyRow
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data.types import MarketRecord

# Not the one of a statement around it.
_OWN = aliased(LiveSessionRow)
_NOTHING = Decimal(0)
_SIGNED = case((TradeRow.side == Side.SHORT.value, -TradeRow.quantity), else_=TradeRow.quantity)
_WAITING = [each.value for each in WAITING]
_UNSETTLED = frozenset({OrderStatus.NEW.value, OrderStatus.UNKNOWN.value})


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
        # They are moved before the first order of all: what is in positions by now is not missing.
        funds=None if await _has_compared(uow, session_id) else own.funds,
        # Of a session by hand it is the order that says so.
        direction=None if session.market_id is None else execution_from_json(session.execution).direction,
    )


async def _has_compared(uow: UnitOfWork, session_id: UUID) -> bool:
    compared = select(LiveMarketRow.market_id).where(LiveMarketRow.session_id == session_id).limit(1)
    return await uow.session.scalar(compared) is not None


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


async def is_fitting(uow: UnitOfWork, belief: Believed, found: Comparison) -> bool:
    """Whether nothing differs, or only what was acknowledged before."""
    if found.mismatch is None:
        return True
    noted = await uow.session.get(LiveMarketRow, (belief.session_id, belief.market.id))
    return noted is not None and found.mismatch in (noted.mismatch or "")


async def note(uow: UnitOfWork, belief: Believed, found: Comparison, *, acknowledged: bool) -> None:
    """Let a session trade on a market after the comparison, if nothing differs or that is acknowledged.

    What was acknowledged before, and differs in the same way still, is.

    Raises
    ------
    InvalidState
        If something differs and was not acknowledged; the message tells what.
    """
    mismatch = found.mismatch
    if not acknowledged and not await is_fitting(uow, belief, found):
        raise InvalidState(
            f"{mismatch} Nothing was placed. Look at your account at the exchange; if this is as it should "
            "be, send the same again with acknowledgeMismatch: true.",
            ("acknowledgeMismatch",),
        )
    values = {
        "mismatch": mismatch,
        "key_version": belief.key.record.version,
        "amount_step": found.amount_step,
        "least_amount": found.least_amount,
        "least_cost": found.least_cost,
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
