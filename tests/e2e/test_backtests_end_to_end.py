"""The main job as people do it: one command, candles, a backtest, its live result; then things are killed."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gql_trader.core.intervals import Interval
from gql_trader.gql.relay import parse_id
from tests.e2e.browsing import browse, reason_not_to
from tests.e2e.launched import Launched
from tests.factories.candles import random_bars
from tests.graphql_client import GraphQLSocket, NetworkTransport

_ROOT = Path(__file__).parents[2]
_REAL = _ROOT.parent / "shared" / "data" / "coinbase-BTCUSD-1h.csv"
_TAKEOVER_SECONDS = 15.0

RUN = """
mutation($input: RunBacktestInput!) {
  runBacktest(input: $input) { backtest { id status bars } cached errors { code message path } }
}
"""
FOLLOW = """
subscription($id: ID!, $after: String) {
  backtestProgress(id: $id, after: $after) {
    cursor status progress
    backtest { metrics { totalReturn sharpeRatio maxDrawdown trades finalEquity } error }
  }
}
"""
SLUG = "query($slug: String!) { strategy(slug: $slug) { id } }"


@pytest.fixture(scope="module")
def server() -> Iterator[Launched]:
    """The README's command, with two workers."""
    directory = Path(tempfile.mkdtemp(prefix="gql-trader-e2e-"))
    launched = Launched(directory / "data", ("--workers", "2")).start()
    yield launched
    assert launched.stop() == 0, launched.text
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def token(server: Launched) -> str:
    """An access token of the demo user."""
    return server.log_in()


def _import(server: Launched, file: Path, market: str, exchange: str, interval: str) -> str:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "gql_trader", "candles", "import", str(file)),
            *("--market", market, "--exchange", exchange, "--interval", interval),
            *("--data-dir", str(server.data_dir)),
        ],
        capture_output=True,
        text=True,
        cwd=_ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _request(server: Launched, token: str, slug: str, **changes: Any) -> str:
    strategy = server.graphql(SLUG, token, slug=slug)["strategy"]["id"]
    given = {"strategyId": strategy, "force": True} | changes
    payload = server.graphql(RUN, token, input=given)["runBacktest"]
    assert payload["errors"] == []
    return str(payload["backtest"]["id"])


async def _follow(
    server: Launched, token: str, identifier: str, seen: Callable[[dict[str, Any]], None] = lambda event: None
) -> list[dict[str, Any]]:
    address = server.url.replace("http", "ws") + "/graphql"
    events = []
    async with GraphQLSocket(NetworkTransport(address), {"authorization": f"Bearer {token}"}) as socket:
        async for result in socket.results(FOLLOW, {"id": identifier}):
            assert "errors" not in result, result
            event = result["data"]["backtestProgress"]
            events.append(event)
            seen(event)
    return events


def test_a_link_in_a_mail_begins_with_the_address_that_was_found(server: Launched, token: str) -> None:
    assert token
    ask = """mutation { requestPasswordReset(input: {email: "demo@example.com"}) { errors { code } } }"""
    assert server.graphql(ask)["requestPasswordReset"]["errors"] == []
    link, shown = f"{server.url}/reset-password#token=gqlp_", ""
    deadline = time.monotonic() + 60
    while link not in shown:
        assert time.monotonic() < deadline, shown
        time.sleep(0.1)
        # Without a mail server, workers show mails in their logs.
        logs = [server.data_dir / "logs" / f"worker-{number}.log" for number in (1, 2)]
        shown = "".join(log.read_text() for log in logs if log.exists())


@pytest.mark.skipif(not _REAL.exists(), reason="needs the real candles in ../shared/data")
def test_real_candles_from_file_to_live_result(server: Launched, token: str) -> None:
    assert "20111 added" in _import(server, _REAL, "BTC/USD", "coinbase", "H1")
    query = (
        "query($symbol: String!) { market(symbol: $symbol) { exchange priceSeries(interval: H1) { count } } }"
    )
    found = server.graphql(query, token, symbol="BTC/USD")["market"]
    assert found == {"exchange": "coinbase", "priceSeries": {"count": 20111}}
    identifier = _request(
        server,
        token,
        "golden-cross",
        market="coinbase:BTC/USD",
        interval="H1",
        execution={"takerFee": 0.001},
    )
    events = asyncio.run(_follow(server, token, identifier))
    assert events[-1]["status"] == "COMPLETED"
    metrics = events[-1]["backtest"]["metrics"]
    again = _request(server, token, "golden-cross", market="BTC/USD", interval="H1")
    follow_up = asyncio.run(_follow(server, token, again))[-1]["backtest"]["metrics"]
    assert follow_up == metrics
    assert metrics["trades"] > 50
    listed = server.graphql(
        'query { backtests(where: {asset: ["BTC"], market: ["coinbase:BTC/USD"], trades: {gt: 50}},'
        " orderBy: [{field: MAX_DRAWDOWN, direction: ASC}]) { nodes { id ledger(first: 20) { totalCount"
        " nodes { number side entryTime exitReason } } } } }",
        token,
    )["backtests"]["nodes"]
    assert {each["id"] for each in listed} == {identifier, again}
    assert all(each["ledger"]["totalCount"] == metrics["trades"] for each in listed)
    assert all(len(each["ledger"]["nodes"]) == 20 for each in listed)


