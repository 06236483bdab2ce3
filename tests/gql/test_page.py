"""The page at `/`: served from local files, strict, its documents valid. `tests/e2e` uses it in a browser."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLInputObjectType,
    OperationDefinitionNode,
    OperationType,
    parse,
    validate,
)

from gql_trader.app import create_app
from gql_trader.backtests.execution import check_execution
from gql_trader.config import Settings
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.gql.schema_builder import core_schema
from gql_trader.runtime import Runtime
from gql_trader.schema import create_schema
from tests.contrast import contrast, mixed

PAGE = Path(__file__).parents[2] / "gql_trader" / "gql" / "static" / "page"
OURS = sorted(path for path in PAGE.iterdir() if path.suffix in {".js", ".css", ".html"})
PARTS = dict(
    re.findall(r"const (\w+) = /\* GraphQL \*/ `(.*?)`;", (PAGE / "documents.js").read_text(), re.DOTALL)
)
SCHEMA = core_schema(create_schema())


def document(name: str) -> str:
    """Return a document of the page with the fragments that it is put together from."""
    return re.sub(r"\$\{(\w+)\}", lambda match: document(match[1]), PARTS[name])


OPERATIONS = [name for name in PARTS if not PARTS[name].strip().startswith("fragment")]


@pytest.fixture
async def http(settings: Settings, runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=create_app(settings, runtime))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        yield client


async def test_its_policy_lets_in_nothing_but_files_of_this_server(http: httpx.AsyncClient) -> None:
    page = await http.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    directives = dict(each.split(" ", 1) for each in page.headers["content-security-policy"].split("; "))
    assert directives == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


async def test_all_files_that_it_names_are_there_and_browsers_ask_for_newer_ones(
    http: httpx.AsyncClient,
) -> None:
    named = {
        f"/{path}" for path in re.findall(r'(?:src|href)="(static/[^"]+)"', (PAGE / "page.html").read_text())
    }
    for script in OURS:
        named |= {f"/static/page/{path}" for path in re.findall(r"from '\./([^']+)'", script.read_text())}
    assert {
        "/static/page/main.js",
        "/static/page/client.js",
        "/static/page/vendor/lightweight-charts.js",
        "/static/page/vendor/graphql-ws/client.js",
    } < named
    for path in named:
        answer = await http.get(path)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache"), path


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_its_files_name_no_other_host_but_in_the_attribution(path: Path) -> None:
    hosts = re.findall(r"//([a-z0-9-]+\.[a-z.]+)", path.read_text())
    assert hosts == (["www.tradingview.com"] if path.name == "page.html" else [])


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_nothing_in_its_files_is_inline_or_makes_markup_of_text(path: Path) -> None:
    inline = r"\bstyle=|\bon[a-z]+=\"|<style|<script(?! type=\"module\" src=)"
    markup = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\("
    assert not re.search(f"{inline}|{markup}", path.read_text())


@pytest.mark.parametrize("name", OPERATIONS)
def test_document_is_valid(name: str) -> None:
    assert validate(SCHEMA, parse(document(name))) == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_document_tells_why_a_mutation_failed_and_where_a_subscription_goes_on(name: str) -> None:
    parsed = parse(document(name))
    operations = [each for each in parsed.definitions if isinstance(each, OperationDefinitionNode)]
    assert len(operations) == 1
    if operations[0].operation is OperationType.MUTATION:
        assert "errors { code message path }" in document(name)
    if operations[0].operation is OperationType.SUBSCRIPTION:
        assert "after: $after" in document(name)
        assert "{ cursor" in document(name)


def test_it_stays_small_without_long_lines() -> None:
    lines = [line for path in OURS for line in path.read_text().splitlines()]
    assert len(lines) < 2500
    assert [line for line in lines if len(line) > 120] == []


FORM = (PAGE / "execution.js").read_text()
FIELDS = re.findall(r"^    \['(\w+)', '", FORM, re.MULTILINE)
SIZINGS = set(re.findall(r"\['(\w+)', '[^']+', (?:percent|\{)", FORM.split("const SIZINGS")[1]))


def test_its_form_has_all_of_execution_and_takes_up_all_of_it_again() -> None:
    execution = SCHEMA.type_map["ExecutionInput"]
    sizing = SCHEMA.type_map["SizingInput"]
    assert isinstance(execution, GraphQLInputObjectType)
    assert isinstance(sizing, GraphQLInputObjectType)
    assert sorted([*FIELDS, "sizing"]) == sorted(execution.fields)
    assert set(sizing.fields) == SIZINGS
    [fragment] = parse(document("EXECUTION")).definitions
    assert isinstance(fragment, FragmentDefinitionNode)
    asked = {each.name.value for each in fragment.selection_set.selections if isinstance(each, FieldNode)}
    assert asked == set(execution.fields)


PERCENT = re.findall(r"\['(\w+)', '[^']+ %', percent\((\w+), (\w+)", FORM.replace(", %'", " %'"))


@pytest.mark.parametrize(("name", "least", "most"), PERCENT, ids=[each[0] for each in PERCENT])
def test_limits_in_percent_are_the_servers(name: str, least: str, most: str) -> None:
    low, high = ({"LEAST": 0.0001, "MOST": 99.9999}.get(each) or float(each) for each in (least, most))

    def problems(percent: float) -> list[tuple[str, ...]]:
        given: dict[str, Any] = {"trailing_stop": 0.01}
        given[re.sub(r"([A-Z])", lambda match: f"_{match[1].lower()}", name)] = percent / 100
        return [tuple(error.path) for error in check_execution(ExecutionSpec(**given))]

    assert (problems(low), problems(high)) == ([], [])
    assert problems(low - 0.0002) == [("execution", name)]
    assert problems(high + 1.01) == [("execution", name)]


def _colours() -> dict[str, dict[str, tuple[float, ...]]]:
    blocks = re.findall(r":root \{(.*?)\}", (PAGE / "page.css").read_text(), re.DOTALL)
    themes: dict[str, dict[str, tuple[float, ...]]] = {}
    for theme, block in zip(("light", "dark"), blocks, strict=True):
        hexadecimal = re.findall(r"--([\w-]+): #(\w{6});", block)
        themes[theme] = {name: tuple(bytes.fromhex(digits)) for name, digits in hexadecimal}
        triples = re.findall(r"--([\w-]+): (\d+) (\d+) (\d+);", block)
        themes[theme] |= {name: tuple(map(int, parts)) for name, *parts in triples}
        [heat] = re.findall(r"--heat: (\d+)%", block)
        for kind in ("gain", "loss"):
            for share, name in ((int(heat) / 100, f"deepest {kind}"), (0.1, f"badge of {kind}")):
                for below in ("card", "background"):
                    covered = mixed(themes[theme][f"{kind}-rgb"], themes[theme][below], share)
                    themes[theme][f"{name} on {below}"] = covered
    return themes


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_is_enough_to_read_text_and_to_see_where_fields_are(theme: str) -> None:
    colours = _colours()[theme]
    text = {
        (name, below)
        for name in ("text", "quiet", "accent", "gain", "loss")
        for below in ("card", "background", "grid")
    }
    text |= {(f"line-{number}", "card") for number in range(1, 7)} | {("on-accent", "accent")}
    for kind in ("gain", "loss"):
        text |= {("text", f"deepest {kind} on card")}
        text |= {(kind, f"badge of {kind} on {below}") for below in ("card", "background")}
    edges = {("edge", "card"), ("edge", "background")}

    def between(name: str, below: str) -> float:
        return contrast(colours[name], colours[below])

    # Success criteria 1.4.3 and 1.4.11 of WCAG 2.2, level AA.
    assert {pair: between(*pair) for pair in text if between(*pair) < 4.5} == {}
    assert {pair: between(*pair) for pair in edges if between(*pair) < 3} == {}


async def test_without_it_the_root_leads_to_graphql(settings: Settings, runtime: Runtime) -> None:
    closed = settings.model_copy(update={"page": False, "graphiql": False})
    transport = httpx.ASGITransport(app=create_app(closed, runtime))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        assert (await client.get("/")).headers["location"] == "/graphql"
        assert (await client.get("/static/page/main.js")).status_code == 404
