"""Login sessions over HTTP: refresh tokens rotate, their reuse is noticed, sessions are listed and end."""

import asyncio

import pytest
from sqlalchemy import func, select

from gql_trader.accounts import repository, sessions
from gql_trader.accounts.models import LoginSessionRow, RefreshTokenRow
from gql_trader.core.ids import uuid7
from gql_trader.gql.relay import encode_id
from tests.accounts.accounts_api import PASSWORD, Accounts, refusals

NOT_VALID = [("INVALID_TOKEN", ["refreshToken"])]
SESSIONS = "loginSessions { id createdAt lastSeenAt ipAddress userAgent current }"


@pytest.fixture(autouse=True)
async def users(accounts: Accounts) -> None:
    await accounts.make_user("ada")
    await accounts.make_user("bob")


async def test_a_login_gives_an_access_token_and_a_refresh_token(accounts: Accounts) -> None:
    payload = await accounts.log_in("ada")
    assert payload["tokenType"] == "Bearer"
    assert payload["user"] == {"username": "ada"}
    assert payload["refreshToken"].startswith("gqlr_")
    assert await accounts.me(payload["accessToken"]) == {"username": "ada"}


async def test_only_the_hash_of_a_refresh_token_is_stored(accounts: Accounts) -> None:
    token = (await accounts.log_in("ada"))["refreshToken"]
    async with accounts.runtime.unit_of_work() as uow:
        [stored] = (await uow.session.scalars(select(RefreshTokenRow.token_hash))).all()
    assert len(stored) == 32
    assert token.encode() not in stored


async def test_refreshing_gives_new_tokens_of_the_same_session(accounts: Accounts) -> None:
    first = await accounts.log_in("ada")
    accounts.clock.move(minutes=20)
    assert await accounts.me(first["accessToken"]) is None
    second = await accounts.refresh(first["refreshToken"])
    assert second["errors"] == []
    assert second["user"] == {"username": "ada"}
    assert second["refreshToken"] != first["refreshToken"]
    assert len((await accounts.me(second["accessToken"], SESSIONS))["loginSessions"]) == 1
    third = await accounts.refresh(second["refreshToken"])
    assert third["errors"] == []


async def test_reuse_of_a_refresh_token_ends_the_whole_session_and_no_other(accounts: Accounts) -> None:
    other = await accounts.log_in("ada")
    first = await accounts.log_in("ada")
    second = await accounts.refresh(first["refreshToken"])
    assert refusals(await accounts.refresh(first["refreshToken"])) == NOT_VALID
    # The tokens that the rightful holder has, or the thief, are of no use any more.
    assert refusals(await accounts.refresh(second["refreshToken"])) == NOT_VALID
    assert await accounts.me(second["accessToken"]) is None
    assert await accounts.me(other["accessToken"]) == {"username": "ada"}
    assert (await accounts.refresh(other["refreshToken"]))["errors"] == []


async def test_of_two_requests_with_one_refresh_token_one_wins_and_the_session_ends(
    accounts: Accounts,
) -> None:
    first = await accounts.log_in("ada")
    answers = await asyncio.gather(*(accounts.refresh(first["refreshToken"]) for _ in range(4)))
    won = [answer for answer in answers if not answer["errors"]]
    assert len(won) == 1
    assert refusals(await accounts.refresh(won[0]["refreshToken"])) == NOT_VALID
    assert await accounts.me(won[0]["accessToken"]) is None


@pytest.mark.parametrize("token", ["", "gqlr_", "x" * 5000, "gqlr_ä\ud83d\ude00"])
async def test_what_is_no_refresh_token_is_refused(accounts: Accounts, token: str) -> None:
    assert refusals(await accounts.refresh(token)) == NOT_VALID


async def test_an_access_token_is_no_refresh_token_and_the_other_way_round(accounts: Accounts) -> None:
    tokens = await accounts.log_in("ada")
    assert refusals(await accounts.refresh(tokens["accessToken"])) == NOT_VALID
    assert await accounts.me(tokens["refreshToken"]) is None


