"""Tokens of an identity provider, whose keys come over HTTP: whom they stand for, and which are refused."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import select

from gql_trader.accounts.external_identity import username_candidates
from gql_trader.accounts.models import PasswordResetRow, UserRow
from gql_trader.accounts.models_credentials import AuditEventRow
from gql_trader.accounts.models_external import ExternalIdentityRow
from gql_trader.accounts.types import AccountMail
from gql_trader.app import create_app
from gql_trader.config import Settings, SignupApproval
from gql_trader.infra import outbox
from gql_trader.infra.jwks import read_key_set
from gql_trader.infra.mail import Mail
from gql_trader.infra.outbox import Lane
from gql_trader.infra.tokens import token_digest
from gql_trader.notifications.jobs import deliver_outbox
from gql_trader.runtime import open_runtime
from tests.accounts.accounts_api import Accounts, refusals
from tests.factories.clock import MovableClock
from tests.factories.identity_provider import (
    AUDIENCE,
    EC_KEY,
    ISSUER,
    OTHER_RSA_KEY,
    RSA_KEY,
    IdentityProvider,
    identity_provider,
    public_jwk,
)
from tests.graphql_client import GraphQLSocket, InProcessTransport, graphql_client, until

ME = "{ me { username email role status } }"
INVALID = "The access token is invalid or has expired; log in again."
PENDING = "Your account is waiting for an administrator's approval."


@pytest.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    async with identity_provider() as running:
        yield running


class Kept:
    """Takes mails and keeps them."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []

    async def send(self, mail: Mail) -> None:
        self.mails.append(mail)


def trusting(settings: Settings, provider: IdentityProvider, **more: Any) -> Settings:
    return settings.model_copy(
        update={
            "auth_jwks_url": provider.url,
            "auth_issuer": ISSUER,
            "auth_audience": AUDIENCE,
            "signup_approval": SignupApproval.AUTO,
            **more,
        }
    )


@pytest.fixture
def approval() -> SignupApproval:
    return SignupApproval.AUTO


@pytest.fixture
async def accounts(
    settings: Settings, provider: IdentityProvider, approval: SignupApproval
) -> AsyncIterator[Accounts]:
    trusted, clock = trusting(settings, provider, signup_approval=approval), MovableClock()
    async with open_runtime(trusted, clock) as runtime:
        app = create_app(trusted, runtime)
        async with graphql_client(app) as client:
            yield Accounts(app, runtime, clock, client)


async def users(accounts: Accounts) -> list[UserRow]:
    async with accounts.runtime.unit_of_work() as uow:
        return list(await uow.session.scalars(select(UserRow).order_by(UserRow.id)))


async def problem(accounts: Accounts, token: str) -> str:
    """Return why a token is refused, asserting that it is."""
    refused = await accounts.client.signed_in(token).execute("{ markets { totalCount } }")
    assert refused.codes == ["UNAUTHENTICATED"], refused.body
    return str(refused.errors[0]["message"])


# ---- who comes in ----


@pytest.mark.parametrize(
    ("key", "key_id", "algorithm"), [(RSA_KEY, "rsa-1", "RS256"), (EC_KEY, "ec-1", "ES256")]
)
async def test_a_token_of_the_issuer_makes_an_account_on_first_use(
    accounts: Accounts, provider: IdentityProvider, key: Any, key_id: str, algorithm: str
) -> None:
    token = provider.token(
        "user_7",
        key=key,
        key_id=key_id,
        algorithm=algorithm,
        preferred_username="Ada Lovelace",
        email="Ada@Example.com",
        email_verified=True,
    )
    expected = {"username": "Ada_Lovelace", "email": "Ada@example.com", "role": "TRADER", "status": "ACTIVE"}
    assert await accounts.me(token, "username email role status") == expected
    assert await accounts.me(token, "username email role status") == expected
    [user] = await users(accounts)
    async with accounts.runtime.unit_of_work() as uow:
        [identity] = await uow.session.scalars(select(ExternalIdentityRow))
        [event] = await uow.session.scalars(select(AuditEventRow))
    assert (identity.issuer, identity.subject, identity.user_id) == (ISSUER, "user_7", user.id)
    assert (event.action, event.target_id, event.actor_id) == ("USER_CREATED", user.id, None)


