"""Strategies in Python: found by their entry points, run like others, and never the end of the server."""

import importlib
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gql_trader.app import create_app
from gql_trader.backtests.charts import plot_job, read_plot
from gql_trader.backtests.jobs import run_backtest, verify_backtest
from gql_trader.backtests.jobs_charts import check_lookahead, draw_plot
from gql_trader.cli import doctor
from gql_trader.config import Settings
from gql_trader.engine import simulation
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.plugins import Plugin, PluginRegistry
from gql_trader.gql.relay import parse_id
from gql_trader.plugins import load_plugins
from gql_trader.runtime import Runtime, open_runtime
from gql_trader.strategies import service as strategies
from tests.factories.actors import make_access_token
from tests.factories.backtests import BARS, Desk, make_desk
from tests.factories.candles import random_bars
from tests.graphql_client import GraphQLClient, graphql_client

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin_strategy"

PROPHET = """
import numpy as np
from gql_trader.engine.plugins import Parameter, ParameterType, Plugin, Signals

def signals(bars, values):
    found = Signals.none(len(bars))
    found.entry_long[:-1] = bars.close[1:] > bars.close[:-1] * 1.002
    found.exit_long[:] = ~found.entry_long
    return found

def fail(bars, values):
    raise ZeroDivisionError("by nothing")

PLUGIN = Plugin("tests:prophet", "Prophet", "1", signals, parameters=(Parameter("x", ParameterType.INT, 1),))
FAILING = Plugin("tests:failing", "Failing", "1", fail)
SAME = Plugin("tests:prophet", "Prophet again", "2", signals)
STOLEN = Plugin("builtin:golden_cross", "Stolen", "1", signals)
NUMBER = 42
"""


class Site:
    """A directory of installed packages, as an installer leaves it."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._directory = directory
        self._monkeypatch = monkeypatch
        directory.mkdir()
        self.add_path(directory)

    def add_path(self, path: Path) -> None:
        self._monkeypatch.syspath_prepend(str(path))

    def install(self, name: str, entry_points: dict[str, str], modules: dict[str, str] | None = None) -> None:
        """Write modules and the metadata of a distribution with entry points."""
        for module, text in (modules or {}).items():
            (self._directory / f"{module}.py").write_text(text)
        metadata = self._directory / f"{name.replace('-', '_')}-1.0.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0.0\n")
        lines = [f"{key} = {value}" for key, value in entry_points.items()]
        (metadata / "entry_points.txt").write_text("\n".join(["[gql_trader.strategies]", *lines, ""]))
        importlib.invalidate_caches()

    def install_example(self) -> None:
        """Install examples/plugin_strategy as its pyproject.toml says."""
        project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
        self.add_path(EXAMPLE / "src")
        self.install(project["name"], project["entry-points"]["gql_trader.strategies"])


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site of this test's own; what it has imported is forgotten afterwards."""
    before = set(sys.modules)
    yield Site(tmp_path / "site", monkeypatch)
    for name in set(sys.modules) - before:
        if name.startswith(("example_strategies", "tests_prophet")):
            del sys.modules[name]


