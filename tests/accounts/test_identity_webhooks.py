"""Signed messages of an identity provider: whom to believe, and what becomes of users here."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError
from sqlalchemy import func, select

from gql_trader.accounts import administration, api_tokens, external_identity
from gql_trader.accounts.models import PasswordResetRow, UserRow
from gql_trader.accounts.models_credentials import AuditEventRow
from gql_trader.accounts.models_external import ExternalIdentityRow, WebhookMessageRow
from gql_trader.accounts.types_credentials import ApiTokenSpec
from gql_trader.accounts.webhooks import read_event
from gql_trader.app import create_app
from gql_trader.config import Settings, SignupApproval
from gql_trader.core.actor import Actor, Role, TokenScope
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.errors import InvalidInput
from gql_trader.core.ids import UserId
from gql_trader.gql import http_request
from gql_trader.runtime import open_runtime
from tests.accounts.accounts_api import Accounts
from tests.factories.clock import MovableClock
from tests.factories.identity_provider import AUDIENCE, ISSUER, IdentityProvider, identity_provider
from tests.graphql_client import endless_body, graphql_client

KEY = b"a key of twenty-four byt"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@pytest.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    async with identity_provider() as running:
        yield running


@pytest.fixture
def approval() -> SignupApproval:
    return SignupApproval.AUTO


@pytest.fixture
async def accounts(
    settings: Settings, provider: IdentityProvider, approval: SignupApproval
) -> AsyncIterator[Accounts]:
    trusting = settings.model_copy(
        update={
            "auth_jwks_url": provider.url,
            "auth_issuer": ISSUER,
            "auth_audience": AUDIENCE,
            "auth_webhook_secret": SecretStr(SECRET),
            "signup_approval": approval,
        }
    )
    clock = MovableClock()
    async with open_runtime(trusting, clock) as runtime:
        app = create_app(trusting, runtime)
        async with graphql_client(app) as client:
            yield Accounts(app, runtime, clock, client)


def signature(message_id: str, timestamp: str, body: bytes, key: bytes = KEY) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


async def send(
    accounts: Accounts, message: Any, message_id: str = "msg_1", seconds: int = 0, **headers: str
) -> httpx.Response:
    """Send a message, signed now or so many seconds later; headers replace what is right."""
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    timestamp = str(to_milliseconds(accounts.clock.now()) // 1000 + seconds)
    right = {
        "svix-id": message_id,
        "svix-timestamp": timestamp,
        "svix-signature": signature(message_id, timestamp, body),
    }
    sent = {**right, **{f"svix-{name}": value for name, value in headers.items()}}
    sent = {name: value for name, value in sent.items() if value}
    return await accounts.client.http.post("/webhooks/identity", content=body, headers=sent)


def user_event(kind: str = "created", subject: str = "user_1", **data: Any) -> dict[str, Any]:
    """Return a message in Clerk's form."""
    email = data.pop("email", None)
    status = data.pop("verification", "verified")
    addresses = [
        {"id": "idn_0", "email_address": "other@example.com", "verification": {"status": "verified"}},
        {"id": "idn_1", "email_address": email, "verification": {"status": status}},
    ]
    about = {
        "id": subject,
        "object": "user",
        "username": None,
        "primary_email_address_id": "idn_1",
        "email_addresses": addresses if email else [],
        "banned": False,
        "updated_at": 1_700_000_000_000,
        **data,
    }
    return {"type": f"user.{kind}", "object": "event", "data": about}


DELETED = {"type": "user.deleted", "data": {"id": "user_1", "object": "user", "deleted": True}}


async def count(accounts: Accounts, table: Any) -> int:
    async with accounts.runtime.unit_of_work() as uow:
        return await uow.session.scalar(select(func.count()).select_from(table)) or 0


async def only_user(accounts: Accounts) -> UserRow:
    async with accounts.runtime.unit_of_work() as uow:
        [user] = await uow.session.scalars(select(UserRow))
    return user


