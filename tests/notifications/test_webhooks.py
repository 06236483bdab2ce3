"""Webhooks over GraphQL and real HTTP: made, signed, sent, tried again, turned off."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, text

from gql_trader.accounts.models_credentials import AuditEventRow
from gql_trader.config import Settings
from gql_trader.core.ids import global_id
from gql_trader.infra import outbox
from gql_trader.infra.delivery import retry_after
from gql_trader.infra.outbox import Lane, OutboxRow
from gql_trader.infra.public_http import PublicHttp
from gql_trader.infra.webhook_signatures import InvalidSignature, WebhookSignatures
from gql_trader.infra.worker import WakeWorker
from gql_trader.notifications import webhook_delivery
from gql_trader.notifications.models import WEBHOOK_SECRET, WebhookRow
from gql_trader.notifications.types import MAXIMUM_WEBHOOKS, MOST_ATTEMPTS, RETRY_SECONDS
from gql_trader.runtime import Runtime
from tests.factories.http_receiver import HttpReceiver, Received, Reply, http_receiver
from tests.notifications.notices import Person, Scene, approve, make_due, work
from workers import webhooks

FIELDS = "webhook { id label url kinds active lastDeliveredAt lastFailedAt lastError }"


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as running:
        yield running


async def create(person: Person, url: str, **given: Any) -> tuple[str, str]:
    """Make a webhook; return its id and its secret."""
    payload = await person.act("createWebhook", f"secret {FIELDS}", url=url, label="hook", **given)
    assert payload["errors"] == []
    return payload["webhook"]["id"], payload["secret"]


async def shown(person: Person) -> list[Any]:
    fields = FIELDS.removeprefix("webhook")
    return (await person.client.execute(f"{{ webhooks {fields} }}")).data["webhooks"]  # type: ignore[no-any-return]


async def waiting(runtime: Runtime) -> list[OutboxRow]:
    async with runtime.unit_of_work() as uow:
        return list(await uow.session.scalars(select(OutboxRow).order_by(OutboxRow.id)))


def is_signed(request: Received, secret: str) -> bool:
    """Check a signature by the text of the specification, not by our own code."""
    headers = request.headers
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return headers["webhook-signature"] == f"v1,{expected}"


async def test_a_notification_is_sent_signed_as_standard_webhooks_has_it(
    scene: Scene, receiver: HttpReceiver
) -> None:
    _, secret = await create(scene.ada, f"{receiver.url}/hook?x=1")
    await approve(scene.runtime, scene.ada.actor, "ada")
    await approve(scene.runtime, scene.root.actor, "root")
    await work(scene.runtime)
    [request] = receiver.requests
    assert (request.method, request.path) == ("POST", "/hook?x=1")
    assert request.headers["content-type"] == "application/json"
    [node] = (await scene.ada.listed())["nodes"]
    assert request.json["type"] == "ACCOUNT_APPROVED"
    assert request.json["data"] == {
        "id": node["id"],
        "title": "Your account was approved",
        "body": "Welcome, ada: your account was approved.",
        "payload": {},
    }
    assert is_signed(request, secret)
    [webhook] = await shown(scene.ada)
    assert webhook["lastDeliveredAt"] is not None
    assert webhook["lastError"] is None
    assert await waiting(scene.runtime) == []
    # Whoever receives it can check it with what checks the messages that we receive.
    now = scene.runtime.clock.now()
    checking = WebhookSignatures(secret, "webhook")
    assert checking.verify(request.headers, request.body, now) == request.headers["webhook-id"]
    with pytest.raises(InvalidSignature):
        checking.verify(request.headers, request.body + b" ", now)


async def test_only_what_was_asked_for_is_sent_to_webhooks_that_are_on(
    scene: Scene, receiver: HttpReceiver
) -> None:
    await create(scene.ada, f"{receiver.url}/all")
    await create(scene.ada, f"{receiver.url}/approved", kinds=["ACCOUNT_APPROVED"])
    await create(scene.ada, f"{receiver.url}/pending", kinds=["SIGNUP_PENDING"])
    off, _ = await create(scene.ada, f"{receiver.url}/off")
    assert (await scene.ada.act("updateWebhook", FIELDS, id=off, active=False))["errors"] == []
    await approve(scene.runtime, scene.ada.actor, "ada")
    await work(scene.runtime)
    assert sorted(each.path for each in receiver.requests) == ["/all", "/approved"]


async def test_an_endpoint_that_fails_is_tried_again_under_the_same_id(
    scene: Scene, receiver: HttpReceiver
) -> None:
    _, secret = await create(scene.ada, receiver.url)
    receiver.replies = [Reply(500), Reply(302, None, (("location", "/x"),)), Reply(503), Reply(204)]
    await approve(scene.runtime, scene.ada.actor, "ada")
    for attempt in (1, 2, 3):
        await work(scene.runtime)
        [row] = await waiting(scene.runtime)
        assert (row.attempts, row.failed_at) == (attempt, None)
        # It is not due yet.
        await work(scene.runtime)
        assert len(receiver.requests) == attempt
        await make_due(scene.runtime)
    [webhook] = await shown(scene.ada)
    assert webhook["lastError"] == "the server answered with status 503"
    await work(scene.runtime)
    assert await waiting(scene.runtime) == []
    assert len({each.headers["webhook-id"] for each in receiver.requests}) == 1
    assert all(is_signed(each, secret) for each in receiver.requests)
    [webhook] = await shown(scene.ada)
    assert webhook["lastError"] is None


async def test_a_server_that_asks_for_a_pause_gets_it_and_so_does_what_waits_behind(
    scene: Scene, receiver: HttpReceiver
) -> None:
    await create(scene.ada, receiver.url)
    receiver.replies = [Reply(429, None, (("retry-after", "120"),))]
    for name in ("one", "two", "three"):
        await approve(scene.runtime, scene.ada.actor, name)
    await work(scene.runtime)
    assert len(receiver.requests) == 1
    async with scene.runtime.unit_of_work() as uow:
        pauses = await uow.session.scalars(
            text("SELECT extract(epoch FROM next_attempt_at - now()) FROM outbox_messages")
        )
        assert [pause > 100 for pause in pauses] == [True] * 3
    await make_due(scene.runtime)
    await work(scene.runtime)
    assert sorted(each.json["data"]["body"][9:12] for each in receiver.requests[1:]) == ["one", "thr", "two"]


async def test_an_endpoint_that_stays_away_is_turned_off_and_its_owner_told(
    scene: Scene, receiver: HttpReceiver
) -> None:
    key, _ = await create(scene.ada, receiver.url)
    receiver.reply = Reply(500)
    await approve(scene.runtime, scene.ada.actor, "ada")
    for _ in range(len(RETRY_SECONDS) + 3):
        await work(scene.runtime)
        await make_due(scene.runtime)
    assert len(receiver.requests) == len(RETRY_SECONDS) + 1
    [webhook] = await shown(scene.ada)
    assert (webhook["active"], webhook["lastError"]) == (False, "the server answered with status 500")
    [told, _] = (await scene.ada.listed())["nodes"]
    assert (told["kind"], told["payload"]) == ("WEBHOOK_DISABLED", {"webhookId": key})
    assert "hook: the server answered with status 500." in told["body"]
    # The message is kept for an administrator to see, and nothing else is sent there.
    [kept] = [row for row in await waiting(scene.runtime) if row.kind == "notification.webhook"]
    assert kept.failed_at is not None
    receiver.reply = Reply(200)
    await approve(scene.runtime, scene.ada.actor, "again")
    await work(scene.runtime)
    assert len(receiver.requests) == len(RETRY_SECONDS) + 1
    on = await scene.ada.act("updateWebhook", FIELDS, id=key, active=True)
    assert (on["webhook"]["active"], on["webhook"]["lastError"]) == (True, None)
    await approve(scene.runtime, scene.ada.actor, "more")
    await work(scene.runtime)
    assert receiver.requests[-1].json["data"]["body"].startswith("Welcome, more")


async def test_workers_that_fail_at_the_same_endpoint_at_once_do_not_wait_for_each_other(
    scene: Scene, receiver: HttpReceiver
) -> None:
    """Each holds its own message and wants the endpoint: waiting for the other's message would never end."""
    await create(scene.ada, receiver.url)
    receiver.replies = [Reply(500)]
    for name in ("one", "two"):
        await approve(scene.runtime, scene.ada.actor, name)
    await work(scene.runtime)
    await make_due(scene.runtime)
    unit_of_work = scene.runtime.unit_of_work
    async with unit_of_work() as uow:
        first, second = await outbox.claim(uow, 2, 60, MOST_ATTEMPTS, [Lane.WEBHOOKS])
    both = asyncio.Barrier(2)

    async def fail(message: outbox.OutboxMessage, pause: float | None) -> None:
        async with unit_of_work() as uow:
            end = (
                outbox.give_up(uow, message, "x") if pause is None else outbox.retry(uow, message, pause, "x")
            )
            assert await end
            await both.wait()
            await webhook_delivery.failed(uow, message, "x", pause)

    async with asyncio.timeout(10):
        await asyncio.gather(fail(first, 60.0), fail(second, None))
    assert [each["active"] for each in await shown(scene.ada)] == [False]


