"""Which assets and markets there are, and how users name them."""

import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from gql_trader.core.errors import InvalidInput, NotFound
from gql_trader.core.ids import AssetId, MarketId, uuid7
from gql_trader.infra.keyset import PageRequest, Slice
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import repository
from gql_trader.market_data.models import AssetRow, MarketRow
from gql_trader.market_data.names import split_name
from gql_trader.market_data.types import DEMO_EXCHANGE, AssetRecord, AssetType, MarketRecord

_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,19}", re.ASCII)
_EXCHANGE = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)

_FIAT = {
    "AUD": "Australian dollar",
    "BRL": "Brazilian real",
    "CAD": "Canadian dollar",
    "CHF": "Swiss franc",
    "CNY": "Chinese yuan",
    "CZK": "Czech koruna",
    "DKK": "Danish krone",
    "EUR": "Euro",
    "GBP": "Pound sterling",
    "HKD": "Hong Kong dollar",
    "IDR": "Indonesian rupiah",
    "INR": "Indian rupee",
    "JPY": "Japanese yen",
    "KRW": "South Korean won",
    "MXN": "Mexican peso",
    "NOK": "Norwegian krone",
    "NZD": "New Zealand dollar",
    "PLN": "Polish zloty",
    "RUB": "Russian rouble",
    "SEK": "Swedish krona",
    "SGD": "Singapore dollar",
    "THB": "Thai baht",
    "TRY": "Turkish lira",
    "UAH": "Ukrainian hryvnia",
    "USD": "US dollar",
    "ZAR": "South African rand",
}
_CRYPTO = {
    "ADA": "Cardano",
    "BCH": "Bitcoin Cash",
    "BNB": "BNB",
    "BTC": "Bitcoin",
    "DOGE": "Dogecoin",
    "DOT": "Polkadot",
    "ETH": "Ether",
    "LTC": "Litecoin",
    "SOL": "Solana",
    "USDC": "USD Coin",
    "USDT": "Tether",
    "XRP": "XRP",
}

DEFAULT_PRICE_PRECISION = 8
DEFAULT_AMOUNT_PRECISION = 8


def asset_record(row: AssetRow) -> AssetRecord:
    """Return the record of an asset."""
    return AssetRecord(AssetId(row.id), row.symbol, row.name, AssetType(row.type), row.active)


def market_record(row: MarketRow) -> MarketRecord:
    """Return the record of a market."""
    return MarketRecord(
        id=MarketId(row.id),
        exchange=row.exchange,
        symbol=row.symbol,
        base_id=AssetId(row.base_id),
        quote_id=AssetId(row.quote_id),
        active=row.active,
        price_precision=row.price_precision,
        amount_precision=row.amount_precision,
        min_amount=row.min_amount,
        min_notional=row.min_notional,
    )


async def list_assets(
    uow: UnitOfWork,
    search: str | None,
    types: Sequence[AssetType] | None,
    active: bool | None,
    page: PageRequest,
) -> Slice[AssetRecord]:
    """Return a page of assets in the order of their symbols."""
    found = await repository.asset_page(uow.session, repository.select_assets(search, types, active), page)
    return replace(found, rows=[asset_record(row[0]) for row in found.rows])


async def count_assets(
    uow: UnitOfWork, search: str | None, types: Sequence[AssetType] | None, active: bool | None
) -> int:
    """Return how many assets a whole list has."""
    return await repository.count(uow.session, repository.select_assets(search, types, active))


async def list_markets(
    uow: UnitOfWork, search: str | None, exchange: str | None, page: PageRequest
) -> Slice[MarketRecord]:
    """Return a page of markets in the order of their symbols, then venues."""
    found = await repository.market_page(uow.session, repository.select_markets(search, exchange), page)
    return replace(found, rows=[market_record(row[0]) for row in found.rows])


async def count_markets(uow: UnitOfWork, search: str | None, exchange: str | None) -> int:
    """Return how many markets a whole list has."""
    return await repository.count(uow.session, repository.select_markets(search, exchange))


async def find_asset(uow: UnitOfWork, symbol: str) -> AssetRecord | None:
    """Return the asset with this symbol, ignoring case."""
    if not repository.storable(symbol):
        return None
    row = await repository.asset_by_symbol(uow.session, symbol.strip().upper())
    return asset_record(row) if row else None


