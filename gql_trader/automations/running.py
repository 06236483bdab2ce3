"""What a run of an automation does, once: its effect and its end are one transaction."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row, delete, select, update

from gql_trader.accounts.types import UserStatus
from gql_trader.automations import repository, service
from gql_trader.automations.models import AutomationRow, AutomationRunRow
from gql_trader.automations.schedule import due_moments
from gql_trader.automations.types import AutomationAction, AutomationRunStatus, AutomationTrigger
from gql_trader.backtests import service as backtests
from gql_trader.backtests.execution import execution_from_json
from gql_trader.backtests.types import BacktestRequest
from gql_trader.bots import starting
from gql_trader.bots.types import Limits as BotLimits
from gql_trader.core.actor import Actor, Role
from gql_trader.core.errors import DomainError, DomainErrors, Forbidden
from gql_trader.core.ids import StrategyId, UserId
from gql_trader.core.intervals import Interval
from gql_trader.engine.plugins import PluginRegistry
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.rate_limits import RateLimits
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data.service import market_with_base
from gql_trader.runtime import Runtime
from gql_trader.settings.service import preferences_of

_log = structlog.get_logger(__name__)

TAG = "automation"


async def queue_due(uow: UnitOfWork, limit: int) -> int:
    """Queue a run of each automation whose moment has come; return how many.

    What was missed while no worker was there is one run, of the latest moment. Many workers may do this at
    once: each automation is locked by one of them, and its next moment lies behind when the lock is gone.
    """
    now = uow.clock.now()
    rows = await repository.lock_due(uow.session, now, limit)
    for row in rows:
        scheduled_for, missed, following = due_moments(row.cron, row.timezone, row.next_run_at, now)
        await service.queue_run(uow, row.id, AutomationTrigger.SCHEDULE, scheduled_for, missed)
        await uow.session.execute(
            update(AutomationRow).where(AutomationRow.id == row.id).values(next_run_at=following)
        )
        if missed:
            _log.warning("automation_runs_missed", automation_id=str(row.id), missed=missed)
    return len(rows)


@dataclass(frozen=True, slots=True)
class Means:
    """What runs need of the process that they run in."""

    arrays: ArrayCache
    rate_limits: RateLimits
    plugins: PluginRegistry
    backtest_limits: backtests.Limits
    bot_limits: BotLimits
    equity_minutes: int

    @classmethod
    def of(cls, runtime: Runtime) -> "Means":
        """Return those of a process."""
        settings = runtime.settings
        bars, hourly = settings.max_backtest_bars, settings.max_backtests_per_hour_per_user
        return cls(
            arrays=runtime.arrays,
            rate_limits=runtime.rate_limits,
            plugins=runtime.plugins,
            backtest_limits=backtests.Limits(
                active=settings.max_active_backtests_per_user, bars=bars, hourly=hourly
            ),
            bot_limits=BotLimits(
                bots=settings.max_bots_per_user,
                running=settings.max_running_bots_per_user,
                replay_bars=bars,
                hourly=hourly,
            ),
            equity_minutes=settings.bot_equity_minutes,
        )


async def perform(uow: UnitOfWork, means: Means, run_id: UUID) -> bool:
    """Do what a queued run is for and note its end; return False if it is over or another worker is at it.

    Raises
    ------
    DomainError, DomainErrors
        If it cannot be done; the transaction must be rolled back then, and the run be failed.
    """
    run = await repository.lock_queued_run(uow.session, run_id)
    if run is None:
        return False
    row = await repository.automation_of_run(uow.session, run.automation_id)
    actor = Actor(UserId(row.user_id), Role(row.role))
    if row.user_status != UserStatus.ACTIVE or not actor.role.includes(Role.TRADER):
        raise Forbidden("Its owner may not trade any more.")
    backtest_id: UUID | None = None
    match AutomationAction(row.action):
        case AutomationAction.BACKTEST:
            backtest_id = await _backtest(uow, means, actor, row, run)
        case AutomationAction.BOT_START:
            await starting.start_bot(
                uow, means.rate_limits, actor, row.bot_id, means.bot_limits, means.equity_minutes
            )
        case AutomationAction.BOT_STOP:
            await starting.stop_bot(uow, actor, row.bot_id)
    await _end(uow, run_id, AutomationRunStatus.SUCCEEDED, backtest_id=backtest_id)
    return True


async def _backtest(uow: UnitOfWork, means: Means, actor: Actor, row: Row[Any], run: Row[Any]) -> UUID:
    market, _ = await market_with_base(uow, row.market_id)
    preferences = await preferences_of(uow, row.user_id)
    request = BacktestRequest(
        strategy_id=StrategyId(row.strategy_id),
        market=market.name,
        interval=Interval[row.interval],
        start=run.scheduled_for - timedelta(days=row.lookback_days),
        end=run.scheduled_for,
        initial_capital=preferences.default_capital,
        states_capital=False,
        parameters=row.parameters,
        execution=execution_from_json(row.execution),
        label=row.name,
        tags=(TAG,),
    )
    backtest, _ = await backtests.request_run(
        uow, means.arrays, means.rate_limits, actor, request, means.backtest_limits, means.plugins
    )
    return backtest.id  # type: ignore[no-any-return]


async def fail(uow: UnitOfWork, run_id: UUID, error: DomainError | DomainErrors) -> None:
    """Note why a queued run could not do what it is for."""
    errors = error.errors if isinstance(error, DomainErrors) else [error]
    await _end(uow, run_id, AutomationRunStatus.FAILED, error=" ".join(each.message for each in errors))


async def forget(uow: UnitOfWork, age: timedelta, limit: int) -> int:
    """Delete runs that ended longer ago than this, at most so many; return how many there were."""
    old = (
        select(AutomationRunRow.id)
        .where(AutomationRunRow.finished_at < uow.clock.now() - age)
        .order_by(AutomationRunRow.finished_at)
        .limit(limit)
        # What another worker is deleting is left to it.
        .with_for_update(skip_locked=True)
    )
    deleted = await uow.session.scalars(
        delete(AutomationRunRow).where(AutomationRunRow.id.in_(old)).returning(AutomationRunRow.id)
    )
    return len(deleted.all())


async def _end(
    uow: UnitOfWork,
    run_id: UUID,
    status: AutomationRunStatus,
    *,
    error: str | None = None,
    backtest_id: UUID | None = None,
) -> None:
    await uow.session.execute(
        update(AutomationRunRow)
        .where(AutomationRunRow.id == run_id, AutomationRunRow.status == AutomationRunStatus.QUEUED.value)
        .values(status=status.value, error=error, backtest_id=backtest_id, finished_at=uow.clock.now())
        .execution_options(synchronize_session=False)
    )
