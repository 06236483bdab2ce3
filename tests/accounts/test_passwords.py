"""Changing and resetting passwords, and signing up with an address, over HTTP and real mail."""

import asyncio
import re
from typing import Any

import pytest
from sqlalchemy import select

from gql_trader.accounts import api_tokens, service
from gql_trader.accounts.models import PasswordResetRow
from gql_trader.accounts.models_credentials import AuditEventRow
from gql_trader.accounts.types_credentials import ApiTokenSpec
from gql_trader.core.actor import TokenScope
from gql_trader.core.errors import Forbidden
from gql_trader.infra.outbox import OutboxRow
from gql_trader.notifications.jobs import deliver_outbox
from tests.accounts.accounts_api import PASSWORD, Accounts, refusals
from tests.factories.mail_server import MailServer, text_of
from tests.factories.statements import counted_statements

NEW = "Another-Horse-8"
WEAK = "Password1234!"
BAD_LOGIN: list[tuple[str, list[str]]] = [("INVALID_CREDENTIALS", [])]
BAD_TOKEN = [("INVALID_TOKEN", ["token"])]


async def deliver(accounts: Accounts) -> None:
    """Do what a worker does."""
    await deliver_outbox({"runtime": accounts.runtime})


async def ask(accounts: Accounts, email: str, **headers: str) -> Any:
    return await accounts.mutate("requestPasswordReset", "message", headers=headers or None, email=email)


async def mailed_token(accounts: Accounts, mail: MailServer, email: str = "ada@example.com") -> str:
    """Ask for a reset; return the token in the mail that comes."""
    assert (await ask(accounts, email))["errors"] == []
    await deliver(accounts)
    found = re.search(r"#token=(\S+)", text_of(await mail.next()))
    assert found is not None
    return found[1]


async def reset(accounts: Accounts, token: str, password: str = NEW) -> Any:
    return await accounts.mutate("resetPassword", "message", token=token, newPassword=password)


async def outbox(accounts: Accounts) -> list[OutboxRow]:
    async with accounts.runtime.unit_of_work() as uow:
        return list(await uow.session.scalars(select(OutboxRow).order_by(OutboxRow.id)))


# ---- changing ----


async def test_changing_the_password_ends_every_session(accounts: Accounts, mail: MailServer) -> None:
    await accounts.make_user("ada")
    here, there = await accounts.log_in("ada"), await accounts.log_in("ada")
    given: dict[str, Any] = {"currentPassword": PASSWORD, "newPassword": NEW}
    payload = await accounts.mutate("changePassword", "user { username }", here["accessToken"], **given)
    assert payload == {"user": {"username": "ada"}, "errors": []}
    for session in (here, there):
        assert await accounts.me(session["accessToken"]) is None
        assert refusals(await accounts.refresh(session["refreshToken"])) == [
            ("INVALID_TOKEN", ["refreshToken"])
        ]
    assert refusals(await accounts.try_login("ada")) == BAD_LOGIN
    assert await accounts.log_in("ada", NEW)
    await deliver(accounts)
    told = await mail.next()
    assert (told["To"], told["Subject"]) == (
        "ada@example.com",
        "Your password for https://trader.example was changed",
    )


async def test_changes_of_passwords_are_in_the_audit_log(accounts: Accounts, mail: MailServer) -> None:
    await accounts.make_user("ada")
    session = (await accounts.log_in("ada"))["accessToken"]
    for current, new, errors in (("Wrong-Horse-77", NEW, 1), (PASSWORD, WEAK, 1), (PASSWORD, NEW, 0)):
        given: dict[str, Any] = {"currentPassword": current, "newPassword": new}
        payload = await accounts.mutate("changePassword", "user { username }", session, **given)
        assert len(payload["errors"]) == errors
    await deliver(accounts)
    await mail.next()
    token = await mailed_token(accounts, mail)
    for again in (False, True):
        assert bool((await reset(accounts, token, PASSWORD))["errors"]) == again
    async with accounts.runtime.unit_of_work() as uow:
        events = list(await uow.session.scalars(select(AuditEventRow).order_by(AuditEventRow.id)))
    assert [(event.action, event.details) for event in events] == [
        ("PASSWORD_CHANGED", {"revokedApiTokens": 0}),
        ("PASSWORD_RESET", {"revokedApiTokens": 0}),
    ]
    assert {event.actor_id for event in events} == {event.target_id for event in events}