class Bench:
    """A server with the plugins of a site, a trader's client, and what a worker does."""

    def __init__(self, desk: Desk, client: GraphQLClient) -> None:
        self.desk = desk
        self.client = client

    async def create(self, code_ref: str, **fields: Any) -> dict[str, Any]:
        """Make a strategy of the trader's own."""
        document = """mutation($input: CreateStrategyInput!) { createStrategy(input: $input) {
            strategy { id codeRef codeVersion builtin rules { entryLong } defaultParameters version }
            errors { code path message }
        } }"""
        given = {"name": "Mine", "codeRef": code_ref} | fields
        answer = await self.client.execute(document, {"input": given})
        return answer.data["createStrategy"]  # type: ignore[no-any-return]

    async def request(self, strategy: str, **fields: Any) -> dict[str, Any]:
        document = """mutation($input: RunBacktestInput!) { runBacktest(input: $input) {
            backtest { id contentHash } cached errors { code path message }
        } }"""
        given = {"strategyId": strategy, "market": "BTC/USD", "interval": "H1"} | fields
        answer = await self.client.execute(document, {"input": given})
        return answer.data["runBacktest"]  # type: ignore[no-any-return]

    async def run(self, strategy: str, **fields: Any) -> dict[str, Any]:
        """Run a backtest to its end."""
        payload = await self.request(strategy, **fields)
        assert payload["errors"] == []
        identifier = payload["backtest"]["id"]
        await run_backtest({"runtime": self.desk.runtime}, str(parse_id(identifier)[1]))
        document = """query($id: ID!) { backtest(id: $id) {
            id status error contentHash metrics { trades finalEquity }
        } }"""
        return (await self.client.execute(document, {"id": identifier})).data["backtest"]  # type: ignore[no-any-return]


async def _bench(runtime: Runtime, settings: Settings, stack: AsyncExitStack) -> Bench:
    desk = await make_desk(runtime)
    async with runtime.unit_of_work() as uow:
        await strategies.sync_builtin_strategies(uow, runtime.plugins)
    client = await stack.enter_async_context(graphql_client(create_app(settings, runtime)))
    return Bench(desk, client.signed_in(await make_access_token(runtime, desk.trader)))


@pytest.fixture
async def bench(site: Site, settings: Settings) -> AsyncIterator[Bench]:
    """A server on which the example and the plugins of the tests are installed."""
    site.install_example()
    entries = {"prophet": "tests_prophet:PLUGIN", "failing": "tests_prophet:FAILING"}
    site.install("tests-plugins", entries, {"tests_prophet": PROPHET})
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(open_runtime(settings))
        yield await _bench(runtime, settings, stack)


