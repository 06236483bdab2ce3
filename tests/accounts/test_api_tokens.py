"""API tokens from outside: made once, sent over either transport, and reaching no further than they say."""

import asyncio
import string
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select, text

from gql_trader.accounts import api_tokens, service
from gql_trader.accounts.jobs import forget_ended_api_tokens
from gql_trader.accounts.models_credentials import ApiTokenRow
from gql_trader.core.actor import Role
from gql_trader.gql.scalars import format_datetime
from gql_trader.runtime import Runtime
from tests.accounts.accounts_api import Accounts, refusals
from tests.graphql_client import GraphQLSocket, InProcessTransport, Result, SocketClosedError

ME = "{ me { username } }"
TOKENS = "{ me { apiTokens { id label prefix scopes createdAt lastUsedAt expiresAt } } }"
CREATED = "apiToken { id label prefix scopes lastUsedAt expiresAt } secret"
CREATE_STRATEGY = """mutation { createStrategy(input: {name: "s", rules: {entryLong: "close > open"}}) {
    strategy { name } errors { code } } }"""


@pytest.fixture
async def session(accounts: Accounts) -> str:
    """An access token of a trader."""
    await accounts.make_user("ada")
    return (await accounts.log_in("ada"))["accessToken"]  # type: ignore[no-any-return]


async def create(
    accounts: Accounts, session: str, scopes: Collection[str] = ("READ",), **values: Any
) -> dict[str, Any]:
    """Make a token and return the payload."""
    given = {"label": "nightly", "scopes": list(scopes), **values}
    return await accounts.mutate("createApiToken", CREATED, session, **given)  # type: ignore[no-any-return]


async def send(accounts: Accounts, query: str, secret: str, scheme: str = "Token") -> Result:
    return await accounts.client.execute(query, headers={"authorization": f"{scheme} {secret}"})


async def listed(accounts: Accounts, session: str) -> list[dict[str, Any]]:
    found = await send(accounts, TOKENS, session, "Bearer")
    return found.data["me"]["apiTokens"]  # type: ignore[no-any-return]


async def test_a_token_is_shown_once_and_only_its_hash_is_kept(accounts: Accounts, session: str) -> None:
    payload = await create(accounts, session, ["BACKTEST", "READ"])
    secret, token = payload["secret"], payload["apiToken"]
    assert payload["errors"] == []
    assert secret.startswith("gqlt_")
    assert len(secret) == 48
    assert token == {
        "id": token["id"],
        "label": "nightly",
        "prefix": secret[:12],
        "scopes": ["READ", "BACKTEST"],
        "lastUsedAt": None,
        "expiresAt": None,
    }
    [shown] = await listed(accounts, session)
    assert (shown["id"], shown["prefix"]) == (token["id"], secret[:12])
    async with accounts.runtime.database.session() as database:
        stored = (
            await database.execute(text("SELECT row_to_json(api_tokens)::text FROM api_tokens"))
        ).scalar()
        logged = (
            await database.execute(text("SELECT row_to_json(audit_events)::text FROM audit_events"))
        ).scalar()
    assert secret not in f"{stored}{logged}"
    assert secret[13:] not in f"{stored}{logged}"


@pytest.mark.parametrize("scheme", ["Token", "Bearer", "token", "BEARER"])
async def test_a_token_signs_in_over_http_and_websocket(
    accounts: Accounts, session: str, scheme: str
) -> None:
    secret = (await create(accounts, session))["secret"]
    assert (await send(accounts, ME, secret, scheme)).data == {"me": {"username": "ada"}}
    authorization = f"{scheme} {secret}"
    async with GraphQLSocket(InProcessTransport(accounts.app), {"authorization": authorization}) as socket:
        assert socket.acknowledged["expiresAt"] is None
        assert await socket.execute(ME) == {"data": {"me": {"username": "ada"}}}
    handshake = InProcessTransport(accounts.app, headers={"authorization": authorization})
    async with GraphQLSocket(handshake) as socket:
        assert await socket.execute(ME) == {"data": {"me": {"username": "ada"}}}