async def test_signing_in_over_websocket(accounts: Accounts, provider: IdentityProvider) -> None:
    async with accounts.socket(provider.token(nickname="ada")) as socket:
        assert socket.acknowledged["expiresAt"].endswith("Z")
        assert await socket.execute("{ me { username } }") == {"data": {"me": {"username": "ada"}}}
    forged = InProcessTransport(accounts.app)
    socket = GraphQLSocket(forged, {"authorization": f"Bearer {provider.token(key=OTHER_RSA_KEY)}"})
    await forged.open()
    await socket.send({"type": "connection_init", "payload": socket._payload})
    assert (await socket.closed()).code == 4403


async def test_requests_at_once_make_one_account(accounts: Accounts, provider: IdentityProvider) -> None:
    token = provider.token(nickname="ada")
    answers = await asyncio.gather(*(accounts.me(token) for _ in range(5)))
    assert answers == [{"username": "ada"}] * 5
    assert len(await users(accounts)) == 1
    # They waited for one answer of the provider, too.
    assert provider.asked == 1


async def test_people_of_one_name_get_different_usernames(
    accounts: Accounts, provider: IdentityProvider
) -> None:
    await accounts.make_user("ada")
    names = [
        (await accounts.me(provider.token(subject, nickname="Ada")))["username"] for subject in ("a", "b")
    ]
    assert len({name.lower() for name in [*names, "ada"]}) == 3
    assert all(name.startswith("Ada_") for name in names)


@pytest.mark.parametrize("approval", [SignupApproval.REQUIRED])
async def test_where_approval_is_required_new_users_wait_for_it(
    accounts: Accounts, provider: IdentityProvider
) -> None:
    token = provider.token(nickname="ada")
    assert await problem(accounts, token) == PENDING
    [user] = await users(accounts)
    assert user.status == "PENDING"
    async with accounts.runtime.unit_of_work() as uow:
        (await uow.session.get_one(UserRow, user.id)).status = "ACTIVE"
    assert await accounts.me(token) == {"username": "ada"}


@pytest.mark.parametrize("approval", [SignupApproval.CLOSED])
async def test_where_sign_up_is_closed_nobody_new_comes_in(
    accounts: Accounts, provider: IdentityProvider
) -> None:
    assert await problem(accounts, provider.token()) == (
        "You have no account on this server, and sign-up is closed."
    )
    assert await users(accounts) == []


async def test_who_is_disabled_here_is_refused_whatever_the_issuer_says(
    accounts: Accounts, provider: IdentityProvider
) -> None:
    token = provider.token()
    assert await accounts.me(token) is not None
    async with accounts.runtime.unit_of_work() as uow:
        [user] = await uow.session.scalars(select(UserRow))
        user.status = "DISABLED"
    assert await problem(accounts, token) == "Your account is disabled."


async def test_no_reset_gives_a_password_to_who_comes_by_the_provider(
    accounts: Accounts, provider: IdentityProvider
) -> None:
    claims: dict[str, Any] = {"nickname": "ada", "email": "ada@example.com", "email_verified": True}
    assert await accounts.me(provider.token(**claims)) is not None
    [user] = await users(accounts)
    # No time is spent on hashing what nobody knows, and no password matches.
    assert user.password_hash == "!"
    for password in ("", "!"):
        assert (await accounts.try_login("ada", password))["accessToken"] is None
    payload = await accounts.mutate("requestPasswordReset", "message", email="ada@example.com")
    assert payload["errors"] == []
    kept = Kept()
    await deliver_outbox({"runtime": replace(accounts.runtime, mail=kept)})
    [mail] = kept.mails
    assert mail.to == "ada@example.com"
    assert "you sign in through your identity provider" in mail.text
    assert "#token" not in mail.text
    async with accounts.runtime.unit_of_work() as uow:
        assert list(await uow.session.scalars(select(PasswordResetRow))) == []
        # A token from before does not help either.
        expires = accounts.clock.now() + timedelta(minutes=5)
        digest = token_digest("gqlp_from_before")
        uow.session.add(PasswordResetRow(token_hash=digest, user_id=user.id, expires_at=expires))
    given: dict[str, Any] = {"token": "gqlp_from_before", "newPassword": "Another-Horse-8"}
    refused = await accounts.mutate("resetPassword", "message", **given)
    assert refusals(refused) == [("INVALID_TOKEN", ["token"])]
    assert [each.password_hash for each in await users(accounts)] == ["!"]


