"""Market data over GraphQL: what is stored is what clients see, at a constant number of statements."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import event

from gql_trader.core.clock import from_milliseconds
from gql_trader.core.errors import InvalidInput, NotFound
from gql_trader.core.intervals import HOUR, Interval
from gql_trader.engine.bars import Bars
from gql_trader.gql.relay import encode_id
from gql_trader.gql.scalars import format_datetime
from gql_trader.market_data import service
from gql_trader.market_data.store.resampling import downsample, resample
from gql_trader.market_data.types import MarketRecord
from gql_trader.runtime import Runtime
from tests.factories.candles import JANUARY_2024, random_bars
from tests.graphql_client import GraphQLClient

COLUMNS = ("time", "open", "high", "low", "close", "volume")


@contextmanager
def statements(runtime: Runtime) -> Iterator[list[str]]:
    """Collect the SQL statements that are executed."""
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, _p: Any, _context: Any, _many: bool) -> None:
        seen.append(statement)

    event.listen(runtime.database.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(runtime.database.engine.sync_engine, "before_cursor_execute", note)


async def add(
    runtime: Runtime, name: str, bars: Bars | None = None, interval: Interval = Interval.H1
) -> MarketRecord:
    exchange, _, symbol = name.partition(":")
    async with runtime.unit_of_work() as uow:
        market = await service.ensure_market(uow, exchange, symbol, price_precision=2)
        if bars is not None:
            await service.save_candles(uow, market.id, interval, bars)
    return market


def moment(milliseconds: int) -> str:
    return format_datetime(from_milliseconds(milliseconds))


async def test_nobody_sees_market_data_without_signing_in(anonymous: GraphQLClient) -> None:
    for field in ("assets { nodes { symbol } }", "markets { nodes { symbol } }", 'asset(symbol: "A") { id }'):
        assert (await anonymous.execute(f"{{ {field} }}")).codes == ["UNAUTHENTICATED"]
    node = encode_id("Asset", UUID(int=1))
    assert (await anonymous.execute(f'{{ node(id: "{node}") {{ id }} }}')).codes == ["UNAUTHENTICATED"]


async def test_a_market_shows_its_assets_series_and_intervals(
    runtime: Runtime, client: GraphQLClient
) -> None:
    bars = random_bars(100, gaps=0.1)
    await add(runtime, "coinbase:BTC/USD", bars)
    result = await client.execute(
        """{ market(symbol: "btc/usd") {
            id symbol exchange active pricePrecision amountPrecision
            base { symbol name type active } quote { symbol type }
            intervals
            priceSeries(interval: H1) { interval resampled count start end gaps contentHash }
            nothing: priceSeries(interval: M5) { count }
        } }"""
    )
    market = result.data["market"]
    series = market.pop("priceSeries")
    gaps = int(bars.time[-1] - bars.time[0]) // HOUR + 1 - 100
    assert len(series.pop("contentHash")) == 64
    assert series == {
        "interval": "H1",
        "resampled": False,
        "count": 100,
        "start": moment(int(bars.time[0])),
        "end": moment(int(bars.time[-1]) + HOUR),
        "gaps": gaps,
    }
    again = await client.execute(
        "query($id: ID!) { node(id: $id) { ... on Market { symbol } } }", {"id": market.pop("id")}
    )
    assert again.data == {"node": {"symbol": "BTC/USD"}}
    assert market == {
        "symbol": "BTC/USD",
        "exchange": "coinbase",
        "active": True,
        "pricePrecision": 2,
        "amountPrecision": 8,
        "base": {"symbol": "BTC", "name": "Bitcoin", "type": "CRYPTO", "active": True},
        "quote": {"symbol": "USD", "type": "FIAT"},
        "intervals": ["H1", "H2", "H4", "H6", "H8", "H12", "D1", "W1"],
        "nothing": None,
    }


async def test_a_resampled_series_describes_the_candles_it_has(
    runtime: Runtime, client: GraphQLClient
) -> None:
    bars = random_bars(99)
    await add(runtime, "x:BTC/USD", bars)
    h4 = resample(bars, Interval.H4)
    await add(runtime, "stored:BTC/USD", h4, Interval.H4)
    query = """query($exchange: String!) { market(symbol: "BTC/USD", exchange: $exchange) {
        priceSeries(interval: H4) { count start end gaps contentHash columns { time volume } }
        week: priceSeries(interval: W1) { count }
    } }"""
    resampled = (await client.execute(query, {"exchange": "x"})).data["market"]
    assert resampled["priceSeries"]["count"] == 24
    assert resampled["priceSeries"]["end"] == moment(JANUARY_2024 + 96 * HOUR)
    assert resampled["week"] is None  # not complete yet: there are no candles
    # The same candles have the same hash, resampled or imported.
    stored = (await client.execute(query, {"exchange": "stored"})).data["market"]
    assert resampled["priceSeries"] == stored["priceSeries"]


async def test_columns_are_the_stored_numbers_and_down_sampled_on_request(
    runtime: Runtime, client: GraphQLClient
) -> None:
    bars = random_bars(1000)
    await add(runtime, "x:BTC/USD", bars)
    query = """query($start: DateTime, $end: DateTime, $points: Int) { market(symbol: "BTC/USD") {
        priceSeries(interval: H1) { columns(start: $start, end: $end, maxPoints: $points) {
            time open high low close volume } } } }"""

    async def columns(**variables: Any) -> dict[str, list[float]]:
        result = await client.execute(query, variables)
        return result.data["market"]["priceSeries"]["columns"]  # type: ignore[no-any-return]

    assert await columns() == {name: getattr(bars, name).tolist() for name in COLUMNS}
    part = bars.slice(200, 700)
    expected = downsample(part, 60)
    found = await columns(start=moment(int(bars.time[200])), end=moment(int(bars.time[700])), points=60)
    assert found == {name: getattr(expected, name).tolist() for name in COLUMNS}
    assert await columns(start="2030-01-01T00:00:00Z") == {name: [] for name in COLUMNS}
    assert (await client.execute(query, {"points": 0})).codes == ["BAD_USER_INPUT"]


@pytest.mark.parametrize("interval", ["M1", "H1"])
async def test_candles_page_forwards_and_backwards_without_repeats_or_holes(
    runtime: Runtime, client: GraphQLClient, interval: str
) -> None:
    minutes = random_bars(2 * 24 * 60, Interval.M1, gaps=0.02, start=JANUARY_2024 + 30 * 24 * HOUR)
    await add(runtime, "x:BTC/USD", minutes, Interval.M1)
    bars = minutes if interval == "M1" else resample(minutes, Interval.H1)
    low, high = (20, 250) if interval == "M1" else (3, 40)
    query = """query($interval: Interval!, $start: DateTime, $end: DateTime,
        $first: Int, $after: String, $last: Int, $before: String) {
        market(symbol: "BTC/USD") { priceSeries(interval: $interval) {
            candles(start: $start, end: $end, first: $first, after: $after, last: $last, before: $before) {
                nodes { time open close volume } totalCount
                pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } } }"""
    fixed = {"interval": interval, "start": moment(int(bars.time[low])), "end": moment(int(bars.time[high]))}
    expected = [moment(int(time)) for time in bars.time[low:high]]

    async def page(**arguments: Any) -> dict[str, Any]:
        result = await client.execute(query, {**fixed, **arguments})
        return result.data["market"]["priceSeries"]["candles"]  # type: ignore[no-any-return]

    forwards: list[str] = []
    cursor, more = None, True
    while more:
        found = await page(first=17, after=cursor)
        assert found["totalCount"] == high - low
        forwards += [node["time"] for node in found["nodes"]]
        cursor, more = found["pageInfo"]["endCursor"], found["pageInfo"]["hasNextPage"]
    assert forwards == expected
    backwards: list[str] = []
    cursor, more = None, True
    while more:
        found = await page(last=17, before=cursor)
        backwards = [node["time"] for node in found["nodes"]] + backwards
        cursor, more = found["pageInfo"]["startCursor"], found["pageInfo"]["hasPreviousPage"]
    assert backwards == expected
    first = (await page(first=1))["nodes"][0]
    assert first["open"] == f"{bars.open[low]:.2f}".rstrip("0").rstrip(".")
    for cursor in ("nonsense", "AAAA"):
        assert (await client.execute(query, {**fixed, "after": cursor})).codes == ["BAD_USER_INPUT"]


async def test_the_smallest_prices_are_shown_with_every_digit(
    runtime: Runtime, client: GraphQLClient
) -> None:
    prices = np.array([4.1e-9, 4.31234567e-9])
    times = JANUARY_2024 + HOUR * np.arange(2)
    await add(
        runtime, "x:TINY/USD", Bars(times, prices, prices, prices, prices, np.array([0.1, 1e-10]), HOUR)
    )
    result = await client.execute(
        """{ market(symbol: "TINY/USD") { priceSeries(interval: H1) {
            candles { nodes { open high low close volume } } } } }"""
    )
    nodes = result.data["market"]["priceSeries"]["candles"]["nodes"]
    assert [node["volume"] for node in nodes] == ["0.1", "0.0000000001"]
    for name in ("open", "high", "low", "close"):
        assert [node[name] for node in nodes] == ["0.0000000041", "0.00000000431234567"]


async def test_a_page_of_a_long_series_reads_only_the_months_it_lies_in(
    runtime: Runtime, client: GraphQLClient
) -> None:
    bars = random_bars(24 * 60 * 100, Interval.M1)
    await add(runtime, "x:BTC/USD", bars, Interval.M1)
    query = """query($start: DateTime) { market(symbol: "BTC/USD") { priceSeries(interval: M1) {
        candles(start: $start, first: 50) { nodes { time } } } } }"""
    at = 24 * 60 * 60 - 20  # 20 minutes before March begins
    result = await client.execute(query, {"start": moment(int(bars.time[at]))})
    nodes = result.data["market"]["priceSeries"]["candles"]["nodes"]
    assert [node["time"] for node in nodes] == [moment(int(time)) for time in bars.time[at : at + 50]]
    runtime.arrays.flush()
    assert 0 < runtime.arrays.size() < 24 * 60 * 62 * 48  # February and March of four months


async def test_lists_filter_search_and_page(runtime: Runtime, client: GraphQLClient) -> None:
    for name in ("a:BTC/USD", "a:ETH/USD", "b:BTC/USD", "b:LTC/EUR"):
        await add(runtime, name)
    query = """query($search: String, $exchange: String, $after: String) {
        markets(search: $search, exchange: $exchange, first: 3, after: $after) {
            nodes { exchange symbol } totalCount pageInfo { endCursor hasNextPage } } }"""

    async def markets(**variables: Any) -> list[str]:
        found = (await client.execute(query, variables)).data["markets"]
        return [f"{node['exchange']}:{node['symbol']}" for node in found["nodes"]]

    first = (await client.execute(query)).data["markets"]
    assert first["totalCount"] == 4
    assert first["pageInfo"]["hasNextPage"] is True
    assert await markets() == ["a:BTC/USD", "b:BTC/USD", "a:ETH/USD"]
    assert await markets(after=first["pageInfo"]["endCursor"]) == ["b:LTC/EUR"]
    assert await markets(exchange="B", search="btc") == ["b:BTC/USD"]
    for nothing in ("%", "_", "'", "\\"):
        assert await markets(search=nothing) == []
        assert await markets(exchange=nothing) == []
    assets = """query($search: String, $type: [AssetType!], $active: Boolean) {
        assets(search: $search, type: $type, active: $active) { nodes { symbol } totalCount } }"""

    async def symbols(**variables: Any) -> list[str]:
        return [node["symbol"] for node in (await client.execute(assets, variables)).data["assets"]["nodes"]]

    assert await symbols() == ["BTC", "ETH", "EUR", "LTC", "USD"]
    assert await symbols(type=["FIAT"]) == ["EUR", "USD"]
    assert await symbols(search="coin") == ["BTC", "LTC"]
    assert await symbols(active=False) == []
    unknown = "query($text: String!) { asset(symbol: $text) { id } market(symbol: $text) { id } }"
    for text in ("", "x" * 10_000, "BTC", ":", "a:b:c"):
        found = (await client.execute(unknown, {"text": text})).data
        assert found["market"] is None
    one = await client.execute(
        '{ asset(symbol: "eur") { name markets { symbol } } none: asset(symbol: "X") { id } }'
    )
    assert one.data == {"asset": {"name": "Euro", "markets": [{"symbol": "LTC/EUR"}]}, "none": None}


async def test_the_number_of_statements_does_not_grow_with_the_page(
    runtime: Runtime, client: GraphQLClient
) -> None:
    for number in range(12):
        await add(runtime, f"x:A{number}/USD", random_bars(200, seed=number))
    query = """query($first: Int!) { markets(first: $first) { nodes {
        symbol base { symbol markets { symbol } } quote { symbol } intervals
        hour: priceSeries(interval: H1) { count }
        day: priceSeries(interval: D1) { count contentHash } } } }"""
    counts = {}
    for first in (2, 12):
        with statements(runtime) as seen:
            result = await client.execute(query, {"first": first})
        assert [market["day"]["count"] for market in result.data["markets"]["nodes"]] == [8] * first
        counts[first] = len(seen)
    # Markets, assets, markets of assets, series, and the candles of those that are resampled.
    assert counts == {2: 5, 12: 5}
    with statements(runtime) as seen:
        await client.execute(query, {"first": 12})
    assert len(seen) == 4  # the resampled ones are in the cache


async def test_candles_of_a_page_of_markets_are_read_together(
    runtime: Runtime, client: GraphQLClient
) -> None:
    for number in range(12):
        await add(runtime, f"x:A{number}/USD", random_bars(200, seed=number))
    query = """query($first: Int, $last: Int) { markets(first: $first, last: $last) { nodes {
        priceSeries(interval: H1) { candles(first: 5, start: "2024-01-02T00:00:00Z") {
            totalCount nodes { close } } columns { close } } } } }"""
    counts = {}
    # Not the same markets: what has been read once is in the cache.
    for variables, markets in (({"first": 2}, 2), ({"last": 10}, 10)):
        with statements(runtime) as seen:
            result = await client.execute(query, variables)
        series = [market["priceSeries"] for market in result.data["markets"]["nodes"]]
        assert len(series) == markets
        for each in series:
            assert each["candles"]["totalCount"] == 176
            assert [node["close"] for node in each["candles"]["nodes"]] == [
                repr(close).removesuffix(".0") for close in each["columns"]["close"][24:29]
            ]
        counts[markets] = len(seen)
    # Markets, their series, and the candles.
    assert counts == {2: 3, 10: 3}


async def test_a_bare_symbol_means_the_only_market_that_has_it(runtime: Runtime) -> None:
    await add(runtime, "demo:BTC/USD")
    await add(runtime, "coinbase:BTC/USD")
    await add(runtime, "kraken:ETH/USD")
    await add(runtime, "binance:ETH/USD")
    await add(runtime, "demo:ETH/USD")
    await add(runtime, "demo:SOL/USD")
    async with runtime.unit_of_work() as uow:
        for asked, meant in (
            ("BTC/USD", "coinbase:BTC/USD"),
            (" btc/usd ", "coinbase:BTC/USD"),
            ("demo:BTC/USD", "demo:BTC/USD"),
            ("Kraken:eth/usd", "kraken:ETH/USD"),
            ("SOL/USD", "demo:SOL/USD"),
        ):
            assert (await service.find_market(uow, asked)).name == meant
        with pytest.raises(InvalidInput, match="binance:ETH/USD, kraken:ETH/USD") as several:
            await service.find_market(uow, "ETH/USD")
        assert several.value.path == ("market",)
        for unknown in ("XRP/USD", "kraken:BTC/USD", "", ":", "BTC", "a\0b", "\ud800/USD"):
            with pytest.raises(NotFound) as none:
                await service.find_market(uow, unknown)
            assert none.value.path == ("market",)


async def test_a_market_is_named_by_one_venue_and_errors_say_which_argument(
    runtime: Runtime, client: GraphQLClient
) -> None:
    for name in ("coinbase:BTC/USD", "kraken:BTC/USD"):
        await add(runtime, name)
    query = "query($s: String!, $e: String) { market(symbol: $s, exchange: $e) { exchange } }"
    found = await client.execute(query, {"s": "Kraken:BTC/USD", "e": " kraken"})
    assert found.data["market"] == {"exchange": "kraken"}
    async with runtime.unit_of_work() as uow:
        with pytest.raises(InvalidInput, match="venue 'coinbase', the exchange is 'demo'") as both:
            await service.look_up_market(uow, "coinbase:BTC/USD", "demo")
        assert both.value.path == ("exchange",)
        with pytest.raises(InvalidInput, match="Several markets") as several:
            await service.look_up_market(uow, "BTC/USD")
        assert several.value.path == ("symbol",)


async def test_the_present_month_is_seen_at_once(runtime: Runtime, client: GraphQLClient) -> None:
    now = int(datetime.now(UTC).timestamp()) // 3600 * HOUR
    bars = random_bars(5, start=now)
    query = '{ market(symbol: "BTC/USD") { priceSeries(interval: H1) { count columns { close } } } }'
    for count in (3, 5):
        await add(runtime, "x:BTC/USD", bars.slice(0, count))
        series = (await client.execute(query)).data["market"]["priceSeries"]
        assert series == {"count": count, "columns": {"close": bars.close[:count].tolist()}}
