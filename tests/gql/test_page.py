"""The page at `/`: served from local files, strict, its documents valid. `tests/e2e` uses it in a browser."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from graphql import OperationDefinitionNode, OperationType, parse, validate

from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.gql.schema_builder import core_schema
from gql_trader.runtime import Runtime
from gql_trader.schema import create_schema

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


def test_it_stays_small() -> None:
    assert sum(len(path.read_text().splitlines()) for path in OURS) < 2500


async def test_without_it_the_root_leads_to_graphql(settings: Settings, runtime: Runtime) -> None:
    closed = settings.model_copy(update={"page": False, "graphiql": False})
    transport = httpx.ASGITransport(app=create_app(closed, runtime))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        assert (await client.get("/")).headers["location"] == "/graphql"
        assert (await client.get("/static/page/main.js")).status_code == 404
