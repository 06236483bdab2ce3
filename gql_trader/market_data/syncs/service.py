"""Rules of syncs: what may be fetched from exchanges, for whom, and what is there already."""

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert
from sqlalchemy.dialects.postgresql import insert as upsert

from gql_trader.accounts.quotas import check_quota
from gql_trader.core.actor import Actor
from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.errors import DomainError, DomainErrors, InvalidInput, NotFound
from gql_trader.core.ids import uuid7
from gql_trader.core.intervals import Interval
from gql_trader.core.runs import RunStatus
from gql_trader.infra.advisory_locks import lock_name
from gql_trader.infra.event_streams import EventStreams
from gql_trader.infra.exchange.records import KnownExchange
from gql_trader.infra.following import News, follow_run
from gql_trader.infra.keyset import PageRequest, Slice
from gql_trader.infra.rate_limits import RateLimits
from gql_trader.infra.unit_of_work import UnitOfWork, UnitOfWorkFactory
from gql_trader.market_data import repository
from gql_trader.market_data.catalogue import check_pair
from gql_trader.market_data.models_syncs import CandleSyncRequestRow, CandleSyncRow
from gql_trader.market_data.names import split_name
from gql_trader.market_data.syncs import lifecycle
from gql_trader.market_data.syncs import repository as sync_repository
from gql_trader.market_data.types import DEMO_EXCHANGE
from gql_trader.market_data.types_syncs import SETTLED_MILLISECONDS, SyncLimits, SyncRequest, stream_of


async def request_sync(
    uow: UnitOfWork,
    rate_limits: RateLimits,
    known: Mapping[str, KnownExchange],
    actor: Actor,
    request: SyncRequest,
    limits: SyncLimits,
) -> Row[Any]:
    """Have candles fetched from an exchange; return the row of the sync.

    Whoever asks for the same candles gets the same sync while it has not ended, and also afterwards unless
    the exchange may have been late with the newest of them.

    Parameters
    ----------
    known
        The exchanges that there are.

    Raises
    ------
    DomainErrors
        Everything that is wrong with the request.
    QuotaExceeded
        If the user has too many that have not ended, or asked for too many within the last hour.
    """
    exchange, symbol = request.exchange.strip().lower(), ""
    problems: list[DomainError] = []
    for find in (lambda: _check_exchange(exchange, known), lambda: _check_range(uow, request, limits)):
        try:
            find()
        except DomainError as error:
            problems.append(error)
    try:
        symbol = _symbol(request.market, exchange)
    except DomainError as error:
        problems.append(error)
    if problems:
        raise DomainErrors(problems)
    first, end = _check_range(uow, request, limits)
    # Of two who want the same at the same moment, the second finds what the first has asked for.
    await lock_name(uow.session, f"candle-sync:{exchange}:{symbol}:{request.interval.name}")
    row = await sync_repository.sync_like(uow.session, exchange, symbol, request.interval, first, end)
    if row is not None and _still_serves(row):
        mine = await sync_repository.syncs_by_ids(uow.session, actor.user_id, [row.id])
        if not mine:
            if not RunStatus(row.status).is_final:
                await _check_quota(uow, rate_limits, actor, limits)
            await _remember(uow, actor, row.id)
        return row
    await _check_quota(uow, rate_limits, actor, limits)
    markets = await repository.markets_by_symbol(uow.session, symbol)
    row = (
        await uow.session.execute(
            insert(CandleSyncRow)
            .values(
                id=uuid7(),
                exchange=exchange,
                symbol=symbol,
                market_id=next((each.id for each in markets if each.exchange == exchange), None),
                interval=request.interval.name,
                first_time=first,
                end_time=end,
                status=RunStatus.QUEUED.value,
                created_at=uow.clock.now(),
                due_at=func.clock_timestamp(),
            )
            .returning(*sync_repository.SYNC)
        )
    ).one()
    await _remember(uow, actor, row.id)
    lifecycle.announce(uow, row)
    return row


