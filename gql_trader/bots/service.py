"""Rules of the bots domain: who makes, changes, starts and stops bots, and how many."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, insert, select, update

from gql_trader.accounts.models import UserRow
from gql_trader.backtests.execution import execution_from_json, execution_to_json
from gql_trader.bots import repository
from gql_trader.bots.checking import check_bot
from gql_trader.bots.live.bots import rules as position_rules
from gql_trader.bots.models import BotRow
from gql_trader.bots.types import BotChange, BotRequest, BotState, Feed, Limits, Replay, SessionStatus
from gql_trader.core.actor import Actor
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.errors import (
    DomainError,
    DomainErrors,
    ErrorCode,
    InvalidInput,
    InvalidState,
    NotFound,
    QuotaExceeded,
)
from gql_trader.core.ids import MarketId, StrategyId, uuid7
from gql_trader.core.intervals import Interval
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.plugins import PluginRegistry
from gql_trader.exchange_keys import repository as exchange_keys
from gql_trader.infra.keyset import PageRequest, Slice
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data
from gql_trader.settings.service import preferences_of
from gql_trader.settings.types import SessionMode
from gql_trader.strategies import service as strategies
from gql_trader.strategies.types import StrategyDefinition


async def create_bot(
    uow: UnitOfWork, plugins: PluginRegistry, actor: Actor, request: BotRequest, limits: Limits
) -> Row[Any]:
    """Make a bot, stopped, of the strategy's present version.

    Raises
    ------
    DomainErrors
        Everything in the request that is wrong by itself or does not fit the strategy.
    NotFound
        If the strategy or the market does not exist.
    InvalidInput
        If it is to trade live, and cannot.
    QuotaExceeded
        If the user has too many bots.
    """
    problems = check_bot(request)
    prefers = await preferences_of(uow, actor.user_id)
    mode = request.mode or prefers.default_mode
    definition = await strategies.get_visible(uow, actor, request.strategy_id)
    parameters = await _prepare(definition, request.parameters, request.interval, plugins, problems)
    if problems:
        raise DomainErrors(problems)
    market = await market_data.find_market(uow, request.market)
    key_id = await _own_key(uow, actor, request.exchange_key_id)
    if mode is SessionMode.LIVE:
        check_live(request.feed, request)
    await lock_user(uow, actor)
    if await repository.count_bots(uow.session, actor.user_id, None) >= limits.bots:
        raise QuotaExceeded(f"You have {limits.bots} bots, the most there may be; delete one first.")
    now = uow.clock.now()
    capital = request.initial_capital
    statement = insert(BotRow).values(
        id=uuid7(),
        user_id=actor.user_id,
        name=request.name,
        market_id=market.id,
        interval=request.interval.name,
        strategy_id=definition.strategy_id,
        strategy_version=definition.version,
        parameters=parameters,
        mode=mode.value,
        initial_capital=prefers.default_capital if capital is None else capital,
        execution=execution_to_json(request.execution),
        check_interval_seconds=request.check_interval_seconds,
        exchange_key_id=key_id,
        transfer_amount=request.transfer_amount,
        auto_transfer_funds=request.auto_transfer_funds,
        contracts=request.contracts,
        state=BotState.STOPPED.value,
        error=None,
        session_id=None,
        created_at=now,
        updated_at=now,
        **await _feed_columns(uow, request.feed, market.id, request.interval),
    )
    return (await uow.session.execute(statement.returning(*BotRow.__table__.c))).one()


def check_live(feed: Feed, bot: BotRequest | Row[Any]) -> None:
    """Raise InvalidInput unless a bot, as asked for or stored, is one that can trade live."""
    if feed.replay is not None:
        raise InvalidInput("History is traded on paper; use the mode PAPER.", ("mode",))
    if bot.exchange_key_id is None:
        raise InvalidInput("Live trading needs one of your exchange keys.", ("exchangeKeyId",))
    stored = bot.execution
    spec = stored if isinstance(stored, ExecutionSpec) else execution_from_json(stored)
    contracts = trades_contracts(bot, spec)
    if (problem := position_rules.problem_of(spec, contracts=contracts)) is not None:
        raise InvalidInput(problem[1], ("execution", problem[0]))
    if bot.auto_transfer_funds and not contracts:
        raise InvalidInput("Only contracts need funds in a wallet of theirs.", ("autoTransferFunds",))


def trades_contracts(bot: BotRequest | Row[Any], spec: ExecutionSpec) -> bool:
    """Whether a live bot trades contracts in place of the currencies: if it says so, or with leverage."""
    return bool(bot.contracts) or spec.leverage > 1.0


async def _own_key(uow: UnitOfWork, actor: Actor, key_id: UUID | None) -> UUID | None:
    if key_id is not None and await exchange_keys.key_of(uow.session, actor.user_id, key_id) is None:
        raise NotFound("There is no such exchange key.", ("exchangeKeyId",))
    return key_id


async def _prepare(
    definition: StrategyDefinition,
    given: object,
    interval: Interval,
    plugins: PluginRegistry,
    problems: list[DomainError],
) -> dict[str, Any]:
    try:
        # In a thread: long rules take a while to compile.
        parameters, _ = await asyncio.to_thread(strategies.prepare, definition, given, interval, plugins)
        return parameters
    except DomainErrors as errors:
        problems += errors.errors
        return {}


async def _feed_columns(uow: UnitOfWork, feed: Feed, market_id: UUID, interval: Interval) -> dict[str, Any]:
    replay = feed.replay
    if replay is None:
        return {"replay_start": None, "replay_end": None, "replay_speed": None}
    end = replay.end or await _end_of_candles(uow, replay.start, market_id, interval)
    return {"replay_start": replay.start, "replay_end": end, "replay_speed": replay.speed}


async def _end_of_candles(uow: UnitOfWork, start: datetime, market_id: UUID, interval: Interval) -> datetime:
    series = await market_data.find_series(uow, MarketId(market_id), interval)
    if series is not None:
        end = from_milliseconds(series.source.last + series.source.interval.milliseconds)
        if end > start:
            return end
    raise DomainError("There are no candles to replay.", ("feed", "replay", "start"), ErrorCode.NO_DATA)


async def update_bot(
    uow: UnitOfWork, plugins: PluginRegistry, actor: Actor, bot_id: UUID, change: BotChange
) -> Row[Any]:
    """Change a bot that is stopped; with strategy or parameters it takes the strategy's present version.

    Raises
    ------
    NotFound
        If the user has no such bot, or there is no such strategy or market.
    InvalidState
        If it is not stopped.
    DomainErrors
        Everything that is wrong with the change.
    InvalidInput
        If it is to trade live, and cannot.
    """
    row = await own_idle_bot(uow, actor, bot_id, "changed")
    problems = check_bot(change)
    values: dict[str, Any] = {}
    if change.mode is not None:
        values["mode"] = change.mode.value
    interval = change.interval or Interval[row.interval]
    if change.strategy_id is not None or change.parameters is not None:
        strategy_id = change.strategy_id or StrategyId(row.strategy_id)
        definition = await strategies.get_visible(uow, actor, strategy_id)
        # Another strategy has other parameters; of the same one they are kept unless given.
        same = strategy_id == row.strategy_id
        given = change.parameters if change.parameters is not None else row.parameters if same else {}
        values["parameters"] = await _prepare(definition, given, interval, plugins, problems)
        values |= {"strategy_id": definition.strategy_id, "strategy_version": definition.version}
    elif change.interval is not None:
        definition = await strategies.load_version(uow, row.strategy_id, row.strategy_version)
        await _prepare(definition, row.parameters, interval, plugins, problems)
    if problems:
        raise DomainErrors(problems)
    if change.market is not None:
        values["market_id"] = (await market_data.find_market(uow, change.market)).id
    if change.interval is not None:
        values["interval"] = change.interval.name
    if change.execution is not None:
        values["execution"] = execution_to_json(change.execution)
    if change.feed is not None:
        market_id = values.get("market_id", row.market_id)
        values |= await _feed_columns(uow, change.feed, market_id, interval)
    for name in (
        "name",
        "initial_capital",
        "check_interval_seconds",
        "transfer_amount",
        "auto_transfer_funds",
        "contracts",
    ):
        if getattr(change, name) is not None:
            values[name] = getattr(change, name)
    if change.exchange_key_id is not None:
        values["exchange_key_id"] = await _own_key(uow, actor, change.exchange_key_id)
    if not values:
        return row
    statement = (
        update(BotRow)
        .where(BotRow.id == bot_id)
        .values(updated_at=uow.clock.now(), **values)
        .returning(*BotRow.__table__.c)
        .execution_options(synchronize_session=False)
    )
    changed = (await uow.session.execute(statement)).one()
    if changed.mode == SessionMode.LIVE.value:
        start, end = changed.replay_start, changed.replay_end
        check_live(Feed(Replay(start, end)) if start is not None else Feed(), changed)
    return changed


async def delete_bot(uow: UnitOfWork, actor: Actor, bot_id: UUID) -> None:
    """Delete a bot that is stopped; its sessions, with their trades, stay.

    Raises
    ------
    NotFound
        If the user has no such bot.
    InvalidState
        If it is not stopped.
    """
    await own_idle_bot(uow, actor, bot_id, "deleted")
    await uow.session.execute(delete(BotRow).where(BotRow.id == bot_id))


async def own_bot(uow: UnitOfWork, actor: Actor, bot_id: UUID, *, locked: bool = False) -> Row[Any]:
    """Return one of the user's bots.

    Raises
    ------
    NotFound
        If the user has no such bot.
    """
    row = await repository.bot(uow.session, actor.user_id, bot_id, locked=locked)
    if row is None:
        raise NotFound("There is no such bot.", ("id",))
    return row


async def own_idle_bot(uow: UnitOfWork, actor: Actor, bot_id: UUID, deed: str) -> Row[Any]:
    """Return one of the user's bots that trades nothing, locked until the transaction ends.

    Raises
    ------
    NotFound
        If the user has no such bot.
    InvalidState
        If it trades; ``deed`` is what cannot be done then.
    """
    row = await own_bot(uow, actor, bot_id, locked=True)
    if not BotState(row.state).is_idle:
        raise InvalidState(f"This bot is {row.state}; only a stopped one can be {deed}.", ("id",))
    return row


async def lock_user(uow: UnitOfWork, actor: Actor) -> None:
    """Let requests of a user at the same moment be counted one after the other."""
    await uow.session.execute(
        select(UserRow.id).where(UserRow.id == actor.user_id).with_for_update(key_share=True)
    )


async def list_bots(
    uow: UnitOfWork, actor: Actor, states: Sequence[BotState] | None, page: PageRequest
) -> Slice[Row[Any]]:
    """Return one page of a user's bots, newest first."""
    return await repository.page_of_bots(uow.session, actor.user_id, states, page)


async def count_bots(uow: UnitOfWork, actor: Actor, states: Sequence[BotState] | None) -> int:
    """Return how many bots a user has."""
    return await repository.count_bots(uow.session, actor.user_id, states)


async def list_sessions(
    uow: UnitOfWork,
    actor: Actor,
    status: SessionStatus | None,
    mode: SessionMode | None,
    page: PageRequest,
) -> Slice[Row[Any]]:
    """Return one page of a user's sessions, newest first."""
    return await repository.page_of_sessions(uow.session, actor.user_id, status, mode, page)


async def count_sessions(
    uow: UnitOfWork, actor: Actor, status: SessionStatus | None, mode: SessionMode | None
) -> int:
    """Return how many sessions a user has."""
    return await repository.count_sessions(uow.session, actor.user_id, status, mode)