def test_only_what_is_a_strategy_is_loaded_and_what_is_broken_is_named(site: Site) -> None:
    site.install_example()
    site.install(
        "tests-plugins",
        {
            "again": "tests_prophet:SAME",
            "gone": "no_such_module:PLUGIN",
            "missing": "tests_prophet:NOTHING",
            "number": "tests_prophet:NUMBER",
            "prophet": "tests_prophet:PLUGIN",
            "quits": "tests_prophet_quits:PLUGIN",
            "stolen": "tests_prophet:STOLEN",
        },
        {"tests_prophet": PROPHET, "tests_prophet_quits": "raise SystemExit(3)"},
    )
    found = load_plugins()
    assert {plugin.code_ref: plugin.name for plugin in found.plugins.values()} == {
        "examples:momentum": "Momentum in standard deviations",
        "tests:prophet": "Prophet again",
    }
    assert [(each.origin, each.reason) for each in found.broken] == [
        ("gone of tests-plugins", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("missing of tests-plugins", "AttributeError: module 'tests_prophet' has no attribute 'NOTHING'"),
        ("number of tests-plugins", "tests_prophet:NUMBER is no gql_trader.engine.plugins.Plugin but int"),
        ("prophet of tests-plugins", "tests:prophet is there already, from another entry point"),
        ("quits of tests-plugins", "SystemExit: 3"),
        ("stolen of tests-plugins", "builtin: is reserved for the strategies of the program"),
    ]


async def test_the_doctor_lists_plugins_and_complains_of_broken_ones(site: Site, settings: Settings) -> None:
    assert await doctor._outcome(doctor._plugins, settings) == ("none installed", True)
    site.install_example()
    assert await doctor._outcome(doctor._plugins, settings) == ("examples:momentum 1.0.0", True)
    site.install("tests-plugins", {"gone": "no_such_module:PLUGIN"})
    told, healthy = await doctor._outcome(doctor._plugins, settings)
    assert not healthy
    assert told.startswith("gone of tests-plugins is left out: ModuleNotFoundError")


async def test_a_plugin_is_among_the_strategies_and_runs_like_any_other(bench: Bench) -> None:
    listed = await bench.client.execute(
        """{ strategies(builtin: true, search: "standard deviations") { nodes {
            slug name builtin codeRef codeVersion rules { entryLong } parameters { name type default min max }
        } } }"""
    )
    [strategy] = [
        each for each in listed.data["strategies"]["nodes"] if each["codeRef"] == "examples:momentum"
    ]
    assert strategy == {
        "slug": "examples--momentum",
        "name": "Momentum in standard deviations",
        "builtin": True,
        "codeRef": "examples:momentum",
        "codeVersion": "1.0.0",
        "rules": None,
        "parameters": [
            {"name": "lookback", "type": "INT", "default": 48, "min": 5, "max": 1000},
            {"name": "threshold", "type": "FLOAT", "default": 1, "min": 0, "max": 5},
        ],
    }
    mine = await bench.create("examples:momentum", defaultParameters={"lookback": 24})
    assert mine["errors"] == []
    assert mine["strategy"]["defaultParameters"] == {"lookback": 24, "threshold": 1}
    assert (mine["strategy"]["rules"], mine["strategy"]["builtin"]) == (None, False)
    found = await bench.run(mine["strategy"]["id"], parameters={"threshold": 0.5})
    assert found["status"] == "COMPLETED"

    from example_strategies import momentum  # type: ignore[import-not-found]

    bars = random_bars(BARS, seed=3)
    signals = momentum.signals(bars, {"lookback": 24, "threshold": 0.5})
    expected = simulation.run(bars, signals, ExecutionSpec(), 10_000.0)
    assert found["metrics"]["trades"] == len(expected.ledger) > 20
    assert float(found["metrics"]["finalEquity"]) == pytest.approx(expected.final_equity, rel=1e-8)


async def test_its_version_is_part_of_what_a_result_depends_on(bench: Bench) -> None:
    mine = (await bench.create("examples:momentum"))["strategy"]["id"]
    first = await bench.run(mine)
    assert (await bench.request(mine))["cached"] is True
    plugin = _replaced(bench, "examples:momentum", version="1.0.1")
    second = await bench.request(mine)
    assert (second["cached"], second["errors"]) == (False, [])
    assert second["backtest"]["contentHash"] != first["contentHash"]
    assert plugin.version == "1.0.1"


def _replaced(bench: Bench, code_ref: str, **changes: Any) -> Plugin:
    """Install another version of a plugin on the running server."""
    plugins = dict(bench.desk.runtime.plugins.plugins)
    plugins[code_ref] = replace(plugins[code_ref], **changes)
    object.__setattr__(bench.desk.runtime, "plugins", PluginRegistry(plugins))
    return plugins[code_ref]


async def test_what_is_not_installed_any_more_is_refused_and_its_results_stay(bench: Bench) -> None:
    mine = (await bench.create("examples:momentum"))["strategy"]["id"]
    done = await bench.run(mine)
    object.__setattr__(bench.desk.runtime, "plugins", PluginRegistry())
    payload = await bench.request(mine)
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [
        ("INVALID_STATE", ["strategyId"])
    ]
    assert "needs examples:momentum, which is not installed" in payload["errors"][0]["message"]
    document = """mutation($id: ID!) { verifyBacktest(input: {id: $id}) { errors { message } } }"""
    await bench.client.execute(document, {"id": done["id"]})
    await verify_backtest({"runtime": bench.desk.runtime}, str(parse_id(done["id"])[1]), 1)
    document = """query($id: ID!) { backtest(id: $id) {
        metrics { trades } strategy { codeVersion } verification { status error }
    } }"""
    found = (await bench.client.execute(document, {"id": done["id"]})).data["backtest"]
    assert found["metrics"]["trades"] == done["metrics"]["trades"]
    assert found["strategy"]["codeVersion"] is None
    assert found["verification"]["status"] == "FAILED"
    assert "is not installed on this server" in found["verification"]["error"]
    unknown = await bench.create("examples:momentum")
    assert [(error["code"], error["path"]) for error in unknown["errors"]] == [("INVALID_INPUT", ["codeRef"])]


async def test_another_version_with_other_parameters_asks_for_an_update(bench: Bench) -> None:
    mine = (await bench.create("examples:momentum", defaultParameters={"lookback": 24}))["strategy"]["id"]
    before = bench.desk.runtime.plugins.plugins["examples:momentum"]
    renamed = (before.parameters[0], replace(before.parameters[1], name="level"))
    _replaced(bench, "examples:momentum", version="2.0.0", parameters=renamed)
    refused = await bench.request(mine)
    assert (
        "examples:momentum 2.0.0, which is installed, has other parameters" in refused["errors"][0]["message"]
    )
    document = """mutation($id: ID!) { updateStrategy(input: {id: $id, defaultParameters: {level: 2}}) {
        strategy { version defaultParameters } errors { message }
    } }"""
    updated = (await bench.client.execute(document, {"id": mine})).data["updateStrategy"]
    assert updated["strategy"] == {"version": 2, "defaultParameters": {"lookback": 24, "level": 2}}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"defaultParameters": {"lookback": 1}}, ["defaultParameters", "lookback"]),
        ({"defaultParameters": {"period": 5}}, ["defaultParameters", "period"]),
        ({"parameters": [{"name": "x", "type": "INT", "default": 1}]}, ["parameters"]),
    ],
)
async def test_defaults_are_checked_as_those_of_rules(
    bench: Bench, fields: dict[str, Any], path: list[str]
) -> None:
    refused = await bench.create("examples:momentum", **fields)
    assert refused["strategy"] is None
    assert [error["path"] for error in refused["errors"]] == [path]


