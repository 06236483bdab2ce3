"""How much of a position the orders of a market can close."""

from decimal import Decimal

from sqlalchemy import Row, select

from gql_trader.bots.models import TradeRow
from gql_trader.bots.models_live import LiveMarketRow, LiveSessionRow
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data.types import MarketRecord

_NOTHING = Decimal(0)


async def tradable(uow: UnitOfWork, market: MarketRecord, trade: TradeRow | None) -> Decimal:
    """Return how much of a position the market takes; what is too little to be closed counts as nothing."""
    quantity = await whole_steps(uow, market, trade)
    if trade is None or not quantity or await _contracts(uow, trade):
        # Of contracts any is closed, however little it is worth.
        return quantity
    stated = await _stated(uow, market, trade)
    least = max(market.min_notional or _NOTHING, (stated and stated.least_cost) or _NOTHING)
    return quantity if quantity * (trade.mark_price or trade.entry_price) >= least else _NOTHING


async def whole_steps(uow: UnitOfWork, market: MarketRecord, trade: TradeRow | None) -> Decimal:
    """Return how much of a position orders can close, whatever it is worth."""
    if trade is None:
        return _NOTHING
    stated = await _stated(uow, market, trade)
    step, least = (stated.amount_step, stated.least_amount) if stated else (None, None)
    quantity = sellable(market, trade.quantity, step, contracts=await _contracts(uow, trade))
    return quantity if quantity >= (least or _NOTHING) else _NOTHING


def sellable(
    market: MarketRecord, quantity: Decimal, step: Decimal | None, *, contracts: bool = False
) -> Decimal:
    """Return how much of a quantity a market takes: whole steps, and nothing below its minimum.

    Parameters
    ----------
    step
        As the exchange states it; None: one of the last decimal that quantities have.
    contracts
        Whether contracts on the pair are traded: the minimum is that of the pair itself.
    """
    step = step or Decimal(1).scaleb(-market.amount_precision)
    whole = quantity // step * step
    return whole if contracts or whole >= (market.min_amount or 0) else _NOTHING


async def _stated(
    uow: UnitOfWork, market: MarketRecord, trade: TradeRow
) -> Row[Decimal | None, Decimal | None, Decimal | None] | None:
    """Return what the exchange has said of the market when the session's account was compared."""
    columns = LiveMarketRow.amount_step, LiveMarketRow.least_amount, LiveMarketRow.least_cost
    statement = select(*columns).where(
        LiveMarketRow.session_id == trade.session_id, LiveMarketRow.market_id == market.id
    )
    return (await uow.session.execute(statement)).one_or_none()


async def _contracts(uow: UnitOfWork, trade: TradeRow) -> bool:
    held = await uow.session.get(LiveSessionRow, trade.session_id)
    return held is not None and held.leverage is not None
