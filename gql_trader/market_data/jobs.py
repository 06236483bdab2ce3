"""Jobs of the market data domain."""

import structlog

from gql_trader.market_data import repository
from gql_trader.market_data.store import repository as candle_repository
from gql_trader.market_data.store.saving import seal_series
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)


async def seal_open_months(runtime: Runtime) -> int:
    """Turn the rows of calendar months that are over into chunks; return how many months were sealed.

    Running it twice, or in two workers at once, changes nothing the second time.
    """
    async with runtime.unit_of_work() as uow:
        with_rows = await candle_repository.series_with_open_months(uow.session)
        series = [(row.id, row.market_id) for row in with_rows]
    sealed = 0
    for series_id, market_id in series:
        async with runtime.unit_of_work() as uow:
            await repository.lock_market(uow.session, market_id)
            rows = await repository.series_by_ids(uow.session, [series_id])
            if series_id in rows:
                sealed += await seal_series(uow, rows[series_id])
    if sealed:
        _log.info("months_sealed", months=sealed)
    return sealed
