"""The second factor from outside: enrolment, login with codes, and codes that work once."""

import asyncio
import base64
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text

from gql_trader.core.actor import Role
from gql_trader.infra.one_time_passwords import code_at, time_step
from tests.accounts.accounts_api import PASSWORD, Accounts, refusals

ENABLED = "user { totpEnabled }"


@pytest.fixture
async def session(accounts: Accounts) -> str:
    """An access token of a trader."""
    await accounts.make_user("ada")
    return (await accounts.log_in("ada"))["accessToken"]  # type: ignore[no-any-return]


async def begin(accounts: Accounts, session: str, password: str = PASSWORD) -> dict[str, Any]:
    payload = await accounts.mutate(
        "beginTotpEnrollment", "otpauthUri recoveryCodes", session, password=password
    )
    return payload  # type: ignore[no-any-return]


def secret_of(payload: dict[str, Any]) -> bytes:
    [text] = parse_qs(urlsplit(payload["otpauthUri"]).query)["secret"]
    return base64.b32decode(text)


def code(accounts: Accounts, secret: bytes, steps: int = 0) -> str:
    """Return what the authenticator app shows, now or some steps of 30 s away."""
    return code_at(secret, time_step(accounts.clock.now()) + steps)


async def enrolled(accounts: Accounts, session: str) -> tuple[bytes, list[str]]:
    """Turn the second factor on; return the secret and the recovery codes, no code of now being used."""
    payload = await begin(accounts, session)
    secret = secret_of(payload)
    confirmed = await accounts.mutate("confirmTotp", ENABLED, session, code=code(accounts, secret))
    assert confirmed == {"user": {"totpEnabled": True}, "errors": []}
    accounts.clock.move(seconds=60)
    return secret, payload["recoveryCodes"]


async def test_nothing_is_asked_for_until_the_enrolment_is_confirmed(
    accounts: Accounts, session: str
) -> None:
    payload = await begin(accounts, session)
    assert payload["errors"] == []
    assert payload["otpauthUri"].startswith("otpauth://totp/gql_trader:ada?secret=")
    assert len(set(payload["recoveryCodes"])) == 10
    assert all(re.fullmatch("([a-z2-7]{4}-){3}[a-z2-7]{4}", each) for each in payload["recoveryCodes"])
    assert await accounts.me(session, "totpEnabled") == {"totpEnabled": False}
    assert (await accounts.log_in("ada"))["accessToken"]
    # A recovery code is no proof that the app has the secret.
    refused = await accounts.mutate("confirmTotp", ENABLED, session, code=payload["recoveryCodes"][0])
    assert refusals(refused) == [("INVALID_CREDENTIALS", ["code"])]
    good = code(accounts, secret_of(payload))
    wrong = f"{(int(good) + 1) % 10**6:06d}"
    refused = await accounts.mutate("confirmTotp", ENABLED, session, code=wrong)
    assert refusals(refused) == [("INVALID_CREDENTIALS", ["code"])]
    assert await accounts.me(session, "totpEnabled") == {"totpEnabled": False}
    assert (await accounts.mutate("confirmTotp", ENABLED, session, code=good))["errors"] == []
    assert await accounts.me(session, "totpEnabled") == {"totpEnabled": True}


async def test_a_login_takes_password_and_code(accounts: Accounts, session: str) -> None:
    secret, _ = await enrolled(accounts, session)
    missing = await accounts.try_login("ada")
    assert refusals(missing) == [("TOTP_REQUIRED", ["totpCode"])]
    assert missing["accessToken"] is missing["refreshToken"] is missing["user"] is None
    assert refusals(await accounts.try_login("ada", totpCode=" ")) == [("TOTP_REQUIRED", ["totpCode"])]
    wrong = f"{(int(code(accounts, secret)) + 1) % 10**6:06d}"
    assert refusals(await accounts.try_login("ada", totpCode=wrong)) == [
        ("INVALID_CREDENTIALS", ["totpCode"])
    ]
    # Whoever has no password learns nothing of the second factor.
    assert refusals(await accounts.try_login("ada", "Wrong-Horse-77")) == [("INVALID_CREDENTIALS", [])]
    shown = code(accounts, secret)
    assert (await accounts.log_in("ada", totpCode=f"{shown[:3]} {shown[3:]}"))["accessToken"]


