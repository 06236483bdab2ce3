"""Rules of balances by the clock: whose are noted, and what is told of them.

Each user who trades has a clock, which says what is next. Whoever settles a user holds the clock's lock to
the end of the transaction and moves it on: so everything happens once, whatever the number of workers, and
what was missed while there was none happens as soon as there is one.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, any_, delete, update
from sqlalchemy.dialects.postgresql import insert

from gql_trader.balances import repository
from gql_trader.balances.clocks import day_of, next_heartbeat, next_snapshot, next_unsummed, sum_up_at
from gql_trader.balances.days import SummedDay, ToSum, sum_up
from gql_trader.balances.models import BalanceClockRow, BalanceSnapshotRow
from gql_trader.balances.repository import UnplannedUser
from gql_trader.balances.types import BalanceEventKind, BalanceRecord, Timing, stream_of
from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.ids import UserId
from gql_trader.core.money import MONEY_DIGITS
from gql_trader.infra.bulk import array_of, insert_rows, rows_of
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.notifications.service import Notice, notify_each
from gql_trader.notifications.types import NotificationKind
from gql_trader.reports import service as reports
from gql_trader.reports.types import Scope
from gql_trader.reports.types_books import Book

_MILLISECOND = timedelta(milliseconds=1)
_DAY = timedelta(days=1)
_SHOWN_DIGITS = 2
_NOTED = ("user_id", "time", "kind", "currency", "baseline", "profit")


async def present(uow: UnitOfWork, user_id: UUID) -> BalanceRecord:
    """Return what a user's balance is now; all must be read as of one moment."""
    found = await reports.balance(uow, UserId(user_id))
    now = from_milliseconds(to_milliseconds(uow.clock.now()))
    return BalanceRecord(found.currency, found.baseline, found.profit, now, BalanceEventKind.PRESENT)


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


async def settle(uow: UnitOfWork, timing: Timing, without: Collection[UUID], limit: int) -> int:
    """Do what is due for up to so many users, by as many statements as for one; return of how many it was.

    Raises
    ------
    SettlingFailed
        If anything goes wrong; the transaction must be rolled back then, and whose trouble it is found by
        settling fewer at a time.
    """
    rows = await repository.lock_due(uow.session, uow.clock.now(), without, limit)
    if not rows:
        return 0
    try:
        await _settle(uow, timing, rows)
    except Exception as error:
        raise SettlingFailed([row.user_id for row in rows]) from error
    return len(rows)


class SettlingFailed(Exception):
    """What was due for some users could not be done.

    Attributes
    ----------
    user_ids
        Whose turn it was.
    """

    def __init__(self, user_ids: Sequence[UUID]) -> None:
        super().__init__(f"the clocks of {len(user_ids)} users could not be settled")
        self.user_ids = user_ids


