"""The log: one JSON line a request, what it says, and what it never says."""

import re
from collections.abc import AsyncIterator, Iterator

import pytest
from starlette.applications import Starlette

from gql_trader.accounts import service as accounts
from gql_trader.accounts.types import SignupSpec
from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.core.actor import Role
from gql_trader.gql.relay import parse_id
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.passwords import PasswordHasher
from gql_trader.runtime import Runtime
from tests.factories.logs import Log, captured_log
from tests.graphql_client import (
    GraphQLClient,
    GraphQLSocket,
    InProcessTransport,
    SocketClosedError,
    graphql_client,
)

PASSWORD = "Canary-Password-7"
EMAIL = "canary.person@example.com"
LOGIN = """mutation SignIn($login: String!, $password: String!) {
    login(input: {login: $login, password: $password}) { accessToken refreshToken errors { code } } }"""


@pytest.fixture
def log() -> Iterator[Log]:
    with captured_log() as log:
        yield log


@pytest.fixture
async def user_id(runtime: Runtime) -> str:
    async with runtime.unit_of_work() as uow:
        spec = SignupSpec("canary", EMAIL, PASSWORD)
        return str((await accounts.create_user(uow, runtime.passwords, spec, Role.TRADER)).id)


@pytest.fixture
def app(settings: Settings, runtime: Runtime) -> Starlette:
    return create_app(settings, runtime)


@pytest.fixture
async def client(app: Starlette) -> AsyncIterator[GraphQLClient]:
    async with graphql_client(app) as client:
        yield client


async def test_a_request_is_one_json_line(log: Log, client: GraphQLClient, user_id: str) -> None:
    signed_in = await client.log_in("canary", PASSWORD)
    answer = await signed_in.execute(
        "query Mine { me { username } strategies(first: 5) { nodes { id } } }",
        headers={"x-request-id": "request-of-a-test"},
    )
    assert answer.headers["x-request-id"] == "request-of-a-test"
    line = log.events("request")[-1]
    assert line.pop("duration_ms") > 0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "logger": "gql_trader.gql.access_log",
        "request_id": "request-of-a-test",
        "address": "127.0.0.1",
        "method": "POST",
        "path": "/graphql",
        "status": 200,
        "operation": "Mine",
        "kind": "query",
        "cost": 7,
        "user_id": user_id,
    }
    assert len(log.events("request")) == 2


async def test_a_socket_writes_a_line_for_each_operation(log: Log, app: Starlette, user_id: str) -> None:
    async with graphql_client(app) as client:
        token = (await client.log_in("canary", PASSWORD)).token
    async with GraphQLSocket(InProcessTransport(app), {"authorization": f"Bearer {token}"}) as socket:
        await socket.execute("query First { me { username } }")
        await socket.start("{ nonsense }")
        await socket.receive()
    first, second = log.events("operation")
    assert {key: first[key] for key in ("operation", "kind", "status", "user_id", "cost", "level")} == {
        "operation": "First",
        "kind": "query",
        "status": "complete",
        "user_id": user_id,
        "cost": 1,
        "level": "info",
    }
    assert (second["status"], second["codes"], second["level"]) == (
        "error",
        ["GRAPHQL_VALIDATION_FAILED"],
        "warning",
    )
    assert first["request_id"] != second["request_id"]


@pytest.mark.usefixtures("user_id")
async def test_secrets_and_variables_are_in_no_line(log: Log, app: Starlette) -> None:
    async with graphql_client(app) as client:
        answer = await client.execute(LOGIN, {"login": EMAIL, "password": PASSWORD})
        tokens = answer.data["login"]
        await client.execute(LOGIN, {"login": EMAIL, "password": "Wrong-Canary-8"})
        await client.execute(
            f'mutation {{ login(input: {{login: "{EMAIL}", password: "{PASSWORD}"}}) {{ x }} }}'
        )
        await client.get({"query": "query($p: String) { me { id } }", "variables": f'{{"p": "{PASSWORD}"}}'})
        await client.execute("{ me { id } }", headers={"authorization": f"Bearer {tokens['accessToken']}x"})
        async with GraphQLSocket(
            InProcessTransport(app), {"authorization": f"Bearer {tokens['accessToken']}"}
        ) as socket:
            await socket.execute(LOGIN, {"login": EMAIL, "password": PASSWORD})
    assert len(log.events("request")) == 5
    assert len(log.events("operation")) == 1
    for secret in (
        PASSWORD,
        "Wrong-Canary",
        EMAIL,
        "canary.person",
        tokens["accessToken"],
        tokens["refreshToken"],
    ):
        assert secret not in log.text