async def api_token(accounts: Accounts, access_token: str, mail: MailServer) -> str:
    """Make an API token and return its secret; the mail about it is taken out."""
    given: dict[str, Any] = {"label": "nightly\n\nDear", "scopes": ["READ", "BACKTEST"]}
    payload = await accounts.mutate("createApiToken", "secret", access_token, **given)
    await deliver(accounts)
    told = await mail.next()
    secret: str = payload["secret"]
    assert told["To"] == "ada@example.com"
    begins = f"begins with {secret[:12]}, is called “nightly Dear” and may be used for READ, BACKTEST."
    assert begins in text_of(told)
    assert secret not in text_of(told)
    return secret


@pytest.mark.parametrize(
    ("choice", "lives", "said"),
    [
        ({}, True, "API tokens that go on working: 2."),
        ({"revokeApiTokens": None}, True, "API tokens that go on working: 2."),
        ({"revokeApiTokens": True}, False, "API tokens that have ended, too: 2."),
    ],
)
async def test_changing_the_password_ends_api_tokens_if_asked_to_and_says_what_remains(
    accounts: Accounts, mail: MailServer, choice: dict[str, Any], lives: bool, said: str
) -> None:
    await accounts.make_user("ada")
    access_token = (await accounts.log_in("ada"))["accessToken"]
    secrets = [await api_token(accounts, access_token, mail) for _ in range(2)]
    given: dict[str, Any] = {"currentPassword": PASSWORD, "newPassword": NEW, **choice}
    await accounts.mutate("changePassword", "user { id }", access_token, **given)
    for secret in secrets:
        assert await accounts.me(secret) == ({"username": "ada"} if lives else None)
    await deliver(accounts)
    text = text_of(await mail.next())
    assert "all your logins have ended. API tokens" in text
    assert said in text


async def test_a_reset_ends_api_tokens_and_the_mail_says_so(accounts: Accounts, mail: MailServer) -> None:
    await accounts.make_user("ada")
    secret = await api_token(accounts, (await accounts.log_in("ada"))["accessToken"], mail)
    assert (await reset(accounts, await mailed_token(accounts, mail)))["errors"] == []
    assert await accounts.me(secret) is None
    await deliver(accounts)
    text = text_of(await mail.next())
    assert "API tokens that have ended, too: 1." in text
    assert "go on working" not in text


async def test_no_api_token_is_left_behind_by_a_session_that_has_ended(accounts: Accounts) -> None:
    await accounts.make_user("ada")
    access_token = (await accounts.log_in("ada"))["accessToken"]
    async with accounts.runtime.unit_of_work() as uow:
        actor = (await service.authenticate(uow, accounts.runtime.tokens, f"Bearer {access_token}")).actor
    assert actor is not None
    await accounts.mutate("logout", "endedSessions", access_token, everywhere=True)
    # As if the request had been let in just before.
    with pytest.raises(Forbidden):
        async with accounts.runtime.unit_of_work() as uow:
            await api_tokens.create_token(uow, actor, ApiTokenSpec("late", frozenset({TokenScope.READ})))
    assert await outbox(accounts) == []


@pytest.mark.parametrize(
    ("current", "new", "expected"),
    [
        ("Wrong-Horse-77", NEW, ("INVALID_CREDENTIALS", ["currentPassword"])),
        ("x" * 5000, NEW, ("INVALID_CREDENTIALS", ["currentPassword"])),
        (PASSWORD, WEAK, ("WEAK_PASSWORD", ["newPassword"])),
        (PASSWORD, "short", ("WEAK_PASSWORD", ["newPassword"])),
        (PASSWORD, "Ada_lovelace_1!", ("WEAK_PASSWORD", ["newPassword"])),
        (PASSWORD, "Aa1!" * 40, ("INVALID_INPUT", ["newPassword"])),
    ],
)
async def test_a_change_that_is_refused_changes_nothing(
    accounts: Accounts, current: str, new: str, expected: tuple[str, list[str]]
) -> None:
    await accounts.make_user("ada_lovelace")
    tokens = await accounts.log_in("ada_lovelace")
    given: dict[str, Any] = {"currentPassword": current, "newPassword": new}
    payload = await accounts.mutate("changePassword", "user { id }", tokens["accessToken"], **given)
    assert (payload["user"], refusals(payload)) == (None, [expected])
    assert await accounts.me(tokens["accessToken"]) == {"username": "ada_lovelace"}
    assert await accounts.log_in("ada_lovelace")
    assert await outbox(accounts) == []


