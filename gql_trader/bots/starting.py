"""Starting and stopping bots: the rules of both."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, true, update

from gql_trader.accounts.audit import record_event
from gql_trader.accounts.quotas import count_request
from gql_trader.accounts.types_credentials import AuditAction
from gql_trader.backtests.execution import execution_from_json, execution_to_json, on_market
from gql_trader.bots import lifecycle, repository, service
from gql_trader.bots.live import sessions as live_sessions
from gql_trader.bots.live.sessions import LivePermit
from gql_trader.bots.models import BotRow
from gql_trader.bots.models_live_bot import LiveBotRow
from gql_trader.bots.types import STARTED, BotState, Feed, Limits, Replay, SessionRequest
from gql_trader.core.actor import Actor
from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.errors import (
    DomainError,
    ErrorCode,
    Forbidden,
    InvalidInput,
    InvalidState,
    QuotaExceeded,
)
from gql_trader.core.ids import MarketId, uuid7
from gql_trader.core.intervals import MINUTE, Interval
from gql_trader.exchange_keys.types import ExchangeKeyRecord
from gql_trader.infra.rate_limits import RateLimits
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data
from gql_trader.market_data.feeds import states as feeds
from gql_trader.market_data.types import MarketRecord
from gql_trader.settings.service import preferences_of
from gql_trader.settings.types import MarginMode, SessionMode

REPLAY_POINTS = 5_000
"""Points of equity that a replay keeps, besides those of its trades."""

_IDLE = [state for state in BotState if state.is_idle]


async def start_bot(
    uow: UnitOfWork,
    rate_limits: RateLimits,
    actor: Actor,
    bot_id: UUID,
    limits: Limits,
    equity_minutes: int,
    permit: LivePermit | None = None,
    *,
    acknowledge_mismatch: bool = False,
) -> Row[Any]:
    """Open a session for a bot that is stopped, and hand it to the workers.

    Parameters
    ----------
    equity_minutes
        A live session's equity is noted at least this often.
    permit
        By what the user proves that they may trade live, used up if the bot does.
    acknowledge_mismatch
        Let it trade live although the account at the exchange is not what it should be.

    Raises
    ------
    NotFound
        If the user has no such bot.
    InvalidState
        If it is started already, or still stopping.
    QuotaExceeded
        If too many of the user's bots are at work, or too many replays were started.
    DomainError
        NO_DATA, if there are no candles to replay.
    InvalidInput, NotFound, InvalidState, Forbidden
        If it trades live, and with no key, or one that may not be traded with, or `require_live_rights` says
        no.
    """
    await service.lock_user(uow, actor)
    row = await service.own_idle_bot(uow, actor, bot_id, "started")
    busy = await repository.count_bots(uow.session, actor.user_id, [*STARTED, BotState.STOPPING])
    if busy >= limits.running:
        raise QuotaExceeded(f"{busy} of your bots are at work, which is as many as may be; stop one first.")
    market, _ = await market_data.market_with_base(uow, row.market_id)
    interval = Interval[row.interval]
    live = (
        await _permitted_key(uow, actor, row, market, permit) if row.mode == SessionMode.LIVE.value else None
    )
    if row.replay_start is not None:
        await _check_replay(uow, row, limits)
        await count_request(rate_limits, actor, "backtests", limits.hourly)
        every = max(1, -(-_replay_bars(row) // REPLAY_POINTS))
    else:
        every = max(1, equity_minutes * MINUTE // interval.milliseconds)
        await feeds.want(uow, [(row.market_id, interval)])
    now = uow.clock.now()
    session_id = uuid7()
    execution = execution_from_json(row.execution)
    if execution.timezone is None:
        # The session keeps it: another day would begin in its midst if it were looked up again.
        zone = (await preferences_of(uow, actor.user_id)).timezone
        execution = replace(execution, timezone=zone)
    execution = on_market(execution, market)
    copied = (
        "user_id",
        "mode",
        "market_id",
        "interval",
        "strategy_id",
        "strategy_version",
        "parameters",
        "replay_start",
        "replay_end",
        "replay_speed",
    )
    values = {name: getattr(row, name) for name in copied}
    values |= {
        "id": session_id,
        "bot_id": row.id,
        "execution": execution_to_json(execution),
        "capital": row.initial_capital,
        "shard": await repository.roomy_shard(uow.session, row.market_id, row.interval)
        if row.replay_start is None and live is None
        else 0,
        "equity_every": every,
        "check_seconds": row.check_interval_seconds,
        "started_at": now,
        "trade_from": row.replay_start or _first_bar(interval, now, is_live=live is not None),
        "ended_at": None,
    }
    await lifecycle.open_session(uow, values)
    if live is not None:
        leverage, funds = None, None
        if service.trades_contracts(row, execution):
            leverage = int(execution.leverage)
            funds = (row.transfer_amount or row.initial_capital) if row.auto_transfer_funds else None
        margin_mode = None if leverage is None else MarginMode.ISOLATED
        await live_sessions.attach(uow, session_id, live, leverage, margin_mode, funds)
        await uow.session.execute(
            insert(LiveBotRow).values(session_id=session_id, exit_orders=0, acknowledged=acknowledge_mismatch)
        )
        record_event(
            uow,
            AuditAction.TRADING_SESSION_STARTED,
            actor_id=actor.user_id,
            target_id=actor.user_id,
            tradingSessionId=str(session_id),
            botId=str(row.id),
            mode=row.mode,
            exchangeKeyId=str(live.id),
            exchange=live.exchange,
        )
    await uow.session.execute(
        update(BotRow)
        .where(BotRow.id == bot_id)
        .values(session_id=session_id)
        .execution_options(synchronize_session=False)
    )
    await lifecycle.change_state(uow, BotRow.id == bot_id, _IDLE, BotState.PENDING)
    return await service.own_bot(uow, actor, bot_id)


def _first_bar(interval: Interval, now: datetime, *, is_live: bool) -> datetime:
    """Return from when bars are traded: what the bar says that is under way fills with the next one's open.

    At an exchange that is when the one under way closes, so that it is the first to act on.
    """
    return from_milliseconds(interval.floor(to_milliseconds(now))) if is_live else now


async def _permitted_key(
    uow: UnitOfWork, actor: Actor, row: Row[Any], market: MarketRecord, permit: LivePermit | None
) -> ExchangeKeyRecord:
    service.check_live(Feed(Replay(row.replay_start, row.replay_end)) if row.replay_start else Feed(), row)
    request = SessionRequest(mode=SessionMode.LIVE, exchange_key_id=row.exchange_key_id)
    key = await live_sessions.permitted_key(uow, actor, request, permit)
    if key.exchange != market.exchange:
        raise InvalidInput(
            f"Its key is to {key.exchange}, its market is on {market.exchange}.", ("exchangeKeyId",)
        )
    return key


def _replay_bars(row: Row[Any]) -> int:
    length = to_milliseconds(row.replay_end) - to_milliseconds(row.replay_start)
    return int(length // Interval[row.interval].milliseconds)


async def _check_replay(uow: UnitOfWork, row: Row[Any], limits: Limits) -> None:
    interval = Interval[row.interval]
    series = await market_data.find_series(uow, MarketId(row.market_id), interval)
    source = series.source if series else None
    low, high = to_milliseconds(row.replay_start), to_milliseconds(row.replay_end)
    if source is None or source.last < low or source.first >= high:
        raise DomainError("There are no candles to replay in this range.", ("id",), ErrorCode.NO_DATA)
    if (bars := _replay_bars(row)) > limits.replay_bars:
        raise InvalidInput(f"At most {limits.replay_bars} bars at a time; this would be {bars}.", ("id",))


async def stop_bot(uow: UnitOfWork, actor: Actor, bot_id: UUID) -> Row[Any]:
    """Have a bot stopped; a worker closes its position at the last close, then its session.

    Raises
    ------
    NotFound
        If the user has no such bot.
    InvalidState
        If it is not started, or stopping already.
    """
    row = await service.own_bot(uow, actor, bot_id)
    if not await lifecycle.stop_bots(uow, BotRow.id == bot_id):
        raise InvalidState(f"This bot is {row.state}.", ("id",))
    return await service.own_bot(uow, actor, bot_id)


async def stop_all_bots(uow: UnitOfWork, actor: Actor, *, everyone: bool = False) -> list[UUID]:
    """Have all of the user's bots stopped, or for an administrator everybody's; return which.

    Raises
    ------
    Forbidden
        If everybody's are to be stopped by somebody who is no administrator.
    """
    if everyone and not actor.is_admin:
        raise Forbidden("Only administrators stop the bots of everybody.", ("everyone",))
    stopped = await lifecycle.stop_bots(uow, true() if everyone else BotRow.user_id == actor.user_id)
    if everyone:
        record_event(
            uow, AuditAction.BOTS_STOPPED, actor_id=actor.user_id, target_id=None, count=len(stopped)
        )
    return stopped
