"""Which live feeds are wanted, who may bring candles in, and how each feed is doing.

Leases and due times are measured by the database's clock, since machines disagree about time.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, select, update
from sqlalchemy.dialects.postgresql import insert

from gql_trader.core.ids import MarketId
from gql_trader.core.intervals import Interval
from gql_trader.infra.unit_of_work import Job, UnitOfWork
from gql_trader.market_data import repository
from gql_trader.market_data.models import MarketRow
from gql_trader.market_data.models_feeds import MarketFeedRow
from gql_trader.market_data.store.loading import choose_source
from gql_trader.market_data.store.reading import stored_series
from gql_trader.market_data.types import DEMO_EXCHANGE
from gql_trader.market_data.types_feeds import POLL_FEED, QUEUE, WANTED_SECONDS, FeedClaim, FeedState

FEED = MarketFeedRow.__table__.c
Wanted = tuple[UUID, Interval]


def _now() -> ColumnElement[Any]:
    return func.clock_timestamp()


async def want(uow: UnitOfWork, wanted: Iterable[Wanted]) -> None:
    """Have candles of markets at intervals brought in as they close, for `WANTED_SECONDS` from now on.

    Whoever wants them for longer says so again in time. What is resampled from a lower interval grows with
    the candles of that one.
    """
    pairs = set(wanted)
    if not pairs:
        return
    rows = await repository.series_by_markets(uow.session, {market_id for market_id, _ in pairs})
    series = [stored_series(row) for row in rows]
    sources: set[Wanted] = set()
    for market_id, interval in pairs:
        found = choose_source((each for each in series if each.market_id == market_id), interval)
        sources.add((market_id, found.interval if found else interval))
    until = _now() + timedelta(seconds=WANTED_SECONDS)
    values = [
        {
            "market_id": market_id,
            "interval": interval.name,
            "wanted_until": until,
            "state": FeedState.CATCHING_UP.value,
            "holes": [],
            "failures": 0,
            "next_poll_at": _now(),
            "fence": 0,
            "updated_at": _now(),
        }
        # In one order: of two who want the same feeds, neither waits for the other in a circle.
        for market_id, interval in sorted(sources, key=lambda each: (each[0], each[1].name))
    ]
    statement = insert(MarketFeedRow).values(values)
    await uow.session.execute(
        statement.on_conflict_do_update(
            index_elements=[MarketFeedRow.market_id, MarketFeedRow.interval],
            set_={"wanted_until": until},
            where=MarketFeedRow.wanted_until < _now() + timedelta(seconds=WANTED_SECONDS / 2),
        )
    )


def _due() -> ColumnElement[bool]:
    free = MarketFeedRow.lease_expires_at.is_(None) | (MarketFeedRow.lease_expires_at < _now())
    return (MarketFeedRow.wanted_until > _now()) & (MarketFeedRow.next_poll_at <= _now()) & free


async def due_jobs(uow: UnitOfWork) -> list[Job]:
    """Return a job for each feed that is due; the same one until somebody has taken it."""
    statement = select(FEED.market_id, FEED.interval, FEED.fence).where(_due()).order_by(FEED.next_poll_at)
    return [
        Job(POLL_FEED, QUEUE, f"{POLL_FEED}:{market_id}:{interval}:{fence}", (str(market_id), interval))
        for market_id, interval, fence in (await uow.session.execute(statement)).all()
    ]


async def claim(
    uow: UnitOfWork, market_id: UUID, interval: Interval, lease_seconds: float
) -> tuple[FeedClaim, Row[Any]] | None:
    """Take a feed that is due; None if it is not, or somebody else has it."""
    statement = (
        update(MarketFeedRow)
        .where(MarketFeedRow.market_id == market_id, MarketFeedRow.interval == interval.name, _due())
        .values(fence=MarketFeedRow.fence + 1, lease_expires_at=_now() + timedelta(seconds=lease_seconds))
        .returning(*FEED)
    )
    row = (await uow.session.execute(statement)).one_or_none()
    return (FeedClaim(MarketId(row.market_id), interval, row.fence), row) if row else None


async def change(uow: UnitOfWork, held: FeedClaim, **values: Any) -> bool:
    """Change a feed; return False if it is no longer this worker's."""
    statement = (
        update(MarketFeedRow)
        .where(
            MarketFeedRow.market_id == held.market_id,
            MarketFeedRow.interval == held.interval.name,
            MarketFeedRow.fence == held.fence,
            MarketFeedRow.lease_expires_at.is_not(None),
        )
        .values(**values)
        .returning(MarketFeedRow.fence)
    )
    return await uow.session.scalar(statement) is not None