async def look_up_market(
    uow: UnitOfWork, symbol: str, exchange: str | None = None, path: Sequence[str] = ("symbol",)
) -> MarketRecord | None:
    """Return the market that a symbol means, or None; see `find_market`.

    Parameters
    ----------
    path
        Where the symbol is in the caller's input.

    Raises
    ------
    InvalidInput
        If several markets have this symbol, or the symbol names another venue than `exchange`.
    """
    venue, pair = split_name(symbol)
    if exchange is not None:
        named, venue = venue, exchange.strip().lower()
        if named is not None and named != venue:
            raise InvalidInput(
                f"The symbol names the venue {named[:40]!r}, the exchange is {venue[:40]!r}: name one.",
                ("exchange",),
            )
    if not repository.storable(pair):
        return None
    rows = await repository.markets_by_symbol(uow.session, pair)
    if venue is not None:
        rows = [row for row in rows if row.exchange == venue]
    if len(rows) > 1:
        # Simulated prices never stand in the way of real ones.
        rows = [row for row in rows if row.exchange != DEMO_EXCHANGE]
    if len(rows) > 1:
        names = ", ".join(f"{row.exchange}:{row.symbol}" for row in rows)
        raise InvalidInput(f"Several markets are called {pair}; name the venue: {names}.", path)
    return market_record(rows[0]) if rows else None


async def find_market(uow: UnitOfWork, symbol: str) -> MarketRecord:
    """Return the market that a user means by ``BTC/USD`` or ``coinbase:BTC/USD``, in any case.

    A bare symbol means the only market that has it. Where several have it, real venues are preferred to
    simulated prices.

    Raises
    ------
    InvalidInput
        If several markets have this symbol; the message lists them.
    NotFound
        If there is no such market.
    """
    market = await look_up_market(uow, symbol, path=("market",))
    if market is None:
        raise NotFound(f"There is no market {symbol.strip()[:80]!r}.", ("market",))
    return market


async def market_with_base(uow: UnitOfWork, market_id: UUID) -> tuple[MarketRecord, AssetRecord]:
    """Return a market that is known to exist, and its base asset."""
    market = (await repository.markets_by_ids(uow.session, [market_id]))[market_id]
    base = (await repository.assets_by_ids(uow.session, [market.base_id]))[market.base_id]
    return market_record(market), asset_record(base)


def check_pair(symbol: str) -> tuple[str, str]:
    """Return base and quote of ``BASE/QUOTE``, in capitals.

    Raises
    ------
    InvalidInput
        If it is malformed.
    """
    base, separator, quote = symbol.strip().upper().partition("/")
    if not separator or not _SYMBOL.fullmatch(base) or not _SYMBOL.fullmatch(quote) or base == quote:
        raise InvalidInput(
            f"A market is written BASE/QUOTE, such as BTC/USD; got {symbol[:80]!r}.", ("market",)
        )
    return base, quote


async def ensure_market(
    uow: UnitOfWork,
    exchange: str,
    symbol: str,
    *,
    asset_type: AssetType | None = None,
    price_precision: int = DEFAULT_PRICE_PRECISION,
    amount_precision: int = DEFAULT_AMOUNT_PRECISION,
    min_amount: Decimal | None = None,
    min_notional: Decimal | None = None,
) -> MarketRecord:
    """Return the market of a venue, creating it and its assets where they are missing.

    Parameters
    ----------
    symbol
        ``BASE/QUOTE``, in any case.
    asset_type
        Type of the base asset if it is new; by default FIAT for the codes of currencies, else CRYPTO.
    price_precision, amount_precision, min_amount, min_notional
        Used if the market is new.

    Raises
    ------
    InvalidInput
        If the symbol or the name of the venue is malformed.
    """
    base, quote = check_pair(symbol)
    venue = exchange.strip().lower()
    if not _EXCHANGE.fullmatch(venue):
        raise InvalidInput(
            f"A venue has letters, digits, hyphens and underscores; got {exchange!r}.", ("exchange",)
        )
    base_id, quote_id = await _ensure_asset(uow, base, asset_type), await _ensure_asset(uow, quote, None)
    values = {
        "id": uuid7(),
        "exchange": venue,
        "symbol": f"{base}/{quote}",
        "base_id": base_id,
        "quote_id": quote_id,
        "active": True,
        "price_precision": price_precision,
        "amount_precision": amount_precision,
        "min_amount": min_amount,
        "min_notional": min_notional,
    }
    await uow.session.execute(insert(MarketRow).values(values).on_conflict_do_nothing())
    rows = await repository.markets_by_symbol(uow.session, f"{base}/{quote}")
    return next(market_record(row) for row in rows if row.exchange == venue)


async def _ensure_asset(uow: UnitOfWork, symbol: str, asset_type: AssetType | None) -> AssetId:
    kind = asset_type or (AssetType.FIAT if symbol in _FIAT else AssetType.CRYPTO)
    name = _FIAT.get(symbol) or _CRYPTO.get(symbol) or symbol
    values = {"id": uuid7(), "symbol": symbol, "name": name, "type": kind.value, "active": True}
    await uow.session.execute(insert(AssetRow).values(values).on_conflict_do_nothing())
    row = await repository.asset_by_symbol(uow.session, symbol)
    assert row is not None
    return AssetId(row.id)
