"""GraphiQL: served from local files, strict, and working in a real browser."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gql_trader.accounts import service as accounts
from gql_trader.accounts.types import SignupSpec
from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.core.actor import Role
from gql_trader.runtime import Runtime
from tests.chromium import Page, chromium, find_chromium
from tests.graphql_client import serve

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
STATIC = Path(__file__).parents[2] / "gql_trader" / "gql" / "static"
PASSWORD = "Correct-Horse-7"


@pytest.fixture
async def browserless(settings: Settings, runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=create_app(settings, runtime))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        yield client


async def test_browsers_get_the_page_and_programs_do_not(browserless: httpx.AsyncClient) -> None:
    page = await browserless.get("/graphql", headers=BROWSER)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    program = await browserless.get("/graphql", params={"query": "{ __typename }"})
    assert program.json() == {"data": {"__typename": "Query"}}


async def test_the_page_runs_only_scripts_of_this_server(browserless: httpx.AsyncClient) -> None:
    policy = (await browserless.get("/graphql", headers=BROWSER)).headers["content-security-policy"]
    directives = dict(each.split(" ", 1) for each in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == "'self'"
    assert directives["connect-src"] == "'self'"
    assert directives["frame-ancestors"] == "'none'"


async def test_everything_that_the_page_names_is_there(browserless: httpx.AsyncClient) -> None:
    page = (await browserless.get("/graphql", headers=BROWSER)).text
    named = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(named) == 8
    for path in named:
        assert path.startswith("static/")
        assert (await browserless.get(f"/{path}")).status_code == 200


@pytest.mark.parametrize("name", ["graphiql.html", "explorer.js", "explorer.css", "examples.js"])
def test_our_own_files_name_no_other_host(name: str) -> None:
    assert not re.search(r"//[a-z0-9-]+\.", (STATIC / name).read_text())


async def test_graphiql_can_be_switched_off(settings: Settings, runtime: Runtime) -> None:
    closed = settings.model_copy(update={"graphiql": False})
    transport = httpx.ASGITransport(app=create_app(closed, runtime))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        assert (await client.get("/graphql", headers=BROWSER)).status_code == 400
        assert (await client.get("/static/explorer.js")).status_code == 404


# ---- in a browser ----

QUERY = "document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror"
RESPONSE = "document.querySelector('.graphiql-response .CodeMirror').CodeMirror"
FILL = """(selector, value) => {
    const input = document.querySelector(selector);
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, value);
    input.dispatchEvent(new Event('input', { bubbles: true }));
}"""


async def sign_in(page: Page, login: str, password: str) -> None:
    await page.evaluate(f"({FILL})('input[name=login]', '{login}')")
    await page.evaluate(f"({FILL})('input[name=password]', '{password}')")
    await page.evaluate("document.querySelector('.account form').requestSubmit()")


async def run(page: Page, name: str, selection: str) -> None:
    await page.evaluate(f"{QUERY}.setValue('query {name} {selection}')")
    # GraphiQL reads the document a moment after it was typed; the tab's title shows that it has.
    await page.until(
        f"document.querySelector('.graphiql-tab-active .graphiql-tab-button').textContent === '{name}'"
    )
    await page.evaluate("document.querySelector('.graphiql-execute-button').click()")


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
async def test_signing_in_and_running_a_query_in_a_browser(
    settings: Settings, runtime: Runtime, tmp_path: Path
) -> None:
    async with runtime.unit_of_work() as uow:
        await accounts.create_user(
            uow, runtime.passwords, SignupSpec("ada", "ada@example.com", PASSWORD), Role.TRADER
        )
    executable = find_chromium()
    assert executable is not None
    async with (
        serve(create_app(settings, runtime)) as server,
        chromium(executable, tmp_path / "profile") as page,
    ):
        await page.open(f"http://{server.address}/graphql")
        await page.until("document.querySelectorAll('.graphiql-tab').length === 5")
        await page.until("document.querySelector('.graphiql-query-editor .CodeMirror') !== null")
        await sign_in(page, "ada", "wrong")
        assert "wrong" in await page.until("document.querySelector('.account .problem').textContent")
        await sign_in(page, "ada", PASSWORD)
        status = await page.until("document.querySelector('.account [role=status]')?.textContent")
        assert status == "Signed in as ada"
        # No script can read what the login rests on.
        assert "gqls_" not in await page.evaluate(
            "document.cookie + JSON.stringify({...localStorage, ...sessionStorage})"
        )
        await run(page, "Me", "{ me { username role } }")
        assert '"username": "ada"' in await page.until(f"{RESPONSE}.getValue()")
        await page.open(f"http://{server.address}/graphql")
        await page.until(
            "document.querySelector('.account [role=status]')?.textContent === 'Signed in as ada'"
        )
        await page.until("document.querySelector('.graphiql-query-editor .CodeMirror') !== null")
        await page.evaluate("document.querySelector('.account button').click()")
        await page.until("document.querySelector('.account form') !== null")
        await run(page, "Nobody", "{ me { username } }")
        assert await page.until(f"{RESPONSE}.getValue().includes('\"me\": null')")

        outside = [url for url in page.requests if not url.startswith((f"http://{server.address}/", "data:"))]
        assert outside == []
        # The refused password, and what the page was loading when it was opened again.
        expected = ("401 (Unauthorized)", "ERR_ABORTED")
        assert [each for each in page.problems if not each.endswith(expected)] == []
