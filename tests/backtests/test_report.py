"""The report of a backtest: one page that needs nothing else and runs nothing."""

import base64
import hashlib
import html
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from gql_trader.app import create_app
from gql_trader.backtests import report, schema_exports
from gql_trader.backtests.jobs import run_backtest
from gql_trader.backtests.report_charts import SIDE, draw, nice_ticks
from gql_trader.core.clock import from_milliseconds
from gql_trader.gql.relay import encode_id, parse_id
from gql_trader.runtime import Runtime
from tests.chromium import chromium, find_chromium
from tests.contrast import Colour, contrast, mixed
from tests.factories.actors import make_access_token
from tests.factories.backtests import Desk, make_desk
from tests.factories.candles import JANUARY_2024
from tests.factories.statements import counted_statements
from tests.graphql_client import GraphQLClient, graphql_client

SCRIPT = '"><script>alert(1)</script>'
RESULTS = """
query($id: ID!) {
  backtest(id: $id) {
    reportUrl
    metrics { totalReturn trades finalEquity }
    monthlyReturns { year month return }
    ledger(first: 100) { nodes { number entryTime profit } }
  }
}
"""
HOUR = 3_600_000
DAY = 24 * HOUR


class _Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


@pytest.fixture
async def desk(runtime: Runtime) -> Desk:
    return await make_desk(runtime)


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[GraphQLClient]:
    async with graphql_client(create_app(desk.runtime.settings, desk.runtime)) as opened:
        yield opened.signed_in(await make_access_token(desk.runtime, desk.trader))


async def _run(desk: Desk, **changes: Any) -> str:
    row, _ = await desk.submit(force=True, **changes)
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    return encode_id("Backtest", row.id)


async def _report(client: GraphQLClient, backtest_id: str) -> httpx.Response:
    answer = await client.execute(RESULTS, {"id": backtest_id})
    parts = urlsplit(answer.data["backtest"]["reportUrl"])
    return await client.http.get(f"{parts.path}?{parts.query}")


def _number(text: str) -> float:
    return float(re.sub(r"[^\d.−+]", "", text).replace("−", "-"))


async def test_a_report_shows_the_figures_of_the_api(desk: Desk, client: GraphQLClient) -> None:
    backtest_id = await _run(desk, label="A label", tags=("calm",))
    told = (await client.execute(RESULTS, {"id": backtest_id})).data["backtest"]
    answer = await _report(client, backtest_id)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = _Page(answer.text)
    assert page.open == []
    assert "<h1>EMA cross on test:BTC/USD</h1>" in answer.text
    assert "A label" in answer.text
    assert "calm" in answer.text
    assert f"{float(told['metrics']['finalEquity']):,.2f}".replace(",", "\u202f") in answer.text

    # The heat map: a row for each year, a cell for each month, and the year itself.
    [heading, *years] = [row for row in page.rows if len(row) == 14]
    assert (heading[1], heading[-1]) == ("Jan", "Year")
    cells = {
        (int(row[0]), month): _number(row[month]) / 100
        for row in years
        for month in range(1, 13)
        if row[month]
    }
    months = {(each["year"], each["month"]): each["return"] for each in told["monthlyReturns"]}
    assert cells.keys() == months.keys()
    for key, value in months.items():
        assert cells[key] == pytest.approx(value, abs=0.00051)
    whole = np.prod([1 + _number(row[-1]) / 100 for row in years]) - 1
    assert whole == pytest.approx(told["metrics"]["totalReturn"], abs=0.002)

    trades = [row for row in page.rows if len(row) == 12][1:]
    ledger = told["ledger"]["nodes"]
    assert len(trades) == told["metrics"]["trades"] == len(ledger) > 20
    for row, trade in zip(trades, ledger, strict=True):
        assert int(row[0]) == trade["number"]
        assert row[2] == trade["entryTime"][:16].replace("T", " ")
        assert _number(row[7]) == pytest.approx(float(trade["profit"]), abs=0.0051)


