"""Logins by cookie: for pages of this server, and of no use to any other site."""

from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from gql_trader.accounts.models import LoginSessionRow, RefreshTokenRow
from gql_trader.accounts.models_external import BrowserSessionRow
from gql_trader.app import create_app
from gql_trader.config import Environment
from gql_trader.gql import http_request
from tests.accounts.accounts_api import PASSWORD, Accounts
from tests.graphql_client import GraphQLSocket, InProcessTransport, endless_body, graphql_client

COOKIE = "gql_trader_session"
OWN = "http://testserver"
FOREIGN = "https://evil.example"
PROOF = {"x-csrf-protection": "1"}
ME = "{ me { username } }"


@pytest.fixture(autouse=True)
async def ada(accounts: Accounts) -> None:
    await accounts.make_user("ada")


async def log_in(accounts: Accounts, headers: dict[str, str] | None = None, **given: Any) -> httpx.Response:
    sent = PROOF if headers is None else headers
    body = {"login": "ada", "password": PASSWORD, **given}
    return await accounts.client.http.post("/session", json=body, headers=sent)


async def cookie_of(accounts: Accounts, **given: Any) -> str:
    """Log in and return the cookie, which the client then forgets: tests send it as they want."""
    answer = await log_in(accounts, **given)
    assert answer.status_code == 200, answer.text
    accounts.client.http.cookies.clear()
    return answer.cookies[COOKIE]


async def ask(accounts: Accounts, cookie: str, headers: dict[str, str], query: str = ME) -> Any:
    sent = {"cookie": f"other=1; {COOKIE}={cookie}", **headers}
    return await accounts.client.execute(query, headers=sent)


# ---- logging in and out ----


async def test_a_page_logs_in_and_never_sees_a_token(accounts: Accounts) -> None:
    answer = await log_in(accounts)
    assert answer.status_code == 200
    assert answer.json()["user"]["username"] == "ada"
    assert answer.headers["cache-control"] == "no-store"
    token = answer.cookies[COOKIE]
    assert token.startswith("gqls_")
    assert token not in answer.text
    assert "gqlr_" not in answer.text
    # The client keeps the cookie, as a browser does.
    assert (await accounts.client.execute(ME, headers=PROOF)).data == {"me": {"username": "ada"}}


async def test_scripts_and_other_sites_cannot_have_the_cookie(accounts: Accounts) -> None:
    for remember, max_age in ((False, ""), (True, "34560000")):
        morsel = SimpleCookie((await log_in(accounts, rememberMe=remember)).headers["set-cookie"])[COOKIE]
        assert (morsel["httponly"], morsel["samesite"], morsel["path"]) == (True, "strict", "/")
        assert (morsel["secure"], morsel["domain"], morsel["max-age"]) == ("", "", max_age)


async def test_outside_local_the_cookie_is_bound_to_https_and_this_host(accounts: Accounts) -> None:
    settings = accounts.runtime.settings.model_copy(update={"env": Environment.PRODUCTION})
    app = create_app(settings, accounts.runtime)
    async with graphql_client(app, "https://testserver") as client:
        body = {"login": "ada", "password": PASSWORD}
        answer = await client.http.post("/session", json=body, headers=PROOF)
        morsel = SimpleCookie(answer.headers["set-cookie"])[f"__Host-{COOKIE}"]
        assert (morsel["secure"], morsel["path"], morsel["domain"]) == (True, "/", "")
        own = {**PROOF, "origin": "https://testserver"}
        assert (await client.execute(ME, headers=own)).data == {"me": {"username": "ada"}}
        # A page that came over plain HTTP may be anybody's.
        plain = await client.execute(ME, headers={**PROOF, "origin": "http://testserver"})
        assert (plain.status, plain.codes) == (403, ["CROSS_SITE_REQUEST"])


async def test_only_the_hash_of_the_cookie_is_stored_and_no_refresh_token_is_left(accounts: Accounts) -> None:
    cookie = await cookie_of(accounts)
    async with accounts.runtime.unit_of_work() as uow:
        [stored] = await uow.session.scalars(select(BrowserSessionRow.token_hash))
        assert list(await uow.session.scalars(select(RefreshTokenRow))) == []
    assert len(stored) == 32
    assert cookie.encode() not in stored


async def test_a_wrong_password_is_refused_like_everywhere(accounts: Accounts) -> None:
    answer = await log_in(accounts, password="wrong")
    assert answer.status_code == 401
    assert [error["code"] for error in answer.json()["errors"]] == ["INVALID_CREDENTIALS"]
    assert "set-cookie" not in answer.headers


async def test_guessing_is_limited_as_it_is_for_the_mutation(accounts: Accounts) -> None:
    for _ in range(5):
        assert (await log_in(accounts, password="wrong")).status_code == 401
    answer = await log_in(accounts)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"login": "ada"}', b'{"login": 1, "password": "x"}', b"\xff"],
)
async def test_malformed_logins_are_refused(accounts: Accounts, body: bytes) -> None:
    headers = {**PROOF, "content-type": "application/json"}
    assert (await accounts.client.http.post("/session", content=body, headers=headers)).status_code == 400