@dataclass(slots=True)
class _Due:
    """What is due for a user.

    ``kind`` is as what the balance is noted, ``until`` the next day to be summed up.
    """

    row: Row[Any]
    trades: bool
    kind: BalanceEventKind | None
    until: date
    until_at: datetime

    @property
    def user_id(self) -> UserId:
        return UserId(self.row.user_id)

    @property
    def has_days(self) -> bool:
        return bool(self.until != self.row.day)

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more; whoever begins again is given another clock."""
        return self.has_days and not self.trades


async def _settle(uow: UnitOfWork, timing: Timing, rows: Sequence[Row[Any]]) -> None:
    now = uow.clock.now()
    trading = await repository.trading(uow.session, [row.user_id for row in rows])
    # What is known of the zones is looked up apart.
    due = await asyncio.to_thread(lambda: [_due(row, row.user_id in trading, now) for row in rows])
    asked = [each.user_id for each in due if each.kind is not None or each.has_days]
    await reports.hold_sums(uow)
    books = await reports.books_of_users(uow, asked, Scope())
    noted = await _note(uow, {each.user_id: each.kind for each in due if each.kind is not None}, books)
    wanted = [
        ToSum(each.user_id, each.row.timezone, each.row.day, each.until - _DAY)
        for each in due
        if each.has_days
    ]
    summed = await sum_up(uow, wanted, books)
    await _move_on(uow, timing, due)
    # Last, since it waits for others who tell the same users something.
    await notify_each(uow, [*_of_days(summed), *_of_heartbeats(noted)])


def _due(row: Row[Any], trades: bool, now: datetime) -> _Due:
    if trades and row.heartbeat_at is not None and row.heartbeat_at <= now:
        kind: BalanceEventKind | None = BalanceEventKind.HEARTBEAT
    elif row.snapshot_at is not None and row.snapshot_at <= now:
        kind = BalanceEventKind.SNAPSHOT
    else:
        kind = None
    until, until_at = row.day, row.day_at
    if until_at <= now:
        until, until_at = next_unsummed(until, row.timezone, now)
    return _Due(row, trades, kind, until, until_at)


async def _move_on(uow: UnitOfWork, timing: Timing, due: Sequence[_Due]) -> None:
    now, clocks = uow.clock.now(), BalanceClockRow.__table__.c
    over = [each.user_id for each in due if each.is_over]
    if over:
        named = clocks.user_id == any_(array_of(clocks.user_id, over))
        await uow.session.execute(delete(BalanceClockRow).where(named))
    rows = [
        (
            each.user_id,
            next_snapshot(timing, now) if each.trades else None,
            next_heartbeat(timing, each.row.timezone, now) if each.trades else None,
            each.until,
            each.until_at,
        )
        for each in due
        if not each.is_over
    ]
    columns = [clocks[name] for name in ("user_id", "snapshot_at", "heartbeat_at", "day", "day_at")]
    given = rows_of(columns, rows)
    await uow.session.execute(
        update(BalanceClockRow)
        .where(clocks.user_id == given.c.user_id)
        .values({column.name: given.c[column.name] for column in columns[1:]})
        .execution_options(synchronize_session=False)
    )


async def _note(
    uow: UnitOfWork, kinds: Mapping[UserId, BalanceEventKind], books: Mapping[UserId, Book]
) -> dict[UserId, BalanceRecord]:
    """Note what users' balances are, and tell those who follow them."""
    if not kinds:
        return {}
    last = await repository.last_snapshots(uow.session, list(kinds))
    now = from_milliseconds(to_milliseconds(uow.clock.now()))
    noted = {}
    for user_id, kind in kinds.items():
        before = last.get(user_id)
        # Followers go on behind the last one they have seen: time never stands still, nor goes back.
        time = now if before is None else max(now, before.time + _MILLISECOND)
        found = reports.balance_of(books[user_id])
        noted[user_id] = BalanceRecord(found.currency, found.baseline, found.profit, time, kind)
        uow.publish(stream_of(user_id), {"time": to_milliseconds(time)})
    rows = [
        (user_id, each.time, each.kind.value, each.currency, each.baseline, each.profit)
        for user_id, each in noted.items()
    ]
    await uow.session.execute(insert_rows(BalanceSnapshotRow, _NOTED, rows))
    return noted


def _of_days(summed: Mapping[UserId, SummedDay]) -> Iterator[Notice]:
    for user_id, found in summed.items():
        gained = found.day.level
        if gained.change or gained.trades:
            yield Notice(
                user_id,
                NotificationKind.DAILY_PROFIT,
                {
                    "day": found.day.date.isoformat(),
                    "profit": shown_profit(gained.change, found.day.profit_fraction, found.currency),
                    "trades": str(gained.trades),
                },
            )


def _of_heartbeats(noted: Mapping[UserId, BalanceRecord]) -> Iterator[Notice]:
    for user_id, told in noted.items():
        if told.kind is BalanceEventKind.HEARTBEAT:
            yield Notice(
                user_id,
                NotificationKind.HEARTBEAT,
                {
                    "balance": shown_amount(told.balance, told.currency),
                    "profit": shown_profit(told.profit, told.profit_fraction, told.currency),
                },
            )


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