async def test_a_token_reaches_its_scopes_and_no_other(accounts: Accounts, session: str) -> None:
    reading = (await create(accounts, session, ["READ"]))["secret"]
    running = (await create(accounts, session, ["BACKTEST"]))["secret"]
    assert (await send(accounts, "{ strategies { totalCount } }", reading)).errors == []
    refused = await send(accounts, CREATE_STRATEGY, reading)
    assert refused.codes == ["FORBIDDEN"]
    assert refused.errors[0]["message"] == "This API token lacks the scope BACKTEST."
    assert (await send(accounts, CREATE_STRATEGY, running)).data["createStrategy"]["errors"] == []
    for query in (ME, "{ strategies { totalCount } }", '{ node(id: "") { id } }'):
        assert (await send(accounts, query, running)).codes == ["FORBIDDEN"]


@pytest.mark.parametrize(
    "mutation",
    [
        'createApiToken(input: {label: "more", scopes: [READ]}) { errors { code } }',
        'revokeApiToken(input: {id: "QXBpVG9rZW46MQ=="}) { errors { code } }',
    ],
)
async def test_a_token_never_makes_or_ends_tokens(accounts: Accounts, mutation: str) -> None:
    await accounts.make_user("root", Role.ADMIN)
    session = (await accounts.log_in("root"))["accessToken"]
    secret = (await create(accounts, session, ["READ", "BACKTEST", "TRADE", "ADMIN"]))["secret"]
    refused = await send(accounts, f"mutation {{ {mutation} }}", secret)
    assert refused.codes == ["FORBIDDEN"]
    assert refused.errors[0]["message"] == "No API token may do this; log in."
    assert len(await listed(accounts, session)) == 1


async def test_an_administrators_token_administers_only_with_that_scope(accounts: Accounts) -> None:
    await accounts.make_user("root", Role.ADMIN)
    await accounts.make_user("ada")
    session = (await accounts.log_in("root"))["accessToken"]
    reading = (await create(accounts, session, ["READ"]))["secret"]
    administering = (await create(accounts, session, ["READ", "ADMIN"]))["secret"]
    users = "{ users { nodes { id username } } }"
    assert (await send(accounts, users, reading)).codes == ["FORBIDDEN"]
    found = (await send(accounts, users, administering)).data["users"]["nodes"]
    assert [each["username"] for each in found] == ["ada", "root"]
    # Nor may it look at others where the scope is not asked for, but the role counts.
    node = f'{{ node(id: "{found[0]["id"]}") {{ id }} }}'
    assert (await send(accounts, node, reading)).data == {"node": None}
    assert (await send(accounts, node, administering)).data == {"node": {"id": found[0]["id"]}}


async def test_a_token_has_no_more_rights_than_its_user_has_now(accounts: Accounts, session: str) -> None:
    secret = (await create(accounts, session, ["READ", "BACKTEST"]))["secret"]
    await accounts.make_user("root", Role.ADMIN)
    root = (await accounts.log_in("root"))["accessToken"]
    ada = (await accounts.client.signed_in(session).execute("{ me { id } }")).data["me"]["id"]
    await accounts.mutate("changeUserRole", "user { role }", root, id=ada, role="VIEWER")
    assert (await send(accounts, CREATE_STRATEGY, secret)).codes == ["FORBIDDEN"]
    assert (await send(accounts, ME, secret)).data == {"me": {"username": "ada"}}
    await accounts.mutate("disableUser", "user { status }", root, id=ada)
    assert (await send(accounts, "{ markets { totalCount } }", secret)).codes == ["UNAUTHENTICATED"]
    # Enabling the user again brings back no credential of before.
    await accounts.mutate("enableUser", "user { status }", root, id=ada)
    assert (await send(accounts, "{ markets { totalCount } }", secret)).codes == ["UNAUTHENTICATED"]
    assert await listed(accounts, (await accounts.log_in("ada"))["accessToken"]) == []