async def test_no_code_is_accepted_twice(accounts: Accounts, session: str) -> None:
    secret, _ = await enrolled(accounts, session)
    now = code(accounts, secret)
    assert (await accounts.log_in("ada", totpCode=now))["accessToken"]
    assert refusals(await accounts.try_login("ada", totpCode=now)) == [("INVALID_CREDENTIALS", ["totpCode"])]
    # Nor an earlier one, though its time would allow it.
    earlier = code(accounts, secret, -1)
    assert refusals(await accounts.try_login("ada", totpCode=earlier)) == [
        ("INVALID_CREDENTIALS", ["totpCode"])
    ]
    accounts.clock.move(seconds=30)
    assert (await accounts.log_in("ada", totpCode=code(accounts, secret)))["accessToken"]


async def test_the_code_that_confirmed_does_not_log_in(accounts: Accounts, session: str) -> None:
    payload = await begin(accounts, session)
    used = code(accounts, secret_of(payload))
    assert (await accounts.mutate("confirmTotp", ENABLED, session, code=used))["errors"] == []
    assert refusals(await accounts.try_login("ada", totpCode=used)) == [("INVALID_CREDENTIALS", ["totpCode"])]


@pytest.mark.parametrize("kind", ["one-time password", "recovery code"])
async def test_of_logins_at_once_with_one_code_one_succeeds(
    accounts: Accounts, session: str, kind: str
) -> None:
    secret, recovery = await enrolled(accounts, session)
    given = code(accounts, secret) if kind == "one-time password" else recovery[0]
    payloads = await asyncio.gather(*(accounts.try_login("ada", totpCode=given) for _ in range(4)))
    assert sorted(bool(payload["accessToken"]) for payload in payloads) == [False, False, False, True]


async def test_a_recovery_code_works_once_and_is_recorded(accounts: Accounts, session: str) -> None:
    _, recovery = await enrolled(accounts, session)
    assert (await accounts.log_in("ada", totpCode=recovery[0].upper()))["accessToken"]
    assert refusals(await accounts.try_login("ada", totpCode=recovery[0])) == [
        ("INVALID_CREDENTIALS", ["totpCode"])
    ]
    assert (await accounts.log_in("ada", totpCode=recovery[1].replace("-", "")))["accessToken"]
    await accounts.make_user("root", Role.ADMIN)
    root = (await accounts.log_in("root"))["accessToken"]
    log = await accounts.client.signed_in(root).execute(
        "{ auditLog { nodes { action actor { username } metadata } } }"
    )
    ada = {"username": "ada"}
    assert log.data["auditLog"]["nodes"] == [
        {"action": "RECOVERY_CODE_USED", "actor": ada, "metadata": {"left": 8}},
        {"action": "RECOVERY_CODE_USED", "actor": ada, "metadata": {"left": 9}},
        {"action": "TOTP_ENABLED", "actor": ada, "metadata": {}},
    ]


async def test_anothers_code_is_no_code(accounts: Accounts, session: str) -> None:
    await accounts.make_user("eve")
    eve = (await accounts.log_in("eve"))["accessToken"]
    await enrolled(accounts, session)
    secret, recovery = await enrolled(accounts, eve)
    for given in (code(accounts, secret), recovery[0]):
        assert refusals(await accounts.try_login("ada", totpCode=given)) == [
            ("INVALID_CREDENTIALS", ["totpCode"])
        ]