async def events(accounts: Accounts) -> list[tuple[str, Any]]:
    async with accounts.runtime.unit_of_work() as uow:
        rows = await uow.session.scalars(select(AuditEventRow).order_by(AuditEventRow.id))
        return [(row.action, row.details) for row in rows]


# ---- users are kept in step ----


async def test_a_user_made_there_gets_an_account_here(accounts: Accounts, provider: IdentityProvider) -> None:
    answer = await send(accounts, user_event(username="ada", email="Ada@example.com"))
    assert (answer.status_code, answer.content) == (204, b"")
    user = await only_user(accounts)
    assert (user.username, user.email, user.role) == ("ada", "Ada@example.com", "TRADER")
    # The user's token finds that account, not another one.
    assert await accounts.me(provider.token("user_1")) == {"username": "ada"}
    assert await count(accounts, UserRow) == 1


@pytest.mark.parametrize(
    ("approval", "statuses"), [(SignupApproval.REQUIRED, ["PENDING"]), (SignupApproval.CLOSED, [])]
)
async def test_the_rule_for_new_accounts_holds(accounts: Accounts, statuses: list[str]) -> None:
    assert (await send(accounts, user_event())).status_code == 204
    async with accounts.runtime.unit_of_work() as uow:
        assert list(await uow.session.scalars(select(UserRow.status))) == statuses


async def test_name_and_verified_address_follow_a_change(accounts: Accounts) -> None:
    await send(accounts, user_event(username="ada", email="ada@example.com"))
    user = await only_user(accounts)
    async with accounts.runtime.unit_of_work() as uow:
        expires = accounts.clock.now()
        uow.session.add(PasswordResetRow(token_hash=b"1", user_id=user.id, expires_at=expires))
    data: dict[str, Any] = {
        "username": "lovelace",
        "email": "new@example.com",
        "updated_at": 1_700_000_000_001,
    }
    changed = user_event("updated", **data)
    await send(accounts, changed, "msg_2")
    user = await only_user(accounts)
    assert (user.username, user.email, user.email_key) == ("lovelace", "new@example.com", "new@example.com")
    # A link that was mailed to the old address opens nothing.
    assert await count(accounts, PasswordResetRow) == 0
    assert (await events(accounts))[-1] == (
        "IDENTITY_CHANGED",
        {"issuer": ISSUER, "subject": "user_1", "changed": ["email", "username"]},
    )


@pytest.mark.parametrize(
    "data",
    [
        {"email": "BOB@example.com"},
        {"email": "new@example.com", "verification": "unverified"},
        {"email": "nonsense"},
        {"username": "BOB"},
        {"username": "a b"},
        {"email_addresses": "x", "username": 7},
    ],
)
async def test_what_is_taken_unverified_or_malformed_changes_nothing(
    accounts: Accounts, data: dict[str, Any]
) -> None:
    await accounts.make_user("bob")
    await send(accounts, user_event(username="ada", email="ada@example.com"))
    await send(accounts, user_event("updated", updated_at=1_700_000_000_001, **data), "msg_2")
    async with accounts.runtime.unit_of_work() as uow:
        rows = await uow.session.execute(select(UserRow.username, UserRow.email).order_by(UserRow.username))
    assert [tuple(row) for row in rows] == [("ada", "ada@example.com"), ("bob", "bob@example.com")]


async def test_of_messages_out_of_order_the_youngest_change_stays(accounts: Accounts) -> None:
    await send(accounts, user_event("updated", username="newest", updated_at=3), "msg_3")
    await send(accounts, user_event("created", username="oldest", updated_at=1), "msg_1")
    await send(accounts, user_event("updated", username="older", updated_at=2), "msg_2")
    assert (await only_user(accounts)).username == "newest"


