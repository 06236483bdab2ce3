"""Files of a backtest over signed links: the API's own numbers, for nobody without a good link."""

import base64
import csv
import hmac
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID

import httpx
import pyarrow.parquet
import pytest
from sqlalchemy import update
from starlette.applications import Starlette

from gql_trader.accounts.models import UserRow
from gql_trader.app import create_app
from gql_trader.backtests.jobs import run_backtest
from gql_trader.config import Settings
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.ids import UserId, uuid7
from gql_trader.gql.relay import encode_id
from gql_trader.gql.scalars import format_datetime
from gql_trader.infra.signed_links import SignedLinks
from gql_trader.runtime import open_runtime
from tests.factories.actors import make_access_token
from tests.factories.backtests import Desk, make_desk
from tests.factories.clock import MovableClock
from tests.factories.statements import counted_statements
from tests.graphql_client import GraphQLClient, graphql_client

ADDRESS = "https://trader.example.com"
FORMULA = '=HYPERLINK("https://evil.example")'
LINKS = "query($id: ID!) { backtest(id: $id) { dailyCsvUrl ledgerCsvUrl equityParquetUrl reportUrl } }"
RESULTS = """
query($id: ID!, $after: String) {
  backtest(id: $id) {
    daily { time equity return }
    equity { time equity drawdown }
    ledger(first: 100, after: $after) {
      pageInfo { hasNextPage endCursor }
      nodes {
        number side quantity entryTime entryPrice exitTime exitPrice profit profitFraction fees funding bars
        exitReason maxFavorable maxAdverse equityAfter
      }
    }
  }
}
"""
DELETE = "mutation($id: ID!) { deleteBacktest(input: {id: $id}) { deletedId errors { code } } }"


@dataclass
class Office:
    """A trader with a completed backtest, behind an application whose clock can be moved."""

    desk: Desk
    app: Starlette
    client: GraphQLClient
    clock: MovableClock
    key: UUID

    @property
    def id(self) -> str:
        """The backtest."""
        return encode_id("Backtest", self.key)

    async def links(self) -> dict[str, str]:
        """Return the links to the files."""
        return (await self.client.execute(LINKS, {"id": self.id})).data["backtest"]  # type: ignore[no-any-return]

    async def fetch(self, link: str) -> httpx.Response:
        """Follow a link without any credentials."""
        parts = urlsplit(link)
        return await self.client.http.get(f"{parts.path}?{parts.query}")

    async def with_segments(self, count: int) -> None:
        """Give the backtest a ledger of so many full segments."""
        await self.desk.fill_ledger(self.key, count)


@pytest.fixture
async def office(settings: Settings) -> AsyncIterator[Office]:
    clock = MovableClock()
    chosen = settings.model_copy(update={"public_url": ADDRESS})
    async with open_runtime(chosen, clock) as runtime:
        desk = await make_desk(runtime)
        row, _ = await desk.submit(label=FORMULA)
        app = create_app(chosen, runtime)
        async with graphql_client(app) as client:
            signed_in = client.signed_in(await make_access_token(runtime, desk.trader))
            office = Office(desk, app, signed_in, clock, row.id)
            # Not before it has completed.
            assert set((await office.links()).values()) == {None}
            await run_backtest({"runtime": runtime}, str(row.id))
            yield office


def _table(answer: httpx.Response) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def _changed(link: str, **changes: str) -> str:
    parts = urlsplit(link)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changes
    return f"{parts.path}?{urlencode(query)}"