async def test_a_login_that_is_too_long_or_never_ends_is_refused(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {**PROOF, "content-type": "application/json"}
    long = await accounts.client.http.post("/session", content=b'"' + b"x" * 20_000, headers=headers)
    assert long.status_code == 413
    monkeypatch.setattr(http_request, "_BODY_SECONDS", 0.05)
    slow = await accounts.client.http.post("/session", content=endless_body(), headers=headers)
    assert (slow.status_code, slow.headers["connection"]) == (408, "close")
    assert [error["extensions"]["code"] for error in slow.json()["errors"]] == ["REQUEST_TIMEOUT"]


async def test_logging_out_ends_the_session_and_removes_the_cookie(accounts: Accounts) -> None:
    cookie = await cookie_of(accounts)
    sent = {**PROOF, "cookie": f"{COOKIE}={cookie}"}
    answer = await accounts.client.http.delete("/session", headers=sent)
    assert answer.status_code == 204
    assert SimpleCookie(answer.headers["set-cookie"])[COOKIE]["max-age"] == "0"
    assert (await ask(accounts, cookie, PROOF)).codes == ["UNAUTHENTICATED"]
    async with accounts.runtime.unit_of_work() as uow:
        [session] = await uow.session.scalars(select(LoginSessionRow))
    assert session.revoked_at is not None
    # Once more changes nothing.
    assert (await accounts.client.http.delete("/session", headers=sent)).status_code == 204


async def test_it_is_a_login_session_like_any_other(accounts: Accounts) -> None:
    cookie = await cookie_of(accounts)
    listed = await ask(accounts, cookie, PROOF, "{ me { loginSessions { current } } }")
    assert listed.data == {"me": {"loginSessions": [{"current": True}]}}
    ended = await ask(
        accounts, cookie, PROOF, "mutation { logout(input: {everywhere: true}) { endedSessions } }"
    )
    assert ended.data == {"logout": {"endedSessions": 1}}
    assert (await ask(accounts, cookie, PROOF)).codes == ["UNAUTHENTICATED"]
    refused = await ask(accounts, cookie, PROOF, "{ markets { totalCount } }")
    assert refused.errors[0]["message"] == "The login has ended; log in again."


@pytest.mark.parametrize(("remember", "days"), [(False, 7), (True, 30)])
async def test_it_lasts_while_it_is_used(accounts: Accounts, remember: bool, days: int) -> None:
    cookie = await cookie_of(accounts, rememberMe=remember)
    for _ in range(2):
        accounts.clock.move(days=days - 1)
        assert (await ask(accounts, cookie, PROOF)).data == {"me": {"username": "ada"}}
    accounts.clock.move(days=days + 1)
    assert (await ask(accounts, cookie, PROOF)).codes == ["UNAUTHENTICATED"]


# ---- other sites ----


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": FOREIGN},
        {**PROOF, "origin": FOREIGN},
        {**PROOF, "origin": "null"},
        {**PROOF, "origin": "http://testserver.evil.example"},
        {**PROOF, "origin": "http://testserver:81"},
        {**PROOF, "origin": "http://["},
        {**PROOF, "sec-fetch-site": "cross-site"},
        {**PROOF, "sec-fetch-site": "same-site"},
    ],
)
async def test_a_request_of_another_origin_with_the_cookie_is_refused(
    accounts: Accounts, headers: dict[str, str]
) -> None:
    cookie = await cookie_of(accounts)
    logout = "mutation { logout(input: {everywhere: true}) { endedSessions } }"
    refused = await ask(accounts, cookie, headers, logout)
    assert (refused.status, refused.codes) == (403, ["CROSS_SITE_REQUEST"])
    sent = {"cookie": f"{COOKIE}={cookie}", **headers}
    assert (await accounts.client.http.delete("/session", headers=sent)).status_code == 403
    assert (await ask(accounts, cookie, PROOF)).data == {"me": {"username": "ada"}}


@pytest.mark.parametrize("headers", [{}, {"origin": OWN}, {"sec-fetch-site": "same-origin"}])
async def test_without_the_proof_the_cookie_does_nothing(accounts: Accounts, headers: dict[str, str]) -> None:
    cookie = await cookie_of(accounts)
    logout = "mutation { logout(input: {everywhere: true}) { endedSessions } }"
    assert (await ask(accounts, cookie, headers, logout)).codes == ["UNAUTHENTICATED"]
    sent = {"cookie": f"{COOKIE}={cookie}", **headers}
    assert (await accounts.client.http.delete("/session", headers=sent)).status_code == 403
    assert (await ask(accounts, cookie, headers)).data == {"me": None}
    assert (await ask(accounts, cookie, PROOF)).data == {"me": {"username": "ada"}}


@pytest.mark.parametrize(
    "headers", [PROOF, {**PROOF, "origin": OWN}, {**PROOF, "origin": OWN, "sec-fetch-site": "same-origin"}]
)
async def test_requests_of_our_own_pages_are_answered(accounts: Accounts, headers: dict[str, str]) -> None:
    cookie = await cookie_of(accounts)
    assert (await ask(accounts, cookie, headers)).data == {"me": {"username": "ada"}}