async def test_a_user_deleted_there_is_shut_out_here(accounts: Accounts, provider: IdentityProvider) -> None:
    await send(accounts, user_event())
    token = provider.token("user_1")
    assert await accounts.me(token) is not None
    version = (await only_user(accounts)).token_version
    assert (await send(accounts, DELETED, "msg_2")).status_code == 204
    assert await accounts.me(token) is None
    user = await only_user(accounts)
    assert (user.status, user.token_version) == ("DISABLED", version + 1)
    assert [action for action, _ in await events(accounts)] == [
        "USER_CREATED",
        "IDENTITY_DELETED",
        "USER_DISABLED",
    ]
    # Late messages bring nobody back.
    await send(accounts, user_event("updated", updated_at=1_800_000_000_000), "msg_3")
    assert (await only_user(accounts)).status == "DISABLED"


async def test_open_sockets_of_a_deleted_user_are_closed(
    accounts: Accounts, provider: IdentityProvider
) -> None:
    await send(accounts, user_event())
    async with accounts.socket(provider.token("user_1")) as socket:
        await send(accounts, DELETED, "msg_2")
        assert (await socket.closed()).code == 4403


async def test_who_was_deleted_before_coming_here_never_gets_in(
    accounts: Accounts, provider: IdentityProvider
) -> None:
    await send(accounts, DELETED)
    await send(accounts, user_event(), "msg_2")
    assert await accounts.me(provider.token("user_1")) is None
    assert await count(accounts, UserRow) == 0


async def test_a_banned_user_is_shut_out(accounts: Accounts) -> None:
    await send(accounts, user_event())
    await send(accounts, user_event("updated", banned=True, updated_at=1_700_000_000_001), "msg_2")
    assert (await only_user(accounts)).status == "DISABLED"


BANNED = user_event("updated", banned=True, updated_at=1_700_000_000_001)


@pytest.mark.parametrize("message", [DELETED, BANNED], ids=["deleted", "banned"])
async def test_the_last_administrator_remains_one_but_nothing_lets_them_in(
    accounts: Accounts, provider: IdentityProvider, message: dict[str, Any]
) -> None:
    await send(accounts, user_event())
    user = await only_user(accounts)
    async with accounts.runtime.unit_of_work() as uow:
        (await uow.session.get_one(UserRow, user.id)).role = "ADMIN"
    actor = Actor(UserId(user.id), Role.ADMIN)
    async with accounts.runtime.unit_of_work() as uow:
        spec = ApiTokenSpec("nightly", frozenset({TokenScope.READ}))
        _, secret = await api_tokens.create_token(uow, actor, spec)
    assert await accounts.me(secret) is not None
    assert (await send(accounts, message, "msg_2")).status_code == 204
    after = await only_user(accounts)
    assert (after.status, after.role, after.token_version) == ("ACTIVE", "ADMIN", user.token_version + 1)
    # The identity is dead, whatever becomes of the account, and so is what was given out.
    assert await accounts.me(provider.token("user_1")) is None
    assert await accounts.me(secret) is None
    assert (await events(accounts))[-1] == ("CREDENTIALS_ENDED", {"revokedApiTokens": 1})


async def test_a_ban_lasts_until_the_provider_lifts_it_whatever_becomes_of_the_account(
    accounts: Accounts, provider: IdentityProvider
) -> None:
    await send(accounts, user_event())
    await send(accounts, BANNED, "msg_2")
    async with accounts.runtime.unit_of_work() as uow:
        await administration.enable_user(uow, None, (await only_user(accounts)).id)
    assert await accounts.me(provider.token("user_1")) is None
    # A message that is late lifts nothing.
    await send(accounts, user_event("updated", updated_at=1_700_000_000_000), "msg_3")
    assert await accounts.me(provider.token("user_1")) is None
    await send(accounts, user_event("updated", updated_at=1_700_000_000_002), "msg_4")
    assert await accounts.me(provider.token("user_1")) is not None
    changes = [details for action, details in await events(accounts) if action == "IDENTITY_CHANGED"]
    assert [change["changed"] for change in changes] == [["banned"], ["banned"]]


