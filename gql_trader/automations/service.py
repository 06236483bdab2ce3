"""Rules of automations: what users may have happen by the clock."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, insert, select, update

from gql_trader.accounts.models import UserRow
from gql_trader.automations import repository
from gql_trader.automations.models import AutomationRow, AutomationRunRow
from gql_trader.automations.schedule import check_schedule, next_moment
from gql_trader.automations.types import (
    LONGEST_LOOKBACK_DAYS,
    MAXIMUM_NAME,
    QUEUE,
    RUN_AUTOMATION,
    AutomationAction,
    AutomationRunStatus,
    AutomationSpec,
    AutomationStatus,
    AutomationTrigger,
    Limits,
)
from gql_trader.backtests.execution import check_execution, execution_from_json, execution_to_json
from gql_trader.bots import repository as bots
from gql_trader.core.actor import Actor, TokenScope
from gql_trader.core.errors import (
    Conflict,
    DomainError,
    DomainErrors,
    Forbidden,
    InvalidInput,
    InvalidState,
    NotFound,
    QuotaExceeded,
)
from gql_trader.core.ids import StrategyId, uuid7
from gql_trader.core.intervals import Interval
from gql_trader.engine.plugins import PluginRegistry
from gql_trader.engine.rules import is_plain_text
from gql_trader.infra.keyset import PageRequest, Slice, SortKey, fetch_page
from gql_trader.infra.unit_of_work import Job, UnitOfWork
from gql_trader.market_data.service import find_market, market_with_base
from gql_trader.strategies import service as strategies

_NEWEST_FIRST = [
    SortKey(repository.AUTOMATION.created_at, descending=True),
    SortKey(repository.AUTOMATION.id, descending=True),
]
_NEEDED_FOR_BACKTEST = ("market", "interval", "lookback_days")
_IN_INPUT = {"market": "market", "interval": "interval", "lookback_days": "lookbackDays"}


async def create_automation(
    uow: UnitOfWork, actor: Actor, spec: AutomationSpec, limits: Limits, plugins: PluginRegistry
) -> Row[Any]:
    """Store an automation and return its row.

    Raises
    ------
    DomainErrors
        Everything that is wrong.
    QuotaExceeded
        If the user has as many as may be.
    """
    _check_scope(actor, spec.action)
    values = await _checked(uow, actor, spec, limits, plugins)
    # Requests at the same moment are counted one after the other.
    await uow.session.execute(
        select(UserRow.id).where(UserRow.id == actor.user_id).with_for_update(key_share=True)
    )
    found = await repository.count(uow.session, repository.automations_statement(actor.user_id, None))
    if found >= limits.automations:
        raise QuotaExceeded(f"You have {found} automations, which is as many as may be.")
    now = uow.clock.now()
    values |= _scheduled(uow, spec, spec.active)
    return (
        await uow.session.execute(
            insert(AutomationRow)
            .values(id=uuid7(), user_id=actor.user_id, created_at=now, updated_at=now, **values)
            .returning(*repository.AUTOMATION)
        )
    ).one()


async def update_automation(
    uow: UnitOfWork,
    actor: Actor,
    automation_id: UUID,
    changes: dict[str, Any],
    limits: Limits,
    plugins: PluginRegistry,
) -> Row[Any]:
    """Change what is given of one of the user's automations and return it.

    Parameters
    ----------
    changes
        New values by the name of their field in `AutomationSpec`, but for ``active``; see `set_active`.

    Raises
    ------
    NotFound
        If the user has no such automation.
    DomainErrors
        Everything that would be wrong; nothing is changed then.
    """
    row = await _own(uow, actor, automation_id, lock=True)
    spec = replace(await _spec_of(uow, row), **changes)
    values = await _checked(uow, actor, spec, limits, plugins)
    if {"cron", "timezone"} & changes.keys():
        values |= _scheduled(uow, spec, row.status == AutomationStatus.ACTIVE)
    return await _changed(uow, row.id, values)


async def set_active(uow: UnitOfWork, actor: Actor, automation_id: UUID, *, active: bool) -> Row[Any]:
    """Pause or resume one of the user's automations; moments that passed while it was paused are not made up.

    Raises
    ------
    NotFound
        If the user has no such automation.
    InvalidState
        If it is paused already, or not paused.
    """
    row = await _own(uow, actor, automation_id, lock=True)
    if (row.status == AutomationStatus.ACTIVE) is active:
        raise InvalidState(
            "This automation is not paused." if active else "This automation is paused already."
        )
    return await _changed(uow, row.id, _scheduled(uow, row, active))


async def delete_automation(uow: UnitOfWork, actor: Actor, automation_id: UUID) -> None:
    """Delete one of the user's automations and its history; the backtests that it ran stay.

    Raises
    ------
    NotFound
        If the user has no such automation.
    """
    row = await _own(uow, actor, automation_id)
    await uow.session.execute(delete(AutomationRow).where(AutomationRow.id == row.id))


async def run_now(uow: UnitOfWork, actor: Actor, automation_id: UUID) -> Row[Any]:
    """Queue a run of one of the user's automations, paused or not, and return the run.

    Raises
    ------
    NotFound
        If the user has no such automation.
    Conflict
        If a run that was asked for is waiting still.
    """
    row = await _own(uow, actor, automation_id, lock=True)
    waiting = await uow.session.scalar(
        select(func.count()).where(
            AutomationRunRow.automation_id == row.id,
            AutomationRunRow.trigger == AutomationTrigger.MANUAL.value,
            AutomationRunRow.status == AutomationRunStatus.QUEUED.value,
        )
    )
    if waiting:
        raise Conflict("A run that was asked for has not begun yet.", ("id",))
    return await queue_run(uow, row.id, AutomationTrigger.MANUAL, uow.clock.now(), 0)


async def queue_run(
    uow: UnitOfWork, automation_id: UUID, trigger: AutomationTrigger, scheduled_for: Any, missed: int
) -> Row[Any]:
    """Store a run and hand it to the workers once the transaction has committed."""
    now = uow.clock.now()
    run = (
        await uow.session.execute(
            insert(AutomationRunRow)
            .values(
                id=uuid7(),
                automation_id=automation_id,
                trigger=trigger.value,
                scheduled_for=scheduled_for,
                missed=missed,
                status=AutomationRunStatus.QUEUED.value,
                created_at=now,
            )
            .returning(*repository.RUN)
        )
    ).one()
    await uow.session.execute(
        update(AutomationRow).where(AutomationRow.id == automation_id).values(last_run_at=now)
    )
    uow.enqueue(job_for(run.id))
    return run


def job_for(run_id: UUID) -> Job:
    """Return the job that does what a run is for."""
    return Job(RUN_AUTOMATION, QUEUE, f"{RUN_AUTOMATION}:{run_id}", (str(run_id),))


async def list_automations(
    uow: UnitOfWork, actor: Actor, status: AutomationStatus | None, page: PageRequest
) -> Slice[Row[Any]]:
    """Return one page of the user's automations, the newest first."""
    statement = repository.automations_statement(actor.user_id, status)
    return await fetch_page(uow.session, statement, _NEWEST_FIRST, page)