@pytest.mark.parametrize(
    ("fraction", "shown", "change"),
    [
        (58.24342, "5\u202f824.34\u202f%", "+5\u202f824.34\u202f%"),
        (-0.0123, "\u22121.23\u202f%", "\u22121.23\u202f%"),
        (0.0, "0.00\u202f%", "+0.00\u202f%"),
    ],
)
def test_thousands_of_percent_are_set_apart_as_those_of_money_are(
    fraction: float, shown: str, change: str
) -> None:
    assert report._metric(fraction, "fraction", 2) == shown
    assert report._metric(fraction, "change", 2) == change


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_months_and_figures_can_be_read_in_either_light(theme: str) -> None:
    style = (Path(report.__file__).parent / "templates" / "report.html.j2").read_text()
    block = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[theme == "dark"]
    colours: dict[str, Colour] = {
        name: tuple(bytes.fromhex(digits)) for name, digits in re.findall(r"--([\w-]+): #(\w{6});", block)
    }
    pairs = {
        (name, below): colours[below]
        for name in ("ink", "quiet", "gain", "loss")
        for below in ("paper", "sheet")
    }
    shares = re.findall(
        r"\.months \.(\w+) \{ background: color-mix\(in srgb, var\(--([\w-]+)\) (\d+)%", style
    )
    assert len(shares) == 1 + 2 * (len(report._STRENGTHS) + 1)
    for name, colour, share in shares:
        pairs["ink", name] = mixed(colours[colour], colours["paper"], int(share) / 100)
    # Success criterion 1.4.3 of WCAG 2.2, level AA.
    found = {(name, below): contrast(colours[name], colour) for (name, below), colour in pairs.items()}
    assert {pair: value for pair, value in found.items() if value < 4.5} == {}


async def test_a_report_asks_for_nothing_and_runs_nothing(desk: Desk, client: GraphQLClient) -> None:
    answer = await _report(client, await _run(desk, label=SCRIPT, tags=(SCRIPT,)))
    page = _Page(answer.text)
    # What a user has written is text.
    assert html.escape(SCRIPT, quote=False) in answer.text.replace("&#34;", '"')
    names = {tag for tag, _ in page.tags}
    assert names.isdisjoint({"script", "iframe", "object", "embed", "form", "img", "base", "a"})
    for _, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            # Not even a style of its own, which the policy would have to let in.
            assert name != "style"
            assert name not in ("src", "href") or value == "data:,"
    assert re.search(r"https?://|url\(|@import", answer.text) is None
    [style] = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    [within] = [
        attributes["content"]
        for tag, attributes in page.tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    kept = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert within == kept
    assert answer.headers["content-security-policy"] == f"{kept}; frame-ancestors 'none'; sandbox"
    assert answer.headers["content-disposition"].startswith('inline; filename="backtest-')
    assert answer.headers["cache-control"] == "private, no-store"


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
async def test_a_browser_shows_a_saved_report_without_a_network(
    desk: Desk, client: GraphQLClient, tmp_path: Path
) -> None:
    answer = await _report(client, await _run(desk, label=SCRIPT))
    saved = tmp_path / "report.html"
    saved.write_bytes(answer.content)
    executable = find_chromium()
    assert executable is not None
    async with chromium(executable, tmp_path / "profile") as page:
        await page.open(saved.as_uri())
        await page.until("location.protocol === 'file:' && document.readyState === 'complete'")
        # Its style was let in, and its curves have a height.
        assert await page.evaluate("getComputedStyle(document.querySelector('.headline')).display") == "grid"
        assert await page.evaluate(
            "document.querySelector('.equity .line').getBoundingClientRect().height > 50"
        )
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert [each for each in page.requests if each not in (saved.as_uri(), "data:,")] == []
        assert page.problems == []


async def test_a_backtest_without_a_trade_has_a_report(desk: Desk, client: GraphQLClient) -> None:
    begin = from_milliseconds(JANUARY_2024)
    answer = await _report(client, await _run(desk, start=begin, end=begin + timedelta(hours=2)))
    assert answer.status_code == 200
    page = _Page(answer.text)
    assert "There was none." in answer.text
    assert [row for row in page.rows if len(row) == 12] == []


async def test_a_long_ledger_is_listed_in_part_which_the_report_says(
    desk: Desk, client: GraphQLClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert report.MOST_TRADES == 5000
    for module in (report, schema_exports):
        monkeypatch.setattr(module, "MOST_TRADES", 2000)
    backtest_id = await _run(desk)
    await desk.fill_ledger(parse_id(backtest_id)[1], 3)
    with counted_statements(desk.engine) as statements:
        answer = await _report(client, backtest_id)
    # One segment of the query for the link, then those of the report.
    assert sum("backtest_ledger_segments" in each for each in statements) == 1 + 2
    assert "The first 2\u202f000 of 3\u202f000;" in answer.text
    assert answer.text.count('<td class="word">Long</td>') == 2000


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 100.0, [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]),
        (9_650.0, 10_120.0, [9_600.0, 9_700.0, 9_800.0, 9_900.0, 10_000.0, 10_100.0, 10_200.0]),
        (-0.31, 0.0, [-0.4, -0.3, -0.2, -0.1, 0.0]),
        (5.0, 5.0, [5.0, 5.02]),
        (0.0, 0.0, [0.0, 0.2]),
    ],
)
def test_ticks_are_round_and_enclose_the_values(low: float, high: float, expected: list[float]) -> None:
    assert nice_ticks(low, high, 5) == pytest.approx(expected)


