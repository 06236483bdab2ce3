"""Push messages and Telegram against servers that speak their protocols, well and badly."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from sqlalchemy import select, text

from gql_trader.cli import doctor
from gql_trader.config import Settings
from gql_trader.core.ids import global_id
from gql_trader.infra.outbox import OutboxRow
from gql_trader.infra.push import PushTransport, ServiceAccount, ServiceAccountError
from gql_trader.infra.telegram import Telegram
from gql_trader.notifications import service
from gql_trader.notifications.types import NotificationKind
from gql_trader.runtime import Runtime
from tests.factories.clock import MovableClock
from tests.factories.http_receiver import HttpReceiver, Received, Reply, http_receiver
from tests.factories.identity_provider import RSA_KEY
from tests.notifications.notices import Person, Scene, approve, make_due, work

BOT = "123456:an-unguessable-part-of-a-token-xyz"
CHAT = "4711"


@dataclass
class Firebase:
    """Google's token endpoint and Firebase's, as one server."""

    server: HttpReceiver
    account_file: Path

    @property
    def grants(self) -> list[Received]:
        return [each for each in self.server.requests if each.path == "/token"]

    @property
    def sent(self) -> list[Received]:
        return [each for each in self.server.requests if each.path != "/token"]


@pytest.fixture
async def firebase(tmp_path: Path) -> AsyncIterator[Firebase]:
    async with http_receiver() as server:
        key = RSA_KEY.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        account = {
            "type": "service_account",
            "project_id": "a-project",
            "client_email": "push@a-project.example",
            "token_uri": f"{server.url}/token",
            "private_key": key.decode(),
        }
        path = tmp_path / "account.json"
        path.write_text(json.dumps(account))
        taken = Reply(200, {"name": "projects/a-project/messages/1"})
        granted = Reply(200, {"access_token": "an access token", "expires_in": 3599, "token_type": "Bearer"})
        server.answer = lambda request: granted if request.path == "/token" else taken
        yield Firebase(server, path)


@pytest.fixture
async def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def pushing(scene: Scene, firebase: Firebase, clock: MovableClock) -> AsyncIterator[Runtime]:
    """The scene's runtime, with push messages that go to the test's server."""
    transport = PushTransport(firebase.account_file, firebase.server.url, clock, seconds=0.5)
    yield replace(scene.runtime, push=transport)
    await transport.close()


async def register(person: Person, token: str) -> str:
    payload = await person.act("registerDevice", "device { id }", token=token)
    return payload["device"]["id"]  # type: ignore[no-any-return]


async def devices(person: Person) -> list[str]:
    found = (await person.client.execute("{ me { devices { id } } }")).data["me"]["devices"]
    return [each["id"] for each in found]


async def waiting(runtime: Runtime, kind: str) -> list[OutboxRow]:
    async with runtime.unit_of_work() as uow:
        return list(await uow.session.scalars(select(OutboxRow).where(OutboxRow.kind == kind)))


def error(status: int, name: str, code: str | None = None, message: str = "x", field: str = "") -> Reply:
    """Return an error as Firebase answers it."""
    prefix = "type.googleapis.com/google"
    details: list[dict[str, Any]] = []
    if code:
        details.append({"@type": f"{prefix}.firebase.fcm.v1.FcmError", "errorCode": code})
    if field:
        violation = {"field": field, "description": "x"}
        details.append({"@type": f"{prefix}.rpc.BadRequest", "fieldViolations": [violation]})
    return Reply(status, {"error": {"code": status, "message": message, "status": name, "details": details}})


async def test_a_push_message_goes_to_every_device_of_the_user(
    scene: Scene, pushing: Runtime, firebase: Firebase
) -> None:
    await register(scene.ada, "phone")
    await register(scene.ada, "tablet")
    await register(scene.root, "other")
    await approve(scene.runtime, scene.ada.actor, "ada")
    await work(pushing)
    [node] = (await scene.ada.listed())["nodes"]
    assert {each.path for each in firebase.sent} == {"/v1/projects/a-project/messages:send"}
    assert {each.headers["authorization"] for each in firebase.sent} == {"Bearer an access token"}
    messages = {each.json["message"]["token"]: each.json["message"] for each in firebase.sent}
    assert set(messages) == {"phone", "tablet"}
    message = messages["phone"]
    assert message["notification"] == {
        "title": "Your account was approved",
        "body": "Welcome, ada: your account was approved.",
    }
    assert message["data"] == {"id": node["id"], "kind": "ACCOUNT_APPROVED"}
    # A device shows what is sent to it twice once.
    tag = message["android"]["notification"]["tag"]
    assert message["apns"]["headers"]["apns-collapse-id"] == message["webpush"]["notification"]["tag"] == tag
    assert global_id("Notification", tag) == node["id"]


async def test_the_access_token_is_granted_for_a_signed_assertion_and_kept(
    scene: Scene, pushing: Runtime, firebase: Firebase, clock: MovableClock
) -> None:
    await register(scene.ada, "phone")
    for _ in range(2):
        await approve(scene.runtime, scene.ada.actor, "ada")
    await work(pushing)
    [grant] = firebase.grants
    form = parse_qs(grant.body.decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    claims = jwt.decode(
        form["assertion"][0], RSA_KEY.public_key(), ["RS256"], audience=f"{firebase.server.url}/token"
    )
    assert claims["iss"] == "push@a-project.example"
    assert claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
    assert claims["exp"] - claims["iat"] == 3600
    clock.move(minutes=59)
    await approve(scene.runtime, scene.ada.actor, "ada")
    await work(pushing)
    assert len(firebase.grants) == 2
    # One that Firebase does not take any more is not kept.
    firebase.server.replies = [error(401, "UNAUTHENTICATED")]
    await approve(scene.runtime, scene.ada.actor, "ada")
    await work(pushing)
    await make_due(scene.runtime)
    await work(pushing)
    assert len(firebase.grants) == 3
    assert await waiting(scene.runtime, "notification.push") == []


@pytest.mark.parametrize(
    "answer",
    [
        error(404, "NOT_FOUND", "UNREGISTERED"),
        error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", field="message.token"),
        error(
            400,
            "INVALID_ARGUMENT",
            "INVALID_ARGUMENT",
            "The registration token is not a valid FCM registration token",
        ),
    ],
)
async def test_a_device_whose_token_is_none_is_forgotten(
    scene: Scene, pushing: Runtime, firebase: Firebase, answer: Reply
) -> None:
    gone = await register(scene.ada, "gone")
    kept = await register(scene.ada, "kept")
    granted = firebase.server.answer
    assert granted is not None
    firebase.server.answer = lambda request: answer if b'"gone"' in request.body else granted(request)
    for _ in range(2):
        await approve(scene.runtime, scene.ada.actor, "ada")
        await work(pushing)
    assert await devices(scene.ada) == [kept]
    assert gone not in await devices(scene.ada)
    assert [each.json["message"]["token"] for each in firebase.sent].count("gone") == 1
    assert await waiting(scene.runtime, "notification.push") == []


@pytest.mark.parametrize(
    "answer",
    [
        Reply(503, b"<html>", (("retry-after", "30"),)),
        Reply(404, b"<html>not even Firebase"),
        # The operator's mistake, such as the key file of another project: no device is at fault.
        error(404, "NOT_FOUND"),
        error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
        error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
        error(500, "INTERNAL", "INTERNAL"),
        Reply(None),
    ],
)
async def test_what_firebase_does_not_take_for_now_is_sent_again(
    scene: Scene, pushing: Runtime, firebase: Firebase, answer: Reply
) -> None:
    await register(scene.ada, "phone")
    await approve(scene.runtime, scene.ada.actor, "ada")
    good = firebase.server.answer
    assert good is not None
    firebase.server.answer = lambda request: good(request) if request.path == "/token" else answer
    await work(pushing)
    [row] = await waiting(scene.runtime, "notification.push")
    assert (row.attempts, row.failed_at) == (1, None)
    firebase.server.answer = good
    await make_due(scene.runtime)
    await work(pushing)
    assert await waiting(scene.runtime, "notification.push") == []
    assert len(await devices(scene.ada)) == 1


async def test_a_message_that_firebase_refuses_is_given_up_and_the_device_kept(
    scene: Scene, pushing: Runtime, firebase: Firebase
) -> None:
    await register(scene.ada, "phone")
    await approve(scene.runtime, scene.ada.actor, "ada")
    good = firebase.server.answer
    assert good is not None
    refused = error(400, "INVALID_ARGUMENT", field="message.data[0].value")
    firebase.server.answer = lambda request: good(request) if request.path == "/token" else refused
    await work(pushing)
    [row] = await waiting(scene.runtime, "notification.push")
    assert row.failed_at is not None
    assert len(await devices(scene.ada)) == 1


async def test_a_device_that_changed_hands_is_not_shown_what_waits_for_its_old_owner(
    scene: Scene, pushing: Runtime, firebase: Firebase
) -> None:
    await register(scene.ada, "phone")
    firebase.server.replies = [Reply(500)]
    await approve(scene.runtime, scene.ada.actor, "ada")
    await work(pushing)
    await register(scene.root, "phone")
    await make_due(scene.runtime)
    await work(pushing)
    assert firebase.sent == []


async def test_without_firebase_nothing_is_queued_for_devices(scene: Scene) -> None:
    await register(scene.ada, "phone")
    await approve(scene.runtime, scene.ada.actor, "ada")
    await work(scene.runtime)
    assert await waiting(scene.runtime, "notification.push") == []


@pytest.mark.parametrize("content", [None, "{}", "not JSON", '{"project_id": 1, "private_key": "x"}'])
async def test_a_file_that_is_no_service_account_is_said_to_be_none(
    settings: Settings, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "broken.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ServiceAccountError):
        ServiceAccount.from_file(path)
    chosen = settings.model_copy(update={"fcm_service_account_file": path})
    told, healthy = await doctor._outcome(doctor._push, chosen)
    assert not healthy
    assert str(path) in told


async def test_the_doctor_tells_which_channels_are_set_up(settings: Settings, firebase: Firebase) -> None:
    chosen = settings.model_copy(update={"fcm_service_account_file": firebase.account_file})
    told = await doctor._outcome(doctor._push, chosen)
    assert told == ("Firebase project a-project, as push@a-project.example", True)
    off, healthy = await doctor._outcome(doctor._push, settings)
    assert (off.startswith("off: "), healthy) == (True, True)
    assert await doctor._outcome(doctor._webhooks, settings) == (
        "to private addresses too, over http or https",
        True,
    )
    default = settings.model_copy(update={"webhook_private_addresses": False, "webhook_plain_http": False})
    assert await doctor._outcome(doctor._webhooks, default) == ("to public addresses only, over https", True)


@pytest.fixture
async def bots(scene: Scene) -> AsyncIterator[tuple[Runtime, HttpReceiver]]:
    """The scene's runtime with a Telegram of the test's, and ada with a bot and a chat."""
    async with http_receiver() as server:
        server.reply = Reply(200, {"ok": True, "result": {}})
        telegram = Telegram(server.url, seconds=0.5)
        await use_chat(scene.ada, CHAT)
        yield replace(scene.runtime, telegram=telegram), server
        await telegram.close()


async def use_chat(person: Person, chat: str, **more: Any) -> None:
    given = {"telegram": {"enabled": True, "token": BOT, "chatId": chat, **more}}
    assert (await person.act("updateSettings", "settings { botName }", **given))["errors"] == []


def refusal(status: int, description: str, **parameters: Any) -> Reply:
    """Return an error as Telegram answers it."""
    body = {"ok": False, "error_code": status, "description": description}
    return Reply(status, {**body, "parameters": parameters} if parameters else body)


async def test_a_notification_is_written_into_the_users_chat(
    scene: Scene, bots: tuple[Runtime, HttpReceiver]
) -> None:
    runtime, server = bots
    await approve(scene.runtime, scene.ada.actor, "ada")
    await approve(scene.runtime, scene.root.actor, "root has no bot")
    await work(runtime)
    [request] = server.requests
    assert request.path == f"/bot{BOT}/sendMessage"
    assert request.json["chat_id"] == CHAT
    assert request.json["text"] == "Your account was approved\n\nWelcome, ada: your account was approved."
    assert "parse_mode" not in request.json
    await use_chat(scene.ada, CHAT, enabled=False)
    await approve(scene.runtime, scene.ada.actor, "off")
    await work(runtime)
    assert len(server.requests) == 1


async def test_telegram_gets_the_pause_that_it_asks_for(
    scene: Scene, bots: tuple[Runtime, HttpReceiver]
) -> None:
    runtime, server = bots
    server.replies = [
        refusal(429, "Too Many Requests: retry after 90", retry_after=90),
        Reply(502, b"<html>"),
    ]
    await approve(scene.runtime, scene.ada.actor, "ada")
    await work(runtime)
    async with scene.runtime.unit_of_work() as uow:
        pause = await uow.session.scalar(
            text("SELECT extract(epoch FROM next_attempt_at - now()) FROM outbox_messages")
        )
    assert 80 < pause <= 90
    for _ in range(2):
        await make_due(scene.runtime)
        await work(runtime)
    assert len(server.requests) == 3
    assert await waiting(scene.runtime, "notification.telegram") == []


@pytest.mark.parametrize(
    "answer",
    [
        refusal(403, "Forbidden: bot was blocked by the user"),
        refusal(400, "Bad Request: chat not found"),
        refusal(401, "Unauthorized"),
    ],
)
async def test_a_chat_that_the_bot_cannot_write_into_is_left_alone_and_the_user_told_once(
    scene: Scene, bots: tuple[Runtime, HttpReceiver], answer: Reply
) -> None:
    runtime, server = bots
    server.reply = answer
    for name in ("one", "two", "three"):
        await approve(scene.runtime, scene.ada.actor, name)
    await work(runtime)
    assert len(server.requests) == 1
    blocked = (await scene.ada.listed(kind=["TELEGRAM_BLOCKED"]))["nodes"]
    assert [each["title"] for each in blocked] == ["Telegram was turned off"]
    assert BOT not in blocked[0]["body"]
    server.reply = Reply(200, {"ok": True})
    await approve(scene.runtime, scene.ada.actor, "four")
    await work(runtime)
    assert len(server.requests) == 1
    # Another chat is another try.
    await use_chat(scene.ada, "4712")
    await approve(scene.runtime, scene.ada.actor, "five")
    await work(runtime)
    assert server.requests[-1].json["chat_id"] == "4712"
    assert "five" in server.requests[-1].json["text"]


async def test_who_chooses_channels_again_is_told_by_telegram_again(
    scene: Scene, bots: tuple[Runtime, HttpReceiver]
) -> None:
    runtime, server = bots
    server.replies = [refusal(403, "Forbidden: bot was blocked by the user")]
    await approve(scene.runtime, scene.ada.actor, "one")
    await work(runtime)
    await scene.ada.act(
        "updateNotificationChannels", "user { id }", choices=[{"kind": "WEBHOOK_DISABLED", "channels": None}]
    )
    await approve(scene.runtime, scene.ada.actor, "two")
    await work(runtime)
    assert len(server.requests) == 2


async def test_the_bots_token_is_in_no_error(
    scene: Scene, bots: tuple[Runtime, HttpReceiver], capsys: pytest.CaptureFixture[str]
) -> None:
    runtime, server = bots
    server.replies = [Reply(None), refusal(400, "Bad Request: message is too long")]
    await approve(scene.runtime, scene.ada.actor, "ada")
    for _ in range(2):
        await work(runtime)
        await make_due(scene.runtime)
    [row] = await waiting(scene.runtime, "notification.telegram")
    assert row.failed_at is not None
    written = capsys.readouterr()
    assert BOT.partition(":")[2] not in f"{row.last_error}{written.out}{written.err}"
    assert "telegram_not_sent" in written.out + written.err


async def test_who_wants_no_notifications_is_told_in_the_app_only(
    scene: Scene, bots: tuple[Runtime, HttpReceiver]
) -> None:
    runtime, server = bots
    done = await scene.ada.act("updatePreferences", "preferences { notifications }", notifications=False)
    assert done == {"preferences": {"notifications": False}, "errors": []}
    await approve(scene.runtime, scene.ada.actor, "ada")
    await work(runtime)
    assert server.requests == []
    assert (await scene.ada.listed())["totalCount"] == 1


async def test_words_too_long_for_telegram_are_cut(scene: Scene, bots: tuple[Runtime, HttpReceiver]) -> None:
    runtime, server = bots
    async with scene.runtime.unit_of_work() as uow:
        kind = NotificationKind.ACCOUNT_APPROVED
        await service.notify(uow, scene.ada.actor.user_id, kind, {"username": "x" * 5000})
    await work(runtime)
    assert len(server.requests[0].json["text"]) == 4096