async def test_an_endpoint_that_says_it_is_gone_is_turned_off_at_once(
    scene: Scene, receiver: HttpReceiver
) -> None:
    await create(scene.ada, receiver.url)
    receiver.reply = Reply(410)
    await approve(scene.runtime, scene.ada.actor, "ada")
    await work(scene.runtime)
    assert len(receiver.requests) == 1
    assert [each["active"] for each in await shown(scene.ada)] == [False]


async def test_a_test_is_sent_once_and_disturbs_nothing(scene: Scene, receiver: HttpReceiver) -> None:
    key, secret = await create(scene.ada, receiver.url, kinds=["SIGNUP_PENDING"])
    assert (await scene.ada.act("testWebhook", FIELDS, id=key))["errors"] == []
    await work(scene.runtime)
    assert receiver.requests[0].json["type"] == "TEST"
    assert is_signed(receiver.requests[0], secret)
    receiver.reply = Reply(500)
    await scene.ada.act("testWebhook", FIELDS, id=key)
    await work(scene.runtime)
    await make_due(scene.runtime)
    await work(scene.runtime)
    assert len(receiver.requests) == 2
    [webhook] = await shown(scene.ada)
    assert (webhook["active"], webhook["lastError"]) == (True, "the server answered with status 500")
    assert await waiting(scene.runtime) == []
    assert (await scene.ada.listed())["totalCount"] == 0