async def test_the_files_say_what_the_api_says(office: Office) -> None:
    trades: list[dict[str, Any]] = []
    after = None
    while True:
        answer = await office.client.execute(RESULTS, {"id": office.id, "after": after})
        backtest = answer.data["backtest"]
        trades += backtest["ledger"]["nodes"]
        if not backtest["ledger"]["pageInfo"]["hasNextPage"]:
            break
        after = backtest["ledger"]["pageInfo"]["endCursor"]
    links = await office.links()
    ledger = _table(await office.fetch(links["ledgerCsvUrl"]))
    assert len(ledger) == len(trades) > 20
    for row, trade in zip(ledger, trades, strict=True):
        assert set(row) == set(trade)
        for name, value in trade.items():
            # Text, decimals and times to the letter; numbers to the bit.
            assert (row[name] if isinstance(value, str) else type(value)(row[name])) == value, name

    daily = _table(await office.fetch(links["dailyCsvUrl"]))
    columns = backtest["daily"]
    assert [row["time"] for row in daily] == [format_datetime(from_milliseconds(t)) for t in columns["time"]]
    for name in ("equity", "return"):
        assert [float(row[name]) for row in daily] == columns[name]

    curve = pyarrow.parquet.read_table(io.BytesIO((await office.fetch(links["equityParquetUrl"])).content))
    assert curve.column_names == ["time", "equity", "drawdown"]
    assert curve["time"].cast(pyarrow.int64()).to_pylist() == backtest["equity"]["time"]
    for name in ("equity", "drawdown"):
        assert curve[name].to_pylist() == backtest["equity"][name]


@pytest.mark.parametrize(
    ("field", "file", "kind"),
    [
        ("dailyCsvUrl", "daily.csv", "text/csv; charset=utf-8"),
        ("ledgerCsvUrl", "ledger.csv", "text/csv; charset=utf-8"),
        ("equityParquetUrl", "equity.parquet", "application/vnd.apache.parquet"),
    ],
)
async def test_a_file_is_saved_under_its_name_and_kept_by_nobody_on_the_way(
    office: Office, field: str, file: str, kind: str
) -> None:
    link = (await office.links())[field]
    assert link.startswith(f"{ADDRESS}/exports/backtests/{office.key}/{file}?")
    answer = await office.fetch(link)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == kind
    name = f"backtest-{office.key}-{file}"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    # A label that is a formula is neither in the file nor in its name.
    assert b"HYPERLINK" not in answer.content
    assert "HYPERLINK" not in str(answer.headers)
    parts = urlsplit(link)
    head = await office.client.http.head(f"{parts.path}?{parts.query}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-disposition"] == answer.headers["content-disposition"]


async def test_a_link_that_was_changed_is_as_unknown_as_one_that_never_was(office: Office) -> None:
    link = (await office.links())["ledgerCsvUrl"]
    path, _, query = link.removeprefix(ADDRESS).partition("?")
    given = {name: values[0] for name, values in parse_qs(query).items()}
    other, _ = await office.desk.submit(parameters={"fast": 5})
    await run_backtest({"runtime": office.desk.runtime}, str(other.id))
    stranger = UserId(uuid7())
    elsewhere = SignedLinks("the secret of another server, as long as ours", 10, office.clock)
    bad = [
        path,
        f"{path}?{urlencode({'user': given['user'], 'expires': given['expires']})}",
        _changed(link, expires=str(int(given["expires"]) + 1)),
        _changed(link, expires="never"),
        _changed(link, expires="9" * 12),
        _changed(link, expires="９" * 10),
        _changed(link, user=str(stranger)),
        _changed(link, user="nobody"),
        _changed(link, signature=""),
        _changed(link, signature=given["signature"][:-2]),
        _changed(link, signature="é"),
        _changed(link, signature=given["signature"].swapcase()),
        f"{path}?{elsewhere.sign(path, office.desk.trader.user_id)}",
        # Of another kind, another backtest, another user who has a good link of their own.
        f"{path.replace('ledger', 'daily')}?{query}",
        f"{path.replace('ledger', 'trades')}?{query}",
        f"{path.replace(str(office.key), str(other.id))}?{query}",
        f"{path.replace(str(office.key), 'x')}?{query}",
        f"{path}?{office.desk.runtime.links.sign(path, stranger)}",
    ]
    answers = {(answer.status_code, answer.text) for answer in [await office.fetch(each) for each in bad]}
    assert answers == {(404, '{"error":"There is no such file, or the link has expired."}')}
    assert (await office.fetch(link)).status_code == 200


async def test_nothing_is_read_for_a_link_that_is_not_signed(office: Office) -> None:
    link = (await office.links())["ledgerCsvUrl"]
    with counted_statements(office.desk.engine) as statements:
        assert (await office.fetch(_changed(link, signature="A" * 43))).status_code == 404
    assert statements == []


