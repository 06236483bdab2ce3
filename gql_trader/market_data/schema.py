"""GraphQL queries of the market data domain."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.core.actor import Role
from gql_trader.gql.context import Info
from gql_trader.gql.pagination import After, Before, Connection, First, Last, connection
from gql_trader.gql.permissions import requires
from gql_trader.infra.keyset import page_request
from gql_trader.market_data import service
from gql_trader.market_data.loaders import MarketDataLoaders
from gql_trader.market_data.schema_enums import AssetType
from gql_trader.market_data.schema_types import Asset, Market


@strawberry.type
class MarketDataQuery:
    """Queries of the market data domain."""

    @strawberry.field(description="Assets, by symbol.", extensions=requires(Role.VIEWER))
    async def assets(
        self,
        info: Info,
        search: Annotated[
            str | None, strawberry.argument(description="Only those whose symbol or name contains this text.")
        ] = None,
        type: Annotated[list[AssetType] | None, strawberry.argument(description="Only these kinds.")] = None,
        active: Annotated[
            bool | None, strawberry.argument(description="Only those in use, or only those not in use.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Asset] | None:
        async with info.context.uow() as uow:
            page = await service.list_assets(
                uow, search, type, active, page_request(first, after, last, before)
            )

        async def count() -> int:
            async with info.context.uow() as uow:
                return await service.count_assets(uow, search, type, active)

        return connection(Connection[Asset], page, Asset.from_record, count)

    @strawberry.field(description="One asset; null if there is none.", extensions=requires(Role.VIEWER))
    async def asset(
        self,
        info: Info,
        symbol: Annotated[str, strawberry.argument(description="Its code, in any case.")],
    ) -> Asset | None:
        async with info.context.uow() as uow:
            found = await service.find_asset(uow, symbol)
        return Asset.from_record(found) if found else None

    @strawberry.field(description="Markets, by symbol and venue.", extensions=requires(Role.VIEWER))
    async def markets(
        self,
        info: Info,
        search: Annotated[
            str | None, strawberry.argument(description="Only those whose symbol contains this text.")
        ] = None,
        exchange: Annotated[str | None, strawberry.argument(description="Only those of this venue.")] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Market] | None:
        async with info.context.uow() as uow:
            page = await service.list_markets(uow, search, exchange, page_request(first, after, last, before))

        async def count() -> int:
            async with info.context.uow() as uow:
                return await service.count_markets(uow, search, exchange)

        return connection(Connection[Market], page, Market.from_record, count)

    @strawberry.field(description="One market; null if there is none.", extensions=requires(Role.VIEWER))
    async def market(
        self,
        info: Info,
        symbol: Annotated[
            str,
            strawberry.argument(
                description="`BTC/USD` or `coinbase:BTC/USD`. A bare symbol must be on one venue only; real "
                "venues are preferred to `demo`."
            ),
        ],
        exchange: Annotated[
            str | None, strawberry.argument(description="The venue, if the symbol does not name it.")
        ] = None,
    ) -> Market | None:
        async with info.context.uow() as uow:
            found = await service.look_up_market(uow, symbol, exchange)
        return Market.from_record(found) if found else None


async def resolve_asset_nodes(info: Info, ids: Sequence[UUID]) -> list[Asset | None]:
    """Return assets for ``node``, to everybody signed in."""
    assert info.context.viewer
    found = await info.context.loaders(MarketDataLoaders).asset.load_many(list(ids))
    return [Asset.from_record(asset) if asset else None for asset in found]


async def resolve_market_nodes(info: Info, ids: Sequence[UUID]) -> list[Market | None]:
    """Return markets for ``node``, to everybody signed in."""
    assert info.context.viewer
    found = await info.context.loaders(MarketDataLoaders).market.load_many(list(ids))
    return [Market.from_record(market) if market else None for market in found]