async def test_no_mail_goes_to_an_address_that_a_user_does_not_have(
    accounts: Accounts, provider: IdentityProvider
) -> None:
    assert await accounts.me(provider.token(nickname="ada")) is not None
    [user] = await users(accounts)
    async with accounts.runtime.unit_of_work() as uow:
        outbox.send(uow, AccountMail.APPROVED, {"email": user.email, "username": user.username})
    kept = Kept()
    await deliver_outbox({"runtime": replace(accounts.runtime, mail=kept)})
    assert kept.mails == []
    async with accounts.runtime.unit_of_work() as uow:
        assert await outbox.waiting(uow, Lane.MAIL) == 0


# ---- whose e-mail address it is ----


@pytest.mark.parametrize("verified", [True, False, "true", None])
async def test_no_address_opens_an_account_that_was_there(
    accounts: Accounts, provider: IdentityProvider, verified: Any
) -> None:
    await accounts.make_user("bob")
    token = provider.token(nickname="mallory", email="BOB@example.com", email_verified=verified)
    answer = await accounts.me(token, "username email")
    assert answer["username"] == "mallory"
    assert answer["email"].endswith("@external.invalid")
    bob = next(user for user in await users(accounts) if user.username == "bob")
    assert bob.email == "bob@example.com"


@pytest.mark.parametrize("verified", [False, "true", 1, None])
async def test_an_address_that_is_not_verified_is_not_kept(
    accounts: Accounts, provider: IdentityProvider, verified: Any
) -> None:
    token = provider.token(nickname="ada", email="ada@example.com", email_verified=verified)
    assert (await accounts.me(token, "email"))["email"].endswith("@external.invalid")


async def test_claims_that_make_no_sense_make_no_trouble(
    accounts: Accounts, provider: IdentityProvider
) -> None:
    token = provider.token(
        "ä", nickname=["a"], preferred_username="\0\ud83d", email="no address\0\ud83d", email_verified=True
    )
    assert (await accounts.me(token))["username"].startswith("no_address")


# ---- what is refused ----


def _claims(provider: IdentityProvider) -> bytes:
    return provider.token().split(".")[1].encode()


def _unsigned(provider: IdentityProvider, header: dict[str, Any]) -> str:
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=")
    return (encoded + b"." + _claims(provider) + b".").decode()


def _public_pem() -> bytes:
    return RSA_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _hmac_with_public_key(provider: IdentityProvider) -> str:
    # PyJWT does not sign with a PEM as a secret; attackers do.
    import hashlib
    import hmac

    header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"rsa-1","typ":"JWT"}').rstrip(b"=")
    signed = header + b"." + _claims(provider)
    signature = base64.urlsafe_b64encode(hmac.digest(_public_pem(), signed, hashlib.sha256)).rstrip(b"=")
    return (signed + b"." + signature).decode()