async def test_who_was_banned_before_coming_here_gets_in_once_the_ban_is_lifted(
    accounts: Accounts, provider: IdentityProvider
) -> None:
    await send(accounts, user_event(banned=True))
    assert await accounts.me(provider.token("user_1")) is None
    assert await count(accounts, UserRow) == 0
    await send(accounts, user_event("updated", updated_at=1_700_000_000_001), "msg_2")
    assert await accounts.me(provider.token("user_1")) is not None


@pytest.mark.parametrize(
    ("change", "mine"),
    [
        ({"email": "new@example.com", "username": "lovelace"}, ("lovelace", "ada@example.com")),
        ({"email": "other@example.com", "username": "new"}, ("ada", "other@example.com")),
    ],
)
async def test_what_another_account_takes_at_the_same_moment_is_taken(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], mine: tuple[str, str]
) -> None:
    await send(accounts, user_event(username="ada", email="ada@example.com"))
    free_email, is_free_username = external_identity.free_email, external_identity.is_free_username

    async def and_then(found: Any) -> Any:
        # Somebody signs up as new just after it was found to be free.
        if await count(accounts, UserRow) == 1:
            await accounts.make_user("new")
        return found

    async def email_is_free(uow: Any, email: Any) -> Any:
        found = await free_email(uow, email)
        return await and_then(found) if email == "new@example.com" else found

    async def username_is_free(uow: Any, username: str) -> Any:
        return await and_then(await is_free_username(uow, username))

    monkeypatch.setattr(external_identity, "free_email", email_is_free)
    monkeypatch.setattr(external_identity, "is_free_username", username_is_free)
    changed = user_event("updated", updated_at=1_700_000_000_001, **change)
    assert (await send(accounts, changed, "msg_2")).status_code == 204
    async with accounts.runtime.unit_of_work() as uow:
        rows = await uow.session.execute(select(UserRow.username, UserRow.email))
    assert {tuple(row) for row in rows} == {mine, ("new", "new@example.com")}


# ---- a message counts once ----


async def test_a_repeated_message_is_followed_once(accounts: Accounts) -> None:
    await send(accounts, user_event(username="ada"))
    # As if an administrator had renamed the account since.
    async with accounts.runtime.unit_of_work() as uow:
        [user] = await uow.session.scalars(select(UserRow))
        user.username = "renamed"
        [identity] = await uow.session.scalars(select(ExternalIdentityRow))
        identity.updated_at = None
    assert (await send(accounts, user_event(username="ada"))).status_code == 204
    assert (await only_user(accounts)).username == "renamed"
    assert await count(accounts, WebhookMessageRow) == 1