@pytest.mark.parametrize(("remember", "days"), [(False, 7), (True, 30)])
async def test_a_session_ends_when_it_is_not_refreshed(accounts: Accounts, remember: bool, days: int) -> None:
    tokens = await accounts.log_in("ada", rememberMe=remember)
    accounts.clock.move(days=days, minutes=-1)
    tokens = await accounts.refresh(tokens["refreshToken"])
    assert tokens["errors"] == []
    # Each refresh prolongs it by as much again.
    accounts.clock.move(days=days, minutes=-1)
    tokens = await accounts.refresh(tokens["refreshToken"])
    assert tokens["errors"] == []
    accounts.clock.move(days=days, minutes=1)
    assert refusals(await accounts.refresh(tokens["refreshToken"])) == NOT_VALID


async def test_a_session_ends_after_90_days_however_much_it_is_used(accounts: Accounts) -> None:
    token = (await accounts.log_in("ada", rememberMe=True))["refreshToken"]
    for _ in range(4):
        accounts.clock.move(days=22)
        token = (await accounts.refresh(token))["refreshToken"]
    accounts.clock.move(days=1, hours=23, minutes=55)
    youngest = await accounts.refresh(token)
    assert await accounts.me(youngest["accessToken"]) is not None
    accounts.clock.move(minutes=6)
    assert await accounts.me(youngest["accessToken"]) is None
    assert refusals(await accounts.refresh(youngest["refreshToken"])) == [("INVALID_TOKEN", ["refreshToken"])]


async def test_sessions_are_listed_with_device_and_last_use(accounts: Accounts) -> None:
    await accounts.log_in("bob")
    await accounts.log_in("ada", headers={"user-agent": "Phone/1.0"})
    accounts.clock.move(minutes=3)
    here = await accounts.log_in("ada", headers={"user-agent": "Laptop/2.0"})
    listed = (await accounts.me(here["accessToken"], SESSIONS))["loginSessions"]
    assert [(each["userAgent"], each["ipAddress"], each["current"]) for each in listed] == [
        ("Laptop/2.0", "127.0.0.1", True),
        ("Phone/1.0", "127.0.0.1", False),
    ]
    accounts.clock.move(minutes=5)
    again = (await accounts.me(here["accessToken"], SESSIONS))["loginSessions"]
    assert again[0]["lastSeenAt"] > listed[0]["lastSeenAt"]
    assert again[0]["createdAt"] == listed[0]["createdAt"]
    assert again[1] == listed[1]


async def test_a_session_is_a_node_for_its_owner_only(accounts: Accounts) -> None:
    ada, bob = await accounts.log_in("ada"), await accounts.log_in("bob")
    [session] = (await accounts.me(ada["accessToken"], SESSIONS))["loginSessions"]
    query = "query($id: ID!) { node(id: $id) { id ... on LoginSession { current } } }"
    for token, expected in ((ada, {"id": session["id"], "current": True}), (bob, None)):
        client = accounts.client.signed_in(token["accessToken"])
        assert (await client.execute(query, {"id": session["id"]})).data == {"node": expected}


async def test_a_session_can_be_ended_from_another_device(accounts: Accounts) -> None:
    phone, laptop = await accounts.log_in("ada"), await accounts.log_in("ada")
    [phones] = (
        each
        for each in (await accounts.me(laptop["accessToken"], SESSIONS))["loginSessions"]
        if not each["current"]
    )
    payload = await accounts.mutate(
        "revokeLoginSession", "loginSession { id current }", laptop["accessToken"], id=phones["id"]
    )
    assert payload == {"loginSession": {"id": phones["id"], "current": False}, "errors": []}
    assert await accounts.me(phone["accessToken"]) is None
    assert refusals(await accounts.refresh(phone["refreshToken"])) == NOT_VALID
    assert len((await accounts.me(laptop["accessToken"], SESSIONS))["loginSessions"]) == 1


async def test_nobody_ends_the_session_of_another_or_one_that_is_not_there(accounts: Accounts) -> None:
    ada, bob = await accounts.log_in("ada"), await accounts.log_in("bob")
    [session] = (await accounts.me(ada["accessToken"], SESSIONS))["loginSessions"]
    for key in (session["id"], encode_id("LoginSession", uuid7())):
        payload = await accounts.mutate(
            "revokeLoginSession", "loginSession { id }", bob["accessToken"], id=key
        )
        assert payload["loginSession"] is None
        assert refusals(payload) == [("NOT_FOUND", ["id"])]
    assert await accounts.me(ada["accessToken"]) == {"username": "ada"}