async def count_automations(uow: UnitOfWork, actor: Actor, status: AutomationStatus | None) -> int:
    """Return how many automations the user has."""
    return await repository.count(uow.session, repository.automations_statement(actor.user_id, status))


async def _spec_of(uow: UnitOfWork, row: Row[Any]) -> AutomationSpec:
    market = (await market_with_base(uow, row.market_id))[0] if row.market_id else None
    return AutomationSpec(
        name=row.name,
        strategy_id=StrategyId(row.strategy_id),
        cron=row.cron,
        timezone=row.timezone,
        action=AutomationAction(row.action),
        bot_id=row.bot_id,
        market=market.name if market else None,
        interval=Interval[row.interval] if row.interval else None,
        lookback_days=row.lookback_days,
        parameters=row.parameters,
        execution=execution_from_json(row.execution),
    )


async def _own(uow: UnitOfWork, actor: Actor, automation_id: UUID, *, lock: bool = False) -> Row[Any]:
    row = await repository.automation(uow.session, actor.user_id, automation_id, lock=lock)
    if row is None:
        raise NotFound("There is no such automation.", ("id",))
    _check_scope(actor, row.action)
    return row


async def _changed(uow: UnitOfWork, automation_id: UUID, values: dict[str, Any]) -> Row[Any]:
    statement = (
        update(AutomationRow)
        .where(AutomationRow.id == automation_id)
        .values(updated_at=uow.clock.now(), **values)
        .returning(*repository.AUTOMATION)
    )
    return (await uow.session.execute(statement)).one()


