"""Rules of balances by the clock: whose are noted, and what is told of them.

Each user who trades has a clock, which says what is next. Whoever settles a user holds the clock's lock to
the end of the transaction and moves it on: so everything happens once, whatever the number of workers, and
what was missed while there was none happens as soon as there is one.
"""

import asyncio
from collections.abc import Collection
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, update
from sqlalchemy.dialects.postgresql import insert

from gql_trader.balances import repository
from gql_trader.balances.clocks import day_of, next_heartbeat, next_snapshot, next_unsummed, sum_up_at
from gql_trader.balances.days import sum_up
from gql_trader.balances.models import BalanceClockRow, BalanceSnapshotRow
from gql_trader.balances.repository import UnplannedUser
from gql_trader.balances.types import BalanceEventKind, BalanceRecord, Timing, stream_of
from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.ids import UserId
from gql_trader.core.money import MONEY_DIGITS
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.notifications.service import notify
from gql_trader.notifications.types import NotificationKind
from gql_trader.reports import service as reports

_MILLISECOND = timedelta(milliseconds=1)
_DAY = timedelta(days=1)
_SHOWN_DIGITS = 2


async def present(uow: UnitOfWork, user_id: UUID) -> BalanceRecord:
    """Return what a user's balance is now."""
    found = await reports.balance(uow, UserId(user_id))
    now = from_milliseconds(to_milliseconds(uow.clock.now()))
    return BalanceRecord(now, BalanceEventKind.PRESENT, found.currency, found.baseline, found.profit)


async def plan(uow: UnitOfWork, timing: Timing, limit: int) -> int:
    """Give a clock to users who trade without one that goes, or with one of another zone; return how many."""
    found = await repository.unplanned(uow.session, limit)
    for user in found:
        await _plan(uow, timing, user)
    return len(found)


async def _plan(uow: UnitOfWork, timing: Timing, user: UnplannedUser) -> None:
    now, zone = uow.clock.now(), user.timezone
    # Who already has one is not left without a day, nor told of one twice, wherever they have gone.
    row = await repository.clock(uow.session, user.user_id)
    # What is known of the zone is looked up first.
    day = row.day if row is not None else await asyncio.to_thread(day_of, min(user.since, now), zone)
    day_at = await asyncio.to_thread(sum_up_at, day, zone)
    goes = row is not None and row.snapshot_at is not None
    values: dict[str, Any] = {
        "timezone": zone,
        "snapshot_at": row.snapshot_at if row is not None and goes else next_snapshot(timing, now),
        "heartbeat_at": next_heartbeat(timing, zone, now),
        "day": day,
        "day_at": day_at,
    }
    await uow.session.execute(
        insert(BalanceClockRow)
        .values(user_id=user.user_id, **values)
        .on_conflict_do_update(index_elements=[BalanceClockRow.user_id], set_=values)
    )


async def settle_next(uow: UnitOfWork, timing: Timing, without: Collection[UUID]) -> UUID | None:
    """Do what is due for one user; return whose turn it was, None if nothing is due.

    Raises
    ------
    SettlingFailed
        If anything goes wrong; the transaction must be rolled back then.
    """
    row = await repository.lock_due(uow.session, uow.clock.now(), without)
    if row is None:
        return None
    try:
        await _settle(uow, timing, row)
    except Exception as error:
        raise SettlingFailed(row.user_id) from error
    return UUID(str(row.user_id))


class SettlingFailed(Exception):
    """What was due for a user could not be done.

    Attributes
    ----------
    user_id
        Whose turn it was.
    """

    def __init__(self, user_id: UUID) -> None:
        super().__init__(f"the clock of user {user_id} could not be settled")
        self.user_id = user_id


async def _settle(uow: UnitOfWork, timing: Timing, row: Row[Any]) -> None:
    now = uow.clock.now()
    trades = await repository.trades(uow.session, row.user_id)
    beats = trades and row.heartbeat_at is not None and row.heartbeat_at <= now
    told = None
    if beats:
        told = await _note(uow, row.user_id, BalanceEventKind.HEARTBEAT)
    elif row.snapshot_at is not None and row.snapshot_at <= now:
        told = await _note(uow, row.user_id, BalanceEventKind.SNAPSHOT)
    day, day_at = row.day, row.day_at
    if day_at <= now:
        day, day_at = await asyncio.to_thread(next_unsummed, day, row.timezone, now)
    summed = None if day == row.day else await sum_up(uow, row.user_id, row.timezone, row.day, day - _DAY)
    if not trades and day != row.day:
        # Nothing will change any more; whoever begins again is given another clock.
        await uow.session.execute(delete(BalanceClockRow).where(BalanceClockRow.user_id == row.user_id))
    else:
        await uow.session.execute(
            update(BalanceClockRow)
            .where(BalanceClockRow.user_id == row.user_id)
            .values(
                snapshot_at=next_snapshot(timing, now) if trades else None,
                heartbeat_at=next_heartbeat(timing, row.timezone, now) if trades else None,
                day=day,
                day_at=day_at,
            )
        )
    # Last, since it waits for others who tell the same user something.
    if summed is not None and (summed.day.level.change or summed.day.level.trades):
        await notify(
            uow,
            row.user_id,
            NotificationKind.DAILY_PROFIT,
            {
                "day": summed.day.date.isoformat(),
                "profit": shown_profit(summed.day.level.change, summed.day.profit_fraction, summed.currency),
                "trades": str(summed.day.level.trades),
            },
        )
    if beats and told is not None:
        await notify(
            uow,
            row.user_id,
            NotificationKind.HEARTBEAT,
            {
                "balance": shown_amount(told.balance, told.currency),
                "profit": shown_profit(told.profit, told.profit_fraction, told.currency),
            },
        )


async def _note(uow: UnitOfWork, user_id: UUID, kind: BalanceEventKind) -> BalanceRecord:
    """Note what a user's balance is, and tell those who follow it."""
    found = await present(uow, user_id)
    last = await repository.last_snapshot(uow.session, user_id)
    # Followers go on behind the last one they have seen: time never stands still, nor goes back.
    time = found.time if last is None else max(found.time, last.time + _MILLISECOND)
    uow.session.add(
        BalanceSnapshotRow(
            user_id=user_id,
            time=time,
            kind=kind.value,
            currency=found.currency,
            baseline=found.baseline,
            profit=found.profit,
        )
    )
    await uow.session.flush()
    uow.publish(stream_of(user_id), {"time": to_milliseconds(time)})
    return BalanceRecord(time, kind, found.currency, found.baseline, found.profit)


def shown_amount(amount: Decimal, currency: str | None, sign: str = "") -> str:
    """Return an amount as messages show it: in hundredths, or what is below one in all its places."""
    if abs(amount) >= 1 or not amount:
        shown = f"{amount:{sign},.{_SHOWN_DIGITS}f}"
    else:
        whole, _, places = f"{amount:{sign}.{MONEY_DIGITS}f}".partition(".")
        shown = f"{whole}.{places.rstrip('0').ljust(_SHOWN_DIGITS, '0')}"
    return f"{shown} {currency or ''}".rstrip()


def shown_profit(profit: Decimal, fraction: float, currency: str | None) -> str:
    """Return a profit as messages show it, in the currency and as a share of the baseline."""
    return f"{shown_amount(profit, currency, '+')} ({fraction:+.2%})"
