"""Fetching candles from exchanges, over GraphQL."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import Row

from gql_trader.core.actor import Role, TokenScope
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.intervals import Interval
from gql_trader.core.runs import RunStatus
from gql_trader.gql.context import Context, Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.pagination import After, Before, Connection, First, Last, connection
from gql_trader.gql.permissions import requires, visible
from gql_trader.gql.relay import Node, decode_id, encode_id
from gql_trader.infra.keyset import page_request
from gql_trader.market_data.loaders import MarketDataLoaders
from gql_trader.market_data.schema_types import Market
from gql_trader.market_data.syncs import service as syncs
from gql_trader.market_data.types_syncs import SyncLimits, SyncRequest

ASKED = "who has asked for it"

SyncID = Annotated[strawberry.ID, strawberry.argument(description="The sync.")]


@visible(ASKED)
@strawberry.type(
    description="Candles being fetched from an exchange into the store. One sync serves all who ask for "
    "the same candles; each sees it as theirs. What is stored already, or what the exchange is known not to "
    "have, is not asked for again."
)
class CandleSync(Node):
    """A sync that the viewer has asked for."""

    row: strawberry.Private[Row[Any]]
    exchange: str = strawberry.field(description="The exchange, by its id.")
    symbol: str = strawberry.field(description="The market's symbol, BASE/QUOTE.")
    interval: Interval = strawberry.field(description="Length of one candle.")
    start: datetime = strawberry.field(description="When the first candle wanted opens.")
    end: datetime = strawberry.field(description="Candles that open before this moment are wanted.")
    status: RunStatus = strawberry.field(
        description="State of the sync. QUEUED with an `error`: it waits until the exchange can be asked."
    )
    progress: float = strawberry.field(
        description="Share of the range that is stored or that the exchange has been asked for, 0 to 1."
    )
    fetched: int = strawberry.field(description="Candles that it has stored: new ones, or with other values.")
    refused: int = strawberry.field(
        description="What the exchange sent as candles and was left out, such as a high below a low."
    )
    error: str | None = strawberry.field(description="Why it failed, or what it waits for; null if neither.")
    created_at: datetime = strawberry.field(description="When it was first asked for.")
    started_at: datetime | None = strawberry.field(description="When a worker first took it.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")

    @classmethod
    def from_row(cls, row: Row[Any]) -> "CandleSync":
        """Return the GraphQL object of a sync."""
        return cls(
            id=encode_id("CandleSync", row.id),
            row=row,
            exchange=row.exchange,
            symbol=row.symbol,
            interval=Interval[row.interval],
            start=from_milliseconds(row.first_time),
            end=from_milliseconds(row.end_time),
            status=RunStatus(row.status),
            progress=row.progress,
            fetched=row.fetched,
            refused=row.refused,
            error=row.error,
            created_at=row.created_at,
            started_at=row.started_at,
            finished_at=row.finished_at,
        )

    @strawberry.field(
        description="The market, created from what the exchange says of it (precision, minimums) if it is "
        "new here; null until the exchange has been asked."
    )
    async def market(self, info: Info) -> Market | None:
        if self.row.market_id is None:
            return None
        found = await info.context.loaders(MarketDataLoaders).market.load(self.row.market_id)
        return Market.from_record(found) if found else None


@strawberry.input(description="Candles to be fetched from an exchange.")
class SyncCandlesInput:
    """Input of syncCandles."""

    market: str = strawberry.field(description="`BTC/USDT`: a spot market of the exchange.")
    exchange: str = strawberry.field(description="The exchange's id, one of the query `exchanges`.")
    interval: Interval = strawberry.field(description="Length of one candle; the exchange must have such.")
    start: datetime = strawberry.field(description="Candles that open then or later.")
    end: datetime | None = strawberry.field(
        default=None, description="Candles that open before then; left out: up to the last that is over."
    )


@visible(ASKED)
@strawberry.type(description="Result of `syncCandles`.")
class SyncCandlesPayload:
    """Payload of syncCandles."""

    sync: CandleSync | None = strawberry.field(
        default=None,
        description="The sync, queued, or one that fetches these candles already or has done so.",
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why nothing is fetched; empty on success."
    )


@visible(ASKED)
@strawberry.type(description="News of a sync.")
class CandleSyncEvent:
    """Event of candleSyncProgress."""

    cursor: str = strawberry.field(description="Pass it as `after` to go on behind this event.")
    status: RunStatus = strawberry.field(description="State of the sync.")
    progress: float = strawberry.field(description="How far it is, 0 to 1.")
    fetched: int = strawberry.field(description="Candles that it has stored.")
    sync: CandleSync | None = strawberry.field(description="The whole sync, with the final event.")


@strawberry.type
class CandleSyncQuery:
    """Queries of syncs."""

    @strawberry.field(
        description="The syncs that you have asked for, the newest first.", extensions=requires(Role.VIEWER)
    )
    async def candle_syncs(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[CandleSync] | None:
        viewer = info.context.viewer
        async with info.context.uow() as uow:
            page = await syncs.list_syncs(uow, viewer, page_request(first, after, last, before))

        async def count() -> int:
            async with info.context.uow() as uow:
                return await syncs.count_syncs(uow, viewer)

        return connection(Connection[CandleSync], page, CandleSync.from_row, count)

    @strawberry.field(
        description="One of the syncs that you have asked for; null if there is none with this id.",
        extensions=requires(Role.VIEWER),
    )
    async def candle_sync(self, info: Info, id: SyncID) -> CandleSync | None:
        row = await info.context.loaders(MarketDataLoaders).sync.load(decode_id(id, "CandleSync"))
        return CandleSync.from_row(row) if row else None


def _limits(context: Context) -> SyncLimits:
    settings = context.services.settings
    return SyncLimits(
        active=settings.max_active_syncs_per_user,
        hourly=settings.max_syncs_per_hour_per_user,
        candles=settings.max_sync_candles,
    )


@strawberry.type
class CandleSyncMutation:
    """Mutations of syncs."""

    @mutation(
        SyncCandlesPayload,
        Role.TRADER,
        "Fetch candles from an exchange, as a job; follow it with `candleSyncProgress`. Only what is missing "
        "is asked for, only candles that are over are taken; what the exchange does not have stays a gap.",
        TokenScope.BACKTEST,
    )
    async def sync_candles(
        self,
        info: Info,
        input: Annotated[SyncCandlesInput, strawberry.argument(description="What to fetch.")],
    ) -> SyncCandlesPayload:
        services = info.context.services
        known = await services.exchanges.known()
        request = SyncRequest(input.market, input.exchange, input.interval, input.start, input.end)
        async with info.context.uow() as uow:
            row = await syncs.request_sync(
                uow, services.rate_limits, known, info.context.viewer, request, _limits(info.context)
            )
        return SyncCandlesPayload(sync=CandleSync.from_row(row))


@strawberry.type
class CandleSyncSubscription:
    """Subscriptions of syncs."""

    @strawberry.subscription(
        description="Follow a sync: its present state, then progress, at last the whole sync; then it "
        "completes.",
        extensions=requires(Role.VIEWER),
    )
    async def candle_sync_progress(
        self,
        info: Info,
        id: SyncID,
        after: Annotated[
            str | None,
            strawberry.argument(description="Cursor of the last event seen; replays what was missed since."),
        ] = None,
    ) -> AsyncGenerator[CandleSyncEvent, None]:
        context = info.context
        key = decode_id(id, "CandleSync")
        feed = syncs.follow_sync(context.uow, context.services.events, context.viewer, key, after)
        async with aclosing(feed):
            async for news in feed:
                yield CandleSyncEvent(
                    cursor=news.cursor,
                    status=news.status,
                    progress=news.progress,
                    fetched=news.data["fetched"] if news.row is None else news.row.fetched,
                    sync=CandleSync.from_row(news.final) if news.final is not None else None,
                )


async def resolve_candle_sync_nodes(info: Info, ids: Sequence[UUID]) -> list[CandleSync | None]:
    """Return syncs for ``node``: those that the viewer has asked for."""
    rows = await info.context.loaders(MarketDataLoaders).sync.load_many(list(ids))
    return [CandleSync.from_row(row) if row else None for row in rows]