async def test_a_plugin_that_fails_ends_its_run_with_its_message(bench: Bench) -> None:
    mine = (await bench.create("tests:failing"))["strategy"]["id"]
    found = await bench.run(mine)
    assert (found["status"], found["metrics"]) == ("FAILED", None)
    assert found["error"] == "tests:failing: signals failed with ZeroDivisionError: by nothing"


async def test_the_lookahead_report_finds_a_strategy_that_knows_the_next_bar(bench: Bench) -> None:
    mine = (await bench.create("tests:prophet"))["strategy"]["id"]
    done = await bench.run(mine)
    key = str(parse_id(done["id"])[1])
    await check_lookahead({"runtime": bench.desk.runtime}, key)
    document = """query($id: ID!) { backtest(id: $id) { lookahead {
        clean cuts changes { signal time cut withFuture withoutFuture changedBars }
    } } }"""
    report = (await bench.client.execute(document, {"id": done["id"]})).data["backtest"]["lookahead"]
    assert report["clean"] is False
    entries = [change for change in report["changes"] if change["signal"] == "ENTRY_LONG"]
    assert len(entries) > 3
    assert {(each["withFuture"], each["withoutFuture"], each["changedBars"]) for each in entries} == {
        (True, False, 1)
    }


async def test_its_lines_are_drawn(bench: Bench) -> None:
    mine = (await bench.create("examples:momentum"))["strategy"]["id"]
    done = await bench.run(mine)
    low, high = 0, 2**52
    await draw_plot({"runtime": bench.desk.runtime}, str(parse_id(done["id"])[1]), low, high, BARS)
    job = plot_job(parse_id(done["id"])[1], low, high, BARS)
    plot = read_plot(await bench.desk.runtime.answers.ask(job, 5.0))
    assert [line.label for line in plot.lines] == ["momentum"]
    assert np.isnan(plot.lines[0].values[:48]).all()
    assert np.isfinite(plot.lines[0].values[48:]).all()