async def test_logging_out_ends_this_session_only(accounts: Accounts) -> None:
    here, there = await accounts.log_in("ada"), await accounts.log_in("ada")
    payload = await accounts.mutate("logout", "endedSessions", here["accessToken"])
    assert payload == {"endedSessions": 1, "errors": []}
    assert await accounts.me(here["accessToken"]) is None
    assert refusals(await accounts.refresh(here["refreshToken"])) == NOT_VALID
    assert await accounts.me(there["accessToken"]) == {"username": "ada"}


async def test_a_refresh_token_is_enough_to_log_out(accounts: Accounts) -> None:
    tokens = await accounts.log_in("ada")
    accounts.clock.move(minutes=20)
    payload = await accounts.mutate("logout", "endedSessions", refreshToken=tokens["refreshToken"])
    assert payload == {"endedSessions": 1, "errors": []}
    payload = await accounts.mutate("logout", "endedSessions", refreshToken=tokens["refreshToken"])
    assert (payload["endedSessions"], refusals(payload)) == (None, NOT_VALID)


async def test_logging_out_everywhere_ends_the_users_sessions_and_nobody_elses(accounts: Accounts) -> None:
    devices = [await accounts.log_in("ada") for _ in range(3)]
    bob = await accounts.log_in("bob")
    payload = await accounts.mutate("logout", "endedSessions", devices[0]["accessToken"], everywhere=True)
    assert payload == {"endedSessions": 3, "errors": []}
    for device in devices:
        assert await accounts.me(device["accessToken"]) is None
        assert refusals(await accounts.refresh(device["refreshToken"])) == NOT_VALID
    assert await accounts.me(bob["accessToken"]) == {"username": "bob"}
    assert await accounts.log_in("ada")


async def test_logging_out_without_being_logged_in_is_refused(accounts: Accounts) -> None:
    result = await accounts.client.execute("mutation { logout(input: {}) { endedSessions } }")
    assert result.codes == ["UNAUTHENTICATED"]


async def test_a_raised_token_version_ends_access_and_refresh_tokens_at_once(accounts: Accounts) -> None:
    tokens = await accounts.log_in("ada")
    async with accounts.runtime.unit_of_work() as uow:
        user = await repository.user_by_login(uow.session, "ada")
        assert user is not None
        user.token_version += 1
    assert await accounts.me(tokens["accessToken"]) is None
    assert refusals(await accounts.refresh(tokens["refreshToken"])) == NOT_VALID
    fresh = await accounts.log_in("ada", PASSWORD)
    assert len((await accounts.me(fresh["accessToken"], SESSIONS))["loginSessions"]) == 1


async def test_a_disabled_user_cannot_refresh(accounts: Accounts) -> None:
    tokens = await accounts.log_in("ada")
    async with accounts.runtime.unit_of_work() as uow:
        user = await repository.user_by_login(uow.session, "ada")
        assert user is not None
        user.status = "DISABLED"
    assert refusals(await accounts.refresh(tokens["refreshToken"])) == NOT_VALID
    assert await accounts.me(tokens["accessToken"]) is None


async def test_sessions_are_forgotten_a_week_after_their_end(accounts: Accounts) -> None:
    await accounts.log_in("ada")
    await accounts.mutate("logout", "endedSessions", (await accounts.log_in("ada"))["accessToken"])
    kept = await accounts.log_in("ada", rememberMe=True)
    accounts.clock.move(days=15)
    async with accounts.runtime.unit_of_work() as uow:
        assert await sessions.forget(uow) == 2
    async with accounts.runtime.unit_of_work() as uow:
        for table in (LoginSessionRow, RefreshTokenRow):
            assert await uow.session.scalar(select(func.count()).select_from(table)) == 1
    assert (await accounts.refresh(kept["refreshToken"]))["errors"] == []


async def test_a_login_too_many_ends_the_session_that_was_used_longest_ago(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MAXIMUM_SESSIONS", 2)
    bob = await accounts.log_in("bob")
    first, second = [await accounts.log_in("ada") for _ in range(2)]
    accounts.clock.move(minutes=2)
    assert await accounts.me(first["accessToken"]) == {"username": "ada"}
    third = await accounts.log_in("ada")
    assert [
        (await accounts.me(tokens["accessToken"])) is not None for tokens in (first, second, third, bob)
    ] == [True, False, True, True]
