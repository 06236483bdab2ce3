"""Guessing credentials: how often, counted by whom, and what the client is told."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from starlette.applications import Starlette

from gql_trader.accounts import limits
from gql_trader.accounts import service as accounts
from gql_trader.accounts.types import SignupSpec
from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.core.actor import Role
from gql_trader.gql.limiting import Limited
from gql_trader.infra.embedded.data_directory import DataDirectory
from gql_trader.infra.embedded.processes import ChildRegister
from gql_trader.infra.embedded.servers import EmbeddedServers
from gql_trader.runtime import Runtime, open_runtime
from tests.graphql_client import GraphQLClient, GraphQLSocket, InProcessTransport, Result, graphql_client

PASSWORD = "Correct-Horse-7"
LOGIN = """mutation($login: String!, $password: String!) {
    login(input: {login: $login, password: $password}) { accessToken refreshToken errors { code } } }"""
FORGOTTEN = "mutation($i: RequestPasswordResetInput!) { requestPasswordReset(input: $i) { errors { code } } }"
REFRESH = """mutation($token: String!) {
    refreshTokens(input: {refreshToken: $token}) { refreshToken errors { code } } }"""
SIGNUP = "mutation($i: SignupInput!) { signup(input: $i) { status errors { code } } }"
REFUSED = {"accessToken": None, "refreshToken": None, "errors": [{"code": "INVALID_CREDENTIALS"}]}


@pytest.fixture(params=["redis", "without redis"])
async def app(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Starlette]:
    """The application behind one proxy; everything here holds while Redis is away, too."""
    update: dict[str, object] = {"trusted_proxies": 1}
    if request.param == "without redis":
        update["redis_url"] = SecretStr("redis://127.0.0.1:9/0")
    chosen = settings.model_copy(update=update)
    async with open_runtime(chosen) as runtime:
        await _add(runtime, "ada")
        yield create_app(chosen, runtime)


@pytest.fixture
async def client(app: Starlette) -> AsyncIterator[GraphQLClient]:
    async with graphql_client(app) as client:
        yield client


async def _add(runtime: Runtime, name: str) -> None:
    async with runtime.unit_of_work() as uow:
        spec = SignupSpec(name, f"{name}@example.com", PASSWORD)
        await accounts.create_user(uow, runtime.passwords, spec, Role.TRADER)


async def _log_in(client: GraphQLClient, login: str, password: str, address: str) -> Result:
    return await client.execute(
        LOGIN, {"login": login, "password": password}, headers={"x-forwarded-for": address}
    )


async def test_an_address_may_fail_five_times_in_15_minutes(client: GraphQLClient) -> None:
    for number in range(5):
        answer = await _log_in(client, f"nobody{number}", "wrong", "203.0.113.7")
        assert answer.data["login"] == REFUSED
    refused = await _log_in(client, "ada", PASSWORD, "203.0.113.7")
    assert refused.body["data"] is None
    assert refused.codes == ["RATE_LIMITED"]
    seconds = refused.errors[0]["extensions"]["retryAfterSeconds"]
    assert 890 <= seconds <= 900
    assert refused.headers["retry-after"] == str(seconds)
    # Others are not concerned, and what a client writes in front of the proxy's entry changes nothing.
    assert (await _log_in(client, "ada", PASSWORD, "203.0.113.8")).data["login"]["accessToken"]
    again = await _log_in(client, "ada", PASSWORD, "198.51.100.1, 203.0.113.7")
    assert again.codes == ["RATE_LIMITED"]


@pytest.mark.parametrize("login", ["ada", "ada@example.com"])
async def test_an_account_may_be_guessed_at_five_times_from_everywhere(
    client: GraphQLClient, login: str
) -> None:
    # Its spellings count as one.
    for number, spelt in enumerate([login, login.upper(), f" {login} ", login.title(), f"{login} "]):
        assert (await _log_in(client, spelt, "wrong", f"203.0.113.{number}")).data["login"] == REFUSED
    assert (await _log_in(client, login, PASSWORD, "203.0.113.9")).codes == ["RATE_LIMITED"]


async def test_the_limit_does_not_tell_which_addresses_are_registered(client: GraphQLClient) -> None:
    told: list[Any] = []
    for name, email in (("newcomer", "newcomer@example.com"), ("intruder", "ada@example.com")):
        given = {"username": name, "email": email, "password": PASSWORD}
        assert (await client.execute(SIGNUP, {"i": given})).data["signup"]["errors"] == []
        for number in range(5):
            assert (await _log_in(client, name, "wrong", f"203.0.113.{number}{len(told)}")).data
        answer = await _log_in(client, email, "wrong", f"198.51.100.{len(told)}")
        told.append((answer.codes, answer.body["data"]))
    assert told[0] == told[1] == ([], {"login": REFUSED})


async def test_an_account_is_guessed_at_five_times_whatever_it_is_called(client: GraphQLClient) -> None:
    async def let_in(login: str, number: int) -> bool:
        answer = await _log_in(client, login, PASSWORD, f"198.51.100.{number}")
        assert answer.codes == []
        if answer.data["login"]["accessToken"] is None:
            assert answer.data["login"] == REFUSED
            return False
        return True

    for number, login in enumerate(["ada", "ada@example.com", "ada", "ADA@example.com"]):
        assert (await _log_in(client, login, "wrong", f"203.0.113.{number}")).data["login"] == REFUSED
    assert await let_in("ada", 1)
    assert (await _log_in(client, "ada", "wrong", "203.0.113.9")).data["login"] == REFUSED
    # Either name has failed at most three times, and is not told to wait: the right password is refused.
    assert not await let_in("ada", 2)
    assert not await let_in("ada@example.com", 3)
    # Another account is not concerned, and what an unknown name fails with counts for no account.
    assert (await _log_in(client, "nobody", "wrong", "203.0.113.9")).data["login"] == REFUSED


async def test_an_account_that_does_not_exist_is_limited_like_one_that_does(client: GraphQLClient) -> None:
    for number in range(5):
        assert (await _log_in(client, "nobody", "wrong", f"203.0.113.{number}")).data["login"] == REFUSED
    assert (await _log_in(client, "nobody", "wrong", "203.0.113.9")).codes == ["RATE_LIMITED"]


async def test_good_logins_are_not_limited(client: GraphQLClient) -> None:
    answers = await asyncio.gather(*(_log_in(client, "ada", PASSWORD, "203.0.113.7") for _ in range(12)))
    assert all(answer.data["login"]["accessToken"] for answer in answers)


async def test_guesses_in_one_document_or_at_one_moment_count_each(client: GraphQLClient) -> None:
    tries = " ".join(
        f'a{n}: login(input: {{login: "ada", password: "guess {n}"}}) {{ errors {{ code }} }}'
        for n in range(8)
    )
    answer = await client.execute(f"mutation {{ {tries} }}", headers={"x-forwarded-for": "203.0.113.7"})
    assert answer.body["data"] is None
    assert "RATE_LIMITED" in answer.codes
    answers = await asyncio.gather(
        *(_log_in(client, "ada", f"guess {n}", f"198.51.100.{n}") for n in range(8))
    )
    assert {code for answer in answers for code in answer.codes} == {"RATE_LIMITED"}


async def test_websockets_are_limited_with_http(app: Starlette, client: GraphQLClient) -> None:
    headers = {"x-forwarded-for": "203.0.113.7"}
    async with GraphQLSocket(InProcessTransport(app, headers=headers)) as socket:
        for _ in range(5):
            answer = await socket.execute(LOGIN, {"login": "nobody", "password": "wrong"})
            assert answer["data"]["login"] == REFUSED
        answer = await socket.execute(LOGIN, {"login": "ada", "password": PASSWORD})
        assert answer["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert answer["errors"][0]["extensions"]["retryAfterSeconds"] > 0
    assert (await _log_in(client, "ada", PASSWORD, "203.0.113.7")).codes == ["RATE_LIMITED"]


async def test_an_address_may_sign_up_30_times_an_hour(client: GraphQLClient) -> None:
    codes = []
    for number in range(31):
        given = {"username": "x", "email": f"x{number}", "password": "x"}
        answer = await client.execute(SIGNUP, {"i": given}, headers={"x-forwarded-for": "203.0.113.7"})
        codes.append(answer.codes)
    assert codes == [[]] * 30 + [["RATE_LIMITED"]]


SPELLINGS = [
    "ada@example.com",
    "ADA@EXAMPLE.COM",
    " ada@example.com ",
    "ada@ｅｘａｍｐｌｅ.com",
    "ada@example。com",
    "ada@ＥＸＡＭＰＬＥ．com",
]


@pytest.mark.parametrize("registered", [True, False])
async def test_a_mailbox_is_signed_up_five_times_an_hour_however_it_is_spelt(
    client: GraphQLClient, registered: bool
) -> None:
    codes = []
    for number, spelt in enumerate(SPELLINGS):
        email = spelt if registered else spelt.lower().replace("ada", "nobody")
        given = {"username": f"user{number}", "email": email, "password": PASSWORD}
        headers = {"x-forwarded-for": f"203.0.113.{number}"}
        codes.append((await client.execute(SIGNUP, {"i": given}, headers=headers)).codes)
    assert codes == [[]] * 5 + [["RATE_LIMITED"]]


async def test_a_mailbox_gets_three_links_an_hour_however_it_is_spelt(client: GraphQLClient) -> None:
    codes = []
    for number, email in enumerate(reversed(SPELLINGS)):
        headers = {"x-forwarded-for": f"203.0.113.{number}"}
        codes.append((await client.execute(FORGOTTEN, {"i": {"email": email}}, headers=headers)).codes)
    assert codes == [[]] * 3 + [["RATE_LIMITED"]] * 3


async def test_logins_and_refreshes_that_succeed_count_generously(
    client: GraphQLClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_most(limited: Limited, attempts: int) -> None:
        [rule] = limited._attempts
        fewer = replace(rule, policy=replace(rule.policy, limit=attempts))
        monkeypatch.setattr(limited, "_attempts", [fewer])

    def refused(answer: Result) -> list[str]:
        assert bool(answer.body["data"]) is not bool(answer.codes)
        return answer.codes

    address = {"x-forwarded-for": "203.0.113.7"}
    at_most(limits.LOGIN, 2)
    at_most(limits.REFRESH, 2)
    logins = [await _log_in(client, "ada", PASSWORD, address["x-forwarded-for"]) for _ in range(4)]
    assert [refused(answer) for answer in logins] == [[], [], ["RATE_LIMITED"], ["RATE_LIMITED"]]
    token, codes = logins[0].data["login"]["refreshToken"], []
    for _ in range(3):
        answer = await client.execute(REFRESH, {"token": token}, headers=address)
        codes.append(refused(answer))
        if not answer.codes:
            token = answer.data["refreshTokens"]["refreshToken"]
    assert codes == [[], [], ["RATE_LIMITED"]]
    # What was refused so is no failure of the login: nothing was tried.
    monkeypatch.undo()
    for _ in range(4):
        answer = await _log_in(client, "ada", "wrong", address["x-forwarded-for"])
        assert answer.data["login"]["errors"] == [{"code": "INVALID_CREDENTIALS"}]
    assert (await _log_in(client, "ada", PASSWORD, address["x-forwarded-for"])).codes == []


async def test_what_fails_through_no_fault_of_theirs_shuts_nobody_out(
    client: GraphQLClient, runtime: Runtime
) -> None:
    async with runtime.unit_of_work() as uow:
        await uow.session.execute(text("ALTER TABLE users RENAME TO elsewhere"))
    for _ in range(6):
        assert (await _log_in(client, "ada", PASSWORD, "203.0.113.7")).codes == ["INTERNAL"]
    async with runtime.unit_of_work() as uow:
        await uow.session.execute(text("ALTER TABLE elsewhere RENAME TO users"))
    assert (await _log_in(client, "ada", PASSWORD, "203.0.113.7")).data["login"]["accessToken"]


async def test_redis_that_stops_lets_nobody_guess_on_and_good_logins_in(settings: Settings) -> None:
    # pytest's own directories are for the present user alone; Valkey may run as another one.
    directory = Path(tempfile.mkdtemp(prefix="gql-trader-tests-"))
    data = DataDirectory(directory).lock()
    servers = EmbeddedServers(data, ChildRegister(data.register), postgres=False, durable=False)
    await asyncio.to_thread(servers.start)
    assert servers.redis_url is not None
    chosen = settings.model_copy(update={"trusted_proxies": 1, "redis_url": SecretStr(servers.redis_url)})
    try:
        async with (
            open_runtime(chosen) as runtime,
            graphql_client(create_app(chosen, runtime)) as client,
        ):
            await _add(runtime, "ada")
            for _ in range(3):
                assert (await _log_in(client, "ada", "wrong", "203.0.113.7")).data["login"] == REFUSED
            await asyncio.to_thread(servers.stop)
            # What failed before counts on; two more failures fill the window.
            good = await _log_in(client, "ada", PASSWORD, "203.0.113.7")
            assert good.data["login"]["accessToken"]
            for _ in range(2):
                assert (await _log_in(client, "ada", "wrong", "203.0.113.7")).data["login"] == REFUSED
            refused = await _log_in(client, "ada", PASSWORD, "203.0.113.7")
            assert refused.codes == ["RATE_LIMITED"]
            assert int(refused.headers["retry-after"]) > 800
    finally:
        await asyncio.to_thread(servers.stop)
        data.unlock()
        shutil.rmtree(directory)