async def test_an_address_that_a_browser_opens_is_answered_without_the_cookie(accounts: Accounts) -> None:
    cookie = await cookie_of(accounts)
    sent = {"cookie": f"{COOKIE}={cookie}"}
    assert (await accounts.client.get({"query": ME}, sent)).data == {"me": None}
    foreign = await accounts.client.get({"query": ME}, {**sent, "origin": FOREIGN})
    assert (foreign.status, foreign.codes) == (403, ["CROSS_SITE_REQUEST"])


async def test_origins_that_may_use_the_api_may_not_use_the_cookie(accounts: Accounts) -> None:
    cookie = await cookie_of(accounts)
    allowing = accounts.runtime.settings.model_copy(update={"allowed_origins": (FOREIGN,)})
    async with graphql_client(create_app(allowing, accounts.runtime)) as client:
        preflight = await client.http.options(
            "/graphql",
            headers={
                "origin": FOREIGN,
                "access-control-request-method": "POST",
                "access-control-request-headers": "content-type,x-csrf-protection",
            },
        )
        assert preflight.status_code == 400
        assert "access-control-allow-credentials" not in preflight.headers
        sent = {**PROOF, "origin": FOREIGN, "cookie": f"{COOKIE}={cookie}"}
        assert (await client.execute(ME, headers=sent)).status == 403


async def test_no_other_site_can_log_a_browser_in(accounts: Accounts) -> None:
    for headers in ({}, {**PROOF, "origin": FOREIGN}, {**PROOF, "sec-fetch-site": "cross-site"}):
        assert (await log_in(accounts, headers=headers)).status_code == 403
    form = {**PROOF, "content-type": "application/x-www-form-urlencoded"}
    answer = await accounts.client.http.post("/session", content=b"login=ada", headers=form)
    assert answer.status_code == 415


async def test_programs_need_no_cookie_and_none_gets_in_their_way(accounts: Accounts) -> None:
    token = (await accounts.log_in("ada"))["accessToken"]
    assert accounts.client.http.cookies == {}
    sent = {"authorization": f"Bearer {token}", "cookie": f"{COOKIE}=stale"}
    assert (await accounts.client.execute(ME, headers=sent)).data == {"me": {"username": "ada"}}


@pytest.mark.parametrize("cookie", ["", "gqls_x", "x" * 5000, "ä", '"', "a b", "\t"])
async def test_cookies_that_are_not_ours_are_nobodys(accounts: Accounts, cookie: str) -> None:
    sent = {b"cookie": f"{COOKIE}={cookie}".encode(), b"x-csrf-protection": b"1"}
    answer = await accounts.client.http.post("/graphql", json={"query": ME}, headers=sent)
    assert answer.json()["data"] == {"me": None}


# ---- WebSocket ----


def socket(accounts: Accounts, cookie: str, **headers: str) -> GraphQLSocket:
    sent = {"cookie": f"{COOKIE}={cookie}", **headers}
    return GraphQLSocket(InProcessTransport(accounts.app, headers=sent))


async def test_a_socket_of_our_own_page_is_signed_in_by_the_cookie(accounts: Accounts) -> None:
    async with socket(accounts, await cookie_of(accounts), origin=OWN) as own:
        assert own.acknowledged["expiresAt"].endswith("Z")
        assert await own.execute(ME) == {"data": {"me": {"username": "ada"}}}


async def test_without_an_origin_the_cookie_opens_no_socket(accounts: Accounts) -> None:
    async with socket(accounts, await cookie_of(accounts)) as unknown:
        assert await unknown.execute(ME) == {"data": {"me": None}}


async def test_a_socket_of_an_allowed_origin_does_not_get_the_cookie(accounts: Accounts) -> None:
    cookie = await cookie_of(accounts)
    allowing = accounts.runtime.settings.model_copy(update={"allowed_origins": (FOREIGN,)})
    transport = InProcessTransport(
        create_app(allowing, accounts.runtime), headers={"cookie": f"{COOKIE}={cookie}", "origin": FOREIGN}
    )
    async with GraphQLSocket(transport) as foreign:
        assert await foreign.execute(ME) == {"data": {"me": None}}


async def test_logging_out_closes_the_sockets(accounts: Accounts) -> None:
    cookie = await cookie_of(accounts)
    async with socket(accounts, cookie, origin=OWN) as own:
        sent = {**PROOF, "cookie": f"{COOKIE}={cookie}"}
        assert (await accounts.client.http.delete("/session", headers=sent)).status_code == 204
        assert (await own.closed()).code == 4403


async def test_a_socket_with_an_ended_cookie_is_closed(accounts: Accounts) -> None:
    cookie = await cookie_of(accounts)
    accounts.clock.move(days=8)
    transport = InProcessTransport(accounts.app, headers={"cookie": f"{COOKIE}={cookie}", "origin": OWN})
    ended = GraphQLSocket(transport)
    await transport.open()
    await ended.send({"type": "connection_init"})
    assert (await ended.closed()).code == 4403
