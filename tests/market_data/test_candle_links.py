"""Candles as Parquet over signed links."""

import io
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pyarrow.parquet
import pytest
from sqlalchemy import update

from gql_trader.accounts.models import UserRow
from gql_trader.app import create_app
from gql_trader.core.actor import Actor
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.intervals import Interval
from gql_trader.gql.scalars import format_datetime
from gql_trader.market_data.service import ensure_market, save_candles
from gql_trader.runtime import Runtime
from tests.factories.actors import make_access_token, make_actor
from tests.factories.candles import JANUARY_2024, random_bars
from tests.graphql_client import GraphQLClient, graphql_client

LINK = """
query($interval: Interval!, $start: DateTime, $end: DateTime) {
  market(symbol: "test:BTC/USD") {
    priceSeries(interval: $interval) {
      columns(start: $start, end: $end) { time open high low close volume }
      parquetUrl(start: $start, end: $end)
    }
  }
}
"""
BEGIN = from_milliseconds(JANUARY_2024)


@pytest.fixture
async def viewer(runtime: Runtime) -> Actor:
    """Somebody who may read, on a server with 2,000 hourly candles."""
    async with runtime.unit_of_work() as uow:
        market = await ensure_market(uow, "test", "BTC/USD")
        await save_candles(uow, market.id, Interval.H1, random_bars(2000, seed=3))
    return await make_actor(runtime, "viewer")


@pytest.fixture
async def client(runtime: Runtime, viewer: Actor) -> AsyncIterator[GraphQLClient]:
    """Their client."""
    async with graphql_client(create_app(runtime.settings, runtime)) as opened:
        yield opened.signed_in(await make_access_token(runtime, viewer))


async def _fetch(client: GraphQLClient, link: str) -> httpx.Response:
    parts = urlsplit(link)
    return await client.http.get(f"{parts.path}?{parts.query}")


@pytest.mark.parametrize(
    ("interval", "hours"),
    [("H1", (100.5, 400)), ("H4", (0, 2000)), ("D1", (None, None)), ("H1", (5000, 6000))],
)
async def test_a_file_has_the_candles_that_the_api_has(
    client: GraphQLClient, interval: str, hours: tuple[float | None, float | None]
) -> None:
    start, end = (None if at is None else format_datetime(BEGIN + timedelta(hours=at)) for at in hours)
    answer = await client.execute(LINK, {"interval": interval, "start": start, "end": end})
    series = answer.data["market"]["priceSeries"]
    file = await _fetch(client, series["parquetUrl"])
    assert file.status_code == 200
    assert file.headers["content-type"] == "application/vnd.apache.parquet"
    name = f"test-BTC-USD-{interval}.parquet"
    assert file.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert file.headers["cache-control"] == "private, no-store"
    table = pyarrow.parquet.read_table(io.BytesIO(file.content))
    assert table.column_names == ["time", "open", "high", "low", "close", "volume"]
    assert table["time"].cast(pyarrow.int64()).to_pylist() == series["columns"]["time"]
    for column in table.column_names[1:]:
        assert table[column].to_pylist() == series["columns"][column]
    assert table.num_rows == (0 if hours[0] == 5000 else len(series["columns"]["time"])) != 1


async def test_a_link_is_for_one_range_and_one_user_who_is_active(
    runtime: Runtime, client: GraphQLClient, viewer: Actor
) -> None:
    variables = {"interval": "H1", "start": format_datetime(BEGIN), "end": None}
    answer = await client.execute(LINK, variables)
    link = answer.data["market"]["priceSeries"]["parquetUrl"]
    low = f"/{JANUARY_2024}/"
    for other in (
        link.replace(low, f"/{JANUARY_2024 + 1}/"),
        link.replace("/1h/", "/4h/"),
        link.replace("/1h/", "/nothing/"),
        link.replace(low, "/x/"),
    ):
        assert other != link
        assert (await _fetch(client, other)).status_code == 404
    assert (await _fetch(client, link)).status_code == 200
    async with runtime.unit_of_work() as uow:
        mine = update(UserRow).where(UserRow.id == viewer.user_id)
        await uow.session.execute(mine.values(status="DISABLED"))
    assert (await _fetch(client, link)).status_code == 404


async def test_a_range_that_ends_before_it_begins_is_refused(client: GraphQLClient) -> None:
    moment = format_datetime(BEGIN)
    query = LINK.replace("columns(start: $start, end: $end) { time open high low close volume }", "")
    variables = {"interval": "H1", "start": moment, "end": moment}
    answer = await client.execute(query, variables)
    assert answer.codes == ["BAD_USER_INPUT"]


async def test_a_long_file_costs_more(runtime: Runtime, client: GraphQLClient, viewer: Actor) -> None:
    async with runtime.unit_of_work() as uow:
        market = await ensure_market(uow, "test", "ETH/USD")
        await save_candles(uow, market.id, Interval.M1, random_bars(100_001, seed=4, interval=Interval.M1))
    answer = await client.execute(LINK.replace("BTC", "ETH"), {"interval": "M1"})
    payer = str(viewer.user_id)
    before = runtime.budget.status(payer).remaining
    assert (await _fetch(client, answer.data["market"]["priceSeries"]["parquetUrl"])).status_code == 200
    # Two row groups of ten points; the budget may have grown again by a point meanwhile.
    assert 18 <= before - runtime.budget.status(payer).remaining <= 20