async def test_a_link_expires(office: Office) -> None:
    link = (await office.links())["dailyCsvUrl"]
    office.clock.move(minutes=9)
    assert (await office.fetch(link)).status_code == 200
    office.clock.move(minutes=1)
    assert (await office.fetch(link)).status_code == 404
    assert (await office.fetch((await office.links())["dailyCsvUrl"])).status_code == 200


async def test_a_link_ends_with_its_backtest(office: Office) -> None:
    links = await office.links()
    deleted = (await office.client.execute(DELETE, {"id": office.id})).data["deleteBacktest"]
    assert deleted == {"deletedId": office.id, "errors": []}
    for link in links.values():
        assert (await office.fetch(link)).status_code == 404


async def test_a_link_is_worth_nothing_once_its_user_is_disabled(office: Office) -> None:
    links = await office.links()
    async with office.desk.runtime.unit_of_work() as uow:
        mine = update(UserRow).where(UserRow.id == office.desk.trader.user_id)
        await uow.session.execute(mine.values(status="DISABLED"))
    for link in links.values():
        assert (await office.fetch(link)).status_code == 404


async def test_a_download_is_paid_for_with_points(office: Office) -> None:
    await office.with_segments(3)
    link = (await office.links())["ledgerCsvUrl"]
    budget, payer = office.desk.runtime.budget, str(office.desk.trader.user_id)
    await budget.spend(payer, budget.status(payer).remaining - 29)
    refused = await office.fetch(link)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    office.clock.move(minutes=1)
    assert (await office.fetch(link)).status_code == 200


async def _pieces(office: Office, link: str, note: Any) -> list[bytes]:
    """Follow a link at the application itself; call `note` while each piece is under way."""
    pieces: list[bytes] = []
    parts = urlsplit(link)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and message["body"]:
            pieces.append(message["body"])
            await note(len(pieces))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
    }
    await office.app(scope, receive, send)
    return pieces


async def test_a_long_ledger_is_read_and_sent_in_pieces(office: Office) -> None:
    await office.with_segments(20)
    link = (await office.links())["ledgerCsvUrl"]
    read: list[int] = []
    open_connections: list[int] = []

    with counted_statements(office.desk.engine) as statements:

        async def note(_sent: int) -> None:
            read.append(sum("backtest_ledger_segments" in each for each in statements))
            open_connections.append(office.desk.engine.pool.checkedout())  # type: ignore[attr-defined]

        pieces = await _pieces(office, link, note)
    # The names, then each segment, which is read when the one before it is gone.
    assert read == list(range(21))
    assert open_connections == [0] * 21
    lines = b"".join(pieces).splitlines()
    assert [line.partition(b",")[0] for line in lines[1:]] == [b"%d" % n for n in range(1, 20_001)]
    assert max(map(len, pieces)) < sum(map(len, pieces)) / 15


async def test_a_file_whose_backtest_is_deleted_meanwhile_does_not_end_well(office: Office) -> None:
    await office.with_segments(3)
    link = (await office.links())["ledgerCsvUrl"]
    sent: list[int] = []

    async def note(number: int) -> None:
        sent.append(number)
        if number == 2:
            await office.client.execute(DELETE, {"id": office.id})

    with pytest.raises(Exception, match="segment 1 of the ledger"):
        await _pieces(office, link, note)
    assert sent == [1, 2]


def test_links_are_not_signed_with_the_key_of_access_tokens() -> None:
    # The same message under the secret itself has another signature.
    secret = "a secret of the tests, long enough to sign"
    clock = MovableClock()
    links = SignedLinks(secret, 10, clock)
    user = UserId(uuid7())
    query = {name: values[0] for name, values in parse_qs(links.sign("/a", user)).items()}
    assert links.verify("/a", query) == user
    assert links.verify("/b", query) is None
    message = f"/a\n{user}\n{query['expires']}".encode()
    plain = base64.urlsafe_b64encode(hmac.digest(secret.encode(), message, "sha256")).decode().rstrip("=")
    assert links.verify("/a", query | {"signature": plain}) is None