def _scheduled(uow: UnitOfWork, rule: Any, active: bool) -> dict[str, Any]:
    following = next_moment(rule.cron, rule.timezone, uow.clock.now()) if active else None
    status = AutomationStatus.ACTIVE if active else AutomationStatus.PAUSED
    return {"status": status.value, "next_run_at": following}


async def _checked(
    uow: UnitOfWork, actor: Actor, spec: AutomationSpec, limits: Limits, plugins: PluginRegistry
) -> dict[str, Any]:
    problems: list[DomainError] = []
    if not (spec.name.strip() == spec.name != "" and is_plain_text(spec.name, MAXIMUM_NAME)):
        problems.append(
            InvalidInput(
                f"name: 1 to {MAXIMUM_NAME} printable characters, without spaces around them.", ("name",)
            )
        )
    problems += check_schedule(spec.cron, spec.timezone, uow.clock.now(), limits.distance_seconds)
    problems += check_execution(spec.execution)
    market_id: UUID | None = None
    if spec.action is AutomationAction.BACKTEST:
        market_id = await _checked_market(uow, spec, problems)
    else:
        await _check_bot(uow, actor, spec, problems)
    parameters: dict[str, Any] = {}
    try:
        definition = await strategies.get_visible(uow, actor, spec.strategy_id)
        # Checked now, kept as given: what is left out takes the default of the version that will run.
        await asyncio.to_thread(strategies.resolve_parameters, definition, spec.parameters, plugins)
        parameters = dict(spec.parameters)
    except DomainErrors as errors:
        problems += errors.errors
    except DomainError as error:
        problems.append(error)
    if problems:
        raise DomainErrors(problems)
    return {
        "name": spec.name,
        "strategy_id": spec.strategy_id,
        "cron": " ".join(spec.cron.split()),
        "timezone": spec.timezone,
        "action": spec.action.value,
        "bot_id": spec.bot_id if spec.action is not AutomationAction.BACKTEST else None,
        "market_id": market_id,
        "interval": spec.interval.name if market_id and spec.interval else None,
        "lookback_days": spec.lookback_days if market_id else None,
        "parameters": parameters,
        "execution": execution_to_json(spec.execution),
    }


async def _checked_market(uow: UnitOfWork, spec: AutomationSpec, problems: list[DomainError]) -> UUID | None:
    for name in _NEEDED_FOR_BACKTEST:
        if getattr(spec, name) is None:
            path = _IN_INPUT[name]
            problems.append(InvalidInput(f"{path} is needed for a backtest.", (path,)))
    days = spec.lookback_days
    if days is not None and not 1 <= days <= LONGEST_LOOKBACK_DAYS:
        problems.append(
            InvalidInput(f"lookbackDays is from 1 to {LONGEST_LOOKBACK_DAYS}.", ("lookbackDays",))
        )
    if spec.market is None:
        return None
    try:
        return (await find_market(uow, spec.market)).id
    except DomainError as error:
        problems.append(error)
        return None


async def _check_bot(
    uow: UnitOfWork, actor: Actor, spec: AutomationSpec, problems: list[DomainError]
) -> None:
    if spec.bot_id is None:
        problems.append(InvalidInput("botId is needed to start or stop a bot.", ("botId",)))
        return
    bot = await bots.bot(uow.session, actor.user_id, spec.bot_id)
    if bot is None:
        problems.append(NotFound("There is no such bot.", ("botId",)))
    elif bot.strategy_id != spec.strategy_id:
        problems.append(InvalidInput("This is not the bot's strategy.", ("strategyId",)))


def _check_scope(actor: Actor, action: str) -> None:
    # What runs bots by the clock runs bots, whoever may only backtest.
    if action != AutomationAction.BACKTEST and not actor.allows(TokenScope.TRADE):
        raise Forbidden(f"This API token lacks the scope {TokenScope.TRADE.value}.")
