"""Lists of backtests."""

from collections.abc import Sequence
from uuid import UUID

import strawberry

from gql_trader.backtests import service
from gql_trader.backtests.loaders import BacktestLoaders, ListArguments, StrategyKey
from gql_trader.backtests.schema_backtest import Backtest
from gql_trader.backtests.schema_inputs import BacktestFilter, BacktestOrder
from gql_trader.backtests.schema_types import OWNER
from gql_trader.backtests.types import BacktestQuery
from gql_trader.gql.context import Info
from gql_trader.gql.pagination import Connection, connection
from gql_trader.gql.permissions import visible
from gql_trader.infra.keyset import page_request

NUMBERS_PER_BACKTEST = 100
"""What a backtest on a nested list counts for among the numbers of an operation."""


@visible(OWNER)
@strawberry.type(name="BacktestConnection", description="One page of your backtests.")
class BacktestConnection(Connection[Backtest]):
    """Backtests of the viewer."""


Paging = tuple[int | None, str | None, int | None, str | None]
"""first, after, last, before."""


async def list_backtests(
    info: Info, query: BacktestQuery, order_by: Sequence[BacktestOrder] | None, paging: Paging
) -> BacktestConnection:
    """Return one page of the viewer's backtests."""
    viewer = info.context.viewer
    orderings = [order.to_ordering() for order in order_by or ()]
    async with info.context.uow() as uow:
        page = await service.list_backtests(uow, viewer, query, orderings, page_request(*paging))

    async def count() -> int:
        async with info.context.uow() as uow:
            return await service.count_backtests(uow, viewer, query)

    return connection(BacktestConnection, page, Backtest.from_row, count)


async def list_backtests_of(
    info: Info,
    strategy_id: UUID,
    where: BacktestFilter | None,
    order_by: Sequence[BacktestOrder] | None,
    paging: Paging,
) -> BacktestConnection:
    """Return one page of the viewer's backtests of a strategy.

    The lists of all strategies of one answer that are asked for with the same arguments are read together.
    """
    loaders = info.context.loaders(BacktestLoaders)
    query = where.to_query() if where else BacktestQuery()
    orderings = tuple(order.to_ordering() for order in order_by or ())
    asked = ListArguments(query, orderings, page_request(*paging))
    page = await loaders.of_strategy.load(StrategyKey(strategy_id, asked))
    # Lists in lists in lists grow with every level, whatever the size of the document.
    info.context.spend(NUMBERS_PER_BACKTEST * len(page.rows))

    async def count() -> int:
        return await loaders.count_of_strategy.load(StrategyKey(strategy_id, ListArguments(query)))

    return connection(BacktestConnection, page, Backtest.from_row, count)