@pytest.mark.usefixtures("user_id")
async def test_a_bug_is_logged_without_what_was_sent(
    log: Log, client: GraphQLClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: PasswordHasher, encoded: str | None, password: str) -> bool:
        raise RuntimeError("the hasher is broken")

    monkeypatch.setattr(PasswordHasher, "verify", fail)
    answer = await client.execute(LOGIN, {"login": EMAIL, "password": PASSWORD})
    assert answer.codes == ["INTERNAL"]
    [failure] = log.events("resolver_failed")
    assert failure["exception"][0]["exc_value"] == "the hasher is broken"
    assert log.events("request")[0]["level"] == "error"
    assert PASSWORD not in log.text
    assert EMAIL not in log.text


@pytest.mark.usefixtures("user_id")
async def test_failures_can_be_counted_by_whom_they_are_about(
    log: Log, client: GraphQLClient, runtime: Runtime
) -> None:
    for login in (EMAIL, EMAIL.upper(), "someone", f" {EMAIL}"):
        await client.execute(LOGIN, {"login": login, "password": "x"})
    first, second, other, third = (line["login_hash"] for line in log.events("attempt_failed"))
    assert first == second == third != other
    assert re.fullmatch("[0-9a-f]{16}", first)
    # It cannot be made from the address alone.
    assert first == runtime.keys.pseudonym(EMAIL) != KeyRing({1: bytes(32)}).pseudonym(EMAIL)
    assert "canary.person" not in log.text.lower()
    signed_in = await client.execute(LOGIN, {"login": EMAIL, "password": PASSWORD})
    change = (
        'mutation { changePassword(input: {currentPassword: "x", newPassword: "y"}) { errors { code } } }'
    )
    viewer = client.signed_in(signed_in.data["login"]["accessToken"])
    user_id = parse_id((await viewer.execute("{ me { id } }")).data["me"]["id"])[1]
    await viewer.execute(change)
    last = log.events("attempt_failed")[-1]
    assert (last["field"], last["user_id"], "login_hash" in last) == ("changePassword", str(user_id), False)


async def test_credentials_that_are_refused_are_events(
    log: Log, client: GraphQLClient, app: Starlette
) -> None:
    refused = {
        "Bearer canary-token": "access_token",
        f"Token gqlt_{'c' * 43}": "api_token",
        "Basic canary-token": "access_token",
    }
    for header in refused:
        await client.execute("{ me { id } }", headers={"authorization": header})
    with pytest.raises(SocketClosedError):
        await InProcessTransport(app, headers={"origin": "https://canary.example"}).open()
    records = log.events("credentials_refused")
    assert [line["kind"] for line in records] == [*refused.values(), "origin"]
    assert all(line["reason"].endswith(".") and line["address"] == "127.0.0.1" for line in records)
    assert "canary" not in log.text
    assert "cccc" not in log.text


async def test_failed_logins_refusals_and_limits_are_events(log: Log, client: GraphQLClient) -> None:
    for _ in range(6):
        await client.execute(LOGIN, {"login": "nobody", "password": "x"})
    await client.execute("{ markets { totalCount } }")
    failures = log.events("attempt_failed")
    assert len(failures) == 5
    assert {(line["field"], line["level"], line["address"], *line["codes"]) for line in failures} == {
        ("login", "warning", "127.0.0.1", "INVALID_CREDENTIALS")
    }
    [limited] = log.events("rate_limited")
    assert limited["limit"].startswith("login_")
    assert limited["retry_after_seconds"] > 0
    requests = log.events("request")
    assert [line.get("codes") for line in requests[5:]] == [["RATE_LIMITED"], ["UNAUTHENTICATED"]]
    assert {line["level"] for line in requests[5:]} == {"warning"}


async def test_health_checks_do_not_fill_the_log(log: Log, client: GraphQLClient) -> None:
    assert (await client.http.get("/healthz")).status_code == 200
    assert (await client.http.get("/nowhere?token=secret")).status_code == 404
    [line] = log.events("request")
    assert (line["path"], line["status"], line["level"]) == ("/nowhere", 404, "warning")
    assert "secret" not in log.text
