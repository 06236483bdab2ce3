"""Reads of the reports domain; every one names the user, so that others' sessions do not exist."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.bots.models import BotRow, SessionStateRow, TradingSessionRow
from gql_trader.core.ids import UserId
from gql_trader.core.money import to_decimal
from gql_trader.market_data.models import AssetRow, MarketRow
from gql_trader.reports.types import Account, Scope
from gql_trader.settings.types import SessionMode

_SESSIONS = TradingSessionRow.__table__.c
_STATES = SessionStateRow.__table__.c


async def accounts(session: AsyncSession, user_id: UserId, scope: Scope) -> list[Account]:
    """Return the sessions of a scope in whatever currency, oldest first."""
    quote = func.coalesce(MarketRow.quote_id, TradingSessionRow.quote_id)
    statement = (
        select(
            _SESSIONS.id,
            AssetRow.symbol,
            _SESSIONS.mode,
            _SESSIONS.capital,
            _STATES.equity,
            _SESSIONS.started_at,
            _SESSIONS.ended_at,
            _SESSIONS.market_id,
            _STATES.last_bar_time,
        )
        .select_from(TradingSessionRow)
        .join(SessionStateRow, _STATES.session_id == _SESSIONS.id)
        .outerjoin(MarketRow, MarketRow.id == _SESSIONS.market_id)
        .outerjoin(AssetRow, AssetRow.id == quote)
        .where(_SESSIONS.user_id == user_id)
        .order_by(_SESSIONS.id)
    )
    if scope.bot_id is not None:
        statement = statement.where(_SESSIONS.bot_id == scope.bot_id)
    if scope.session_id is not None:
        statement = statement.where(_SESSIONS.id == scope.session_id)
    if scope.mode is not None:
        statement = statement.where(_SESSIONS.mode == scope.mode.value)
    return [
        Account(
            id=row.id,
            currency=row.symbol,
            mode=SessionMode(row.mode),
            capital=row.capital,
            equity=to_decimal(row.equity),
            started_at=row.started_at,
            ended_at=row.ended_at,
            last_bar_time=row.last_bar_time if row.market_id is not None else None,
        )
        for row in await session.execute(statement)
    ]


async def exists(session: AsyncSession, user_id: UserId, scope: Scope) -> bool:
    """Return whether the bot and the session that a scope names are the user's."""
    if scope.bot_id is not None:
        bot = select(BotRow.id).where(BotRow.id == scope.bot_id, BotRow.user_id == user_id)
        if await session.scalar(bot) is None:
            return False
    if scope.session_id is not None:
        found = select(_SESSIONS.id).where(_SESSIONS.id == scope.session_id, _SESSIONS.user_id == user_id)
        if await session.scalar(found) is None:
            return False
    return True
