"""Candles from an exchange into the store, a page at a time; gaps stay gaps.

An exchange is asked between transactions, never inside one.
"""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import structlog

from gql_trader.core.clock import from_milliseconds
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars, Integers
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.exchange.client import ExchangeClient
from gql_trader.infra.exchange.errors import ClocksDisagree, UnknownMarket
from gql_trader.infra.exchange.markets import MarketRules
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import repository
from gql_trader.market_data.catalogue import DEFAULT_AMOUNT_PRECISION, DEFAULT_PRICE_PRECISION, ensure_market
from gql_trader.market_data.incoming.raw_candles import RawCandles
from gql_trader.market_data.incoming.validation import keep_sound
from gql_trader.market_data.store.loading import load_bars
from gql_trader.market_data.store.reading import stored_series
from gql_trader.market_data.store.saving import SavedCandles, save_candles
from gql_trader.market_data.syncs import repository as sync_repository
from gql_trader.market_data.types import MarketRecord, PriceSeriesRecord
from gql_trader.market_data.types_syncs import SETTLED_MILLISECONDS

_log = structlog.get_logger(__name__)

_MOST_PLACES = 18
_CLOCK_FRESH = 600.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """What an exchange has sent of the candles that open in [low, high): all that it has there.

    Attributes
    ----------
    settled
        What it has not sent of those that open before this, Unix milliseconds, it will not send later.
    refused
        How many it sent that are no candles, such as one whose high is below its low.
    """

    low: int
    high: int
    settled: int
    bars: Bars
    refused: int


async def learn_clock(client: ExchangeClient) -> None:
    """Learn how far our clock is from the exchange's, which tells what candles are over.

    Where the exchange does not tell the time, what was known before holds; at first, that our clock is right.
    """
    try:
        await client.set_clock(_CLOCK_FRESH)
    except ClocksDisagree as failure:
        _log.info("exchange_time_untold", exchange=client.exchange, reason=failure.message)


async def spot_market(client: ExchangeClient, symbol: str) -> MarketRules:
    """Return the market where a pair itself is traded.

    Parameters
    ----------
    symbol
        ``BASE/QUOTE`` in capitals.

    Raises
    ------
    UnknownMarket
        If the exchange has none.
    ExchangeFailure
        If the exchange cannot be asked.
    """
    markets = await client.markets()
    found = markets.get(symbol) or next(
        (each for each in markets.values() if not each.is_contract and each.symbol.upper() == symbol), None
    )
    if found is None:
        raise UnknownMarket(client.exchange, f"{client.name} has no market {symbol}.")
    return found


async def ensure_listed(uow: UnitOfWork, exchange: str, rules: MarketRules) -> MarketRecord:
    """Return a market of an exchange, creating it from what the exchange says of it where it is missing.

    Raises
    ------
    InvalidInput
        If its symbol cannot be one here.
    """
    return await ensure_market(
        uow,
        exchange,
        rules.symbol,
        price_precision=_places(rules.price_tick, DEFAULT_PRICE_PRECISION),
        amount_precision=_places(rules.amount_step, DEFAULT_AMOUNT_PRECISION),
        min_amount=rules.minimum_amount,
        min_notional=rules.minimum_cost,
    )


async def missing_times(
    uow: UnitOfWork, arrays: ArrayCache, market: MarketRecord, interval: Interval, low: int, high: int
) -> Integers:
    """Return the opening times in [low, high) whose candles are not stored and have not been asked for.

    Parameters
    ----------
    low, high
        Opening times, Unix milliseconds.

    Returns
    -------
    Integers
        int64, ascending.
    """
    wanted = np.arange(low, high, interval.milliseconds, dtype=np.int64)
    missing = np.ones(len(wanted), np.bool_)
    row = await repository.series_row(uow.session, market.id, interval)
    if row is not None:
        series = PriceSeriesRecord(market.id, interval, stored_series(row))
        loaded = await load_bars(uow, arrays, series, from_milliseconds(low), from_milliseconds(high))
        missing[(loaded.bars.time - low) // interval.milliseconds] = False
    for start, end in await sync_repository.covered(uow.session, market.id, interval, low, high):
        missing[np.searchsorted(wanted, start) : np.searchsorted(wanted, end)] = False
    return wanted[missing]


async def fetch(client: ExchangeClient, symbol: str, interval: Interval, low: int, high: int) -> Fetched:
    """Ask an exchange for candles that open in [low, high); it may send only the first of them.

    Parameters
    ----------
    symbol
        The market's, as ccxt writes it.

    Raises
    ------
    ExchangeFailure
        If it cannot be asked.
    """
    length, most = interval.milliseconds, client.candle_page
    page = await client.candles(symbol, interval, low, min(most, (high - low) // length))
    # What is there by now is in the page, if it has room for it; an exchange may be late with the newest.
    settled = client.time() - SETTLED_MILLISECONDS - length
    reached = int(page.time[-1]) + length if len(page) else low + most * length
    kept = int(np.searchsorted(page.time, high))
    raw = RawCandles(
        row=np.arange(kept, dtype=np.int64),
        **{name: getattr(page, name)[:kept] for name in ("time", "open", "high", "low", "close", "volume")},
    )
    # The adapter sends only what is over by the exchange's clock.
    over = int(page.time[kept - 1]) + length if kept else 0
    bars, refused = keep_sound(raw, interval, over)
    return Fetched(low, min(reached, high), settled, bars, refused)


async def save(
    uow: UnitOfWork, market: MarketRecord, interval: Interval, fetched: Fetched
) -> SavedCandles | None:
    """Store what was fetched, and that it was; return what changed, None without a candle."""
    await repository.lock_market(uow.session, market.id)
    saved = await save_candles(uow, market.id, interval, fetched.bars) if len(fetched.bars) else None
    until = min(fetched.high, fetched.settled)
    if until > fetched.low:
        await sync_repository.cover(uow.session, market.id, interval, fetched.low, until)
    return saved


def _places(step: Decimal | None, default: int) -> int:
    """Return the decimal places of a step, such as 2 for 0.05."""
    if step is None:
        return default
    exponent = step.normalize().as_tuple().exponent
    return min(_MOST_PLACES, max(0, -exponent)) if isinstance(exponent, int) else default
