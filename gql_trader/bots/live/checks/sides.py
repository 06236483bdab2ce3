"""Which way an account holds a contract: it has one position in it, long or short.

Sessions that hold it in both directions would cancel each other out at the exchange, where an order that only
reduces a position would then find none. So would a session and the account's owner: nothing is opened against
what is there, whoever it is of.
"""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import exists, or_, select, update

from gql_trader.bots.models import OrderRow, TradeRow, TradingSessionRow
from gql_trader.bots.models_live import LiveMarketRow, LiveSessionRow
from gql_trader.bots.types import WAITING, OrderSide, OrderStatus
from gql_trader.engine.execution import Direction, Side
from gql_trader.infra.advisory_locks import lock_name
from gql_trader.infra.unit_of_work import UnitOfWork

_SENT = [each.value for each in WAITING if each is not OrderStatus.NEW]


def problem_of_position(position: Decimal, side: OrderSide, step: Decimal | None) -> str | None:
    """Return why an order that opens a position in a contract must not be sent; None if it may.

    Parameters
    ----------
    position
        What the account has of the contract, negative if it is short. Sessions hold none of it on the other
        side than the order's: `problem_of_side`.
    step
        Of what quantities are multiples; None: not known. What is less cannot be closed.
    """
    if abs(position) < (step or 0) or not (position < 0 if side is OrderSide.BUY else position > 0):
        return None
    held, wanted = ("short", "long") if position < 0 else ("long", "short")
    return (
        f"The account is {held} in this contract by {abs(position).normalize():f}, and no session that "
        f"trades holds that: what is opened {wanted} would close it instead. Close it at the exchange, or "
        "trade with another account."
    )


def problem_of_direction(
    position: Decimal, held: Decimal, direction: Direction, step: Decimal | None
) -> str | None:
    """Return why positions must not be opened in a contract of an account; None if they may.

    Parameters
    ----------
    held
        How much of the account's position the sessions hold, negative if they are short.
    direction
        Which way positions are to be opened.
    """
    foreign = position - held
    if direction is Direction.BOTH:
        # Of one side or the other it would close what is there.
        return problem_of_position(foreign, OrderSide.SELL if foreign > 0 else OrderSide.BUY, step)
    side = OrderSide.BUY if direction is Direction.LONG else OrderSide.SELL
    if problem_of_position(foreign, side, step) is None:
        return None
    return problem_of_position(position, side, step)


async def problem_of_side(uow: UnitOfWork, held: LiveSessionRow, order: OrderRow) -> str | None:
    """Return why an order that opens a position in a contract must not be sent; None if it may.

    Until the transaction ends no other order on this contract is looked at for the same key.
    """
    if held.leverage is None:
        return None
    await lock_name(uow.session, f"contract:{held.exchange_key_id}:{order.market_id}")
    others = select(LiveSessionRow.session_id).where(
        LiveSessionRow.exchange_key_id == held.exchange_key_id,
        LiveSessionRow.leverage.is_not(None),
        LiveSessionRow.session_id != held.session_id,
    )
    opposite = Side.SHORT if order.side == OrderSide.BUY.value else Side.LONG
    holds = exists().where(
        TradeRow.session_id.in_(others),
        TradeRow.market_id == order.market_id,
        TradeRow.side == opposite.value,
        TradeRow.exit_time.is_(None),
    )
    opens = exists().where(
        OrderRow.session_id.in_(others),
        OrderRow.market_id == order.market_id,
        OrderRow.side != order.side,
        OrderRow.status.in_(_SENT),
        OrderRow.reduce_only.is_(False),
    )
    if await uow.session.scalar(select(or_(holds, opens))):
        return (
            f"Another session with this key is {opposite.value.lower()} in this contract, or about to be: an "
            "account has one position in it."
        )
    assert order.market_id is not None
    if await _was_left(uow, held, order.market_id, opposite):
        return (
            f"A session with this key has ended and left a {opposite.value.lower()} position in this "
            "contract: the account is compared again before the next order."
        )
    return None


async def _was_left(uow: UnitOfWork, held: LiveSessionRow, market_id: UUID, side: Side) -> bool:
    """Return whether a session has ended with a position on a side since this one's account was compared.

    If one has, it is compared again: what was left there may be closed by now, or its owner's to acknowledge.
    """
    ended, own = LiveMarketRow.__table__.alias(), LiveMarketRow.__table__.alias()
    left = exists().where(
        own.c.session_id == held.session_id,
        own.c.market_id == market_id,
        TradeRow.session_id == TradingSessionRow.id,
        TradeRow.market_id == market_id,
        TradeRow.side == side.value,
        TradeRow.exit_time.is_(None),
        TradingSessionRow.ended_at > own.c.compared_at,
        ended.c.session_id == TradingSessionRow.id,
        ended.c.market_id == market_id,
        ended.c.exchange_key_id == held.exchange_key_id,
    )
    if not await uow.session.scalar(select(left)):
        return False
    await uow.session.execute(
        update(LiveMarketRow)
        .where(LiveMarketRow.session_id == held.session_id, LiveMarketRow.market_id == market_id)
        .values(key_version=None, compared_at=uow.clock.now())
        .execution_options(synchronize_session=False)
    )
    return True