async def test_changing_the_password_needs_a_login(accounts: Accounts) -> None:
    query = 'mutation { changePassword(input: {currentPassword: "a", newPassword: "b"}) { user { id } } }'
    assert (await accounts.client.execute(query)).codes == ["UNAUTHENTICATED"]


# ---- forgetting ----


async def test_a_mailed_token_gives_another_password_and_ends_every_session(
    accounts: Accounts, mail: MailServer
) -> None:
    await accounts.make_user("ada")
    before = await accounts.log_in("ada")
    token = await mailed_token(accounts, mail, "ADA@example.com")
    assert await accounts.me(before["accessToken"]) == {"username": "ada"}
    payload = await reset(accounts, token)
    assert payload == {"message": "The password was changed; log in with it.", "errors": []}
    assert await accounts.me(before["accessToken"]) is None
    assert refusals(await accounts.try_login("ada")) == BAD_LOGIN
    assert await accounts.log_in("ada", NEW)
    await deliver(accounts)
    assert "was changed" in (await mail.next())["Subject"]


async def test_a_token_is_good_once(accounts: Accounts, mail: MailServer) -> None:
    await accounts.make_user("ada")
    token = await mailed_token(accounts, mail)
    answers = await asyncio.gather(*(reset(accounts, token, f"Another-Horse-8{n}") for n in range(3)))
    assert sorted(refusals(answer) for answer in answers) == [[], BAD_TOKEN, BAD_TOKEN]
    assert refusals(await reset(accounts, token)) == BAD_TOKEN


async def test_a_token_is_good_for_30_minutes(accounts: Accounts, mail: MailServer) -> None:
    await accounts.make_user("ada")
    token = await mailed_token(accounts, mail)
    accounts.clock.move(minutes=31)
    assert refusals(await reset(accounts, token)) == BAD_TOKEN
    assert await accounts.log_in("ada")


async def test_a_younger_token_replaces_an_older_one(accounts: Accounts, mail: MailServer) -> None:
    await accounts.make_user("ada")
    older = await mailed_token(accounts, mail)
    younger = await mailed_token(accounts, mail)
    assert refusals(await reset(accounts, older)) == BAD_TOKEN
    assert (await reset(accounts, younger))["errors"] == []


async def test_changing_the_password_ends_the_token(accounts: Accounts, mail: MailServer) -> None:
    await accounts.make_user("ada")
    token = await mailed_token(accounts, mail)
    signed_in = await accounts.log_in("ada")
    given: dict[str, Any] = {"currentPassword": PASSWORD, "newPassword": NEW}
    await accounts.mutate("changePassword", "user { id }", signed_in["accessToken"], **given)
    assert refusals(await reset(accounts, token, "Third-Horse-999")) == BAD_TOKEN


async def test_a_weak_password_leaves_the_token_good(accounts: Accounts, mail: MailServer) -> None:
    await accounts.make_user("ada")
    token = await mailed_token(accounts, mail)
    assert refusals(await reset(accounts, token, WEAK)) == [("WEAK_PASSWORD", ["newPassword"])]
    assert (await reset(accounts, token))["errors"] == []


@pytest.mark.parametrize("token", ["", "gqlp_", "x" * 5000, "' OR 1=1 --"])
async def test_what_is_no_token_is_refused(accounts: Accounts, token: str) -> None:
    await accounts.make_user("ada")
    assert refusals(await reset(accounts, token)) == BAD_TOKEN


