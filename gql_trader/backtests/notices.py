"""What users are told of their backtests: the end of those that one does not wait for."""

from dataclasses import dataclass
from uuid import UUID

from gql_trader.backtests.types import RunStatus
from gql_trader.core.ids import global_id
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.notifications import service as notifications
from gql_trader.notifications.types import NotificationKind

LONG_RUN_SECONDS = 60.0
"""Whoever starts a shorter run is still looking, or has started thousands."""

_KINDS = {
    RunStatus.COMPLETED: NotificationKind.BACKTEST_COMPLETED,
    RunStatus.FAILED: NotificationKind.BACKTEST_FAILED,
}


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has completed or failed.

    Attributes
    ----------
    duration_ms
        From its first start.
    error
        Why it has failed.
    """

    backtest_id: UUID
    user_id: UUID
    label: str | None
    duration_ms: float | None
    status: RunStatus
    error: str = ""


async def tell_ended(uow: UnitOfWork, run: Ended) -> None:
    """Tell the owner of a run that it has ended, if it ran for long."""
    seconds = (run.duration_ms or 0.0) / 1000
    if seconds < LONG_RUN_SECONDS:
        return
    values = {
        "name": f"“{run.label}”" if run.label else str(run.backtest_id),
        "duration": f"{round(seconds / 60)} min",
        "reason": run.error,
    }
    payload = {"backtestId": global_id("Backtest", run.backtest_id)}
    await notifications.notify(uow, run.user_id, _KINDS[run.status], values, payload)