async def test_a_token_ends_when_revoked_and_when_it_expires(accounts: Accounts, session: str) -> None:
    soon = accounts.clock.now() + timedelta(minutes=5)
    lasting = await create(accounts, session)
    ending = await create(accounts, session, expiresAt=format_datetime(soon))
    assert ending["apiToken"]["expiresAt"] == format_datetime(soon)
    for payload in (lasting, ending):
        assert (await send(accounts, ME, payload["secret"])).data["me"] is not None
    revoked = await accounts.mutate(
        "revokeApiToken", "apiToken { id }", session, id=lasting["apiToken"]["id"]
    )
    assert revoked == {"apiToken": {"id": lasting["apiToken"]["id"]}, "errors": []}
    again = await accounts.mutate("revokeApiToken", "apiToken { id }", session, id=lasting["apiToken"]["id"])
    assert refusals(again) == [("NOT_FOUND", ["id"])]
    assert [each["id"] for each in await listed(accounts, session)] == [ending["apiToken"]["id"]]
    accounts.clock.move(minutes=5)
    for payload in (lasting, ending):
        refused = await send(accounts, "{ markets { totalCount } }", payload["secret"])
        assert refused.codes == ["UNAUTHENTICATED"]
        assert refused.errors[0]["message"] == "The API token is invalid, was revoked or has expired."
        with pytest.raises(SocketClosedError, match="4403"):
            async with GraphQLSocket(
                InProcessTransport(accounts.app), {"authorization": f"Token {payload['secret']}"}
            ):
                pass


async def test_the_ack_tells_when_a_token_expires(accounts: Accounts, session: str) -> None:
    soon = format_datetime(accounts.clock.now() + timedelta(minutes=5))
    secret = (await create(accounts, session, expiresAt=soon))["secret"]
    async with GraphQLSocket(
        InProcessTransport(accounts.app), {"authorization": f"Token {secret}"}
    ) as socket:
        assert socket.acknowledged["expiresAt"] == soon


async def test_a_socket_ends_within_seconds_of_its_token(accounts: Accounts, session: str) -> None:
    revoked, kept = await create(accounts, session), await create(accounts, session)

    def socket(payload: dict[str, Any]) -> GraphQLSocket:
        authorization = f"Token {payload['secret']}"
        return GraphQLSocket(InProcessTransport(accounts.app), {"authorization": authorization})

    async with socket(revoked) as ending, socket(kept) as lasting:
        await accounts.mutate("revokeApiToken", "apiToken { id }", session, id=revoked["apiToken"]["id"])
        async with asyncio.timeout(60):
            assert (await ending.closed()).code == 4403
        assert await lasting.execute(ME) == {"data": {"me": {"username": "ada"}}}


async def test_the_last_use_is_written_at_most_once_a_minute(accounts: Accounts, session: str) -> None:
    secret = (await create(accounts, session))["secret"]
    written: list[str] = []

    @event.listens_for(accounts.runtime.database.engine.sync_engine, "before_cursor_execute")
    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("UPDATE api_tokens"):
            written.append(statement)

    await send(accounts, ME, secret)
    accounts.clock.move(seconds=45)
    await send(accounts, ME, secret)
    assert len(written) == 1
    accounts.clock.move(seconds=15)
    await send(accounts, ME, secret)
    assert len(written) == 2
    [shown] = await listed(accounts, (await accounts.log_in("ada"))["accessToken"])
    last_used = datetime.fromisoformat(shown["lastUsedAt"])
    assert timedelta(0) <= accounts.clock.now() - last_used < timedelta(seconds=15)


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ({"label": " "}, [("INVALID_INPUT", ["label"])]),
        ({"label": "x" * 101}, [("INVALID_INPUT", ["label"])]),
        ({"scopes": []}, [("INVALID_INPUT", ["scopes"])]),
        ({"scopes": ["READ", "ADMIN"]}, [("FORBIDDEN", ["scopes"])]),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, [("INVALID_INPUT", ["expiresAt"])]),
        (
            {"label": "", "scopes": [], "expiresAt": "2020-01-01T00:00:00Z"},
            [("INVALID_INPUT", ["label"]), ("INVALID_INPUT", ["scopes"]), ("INVALID_INPUT", ["expiresAt"])],
        ),
    ],
)
async def test_a_bad_token_is_not_made(
    accounts: Accounts, session: str, values: dict[str, Any], refused: list[tuple[str, list[str]]]
) -> None:
    payload = await create(accounts, session, **values)
    assert refusals(payload) == refused
    assert payload["apiToken"] is payload["secret"] is None
    assert await listed(accounts, session) == []


async def test_a_user_has_fifty_tokens_at_most(
    accounts: Accounts, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_tokens, "MAXIMUM_TOKENS", 2)
    for _ in range(2):
        assert (await create(accounts, session))["errors"] == []
    assert refusals(await create(accounts, session)) == [("QUOTA_EXCEEDED", [])]
    assert len(await listed(accounts, session)) == 2