async def test_only_the_hash_of_a_token_is_stored_and_none_is_in_the_outbox(
    accounts: Accounts, mail: MailServer
) -> None:
    await accounts.make_user("ada")
    await ask(accounts, "ada@example.com")
    assert [row.payload for row in await outbox(accounts)] == [{"email": "ada@example.com"}]
    await deliver(accounts)
    async with accounts.runtime.unit_of_work() as uow:
        [stored] = await uow.session.scalars(select(PasswordResetRow.token_hash))
    assert len(stored) == 32
    assert await outbox(accounts) == []


async def test_the_link_is_the_servers_own_whatever_the_client_sends(
    accounts: Accounts, mail: MailServer
) -> None:
    await accounts.make_user("ada")
    evil = {"host": "evil.example", "x-forwarded-host": "evil.example", "origin": "http://evil.example"}
    await ask(accounts, "ada@example.com", **evil)
    await deliver(accounts)
    text = text_of(await mail.next())
    assert "\nhttps://trader.example/reset-password#token=gqlp_" in text
    assert "evil" not in text


async def test_unknown_and_disabled_addresses_get_the_same_answer_and_no_mail(
    accounts: Accounts, mail: MailServer
) -> None:
    await accounts.make_user("ada")
    answers, statements = [], []
    for email in ("ada@example.com", "nobody@example.com"):
        with counted_statements(accounts.runtime.database.engine) as executed:
            answers.append(await ask(accounts, email))
        statements.append(list(executed))
    assert answers[0] == answers[1]
    assert answers[0]["errors"] == []
    # The same work, and so the same time: who has the address is only looked up by the worker.
    assert statements[0] == statements[1]
    await deliver(accounts)
    assert [each["To"] for each in mail.mails] == ["ada@example.com"]
    assert await outbox(accounts) == []


async def test_what_is_no_address_is_refused(accounts: Accounts) -> None:
    assert refusals(await ask(accounts, "nowhere")) == [("INVALID_INPUT", ["email"])]
    assert await outbox(accounts) == []


# ---- signing up ----


async def sign_up(accounts: Accounts, username: str, email: str, password: str = PASSWORD) -> Any:
    return await accounts.mutate(
        "signup", "status message", username=username, email=email, password=password
    )


async def test_a_new_address_and_a_registered_one_get_the_same_answers(
    accounts: Accounts, mail: MailServer
) -> None:
    await accounts.make_user("ada")
    answers = [
        [
            await sign_up(accounts, name, email),
            # Were the name free now, that would tell that the address was registered.
            await sign_up(accounts, name, f"other.{name}@example.com"),
            await accounts.try_login(name),
            await accounts.try_login(email, NEW),
        ]
        for name, email in (("fresh", "fresh@example.com"), ("known", "ADA@example.com"))
    ]
    assert answers[0] == answers[1]
    assert answers[0][0]["status"] == "PENDING"
    assert refusals(answers[0][1]) == [("ALREADY_EXISTS", ["username"])]
    await deliver(accounts)
    assert [(each["To"], each["Subject"]) for each in mail.mails] == [
        ("fresh@example.com", "Your account at https://trader.example"),
        ("ada@example.com", "You have an account at https://trader.example already"),
    ]
    assert await accounts.log_in("ada")


async def test_a_taken_username_conflicts_even_with_its_own_address(accounts: Accounts) -> None:
    await accounts.make_user("ada")
    for email in ("ada@example.com", "other@example.com"):
        payload = await sign_up(accounts, "Ada", email)
        assert refusals(payload) == [("ALREADY_EXISTS", ["username"])]
    assert await outbox(accounts) == []


@pytest.mark.parametrize(
    "password", ["Password1234!", "Qwertyuiop1!", "Aa1!aaaaaaaa", "Fresh_user_1!", "Fresh@example.com1"]
)
async def test_passwords_that_are_easily_guessed_are_refused(accounts: Accounts, password: str) -> None:
    payload = await sign_up(accounts, "fresh_user", "fresh@example.com", password)
    assert refusals(payload) == [("WEAK_PASSWORD", ["password"])]
    assert "too easy to guess" in payload["errors"][0]["message"]
