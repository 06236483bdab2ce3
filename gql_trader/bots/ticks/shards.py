"""Shards of live sessions: which are behind the stored bars, who may advance them, and what is in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Row, cast, func, select, update
from sqlalchemy.dialects.postgresql import insert

from gql_trader.bots.models import SessionStateRow, TickLeaseRow, TradingSessionRow
from gql_trader.bots.types import QUEUE, TICK, SessionStatus, Shard
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.ids import MarketId
from gql_trader.core.intervals import Interval
from gql_trader.infra.unit_of_work import Job, UnitOfWork
from gql_trader.market_data import repository as market_data
from gql_trader.market_data.store.loading import choose_source
from gql_trader.market_data.store.reading import stored_series
from gql_trader.settings.types import SessionMode

_SESSIONS = TradingSessionRow.__table__.c
_STATES = SessionStateRow.__table__.c
_BOTH = TradingSessionRow.__table__.join(SessionStateRow.__table__, _STATES.session_id == _SESSIONS.id)

# The last bar that a session has traded; before the first, the last moment that it does not trade.
_TRADED_UNTIL: ColumnElement[int] = func.coalesce(
    _STATES.last_bar_time,
    cast(func.ceil(func.extract("epoch", _SESSIONS.trade_from) * 1000), BigInteger) - 1,
)


# What changes of thousands of sessions from tick to tick, and no more.
_CHANGING = (
    _STATES.session_id,
    _STATES.revision,
    _STATES.fence,
    _STATES.anchor_time,
    _STATES.last_bar_time,
    _STATES.bars,
    _STATES.signal_key,
    _STATES.day,
    _STATES.day_start_equity,
    _STATES.day_entries,
    _STATES.halted,
    _STATES.resting_bars,
    _STATES.peak_equity,
    _STATES.drawn_down,
    _STATES.state,
)


@dataclass(frozen=True, slots=True)
class Behind:
    """A shard with sessions that have not traded bars up to ``newest`` (opening time, Unix milliseconds)."""

    shard: Shard
    newest: int

    @property
    def job(self) -> Job:
        """The job that advances it."""
        market_id, interval = self.shard.market_id, self.shard.interval.name
        key = f"{TICK}:{market_id}:{interval}:{self.shard.number}:{self.newest}"
        return Job(TICK, QUEUE, key, (str(market_id), interval, self.shard.number))


def live_sessions(*columns: Any) -> Any:
    """Return the statement that reads the paper sessions of bots on live markets, with where they stand."""
    return (
        select(*columns)
        # Of the tables: making rows of thousands of entities takes several times as long.
        .select_from(_BOTH)
        .where(
            _SESSIONS.status == SessionStatus.ACTIVE.value,
            _SESSIONS.replay_start.is_(None),
            _SESSIONS.mode == SessionMode.PAPER.value,
            # What is traded by hand has no strategy to run.
            _SESSIONS.market_id.is_not(None),
        )
    )


async def behind(uow: UnitOfWork, market_id: UUID | None = None) -> list[Behind]:
    """Return the shards, of one market or of all, that stored bars have left behind."""
    statement = live_sessions(
        _SESSIONS.market_id, _SESSIONS.interval, _SESSIONS.shard, func.min(_TRADED_UNTIL).label("until")
    ).group_by(_SESSIONS.market_id, _SESSIONS.interval, _SESSIONS.shard)
    if market_id is not None:
        statement = statement.where(_SESSIONS.market_id == market_id)
    rows = (await uow.session.execute(statement)).all()
    newest = await newest_bars(uow, {(row.market_id, Interval[row.interval]) for row in rows})
    found = []
    for row in rows:
        shard = Shard(MarketId(row.market_id), Interval[row.interval], row.shard)
        at = newest.get((row.market_id, shard.interval))
        if at is not None and at > row.until:
            found.append(Behind(shard, at))
    return found


async def watched(uow: UnitOfWork) -> list[tuple[UUID, Interval]]:
    """Return the markets and intervals that live sessions trade."""
    statement = live_sessions(_SESSIONS.market_id, _SESSIONS.interval).distinct()
    rows = (await uow.session.execute(statement)).all()
    return [(row.market_id, Interval[row.interval]) for row in rows]


async def newest_bars(
    uow: UnitOfWork, wanted: set[tuple[UUID, Interval]]
) -> dict[tuple[UUID, Interval], int]:
    """Return the opening time (Unix milliseconds) of the newest bar that has closed, where there is one."""
    rows = await market_data.series_by_markets(uow.session, {market_id for market_id, _ in wanted})
    series = [stored_series(row) for row in rows]
    now = to_milliseconds(uow.clock.now())
    found = {}
    for market_id, interval in wanted:
        source = choose_source((each for each in series if each.market_id == market_id), interval)
        if source is not None:
            # Bars that are made of shorter ones are whole once the last of those is stored.
            end = min(source.last + source.interval.milliseconds, now)
            newest = interval.floor(end) - interval.milliseconds
            if newest >= source.first:
                found[market_id, interval] = newest
    return found


async def claim(uow: UnitOfWork, shard: Shard, lease_seconds: float) -> int | None:
    """Take a shard that nobody is at; return the fencing token, or None."""
    now = func.clock_timestamp()
    expires = now + timedelta(seconds=lease_seconds)
    statement = (
        insert(TickLeaseRow)
        .values(**_key(shard), fence=1, lease_expires_at=expires)
        .on_conflict_do_update(
            index_elements=["market_id", "interval", "shard"],
            set_={"fence": TickLeaseRow.fence + 1, "lease_expires_at": expires},
            where=TickLeaseRow.lease_expires_at.is_(None) | (TickLeaseRow.lease_expires_at < now),
        )
        .returning(TickLeaseRow.fence)
    )
    return await uow.session.scalar(statement)


async def release(uow: UnitOfWork, shard: Shard, fence: int) -> bool:
    """Let go of a shard; return False if it is another worker's.

    Until the transaction ends nobody else gets it: what a tick writes goes with this.
    """
    statement = (
        update(TickLeaseRow)
        .filter_by(**_key(shard), fence=fence)
        .values(lease_expires_at=None)
        .returning(TickLeaseRow.fence)
        .execution_options(synchronize_session=False)
    )
    return await uow.session.scalar(statement) is not None


def _key(shard: Shard) -> dict[str, Any]:
    return {"market_id": shard.market_id, "interval": shard.interval.name, "shard": shard.number}


async def sessions_behind(uow: UnitOfWork, shard: Shard, newest: int) -> Sequence[Row[Any]]:
    """Return where the sessions of a shard stand that have not traded bars up to one."""
    statement = live_sessions(*_CHANGING).where(
        _SESSIONS.market_id == shard.market_id,
        _SESSIONS.interval == shard.interval.name,
        _SESSIONS.shard == shard.number,
        newest > _TRADED_UNTIL,
    )
    found: Sequence[Row[Any]] = (await uow.session.execute(statement.order_by(_SESSIONS.id))).all()
    return found


def trades_from(moment: datetime) -> int:
    """Return the first millisecond that a session trades."""
    return to_milliseconds(moment) + bool(moment.microsecond % 1000)
