"""What users are told of what ran for them: the end of those runs that one does not wait for."""

from dataclasses import dataclass
from uuid import UUID

from gql_trader.core.ids import global_id
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.notifications import service
from gql_trader.notifications.types import NotificationKind

LONG_RUN_SECONDS = 60.0
"""Whoever starts a shorter run is still looking, or has started thousands."""


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that has completed or failed.

    Attributes
    ----------
    type_name
        Of the run in the API, such as Backtest.
    label
        What the user calls it.
    duration_ms
        From its first start; None: it never started.
    error
        Why it has failed.
    """

    type_name: str
    id: UUID
    user_id: UUID
    label: str | None
    duration_ms: float | None
    error: str | None = None


async def tell_ended(uow: UnitOfWork, run: EndedRun, kind: NotificationKind) -> None:
    """Tell the owner of a run that it has ended, if it ran for long; last in its transaction."""
    seconds = (run.duration_ms or 0.0) / 1000
    if seconds < LONG_RUN_SECONDS:
        return
    values = {
        "name": f"“{run.label}”" if run.label else str(run.id),
        "duration": f"{round(seconds / 60)} min",
        "reason": run.error or "",
    }
    name = f"{run.type_name[0].lower()}{run.type_name[1:]}Id"
    await service.notify(uow, run.user_id, kind, values, {name: global_id(run.type_name, run.id)})
