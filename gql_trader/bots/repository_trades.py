"""Reads of trades for whole files: a page after the other, whatever the number of sessions and trades."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.bots.models import BotRow, TradeRow, TradingSessionRow
from gql_trader.core.ids import UserId
from gql_trader.market_data.models import MarketRow

_SESSIONS = TradingSessionRow.__table__.c
_TRADES = TradeRow.__table__.c

EXPORTED = (
    "bot",
    "exchange",
    "market",
    "mode",
    "number",
    "side",
    "quantity",
    "entry_time",
    "entry_price",
    "exit_time",
    "exit_price",
    "profit",
    "profit_fraction",
    "fees",
    "funding",
    "bars",
    "exit_reason",
    "max_favorable",
    "max_adverse",
    "equity_after",
)
"""Columns of `trades_after`, besides ``session_id``."""


@dataclass(frozen=True, slots=True)
class TradesOf:
    """Whose trades: all of a user's, or those of one of the user's bots or sessions."""

    user_id: UserId
    bot_id: UUID | None = None
    session_id: UUID | None = None


async def exists(session: AsyncSession, wanted: TradesOf) -> bool:
    """Return whether the bot or session is there, and the user's."""
    if wanted.bot_id is not None:
        statement = select(BotRow.id).where(BotRow.id == wanted.bot_id, BotRow.user_id == wanted.user_id)
    elif wanted.session_id is not None:
        statement = _sessions(wanted, _SESSIONS.id)
    else:
        return True
    return await session.scalar(statement) is not None


def _sessions(wanted: TradesOf, *columns: Any) -> Select[Any]:
    statement = select(*columns).where(_SESSIONS.user_id == wanted.user_id)
    if wanted.bot_id is not None:
        statement = statement.where(_SESSIONS.bot_id == wanted.bot_id)
    if wanted.session_id is not None:
        statement = statement.where(_SESSIONS.id == wanted.session_id)
    return statement


async def count(session: AsyncSession, wanted: TradesOf) -> int:
    """Return how many trades there are."""
    chosen = _sessions(wanted, _SESSIONS.id)
    statement = select(func.count()).where(_TRADES.session_id.in_(chosen))
    return await session.scalar(statement) or 0


async def sessions_after(
    session: AsyncSession, wanted: TradesOf, after: UUID | None, limit: int
) -> list[UUID]:
    """Return the ids of the next sessions, oldest first."""
    statement = _sessions(wanted, _SESSIONS.id).order_by(_SESSIONS.id).limit(limit)
    if after is not None:
        statement = statement.where(_SESSIONS.id > after)
    return list(await session.scalars(statement))


async def trades_after(
    session: AsyncSession, sessions: Sequence[UUID], after: tuple[UUID, int] | None, limit: int
) -> list[Row[Any]]:
    """Return the next trades of some sessions, by session and number.

    Parameters
    ----------
    sessions
        Checked to be the user's, ascending.
    after
        Session and number of the last trade that was read; None: from the first on.
    """
    statement = (
        select(
            _TRADES.session_id,
            BotRow.name.label("bot"),
            MarketRow.exchange,
            MarketRow.symbol.label("market"),
            _SESSIONS.mode,
            *(_TRADES[name] for name in EXPORTED if name in _TRADES),
        )
        .join(TradingSessionRow, _SESSIONS.id == _TRADES.session_id)
        .join(MarketRow, MarketRow.id == func.coalesce(_TRADES.market_id, _SESSIONS.market_id))
        .outerjoin(BotRow, BotRow.id == _SESSIONS.bot_id)
        .where(_TRADES.session_id.in_(sessions))
        .order_by(_TRADES.session_id, _TRADES.number)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(
            _TRADES.session_id >= after[0],
            tuple_(_TRADES.session_id, _TRADES.number) > after,
        )
    return list((await session.execute(statement)).all())
