"""What tests of balances begin with: a clock that stands still, and people who trade by hand."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, update

from gql_trader.accounts.live_trading import LiveTrading
from gql_trader.balances import jobs
from gql_trader.balances.models import BalanceClockRow, BalanceSnapshotRow, DailyProfitRow
from gql_trader.bots.by_hand import sessions as hand_sessions
from gql_trader.bots.models import SessionStateRow
from gql_trader.bots.models_rollups import SessionRollupRow
from gql_trader.bots.types import SessionRequest
from gql_trader.config import Settings
from gql_trader.core.actor import Actor
from gql_trader.core.clock import to_milliseconds
from gql_trader.notifications.models import NotificationRow
from gql_trader.runtime import Runtime, open_runtime
from gql_trader.settings.preferences import update_preferences
from tests.factories.actors import make_actor
from tests.factories.clock import SetClock

NOON = datetime(2026, 11, 22, 12, 3, 20, 123_456, tzinfo=UTC)


@dataclass
class Office:
    """People who trade, and the time."""

    runtime: Runtime
    clock: SetClock

    async def trader(self, name: str, timezone: str | None = None) -> Actor:
        """Make somebody who may trade."""
        actor = await make_actor(self.runtime, name)
        if timezone is not None:
            await self.move_to(actor, timezone)
        return actor

    async def move_to(self, actor: Actor, timezone: str) -> None:
        """Change somebody's time zone."""
        live = LiveTrading.of(self.runtime.settings)
        async with self.runtime.unit_of_work() as uow:
            await update_preferences(uow, live, actor, {"timezone": timezone})

    async def trade(self, actor: Actor, capital: str = "1000") -> UUID:
        """Begin a session by hand; return its key."""
        async with self.runtime.unit_of_work() as uow:
            row = await hand_sessions.start_session(
                uow, actor, SessionRequest(capital=Decimal(capital)), maximum=10, equity_minutes=60
            )
        return UUID(str(row.id))

    async def stop(self, actor: Actor, session_id: UUID) -> None:
        """End a session."""
        async with self.runtime.unit_of_work() as uow:
            await hand_sessions.stop_session(
                uow, self.runtime.arrays, actor, session_id, close_positions=True
            )

    async def set_equity(self, session_id: UUID, equity: float) -> None:
        """Let a session gain or lose."""
        async with self.runtime.unit_of_work() as uow:
            state = update(SessionStateRow).where(SessionStateRow.session_id == session_id)
            await uow.session.execute(state.values(equity=equity))

    async def stand(self, session_id: UUID, equity: Mapping[datetime, int]) -> None:
        """Note where a session stood at the ends of the quarters of an hour that begin at these moments."""
        rows = [
            {"session_id": session_id, "time": to_milliseconds(moment), "equity": Decimal(value)}
            | dict.fromkeys(("profit", "fees", "trades", "wins"), 0)
            for moment, value in equity.items()
        ]
        async with self.runtime.unit_of_work() as uow:
            await uow.session.execute(insert(SessionRollupRow), rows)

    async def days(self, actor: Actor) -> list[tuple[str, str, Decimal, Decimal]]:
        """Return somebody's days that were summed up: date, zone, what there was before, what was gained."""
        rows = DailyProfitRow.__table__.c
        statement = select(rows.day, rows.timezone, rows.before, rows.change)
        found = await self._rows(statement.where(rows.user_id == actor.user_id).order_by(rows.day))
        return [(str(row.day), row.timezone, row.before, row.change) for row in found]

    async def tick(self, **by: float) -> None:
        """Let time pass, then do what a worker does every few seconds."""
        self.clock.move(**by)
        await jobs.tick(self.runtime)

    async def noted(self, actor: Actor) -> list[tuple[datetime, str, Decimal]]:
        """Return when somebody's balance was noted, why, and the profit."""
        rows = BalanceSnapshotRow.__table__.c
        statement = select(rows.time, rows.kind, rows.profit).where(rows.user_id == actor.user_id)
        return [tuple(row) for row in await self._rows(statement.order_by(rows.time))]

    async def told(self, actor: Actor, kind: str = "HEARTBEAT") -> list[str]:
        """Return what somebody was told, oldest first."""
        rows = NotificationRow.__table__.c
        statement = select(rows.body).where(rows.user_id == actor.user_id, rows.kind == kind)
        return [row.body for row in await self._rows(statement.order_by(rows.number))]

    async def clock_of(self, actor: Actor) -> Any:
        """Return what is next for somebody; None if nothing is."""
        rows = BalanceClockRow.__table__.c
        found = await self._rows(select(*rows).where(rows.user_id == actor.user_id))
        return found[0] if found else None

    async def _rows(self, statement: Any) -> list[Any]:
        async with self.runtime.unit_of_work() as uow:
            return list((await uow.session.execute(statement)).all())


@pytest.fixture
def clock() -> SetClock:
    """The clock of `office`: some minutes after noon."""
    return SetClock(NOON)


@pytest.fixture
async def runtime(settings: Settings, clock: SetClock) -> AsyncIterator[Runtime]:
    """An open runtime on this test's databases, whose clock stands still."""
    async with open_runtime(settings, clock) as opened:
        yield opened


@pytest.fixture
def office(runtime: Runtime, clock: SetClock) -> Office:
    """People who trade, and the time."""
    return Office(runtime, clock)