async def test_a_message_that_comes_several_times_at_once_is_followed_once(accounts: Accounts) -> None:
    answers = await asyncio.gather(*(send(accounts, user_event()) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [204] * 4
    assert await count(accounts, UserRow) == 1
    assert [action for action, _ in await events(accounts)] == ["USER_CREATED"]


async def test_a_message_that_could_not_be_followed_is_not_remembered(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any) -> None:
        raise OSError("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr("gql_trader.accounts.external_identity.provision", fails)
        assert (await send(accounts, user_event())).status_code == 500
    assert await count(accounts, WebhookMessageRow) == 0
    assert (await send(accounts, user_event())).status_code == 204
    assert await count(accounts, UserRow) == 1


async def test_old_messages_are_forgotten(accounts: Accounts) -> None:
    await send(accounts, {"type": "session.created", "data": {}})
    accounts.clock.move(days=31)
    await send(accounts, {"type": "session.created", "data": {}}, "msg_2")
    assert await count(accounts, WebhookMessageRow) == 1


# ---- whom to believe ----


@pytest.mark.parametrize(
    "headers",
    [
        {"signature": ""},
        {"signature": "v1,"},
        {"signature": "v1,AAAA"},
        {"signature": "v1," + "A" * 44},
        {"signature": "v1,%%%"},
        {"signature": signature("msg_1", "1", b"{}", b"another key")},
        {"id": ""},
        {"id": "msg_2"},
        {"id": "m" * 256},
        {"timestamp": ""},
        {"timestamp": "1e9"},
        {"timestamp": "-1"},
        {"timestamp": "9" * 30},
    ],
)
async def test_what_is_not_signed_is_refused(accounts: Accounts, headers: dict[str, Any]) -> None:
    assert (await send(accounts, user_event(), **headers)).status_code == 401
    assert await count(accounts, UserRow) == 0
    assert await count(accounts, WebhookMessageRow) == 0


async def test_a_changed_body_is_refused(accounts: Accounts) -> None:
    timestamp = str(to_milliseconds(accounts.clock.now()) // 1000)
    other = signature("msg_1", timestamp, json.dumps(user_event(subject="user_2")).encode())
    assert (await send(accounts, user_event(), timestamp=timestamp, signature=other)).status_code == 401


@pytest.mark.parametrize(("seconds", "status"), [(-310, 401), (-290, 204), (290, 204), (310, 401)])
async def test_a_message_is_good_for_five_minutes(accounts: Accounts, seconds: int, status: int) -> None:
    assert (await send(accounts, user_event(), seconds=seconds)).status_code == status


async def test_one_right_signature_of_several_will_do(accounts: Accounts) -> None:
    timestamp = str(to_milliseconds(accounts.clock.now()) // 1000)
    right = signature("msg_1", timestamp, json.dumps(user_event()).encode())
    both = f"v1,{'A' * 43}= v2,xyz {right}"
    assert (await send(accounts, user_event(), timestamp=timestamp, signature=both)).status_code == 204
    other_version = right.replace("v1,", "v1a,")
    refused = await send(accounts, user_event(), timestamp=timestamp, signature=other_version)
    assert refused.status_code == 401


async def test_bodies_that_are_too_long_or_no_event(accounts: Accounts) -> None:
    assert (await send(accounts, b" " * 300_000)).status_code == 413
    for body in (b"", b"[]", b"{}", b'{"type": 7}', b'{"type": "user.created", "data": {"id": ""}}', b"\xff"):
        assert (await send(accounts, body)).status_code == 400
    assert (await accounts.client.http.get("/webhooks/identity")).status_code == 405
    assert await count(accounts, WebhookMessageRow) == 0


async def test_a_message_that_never_ends_is_given_up(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_request, "_BODY_SECONDS", 0.05)
    answer = await accounts.client.http.post("/webhooks/identity", content=endless_body())
    assert (answer.status_code, answer.headers["connection"]) == (408, "close")
    assert await count(accounts, WebhookMessageRow) == 0


FIELDS = st.sampled_from(
    ["id", "email_addresses", "email_address", "primary_email_address_id", "updated_at", "username"]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.text()


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(FIELDS, inner)))
def test_no_signed_nonsense_breaks_the_reader(data: Any) -> None:
    body = json.dumps({"type": "user.updated", "data": data}).encode()
    try:
        event = read_event(body)
    except InvalidInput:
        return
    assert event is not None
    assert event.profile.subject == data["id"]


async def test_without_a_secret_there_is_no_such_address(settings: Settings) -> None:
    async with open_runtime(settings) as runtime, graphql_client(create_app(settings, runtime)) as client:
        assert (await client.http.post("/webhooks/identity", content=b"{}")).status_code == 404


@pytest.mark.parametrize("secret", ["secret", "whsec_", "whsec_AAAA", "whsec_" + "%" * 32])
def test_secrets_that_are_refused(settings: Settings, secret: str) -> None:
    provider = {"auth_jwks_url": "https://a", "auth_issuer": "b", "auth_audience": "c"}
    with pytest.raises(ValidationError, match="AUTH_WEBHOOK_SECRET"):
        Settings.model_validate({**provider, "auth_webhook_secret": secret})
    with pytest.raises(ValidationError, match="needs AUTH_ISSUER"):
        Settings.model_validate({"auth_webhook_secret": SECRET})