async def test_the_secret_is_shown_once_sealed_and_can_be_made_anew(
    scene: Scene, receiver: HttpReceiver
) -> None:
    key, secret = await create(scene.ada, receiver.url)
    unchanged = await scene.ada.act("updateWebhook", f"secret {FIELDS}", id=key, label="other")
    assert (unchanged["secret"], unchanged["webhook"]["label"]) == (None, "other")
    async with scene.runtime.unit_of_work() as uow:
        row = (await uow.session.scalars(select(WebhookRow))).one()
    assert secret.encode() not in row.secret
    assert scene.runtime.keys.decrypt(WEBHOOK_SECRET, row.id, row.secret) == secret.encode()
    changed = await scene.ada.act("updateWebhook", "secret", id=key, rotateSecret=True)
    assert changed["secret"] not in (None, secret)
    await approve(scene.runtime, scene.ada.actor, "ada")
    await work(scene.runtime)
    assert is_signed(receiver.requests[0], changed["secret"])
    assert not is_signed(receiver.requests[0], secret)


async def test_what_is_not_given_stays_and_null_kinds_mean_everything(scene: Scene) -> None:
    key, _ = await create(scene.ada, "https://example.com/x", kinds=["ACCOUNT_APPROVED"])
    same = await scene.ada.act("updateWebhook", FIELDS, id=key, url="https://example.com/y")
    assert (same["webhook"]["url"], same["webhook"]["kinds"]) == (
        "https://example.com/y",
        ["ACCOUNT_APPROVED"],
    )
    every = await scene.ada.act("updateWebhook", FIELDS, id=key, kinds=None)
    assert every["webhook"]["kinds"] is None


async def test_everything_wrong_with_a_webhook_is_said_at_once(scene: Scene) -> None:
    payload = await scene.ada.act("createWebhook", "secret", url="ftp://example.com", label=" ")
    assert payload == {
        "secret": None,
        "errors": [
            {"code": "INVALID_INPUT", "path": ["url"]},
            {"code": "INVALID_INPUT", "path": ["label"]},
        ],
    }
    for number in range(MAXIMUM_WEBHOOKS):
        await create(scene.ada, f"https://example.com/{number}")
    refused = await scene.ada.act("createWebhook", "secret", url="https://example.com/", label="x")
    assert [error["code"] for error in refused["errors"]] == ["QUOTA_EXCEEDED"]


async def test_private_addresses_are_refused_unless_the_server_allows_them(
    scene: Scene, receiver: HttpReceiver
) -> None:
    await create(scene.ada, receiver.url)
    await approve(scene.runtime, scene.ada.actor, "ada")
    await work(replace(scene.runtime, public_http=PublicHttp(allow_plain=True)))
    assert receiver.requests == []
    [webhook] = await shown(scene.ada)
    assert webhook["active"] is False
    assert "not public" in webhook["lastError"]


