"""The application around the API: health, origins, headers, and signing in over either transport."""

from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr

from gql_trader.accounts import service as accounts
from gql_trader.accounts.types import SignupSpec
from gql_trader.app import create_app
from gql_trader.config import Environment, Settings
from gql_trader.core.actor import Role
from gql_trader.runtime import Runtime, open_runtime
from tests.graphql_client import GraphQLSocket, InProcessTransport, graphql_client

ORIGIN = "https://app.example"
ME = "{ me { username } }"
LOGIN = """mutation($login: String!, $password: String!) {
    login(input: {login: $login, password: $password}) { accessToken } }"""
CREDENTIALS = {"login": "ada", "password": "Correct-Horse-7"}


@pytest.fixture
async def user(runtime: Runtime) -> None:
    async with runtime.unit_of_work() as uow:
        spec = SignupSpec("ada", "ada@example.com", CREDENTIALS["password"])
        await accounts.create_user(uow, runtime.passwords, spec, Role.TRADER)


@pytest.fixture
async def http(settings: Settings, runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    allowing = settings.model_copy(update={"allowed_origins": (ORIGIN,)})
    async with graphql_client(create_app(allowing, runtime)) as client:
        yield client.http


async def test_health_and_readiness(http: httpx.AsyncClient) -> None:
    health = await http.get("/healthz")
    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    ready = await http.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "database": "ok", "redis": "ok"})


async def test_no_redirection_leads_to_what_a_client_writes_in_host(http: httpx.AsyncClient) -> None:
    for path in ("/graphql/", "/session/", "/healthz/"):
        answer = await http.post(path, headers={"host": "evil.example"})
        assert (answer.status_code, "location" in answer.headers) == (404, False)
    for path in ("/", "/static/page", "/static/page/"):
        assert "location" not in (await http.get(path, headers={"host": "evil.example"})).headers


async def test_readiness_says_what_is_away(settings: Settings) -> None:
    # A port on which nothing listens.
    without = settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:9/0")})
    async with open_runtime(without) as runtime, graphql_client(create_app(without, runtime)) as client:
        ready = await client.http.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["database"] == "ok"
        assert ready.json()["redis"] != "ok"
        # What needs no Redis works on.
        assert (await client.execute(ME)).data == {"me": None}


async def test_the_application_opens_and_closes_its_own_runtime(settings: Settings) -> None:
    app = create_app(settings)
    async with graphql_client(app) as client:
        assert (await client.execute(ME)).codes == ["INTERNAL"]
        async with app.router.lifespan_context(app):
            assert (await client.execute(ME)).data == {"me": None}


async def test_every_answer_has_the_security_headers(http: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/graphql?query={__typename}", "/nowhere"):
        headers = (await http.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["content-security-policy"] == (
            "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
        )
        assert "strict-transport-security" not in headers
        assert len(headers["x-request-id"]) == 36


async def test_pages_have_a_policy_of_their_own_that_runs_no_foreign_or_inline_script(
    http: httpx.AsyncClient,
) -> None:
    page = await http.get("/graphql", headers={"accept": "text/html"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    [policy] = page.headers.get_list("content-security-policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"
    assert rules["base-uri"] == "'none'"
    script = await http.get("/static/explorer.js")
    assert script.status_code == 200
    assert script.headers["x-content-type-options"] == "nosniff"
    assert script.headers["content-security-policy"].startswith("default-src 'none'")


async def test_outside_local_browsers_come_back_by_https_only(settings: Settings, runtime: Runtime) -> None:
    staging = settings.model_copy(update={"env": Environment.STAGING})
    async with graphql_client(create_app(staging, runtime)) as client:
        answer = await client.http.get("/healthz")
        assert answer.headers["strict-transport-security"] == "max-age=63072000; includeSubDomains"


@pytest.mark.usefixtures("user")
async def test_what_a_browser_sends_by_itself_signs_nobody_in(http: httpx.AsyncClient) -> None:
    body = {"query": LOGIN, "variables": CREDENTIALS}
    token = (await http.post("/graphql", json=body)).json()["data"]["login"]["accessToken"]
    for name in ("authorization", "access_token", "token", "session"):
        answer = await http.post("/graphql", json={"query": ME}, headers={"cookie": f"{name}={token}"})
        assert answer.json() == {"data": {"me": None}}
        assert "set-cookie" not in answer.headers
    # Pages of other origins can send these without asking; none of them is read as a request.
    for content_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ):
        simple = await http.post(
            "/graphql",
            content=b'{"query": "{ me { username } }"}',
            headers={"content-type": content_type, "origin": "https://evil.example"},
        )
        assert simple.status_code == 415
        assert "access-control-allow-origin" not in simple.headers


async def test_allowed_origins_may_send_requests_and_others_may_not(http: httpx.AsyncClient) -> None:
    asked = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    allowed = await http.options("/graphql", headers={"origin": ORIGIN, **asked})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-credentials" not in allowed.headers
    refused = await http.options("/graphql", headers={"origin": "https://evil.example", **asked})
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers


@pytest.mark.usefixtures("user")
async def test_signing_in_over_http(settings: Settings, runtime: Runtime) -> None:
    async with graphql_client(create_app(settings, runtime)) as client:
        assert (await client.execute(ME)).data == {"me": None}
        signed_in = await client.log_in(**CREDENTIALS)
        assert (await signed_in.execute(ME)).data == {"me": {"username": "ada"}}
        refused = await client.execute("{ markets { totalCount } }", headers={"authorization": "Bearer x"})
        assert refused.codes == ["UNAUTHENTICATED"]
        assert refused.errors[0]["message"] == "The access token is invalid or has expired; log in again."


@pytest.mark.usefixtures("user")
async def test_signing_in_over_websocket(settings: Settings, runtime: Runtime) -> None:
    app = create_app(settings, runtime)
    async with GraphQLSocket(InProcessTransport(app)) as anonymous:
        assert await anonymous.execute(ME) == {"data": {"me": None}}
        token = (await anonymous.execute(LOGIN, CREDENTIALS))["data"]["login"]["accessToken"]
    async with GraphQLSocket(InProcessTransport(app), {"authorization": f"Bearer {token}"}) as signed_in:
        assert signed_in.acknowledged["expiresAt"].endswith("Z")
        assert await signed_in.execute(ME) == {"data": {"me": {"username": "ada"}}}


@pytest.mark.usefixtures("user")
async def test_introspection_suggestions_and_graphiql_are_off_in_production(
    settings: Settings, runtime: Runtime
) -> None:
    production = settings.model_copy(update={"graphiql": False, "introspection": False})
    async with graphql_client(create_app(production, runtime)) as client:
        introspection = await client.execute("{ __schema { queryType { name } } }")
        assert set(introspection.codes) == {"GRAPHQL_VALIDATION_FAILED"}
        assert "Did you mean" not in (await client.execute("{ mee { username } }")).errors[0]["message"]