REFUSED = {
    "alg none": lambda p: _unsigned(p, {"alg": "none", "kid": "rsa-1"}),
    "alg None": lambda p: _unsigned(p, {"alg": "None", "kid": "rsa-1"}),
    "no alg": lambda p: _unsigned(p, {"kid": "rsa-1"}),
    "signature cut off": lambda p: p.token().rpartition(".")[0] + ".",
    "HS256 with the public key as secret": _hmac_with_public_key,
    "HS256 with any secret": lambda p: p.token(key="s" * 40, algorithm="HS256"),
    "RS512": lambda p: p.token(algorithm="RS512"),
    "PS256": lambda p: p.token(algorithm="PS256"),
    "ES256 under the id of the RSA key": lambda p: p.token(key=EC_KEY, algorithm="ES256"),
    "RS256 under the id of the EC key": lambda p: p.token(key_id="ec-1"),
    "another key": lambda p: p.token(key=OTHER_RSA_KEY),
    "its own key in the header": lambda p: p.token(
        key=OTHER_RSA_KEY, headers={"jwk": public_jwk(OTHER_RSA_KEY, "rsa-1"), "jku": p.url}
    ),
    "no key id": lambda p: p.token(key_id=None),
    "unknown key id": lambda p: p.token(key_id="rsa-9"),
    "critical extension": lambda p: p.token(headers={"crit": ["b64"], "b64": False}),
    "other issuer": lambda p: p.token(iss="https://evil.example"),
    "issuer with a slash": lambda p: p.token(iss=ISSUER + "/"),
    "issuers as a list": lambda p: p.token(iss=[ISSUER]),
    "no issuer": lambda p: p.token(iss=None),
    "other audience": lambda p: p.token(aud="other.example"),
    "no audience": lambda p: p.token(aud=None),
    "expired": lambda p: p.token(exp=int(time.time()) - 1),
    "no expiry": lambda p: p.token(exp=None),
    "expiry that is text": lambda p: p.token(exp="tomorrow"),
    "expiry beyond all years": lambda p: p.token(exp=10**30),
    "not valid yet": lambda p: p.token(nbf=int(time.time()) + 120),
    "issued in the future": lambda p: p.token(iat=int(time.time()) + 120),
    "no subject": lambda p: p.token(sub=None),
    "empty subject": lambda p: p.token(""),
    "subject with U+0000": lambda p: p.token("a\0b"),
    "subject with half a surrogate pair": lambda p: p.token("a\ud83d"),
    "endless subject": lambda p: p.token("a" * 256),
    "endless token": lambda p: p.token(padding="a" * 20_000),
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
async def test_refused(accounts: Accounts, provider: IdentityProvider, make: Any) -> None:
    assert await problem(accounts, make(provider)) == INVALID
    assert await users(accounts) == []


async def test_audiences_may_be_a_list(accounts: Accounts, provider: IdentityProvider) -> None:
    assert await accounts.me(provider.token(aud=["other.example", AUDIENCE])) is not None


async def test_a_token_ends_when_its_lifetime_does(accounts: Accounts, provider: IdentityProvider) -> None:
    token = provider.token()
    assert await accounts.me(token) is not None
    accounts.clock.move(seconds=290)
    assert await accounts.me(token) is not None
    accounts.clock.move(seconds=11)
    assert await problem(accounts, token) == INVALID


async def test_tokens_of_our_own_still_work_and_need_no_provider(
    accounts: Accounts, provider: IdentityProvider
) -> None:
    await accounts.make_user("bob")
    assert await accounts.me((await accounts.log_in("bob"))["accessToken"]) == {"username": "bob"}
    assert provider.asked == 0


async def test_without_a_provider_its_tokens_are_refused(
    settings: Settings, provider: IdentityProvider
) -> None:
    async with open_runtime(settings) as runtime:
        app = create_app(settings, runtime)
        async with graphql_client(app) as client:
            accounts = Accounts(app, runtime, MovableClock(), client)
            assert await problem(accounts, provider.token()) == INVALID
    assert provider.asked == 0


# ---- keys ----


async def test_keys_are_fetched_once(accounts: Accounts, provider: IdentityProvider) -> None:
    for subject in ("a", "b", "c"):
        assert await accounts.me(provider.token(subject)) is not None
    assert provider.asked == 1


async def test_a_new_key_is_fetched_when_a_token_has_it(
    accounts: Accounts, provider: IdentityProvider
) -> None:
    assert await accounts.me(provider.token()) is not None
    provider.keys = [public_jwk(OTHER_RSA_KEY, "rsa-2")]
    accounts.clock.move(seconds=31)
    rotated = provider.token(key=OTHER_RSA_KEY, key_id="rsa-2")
    assert await accounts.me(rotated) is not None
    # The key that the issuer has withdrawn counts no more.
    assert await problem(accounts, provider.token()) == INVALID
    assert provider.asked == 2


async def test_unknown_keys_do_not_make_us_flood_the_issuer(
    accounts: Accounts, provider: IdentityProvider
) -> None:
    for number in range(10):
        assert await problem(accounts, provider.token(key=OTHER_RSA_KEY, key_id=f"{number}")) == INVALID
    assert provider.asked == 1
    accounts.clock.move(seconds=31)
    for number in range(10):
        assert await problem(accounts, provider.token(key=OTHER_RSA_KEY, key_id=f"{number}")) == INVALID
    assert provider.asked == 2


async def test_a_withdrawn_key_is_forgotten_without_anybody_waiting(
    accounts: Accounts, provider: IdentityProvider
) -> None:
    assert await accounts.me(provider.token()) is not None
    provider.keys = [public_jwk(OTHER_RSA_KEY, "rsa-2")]
    accounts.clock.move(minutes=11)
    provider.answering.clear()
    later = int(time.time()) + 3600
    # The old keys serve while the new ones are on their way.
    assert await accounts.me(provider.token(exp=later)) is not None
    provider.answering.set()
    keys = accounts.runtime.identity._keys  # type: ignore[union-attr]
    await until(lambda: keys._fetching is None)
    assert await problem(accounts, provider.token(exp=later)) == INVALID
    assert provider.asked == 2


async def test_while_the_issuer_is_away_the_keys_known_serve_for_an_hour(
    accounts: Accounts, provider: IdentityProvider
) -> None:
    assert await accounts.me(provider.token()) is not None
    provider.status = 503
    later = int(time.time()) + 8 * 3600
    for _ in range(3):
        accounts.clock.move(minutes=19)
        assert await accounts.me(provider.token(exp=later)) is not None
    accounts.clock.move(minutes=4)
    assert "cannot be reached" in await problem(accounts, provider.token(exp=later))
    provider.status = 200
    accounts.clock.move(seconds=31)
    assert await accounts.me(provider.token(exp=later)) is not None


@pytest.mark.parametrize("answer", ["refused", "redirect", "garbage", "endless"])
async def test_an_issuer_that_gives_no_keys_lets_nobody_in(
    accounts: Accounts, provider: IdentityProvider, answer: str
) -> None:
    if answer == "garbage":
        provider.keys = "none"  # type: ignore[assignment]
    elif answer == "endless":
        provider.keys.append({"kty": "oct", "k": "a" * 300_000})
    else:
        provider.status = {"refused": 500, "redirect": 302}[answer]
    assert "cannot be reached" in await problem(accounts, provider.token())
    assert await users(accounts) == []


async def test_of_a_key_set_only_keys_for_our_algorithms_count() -> None:
    entries = [
        public_jwk(RSA_KEY, "good"),
        public_jwk(EC_KEY, "good too", alg="ES256"),
        public_jwk(RSA_KEY, "encrypts", use="enc"),
        public_jwk(RSA_KEY, "other algorithm", alg="RS512"),
        public_jwk(RSA_KEY, "symmetric algorithm", alg="HS256"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "symmetric"},
        {**public_jwk(RSA_KEY, "private"), "d": "AQAB"},
        {**public_jwk(RSA_KEY, "short"), "n": "AQAB"},
        {**public_jwk(EC_KEY, "no point"), "x": "AQAB"},
        {**public_jwk(RSA_KEY, "x"), "kid": 7},
        "no key",
    ]
    assert set(read_key_set(json.dumps({"keys": entries}).encode())) == {"good", "good too"}


# ---- settings and names ----


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"auth_issuer": ISSUER}, "must be set together"),
        ({"auth_jwks_url": "https://id.example/keys", "auth_issuer": ISSUER}, "must be set together"),
        ({"auth_jwks_url": "file:///etc/passwd", "auth_issuer": ISSUER, "auth_audience": "a"}, "begin with"),
        ({"auth_jwks_url": "https://a", "auth_issuer": "gql_trader", "auth_audience": "a"}, "own tokens"),
    ],
)
def test_settings_that_are_refused(settings: Settings, given: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Settings.model_validate(given)


def test_outside_local_the_keys_come_over_https_only(settings: Settings) -> None:
    production = {
        "env": "production",
        "database_url": "postgresql+asyncpg://x@db/x",
        "redis_url": "redis://redis",
        "jwt_secret": "0123456789abcdef" * 2,
        "encryption_keys": "1:" + "A" * 44,
        "auth_issuer": ISSUER,
        "auth_audience": AUDIENCE,
    }
    with pytest.raises(ValidationError, match="AUTH_JWKS_URL must begin with https://"):
        Settings.model_validate({**production, "auth_jwks_url": "http://id.example/keys"})
    assert Settings.model_validate({**production, "auth_jwks_url": "https://id.example/keys"}).auth_issuer


@given(st.lists(st.text()))
def test_usernames_made_from_any_names_are_usernames(names: list[str]) -> None:
    import re

    candidates = username_candidates(tuple(names))
    for _ in range(len(names) + 2):
        assert re.fullmatch(r"[A-Za-z0-9_]{3,32}", next(candidates))