async def test_a_deleted_webhook_is_sent_nothing_that_waits(scene: Scene, receiver: HttpReceiver) -> None:
    key, _ = await create(scene.ada, receiver.url)
    receiver.replies = [Reply(500)]
    await approve(scene.runtime, scene.ada.actor, "ada")
    await work(scene.runtime)
    assert await scene.ada.act("deleteWebhook", "deletedId", id=key) == {"deletedId": key, "errors": []}
    await make_due(scene.runtime)
    await work(scene.runtime)
    assert len(receiver.requests) == 1
    assert await waiting(scene.runtime) == []


async def test_what_is_done_to_webhooks_is_in_the_audit_log_without_their_addresses(scene: Scene) -> None:
    key, secret = await create(scene.ada, "https://example.com/as-good-as-a-password")
    await scene.ada.act("updateWebhook", "secret", id=key, rotateSecret=True, active=False)
    await scene.ada.act("updateWebhook", "secret", id=key)
    await scene.ada.act("deleteWebhook", "deletedId", id=key)
    async with scene.runtime.unit_of_work() as uow:
        events = list(await uow.session.scalars(select(AuditEventRow).order_by(AuditEventRow.id)))
    assert [event.action for event in events] == ["WEBHOOK_CREATED", "WEBHOOK_CHANGED", "WEBHOOK_DELETED"]
    assert events[1].details["changed"] == ["active", "secret"]
    assert {event.details.get("host") for event in events[:2]} == {"example.com"}
    written = str([event.details for event in events])
    assert "as-good-as" not in written
    assert secret not in written


async def test_another_users_webhook_does_not_exist(scene: Scene, receiver: HttpReceiver) -> None:
    key, _ = await create(scene.ada, receiver.url)
    for name, fields in (
        ("updateWebhook", "secret"),
        ("deleteWebhook", "deletedId"),
        ("testWebhook", FIELDS),
    ):
        refused = await scene.root.act(name, fields, id=key)
        assert refused["errors"] == [{"code": "NOT_FOUND", "path": ["id"]}]
    node = "query($id: ID!) { node(id: $id) { id } }"
    assert (await scene.root.client.execute(node, {"id": key})).data["node"] is None
    assert (await scene.ada.client.execute(node, {"id": key})).data["node"] == {"id": key}
    assert await shown(scene.root) == []


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("17", 17.0),
        ("-1", None),
        ("soon", None),
        ("Sun, 22 Nov 2026 00:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 23:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, datetime(2026, 11, 22, tzinfo=UTC)) == seconds


async def test_an_endpoint_that_does_not_answer_in_time_is_tried_again(
    scene: Scene, receiver: HttpReceiver
) -> None:
    await create(scene.ada, receiver.url)
    receiver.replies = [Reply(None)]
    impatient = PublicHttp(allow_private=True, allow_plain=True, seconds=1.0)
    await approve(scene.runtime, scene.ada.actor, "ada")
    await work(replace(scene.runtime, public_http=impatient))
    [webhook] = await shown(scene.ada)
    assert webhook["lastError"] == "no answer within 1 s"
    await make_due(scene.runtime)
    await work(scene.runtime)
    assert len(receiver.requests) == 2
    assert await waiting(scene.runtime) == []


async def test_a_user_who_was_shut_out_is_sent_nothing_more(scene: Scene, receiver: HttpReceiver) -> None:
    await create(scene.ada, receiver.url)
    receiver.replies = [Reply(500)]
    await approve(scene.runtime, scene.ada.actor, "one")
    await work(scene.runtime)
    await scene.root.act("disableUser", "user { id }", id=global_id("User", scene.ada.actor.user_id))
    await approve(scene.runtime, scene.ada.actor, "two")
    await make_due(scene.runtime)
    await work(scene.runtime)
    assert len(receiver.requests) == 1
    assert await waiting(scene.runtime) == []


async def test_a_worker_of_the_webhooks_queue_is_woken_at_once(
    scene: Scene, settings: Settings, receiver: HttpReceiver
) -> None:
    key, _ = await create(scene.ada, receiver.url)
    spec = webhooks.queue(settings)
    worker = WakeWorker(spec, settings.redis_url.get_secret_value(), {"runtime": scene.runtime})
    running = asyncio.create_task(worker.main())
    try:
        await worker.ready.wait()
        await scene.ada.act("testWebhook", FIELDS, id=key)
        await receiver.arrived()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await worker.stop()