@pytest.fixture(scope="module")
def long_run(server: Launched, token: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An input of runBacktest that takes a worker several seconds."""
    bars = random_bars(400_000, Interval.M1, seed=11)
    file = tmp_path_factory.mktemp("candles") / "long.csv"
    lines = [
        f"{time},{open_!r},{high!r},{low!r},{close!r},{volume!r}"
        for time, open_, high, low, close, volume in zip(
            *(getattr(bars, name).tolist() for name in ("time", "open", "high", "low", "close", "volume")),
            strict=True,
        )
    ]
    file.write_text("time,open,high,low,close,volume\n" + "\n".join(lines) + "\n")
    _import(server, file, "LONG/USD", "test", "M1")
    terms = " + ".join(f"ht_dcperiod(close * {number})" for number in range(1, 25))
    created = server.graphql(
        "mutation($input: CreateStrategyInput!)"
        " { createStrategy(input: $input) { strategy { id } errors { message } } }",
        token,
        input={
            "name": "Slow",
            "rules": {"entryLong": f"{terms} > 400 and close > open", "exitLong": "close < open"},
        },
    )["createStrategy"]
    assert created["errors"] == []
    return {"strategyId": created["strategy"]["id"], "market": "LONG/USD", "interval": "M1"}


def _worker_of(server: Launched, identifier: str) -> psutil.Process:
    """Return the process that has said that it started a backtest."""
    _, key = parse_id(identifier)
    for log in (server.data_dir / "logs").glob("worker-*.log"):
        for line in log.read_text().splitlines():
            entry = json.loads(line)
            if entry["event"] == "backtest_started" and entry["backtest_id"] == str(key):
                return psutil.Process(entry["pid"])
    raise AssertionError(f"no worker has started {identifier}")


def test_progress_of_a_long_run_comes_often_but_not_too_often(
    server: Launched, token: str, long_run: dict[str, Any]
) -> None:
    identifier = _request(server, token, "golden-cross", **long_run)
    times: list[float] = []
    events = asyncio.run(_follow(server, token, identifier, lambda event: times.append(time.monotonic())))
    assert events[-1]["status"] == "COMPLETED"
    assert times[-1] - times[0] > 0.2
    assert len(events) >= 10
    told = [event["progress"] for event in events]
    assert told == sorted(told)


def test_a_worker_killed_in_the_middle_is_replaced_and_the_run_completes_once(
    server: Launched, token: str, long_run: dict[str, Any]
) -> None:
    identifier = _request(server, token, "golden-cross", **long_run)
    killed: list[float] = []

    def kill_when_running(event: dict[str, Any]) -> None:
        if event["status"] == "RUNNING" and event["progress"] > 0.05 and not killed:
            _worker_of(server, identifier).kill()
            killed.append(time.monotonic())

    events = asyncio.run(_follow(server, token, identifier, kill_when_running))
    assert killed, "the run was over before it could be interrupted"
    assert [event["status"] for event in events].count("COMPLETED") == 1
    assert events[-1]["status"] == "COMPLETED"
    told = [event["progress"] for event in events]
    assert told != sorted(told), "it was not begun again"
    assert time.monotonic() - killed[0] < _TAKEOVER_SECONDS
    alone = _request(server, token, "golden-cross", **long_run)
    undisturbed = asyncio.run(_follow(server, token, alone))
    assert events[-1]["backtest"]["metrics"] == undisturbed[-1]["backtest"]["metrics"]


SEARCH = """
mutation($input: RunOptimizationInput!) {
  runOptimization(input: $input) { optimization { id } errors { code message path } }
}
"""
FOUND = """
query($id: ID!) { optimization(id: $id) {
  status trialsDone error best { number objective } trials(first: 100) { nodes { number objective } }
} }
"""


def _chunk_log(server: Launched, key: str) -> list[dict[str, Any]]:
    """Return what the workers have said about the chunks of a search, those before a kill included."""
    return [
        entry
        for log in (server.data_dir / "logs").glob("worker-*.log")
        for entry in map(json.loads, log.read_text().splitlines())
        if entry.get("optimization_id") == key
    ]


def _kill_in_the_middle_of_a_part(server: Launched, key: str) -> None:
    deadline = time.monotonic() + 30
    seen: set[int] = set()
    while time.monotonic() < deadline:
        for entry in _chunk_log(server, key):
            if entry["event"] != "chunk_started" or entry["chunk"] in seen:
                continue
            seen.add(entry["chunk"])
            worker = psutil.Process(entry["pid"])
            # Stopped, it cannot finish while we look whether it has.
            worker.suspend()
            ended = {each["chunk"] for each in _chunk_log(server, key) if each["event"] == "chunk_completed"}
            if entry["chunk"] not in ended:
                worker.kill()
                return
            worker.resume()
    raise AssertionError("no worker could be stopped in the middle of a part")


def test_a_worker_killed_in_the_middle_of_a_search_loses_only_its_part(
    server: Launched, token: str, long_run: dict[str, Any]
) -> None:
    strategy = server.graphql(SLUG, token, slug="golden-cross")["strategy"]["id"]
    ranges = [
        {"name": "fast", "min": 10, "max": 49},
        {"name": "execution.stopLoss", "values": [False, 0.01, 0.02, 0.05]},
    ]
    given = long_run | {"strategyId": strategy, "ranges": ranges, "force": True}

    def search() -> tuple[str, str]:
        payload = server.graphql(SEARCH, token, input=given)["runOptimization"]
        assert payload["errors"] == []
        identifier = payload["optimization"]["id"]
        return identifier, str(parse_id(identifier)[1])

    def end_of(identifier: str) -> dict[str, Any]:
        async def follow() -> dict[str, Any]:
            address = server.url.replace("http", "ws") + "/graphql"
            query = "subscription($id: ID!) { optimizationProgress(id: $id) { status } }"
            async with GraphQLSocket(
                NetworkTransport(address), {"authorization": f"Bearer {token}"}
            ) as socket:
                events = [result async for result in socket.results(query, {"id": identifier})]
            return events[-1]["data"]["optimizationProgress"]  # type: ignore[no-any-return]

        assert asyncio.run(follow()) == {"status": "COMPLETED"}
        return server.graphql(FOUND, token, id=identifier)["optimization"]  # type: ignore[no-any-return]

    identifier, key = search()
    _kill_in_the_middle_of_a_part(server, key)
    found = end_of(identifier)
    entries = _chunk_log(server, key)
    done = [each["chunk"] for each in entries if each["event"] == "chunk_completed"]
    begun = [each["chunk"] for each in entries if each["event"] == "chunk_started"]
    assert len(done) == len(set(done)), "a part was done twice"
    assert sorted(set(begun)) == sorted(done)
    assert len(begun) == len(done) + 1, "only the killed worker's part was begun again"
    assert found["trialsDone"] == 160
    undisturbed = end_of(search()[0])
    assert found == undisturbed


@pytest.mark.skipif(reason_not_to() is not None, reason=str(reason_not_to()))
def test_the_page_and_graphiql_in_a_browser_that_reaches_no_other_host(server: Launched) -> None:
    assert browse(server) == [
        "ok: signing in, not with a wrong password",
        "ok: a mistake is told beside its field",
        "ok: a backtest runs",
        "ok: its chart is drawn",
        "ok: its ledger is a file, and its report a page that runs nothing",
        "ok: more of a list keeps the focus and the place",
        "ok: two backtests are compared",
        "ok: what cannot be undone is asked for first",
        "ok: the editor shows a mistake at its place",
        "ok: a search has a heat map",
        "ok: a bot starts on a replay, and a trade arrives live",
        "ok: what a cut connection missed comes after it",
        "ok: real money takes a key, a code and a word about what is amiss",
        "ok: a server that cannot be reached is told, and when it is back",
        "ok: events that have ended for good are told of until the view is left",
        "ok: its days are a calendar of colours",
        "ok: days and curve begin at midnight where the user is",
        "ok: the content can be skipped to, and nothing moves",
        "ok: every view fits a phone",
        "ok: an administrator signs in with a second factor and lets somebody in",
        "ok: GraphiQL runs a query, a mutation and a subscription",
    ]


def test_redis_gone_for_five_seconds_loses_nothing(server: Launched, token: str) -> None:
    valkey = next(
        each
        for each in psutil.Process(server.process.pid).children()
        if each.cmdline() and "valkey" in Path(each.cmdline()[0]).name
    )

    async def run() -> list[dict[str, Any]]:
        first = _request(server, token, "golden-cross", market="demo:BTC/USD", interval="H1")
        valkey.send_signal(signal.SIGSTOP)
        try:
            stopped = time.monotonic()
            # Accepted without Redis: the row is committed, and swept up later.
            second = await asyncio.to_thread(
                _request, server, token, "ema-cross", market="demo:BTC/USD", interval="H1"
            )
            following = asyncio.create_task(_follow(server, token, second))
            await asyncio.sleep(max(0.0, stopped + 5.0 - time.monotonic()))
        finally:
            valkey.send_signal(signal.SIGCONT)
        async with asyncio.timeout(30):
            return [(await _follow(server, token, first))[-1], (await following)[-1]]

    ends = asyncio.run(run())
    assert [end["status"] for end in ends] == ["COMPLETED", "COMPLETED"], json.dumps(ends)