def _written(value: float, places: int) -> str:
    return f"{value:.{places}f}"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (80.0, 120.0, ["80", "90", "100", "110", "120"]),
        (0.98, 1.02, ["0.98", "0.99", "1.00", "1.01", "1.02"]),
        (9_999.0, 10_001.5, ["9999.0", "9999.5", "10000.0", "10000.5", "10001.0", "10001.5"]),
    ],
)
def test_labels_have_the_places_in_which_they_differ(low: float, high: float, expected: list[str]) -> None:
    chart = draw(np.array([0, DAY], np.int64), np.array([low, high]), low, _written)
    assert [label.text for label in chart.rows] == expected


def test_a_curve_is_drawn_between_its_axes() -> None:
    time = np.array([0, 5, 10], np.int64) * DAY
    chart = draw(time, np.array([100.0, 50.0, 75.0]), 100.0, _written)
    # From the highest label, 100, to the lowest, 50.
    assert chart.line == f"M0.0 0.0L500.0 {SIDE}L1000.0 500.0"
    assert chart.area == f"{chart.line}L1000.0 0.0L0.0 0.0Z"
    assert chart.base == 0.0
    assert (chart.rows[0].at, chart.rows[-1].at) == (100.0, 0.0)
    assert [(label.at, label.text) for label in chart.columns] == [
        (20.0 * at, f"1970-01-{1 + 2 * at:02}") for at in range(6)
    ]


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (5 * HOUR, ["1970-01-01 00:00", "1970-01-01 05:00"]),
        (3 * DAY, ["1970-01-01 00:00", "1970-01-04 00:00"]),
        (30 * DAY, ["1970-01-01", "1970-01-31"]),
        (300 * DAY, ["1970-01", "1970-09"]),
        (20 * 365 * DAY, ["1970-01", "1985-01"]),
        (0, ["1970-01-01 00:00", "1970-01-01 00:00"]),
    ],
)
def test_times_are_labelled_at_round_moments(span: int, expected: list[str]) -> None:
    time = np.array([0, span], np.int64)
    labels = draw(time, np.array([1.0, 2.0]), 1.0, _written).columns
    assert [labels[0].text, labels[-1].text] == expected
    assert len(labels) <= 8
    assert all(0 <= label.at <= 100 for label in labels)
