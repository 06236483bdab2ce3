"""Importing candle files into the store, and exporting from it."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from gql_trader.core.clock import to_milliseconds
from gql_trader.core.errors import DomainError, ErrorCode, InvalidInput
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.column_codec import tick_decimals
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data.catalogue import DEFAULT_PRICE_PRECISION, ensure_market, find_market
from gql_trader.market_data.incoming.files import read_candles, write_candles
from gql_trader.market_data.incoming.raw_candles import PRICES
from gql_trader.market_data.incoming.validation import check, repair
from gql_trader.market_data.store.loading import find_series, load_bars
from gql_trader.market_data.store.saving import save_candles
from gql_trader.market_data.types import DEMO_EXCHANGE, AssetType, ImportReport

Progress = Callable[[str], None]


def _quiet(_: str) -> None:
    return None


async def import_candles(
    uow: UnitOfWork,
    file: Path,
    *,
    exchange: str,
    market: str,
    interval: Interval,
    repaired: bool = False,
    asset_type: AssetType | None = None,
    progress: Progress = _quiet,
) -> ImportReport:
    """Add the candles of a file to a market's series; all of them, or none.

    Importing a file again changes nothing; candles that are there already with other values are replaced.
    The market and its assets are created where they are missing.

    Parameters
    ----------
    market
        ``BASE/QUOTE``.
    repaired
        Repair rows instead of refusing the file; see `validation.repair`.
    asset_type
        Type of the base asset if it is new.
    progress
        Called with the name of each step as it begins.

    Raises
    ------
    RefusedRows
        If rows of the file are not candles; nothing is changed.
    InvalidInput
        If the file, the market or the venue is not usable, or the candles are those of another interval.
    """
    if exchange.strip().lower() == DEMO_EXCHANGE:
        raise InvalidInput(
            f"{DEMO_EXCHANGE!r} is the venue of simulated prices; name the one that the candles are from.",
            ("exchange",),
        )
    progress("reading")
    base = market.partition("/")[0].strip().upper()
    raw = await asyncio.to_thread(read_candles, file, base)
    progress("checking")
    now = to_milliseconds(uow.clock.now())
    bars, repairs = (
        await asyncio.to_thread(repair, raw, interval, now)
        if repaired
        else (await asyncio.to_thread(check, raw, interval, now), ())
    )
    progress("storing")
    found = await ensure_market(
        uow, exchange, market, asset_type=asset_type, price_precision=price_decimals(bars)
    )
    saved = await save_candles(uow, found.id, interval, bars)
    return ImportReport(found, saved.series, len(bars), saved.added, saved.updated, repairs, tuple(raw.notes))


async def export_candles(
    uow: UnitOfWork,
    arrays: ArrayCache,
    file: Path,
    *,
    exchange: str,
    market: str,
    interval: Interval,
    start: datetime | None = None,
    end: datetime | None = None,
    progress: Progress = _quiet,
) -> int:
    """Write the candles of a market that open in [start, end) to a file; return how many.

    Raises
    ------
    NotFound
        If there is no such market.
    DomainError
        NO_DATA, if there are no candles.
    """
    progress("loading")
    found = await find_market(uow, f"{exchange}:{market}")
    series = await find_series(uow, found.id, interval)
    loaded = await load_bars(uow, arrays, series, start, end) if series else None
    if loaded is None or not len(loaded.bars):
        raise DomainError(
            f"{found.name} has no candles of {interval.name} there.", ("interval",), ErrorCode.NO_DATA
        )
    progress("writing")
    await asyncio.to_thread(write_candles, file, loaded.bars)
    return len(loaded.bars)


def price_decimals(bars: Bars) -> int:
    """Return how many decimal places the prices have, 8 if they are not exact decimals."""
    decimals = [tick_decimals(getattr(bars, name)) for name in PRICES]
    exact = [each for each in decimals if each is not None]
    return max(exact) if len(exact) == len(decimals) else DEFAULT_PRICE_PRECISION