async def renew(uow: UnitOfWork, held: FeedClaim, lease_seconds: float) -> bool:
    """Extend a lease; return False if the feed is no longer this worker's."""
    return await change(uow, held, lease_expires_at=_now() + timedelta(seconds=lease_seconds))


async def rest(uow: UnitOfWork, held: FeedClaim, seconds: float, **values: Any) -> bool:
    """Give a feed back, to be taken again after some seconds; False if it is no longer this worker's."""
    return await change(
        uow,
        held,
        lease_expires_at=None,
        next_poll_at=_now() + timedelta(seconds=seconds),
        updated_at=_now(),
        **values,
    )


async def claim_watches(uow: UnitOfWork, lease_seconds: float, most: int) -> list[tuple[FeedClaim, UUID]]:
    """Take live feeds of exchanges whose streams nobody follows; return them with their markets' ids."""
    free = MarketFeedRow.watch_expires_at.is_(None) | (MarketFeedRow.watch_expires_at < _now())
    unwatched = (
        select(FEED.market_id, FEED.interval)
        .join(MarketRow, MarketRow.id == FEED.market_id)
        .where(
            free,
            MarketFeedRow.wanted_until > _now(),
            MarketFeedRow.state == FeedState.LIVE.value,
            MarketRow.exchange != DEMO_EXCHANGE,
        )
        .limit(most)
        .with_for_update(of=MarketFeedRow, skip_locked=True)
    )
    found = (await uow.session.execute(unwatched)).all()
    claims = []
    for market_id, name in found:
        statement = (
            update(MarketFeedRow)
            .where(MarketFeedRow.market_id == market_id, MarketFeedRow.interval == name)
            .values(
                watch_fence=MarketFeedRow.watch_fence + 1,
                watch_expires_at=_now() + timedelta(seconds=lease_seconds),
            )
            .returning(MarketFeedRow.watch_fence)
        )
        fence = await uow.session.scalar(statement)
        assert fence is not None
        claims.append((FeedClaim(MarketId(market_id), Interval[name], fence), market_id))
    return claims


async def keep_watch(uow: UnitOfWork, held: FeedClaim, seconds: float, *, wanted: bool = True) -> bool:
    """Keep others from a stream for some seconds; False if it is not this worker's, or not wanted any more.

    Parameters
    ----------
    wanted
        Whether that depends on the feed's being wanted.
    """
    statement = (
        update(MarketFeedRow)
        .where(
            MarketFeedRow.market_id == held.market_id,
            MarketFeedRow.interval == held.interval.name,
            MarketFeedRow.watch_fence == held.fence,
            *([MarketFeedRow.wanted_until > _now()] if wanted else []),
        )
        .values(watch_expires_at=_now() + timedelta(seconds=seconds))
        .returning(MarketFeedRow.watch_fence)
    )
    return await uow.session.scalar(statement) is not None


async def poll_now(uow: UnitOfWork, market_id: UUID, interval: Interval) -> None:
    """Have a feed asked at once: a candle has closed."""
    await uow.session.execute(
        update(MarketFeedRow)
        .where(
            MarketFeedRow.market_id == market_id,
            MarketFeedRow.interval == interval.name,
            MarketFeedRow.next_poll_at > _now(),
            MarketFeedRow.state != FeedState.FAILING.value,
        )
        .values(next_poll_at=_now())
    )


async def feeds_of_markets(uow: UnitOfWork, market_ids: Sequence[UUID]) -> list[Row[Any]]:
    """Return the feeds of markets, the state of those that nobody wants as IDLE, shortest interval first."""
    wanted = (FEED.wanted_until > _now()).label("wanted")
    statement: Select[Any] = select(*FEED, wanted).where(FEED.market_id.in_(market_ids))
    rows: list[Row[Any]] = list((await uow.session.execute(statement)).all())
    return sorted(rows, key=lambda row: Interval[row.interval].milliseconds)