def _check_exchange(exchange: str, known: Mapping[str, KnownExchange]) -> None:
    if exchange == DEMO_EXCHANGE:
        raise InvalidInput(
            f"{DEMO_EXCHANGE!r} has simulated prices; there is nothing to fetch.", ("exchange",)
        )
    if exchange not in known:
        raise InvalidInput(
            f"There is no exchange {exchange[:40]!r}; the query exchanges lists those there are.",
            ("exchange",),
        )


def _symbol(market: str, exchange: str) -> str:
    named, pair = split_name(market)
    if named is not None and named != exchange:
        raise InvalidInput(
            f"The market names the venue {named[:40]!r}, the exchange is {exchange[:40]!r}: name one.",
            ("market",),
        )
    return "/".join(check_pair(pair))


def _check_range(uow: UnitOfWork, request: SyncRequest, limits: SyncLimits) -> tuple[int, int]:
    """Return the opening times [first, end) of the candles that are wanted and over."""
    interval, now = request.interval, uow.clock.now()
    length = interval.milliseconds
    if to_milliseconds(request.start) < 0:
        raise InvalidInput("Candles begin in 1970.", ("start",))
    if request.end is not None and request.end <= request.start:
        raise InvalidInput("The end must be after the start.", ("end",))
    first = interval.floor(_last_millisecond_before(request.start)) + length
    end = interval.floor(to_milliseconds(now))
    if request.end is not None:
        end = min(end, interval.floor(_last_millisecond_before(request.end)) + length)
    if end <= first:
        raise InvalidInput(
            f"No candle of {interval.name} opens in this range and is over by now.", ("start",)
        )
    if (end - first) // length > limits.candles:
        raise InvalidInput(
            f"The range has {(end - first) // length:,} candles of {interval.name}; one sync fetches up to "
            f"{limits.candles:,}.",
            ("start",),
        )
    return first, end


def _last_millisecond_before(moment: datetime) -> int:
    return to_milliseconds(moment - timedelta(microseconds=1))


def _still_serves(row: Row[Any]) -> bool:
    if row.status != RunStatus.COMPLETED.value:
        return True
    settled = timedelta(milliseconds=SETTLED_MILLISECONDS + Interval[row.interval].milliseconds)
    return bool(row.finished_at >= from_milliseconds(row.end_time) + settled)


async def _check_quota(uow: UnitOfWork, rate_limits: RateLimits, actor: Actor, limits: SyncLimits) -> None:
    await check_quota(
        uow,
        rate_limits,
        actor,
        "syncs",
        sync_repository.count_unfinished,
        active=limits.active,
        hourly=limits.hourly,
    )


async def _remember(uow: UnitOfWork, actor: Actor, sync_id: UUID) -> None:
    values = {"user_id": actor.user_id, "sync_id": sync_id, "created_at": uow.clock.now()}
    await uow.session.execute(upsert(CandleSyncRequestRow).values(values).on_conflict_do_nothing())


async def list_syncs(uow: UnitOfWork, actor: Actor, page: PageRequest) -> Slice[Any]:
    """Return a page of the syncs that a user has asked for, the newest first."""
    return await sync_repository.sync_page(uow.session, actor.user_id, page)


async def count_syncs(uow: UnitOfWork, actor: Actor) -> int:
    """Return how many syncs a user has asked for."""
    return await repository.count(uow.session, sync_repository.select_syncs(actor.user_id))


def follow_sync(
    unit_of_work: UnitOfWorkFactory, events: EventStreams, actor: Actor, sync_id: UUID, after: str | None
) -> AsyncGenerator[News, None]:
    """Yield a sync's present state, or with ``after`` what was missed since, then every event to the end.

    Raises
    ------
    NotFound
        If the user has not asked for it.
    InvalidInput
        If ``after`` is not a cursor.
    """

    async def present() -> Row[Any]:
        async with unit_of_work() as uow:
            rows = await sync_repository.syncs_by_ids(uow.session, actor.user_id, [sync_id])
        if not rows:
            raise NotFound("There is no such sync.", ("id",))
        return rows[sync_id]

    return follow_run(events, stream_of(sync_id), present, after)
