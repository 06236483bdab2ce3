"""Trades as CSV over signed links: the API's own numbers, read in pages."""

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select, update

from gql_trader.accounts.models import UserRow
from gql_trader.app import create_app
from gql_trader.bots import schema_exports
from gql_trader.bots.models import TradeRow
from gql_trader.gql.relay import encode_id
from tests.factories.actors import make_access_token, make_actor
from tests.factories.bots import BotDesk
from tests.factories.statements import counted_statements
from tests.graphql_client import GraphQLClient, graphql_client

LINKS = """
query($bot: ID!, $session: ID!) {
  all: tradesCsvUrl
  bot(id: $bot) { tradesCsvUrl }
  tradingSession(id: $session) { tradesCsvUrl }
}
"""
TRADES = """
query($session: ID!) {
  tradingSession(id: $session) {
    trades(last: 100) {
      nodes {
        number side quantity entryTime entryPrice exitTime exitPrice profit profitFraction fees funding bars
        exitReason maxFavorable maxAdverse equityAfter status
      }
    }
  }
}
"""


@dataclass
class Office:
    """A trader with a bot that has traded twice, and another one that has once."""

    bots: BotDesk
    client: GraphQLClient
    bot: UUID
    sessions: list[UUID]
    other: UUID

    async def links(self) -> dict[str, str]:
        """Return the links to the trades of everything, of the bot and of its first session."""
        variables = {
            "bot": encode_id("Bot", self.bot),
            "session": encode_id("TradingSession", self.sessions[0]),
        }
        data = (await self.client.execute(LINKS, variables)).data
        return {
            "all": data["all"],
            "bot": data["bot"]["tradesCsvUrl"],
            "session": data["tradingSession"]["tradesCsvUrl"],
        }

    async def fetch(self, link: str) -> httpx.Response:
        """Follow a link without any credentials."""
        parts = urlsplit(link)
        return await self.client.http.get(f"{parts.path}?{parts.query}")

    async def table(self, link: str) -> list[dict[str, str]]:
        """Return the rows of a file."""
        answer = await self.fetch(link)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        return list(csv.DictReader(io.StringIO(answer.text, newline="")))

    async def told(self, session: UUID) -> list[dict[str, Any]]:
        """Return the trades of a session as the API tells them."""
        answer = await self.client.execute(TRADES, {"session": encode_id("TradingSession", session)})
        return answer.data["tradingSession"]["trades"]["nodes"]  # type: ignore[no-any-return]


@pytest.fixture
async def office(bots: BotDesk) -> AsyncIterator[Office]:
    bot, first = await bots.begin(name="=cmd|' /C calc'!A0")
    await bots.run(first)
    second = await bots.start(bot)
    await bots.run(second)
    _, other = await bots.begin(name="Other")
    await bots.run(other)
    runtime = bots.runtime
    async with graphql_client(create_app(runtime.settings, runtime)) as client:
        signed_in = client.signed_in(await make_access_token(runtime, bots.trader))
        yield Office(bots, signed_in, bot, [first, second], other)


async def test_the_files_say_what_the_api_says(office: Office) -> None:
    await _reopen_last_trade(office)
    links = await office.links()
    told = await office.told(office.sessions[0])
    rows = await office.table(links["session"])
    assert len(rows) == len(told) > 5
    for row, trade in zip(rows, told, strict=True):
        for name, value in trade.items():
            # Text, decimals and times to the letter; numbers to the bit; an empty cell for null.
            if value is None:
                assert row[name] == "", name
            else:
                assert (row[name] if isinstance(value, str) else type(value)(row[name])) == value, name
        assert row["session"] == encode_id("TradingSession", office.sessions[0])
        assert (row["exchange"], row["market"], row["mode"]) == ("test", "BTC/USD", "PAPER")
        # What would be a formula in a spreadsheet is text.
        assert row["bot"] == "'=cmd|' /C calc'!A0"
    held = rows[-1]
    assert [row["status"] for row in rows] == ["CLOSED"] * (len(rows) - 1) + ["OPEN"]
    assert {name for name in held if held[name] == ""} == {
        "exitTime",
        "exitPrice",
        "profit",
        "exitReason",
        "profitFraction",
        "equityAfter",
    }


async def _reopen_last_trade(office: Office) -> None:
    """Let the position of the last trade of the first session be held."""
    last = select(func.max(TradeRow.number)).where(TradeRow.session_id == office.sessions[0])
    reopened = update(TradeRow).where(
        TradeRow.session_id == office.sessions[0], TradeRow.number == last.scalar_subquery()
    )
    names = ("exit_time", "exit_price", "profit", "exit_reason", "profit_fraction", "equity_after")
    async with office.bots.runtime.unit_of_work() as uow:
        await uow.session.execute(
            reopened.values(dict.fromkeys(names)).execution_options(synchronize_session=False)
        )


async def test_a_file_has_what_it_is_for_and_no_more_however_it_is_read(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = await office.links()
    of = {name: [row["session"] for row in await office.table(link)] for name, link in links.items()}
    first, second, other = (encode_id("TradingSession", each) for each in (*office.sessions, office.other))
    assert set(of["session"]) == {first}
    assert list(dict.fromkeys(of["bot"])) == [first, second]
    assert list(dict.fromkeys(of["all"])) == [first, second, other]
    assert len(of["all"]) == 3 * len(of["session"])
    name = f"bot-{office.bot}-trades.csv"
    answer = await office.fetch(links["bot"])
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'

    # Read in pages of two it is the same file, without repeats or holes.
    whole = (await office.fetch(links["all"])).text
    monkeypatch.setattr(schema_exports, "_ROWS", 2)
    with counted_statements(office.bots.desk.engine) as statements:
        assert (await office.fetch(links["all"])).text == whole
    trades = len(whole.splitlines()) - 1
    pages = [each for each in statements if "ORDER BY trades.session_id, trades.number" in each]
    assert trades / 2 <= len(pages) <= trades / 2 + 2


async def test_a_link_that_was_changed_and_one_of_somebody_else_are_unknown(office: Office) -> None:
    links = await office.links()
    stranger = await make_actor(office.bots.runtime, "stranger")
    path = urlsplit(links["bot"]).path
    theirs = office.bots.runtime.links.sign(path, stranger.user_id)
    bad = [
        links["bot"].replace("/bots/", "/sessions/"),
        links["bot"].replace("/bots/", "/nothing/"),
        links["session"].replace(str(office.sessions[0]), str(office.sessions[1])),
        links["all"].replace("/users/", "/bots/"),
        # A link that we have signed for them, to what is not theirs.
        f"{path}?{theirs}",
    ]
    assert {(await office.fetch(each)).status_code for each in bad} == {404}
    async with office.bots.runtime.unit_of_work() as uow:
        mine = update(UserRow).where(UserRow.id == office.bots.trader.user_id)
        await uow.session.execute(mine.values(status="DISABLED"))
    assert {(await office.fetch(each)).status_code for each in links.values()} == {404}