async def test_a_user_makes_twenty_tokens_an_hour(accounts: Accounts, session: str) -> None:
    for _ in range(20):
        payload = await create(accounts, session)
        assert payload["errors"] == []
        await accounts.mutate("revokeApiToken", "apiToken { id }", session, id=payload["apiToken"]["id"])
    query = 'mutation { createApiToken(input: {label: "a", scopes: [READ]}) { secret } }'
    assert (await send(accounts, query, session, "Bearer")).codes == ["RATE_LIMITED"]
    assert await listed(accounts, session) == []


async def test_tokens_that_ended_a_month_ago_are_forgotten(accounts: Accounts, session: str) -> None:
    soon = format_datetime(accounts.clock.now() + timedelta(minutes=5))
    revoked = await create(accounts, session, label="revoked")
    await create(accounts, session, label="expiring", expiresAt=soon)
    await create(accounts, session, label="lasting")
    await accounts.mutate("revokeApiToken", "apiToken { id }", session, id=revoked["apiToken"]["id"])

    async def kept() -> set[str]:
        await forget_ended_api_tokens(accounts.runtime)
        async with accounts.runtime.unit_of_work() as uow:
            return set(await uow.session.scalars(select(ApiTokenRow.label)))

    accounts.clock.move(days=29)
    assert await kept() == {"revoked", "expiring", "lasting"}
    accounts.clock.move(days=2)
    assert await kept() == {"lasting"}


async def test_anothers_token_is_neither_seen_nor_ended(accounts: Accounts, session: str) -> None:
    mine = (await create(accounts, session))["apiToken"]["id"]
    await accounts.make_user("eve")
    eve = (await accounts.log_in("eve"))["accessToken"]
    node = f'{{ node(id: "{mine}") {{ id }} }}'
    assert (await accounts.client.signed_in(session).execute(node)).data == {"node": {"id": mine}}
    assert (await accounts.client.signed_in(eve).execute(node)).data == {"node": None}
    assert refusals(await accounts.mutate("revokeApiToken", "apiToken { id }", eve, id=mine)) == [
        ("NOT_FOUND", ["id"])
    ]
    assert len(await listed(accounts, session)) == 1


_HEADERS = st.one_of(
    st.text(max_size=200),
    st.binary(max_size=200).map(lambda sent: sent.decode("latin-1")),
    st.builds(
        "{} {}".format,
        st.sampled_from(["Token", "Bearer", "token", "Basic", "Token Token", ""]),
        st.one_of(
            st.text(max_size=80),
            st.text(string.ascii_letters + string.digits + "_-", min_size=40, max_size=46).map(
                "gqlt_{}".format
            ),
            st.text(string.ascii_letters + string.digits + "_-=.", max_size=120),
        ),
    ),
)


async def test_no_header_that_was_not_given_out_stands_for_anybody(runtime: Runtime) -> None:
    async with runtime.unit_of_work() as uow:

        @settings(max_examples=300, deadline=None, database=None)
        @given(_HEADERS)
        def collect(header: str) -> None:
            headers.append(header)

        headers: list[str] = []
        collect()
        for header in headers:
            found = await service.authenticate(uow, runtime.tokens, header)
            assert found.actor is None
            assert (found.problem is None) == (header == "")


async def test_no_change_to_a_token_leaves_it_valid(accounts: Accounts, session: str) -> None:
    secret = (await create(accounts, session))["secret"]
    alphabet = string.ascii_letters + string.digits + "_-"
    changed = {secret[:-1], secret + "A", secret.upper(), secret.lower(), secret[5:], f"{secret} {secret}"}
    for place in range(len(secret)):
        other = alphabet[(alphabet.index(secret[place]) + 1) % len(alphabet)]
        changed.add(secret[:place] + other + secret[place + 1 :])
    async with accounts.runtime.unit_of_work() as uow:
        for each in sorted(changed):
            found = await service.authenticate(uow, accounts.runtime.tokens, f"Token {each}")
            assert found.actor is None, each
        assert (await service.authenticate(uow, accounts.runtime.tokens, f"Token {secret}")).actor