async def test_the_second_factor_is_turned_off_by_password_and_code(accounts: Accounts, session: str) -> None:
    secret, recovery = await enrolled(accounts, session)
    good = code(accounts, secret)
    for password, given, refused in (
        ("Wrong-Horse-77", good, [("INVALID_CREDENTIALS", ["password"])]),
        (PASSWORD, "abc", [("INVALID_CREDENTIALS", ["code"])]),
        (PASSWORD, "", [("TOTP_REQUIRED", ["code"])]),
    ):
        payload = await accounts.mutate("disableTotp", ENABLED, session, password=password, code=given)
        assert refusals(payload) == refused
        assert await accounts.me(session, "totpEnabled") == {"totpEnabled": True}
    payload = await accounts.mutate("disableTotp", ENABLED, session, password=PASSWORD, code=recovery[3])
    assert payload == {"user": {"totpEnabled": False}, "errors": []}
    assert (await accounts.log_in("ada"))["accessToken"]
    async with accounts.runtime.database.session() as database:
        for table in ("totp_secrets", "recovery_codes"):
            assert (await database.execute(text(f"SELECT count(*) FROM {table}"))).scalar() == 0
    again = await accounts.mutate("disableTotp", ENABLED, session, password=PASSWORD, code=recovery[4])
    assert refusals(again) == [("INVALID_STATE", [])]


async def test_a_factor_in_use_is_not_replaced(accounts: Accounts, session: str) -> None:
    secret, _ = await enrolled(accounts, session)
    assert refusals(await begin(accounts, session)) == [("INVALID_STATE", [])]
    assert refusals(await accounts.mutate("confirmTotp", ENABLED, session, code=code(accounts, secret))) == [
        ("INVALID_STATE", [])
    ]


async def test_an_enrolment_takes_the_password_and_ends_after_an_hour(
    accounts: Accounts, session: str
) -> None:
    assert refusals(await begin(accounts, session, "Wrong-Horse-77")) == [
        ("INVALID_CREDENTIALS", ["password"])
    ]
    assert refusals(await accounts.mutate("confirmTotp", ENABLED, session, code="123456")) == [
        ("INVALID_STATE", [])
    ]
    first, second = await begin(accounts, session), await begin(accounts, session)
    # Beginning again replaces what was begun.
    stale = await accounts.mutate("confirmTotp", ENABLED, session, code=code(accounts, secret_of(first)))
    assert refusals(stale) == [("INVALID_CREDENTIALS", ["code"])]
    accounts.clock.move(hours=1, seconds=1)
    later = (await accounts.log_in("ada"))["accessToken"]
    late = await accounts.mutate("confirmTotp", ENABLED, later, code=code(accounts, secret_of(second)))
    assert refusals(late) == [("INVALID_STATE", [])]


async def test_the_secret_is_sealed_at_rest_and_bound_to_its_user(accounts: Accounts, session: str) -> None:
    secret, recovery = await enrolled(accounts, session)
    await accounts.make_user("eve")
    eve = (await accounts.log_in("eve"))["accessToken"]
    await enrolled(accounts, eve)
    async with accounts.runtime.database.session() as database:
        for row in await database.execute(text("SELECT secret FROM totp_secrets")):
            assert secret not in row.secret
        stored = (
            await database.execute(text("SELECT string_agg(code_hash::text, '') FROM recovery_codes"))
        ).scalar_one()
        assert recovery[0].encode().hex() not in stored
        # Eve's secret in Ada's row opens nothing: the answer is an error, not a login.
        await database.execute(
            text(
                "UPDATE totp_secrets SET secret = (SELECT t.secret FROM totp_secrets t JOIN users u "
                "ON u.id = t.user_id WHERE u.username = 'eve') WHERE user_id = "
                "(SELECT id FROM users WHERE username = 'ada')"
            )
        )
        await database.commit()
    answer = await accounts.client.execute(
        "mutation($input: LoginInput!) { login(input: $input) { accessToken } }",
        {"input": {"login": "ada", "password": PASSWORD, "totpCode": "123456"}},
    )
    assert answer.codes == ["INTERNAL"]


async def test_codes_are_guessed_five_times_at_most(accounts: Accounts, session: str) -> None:
    secret, _ = await enrolled(accounts, session)
    wrong = f"{(int(code(accounts, secret)) + 1) % 10**6:06d}"
    for _ in range(5):
        assert refusals(await accounts.try_login("ada", totpCode=wrong)) == [
            ("INVALID_CREDENTIALS", ["totpCode"])
        ]
    query = "mutation($input: LoginInput!) { login(input: $input) { accessToken } }"
    given = {"login": "ada", "password": PASSWORD, "totpCode": code(accounts, secret)}
    assert (await accounts.client.execute(query, {"input": given})).codes == ["RATE_LIMITED"]
