"""Dead letters: what administrators see of what was given up, and how they have it tried again."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select, text

from gql_trader.accounts.models_credentials import AuditEventRow
from gql_trader.accounts.types import AccountMail
from gql_trader.infra import outbox
from gql_trader.runtime import Runtime
from tests.factories.http_receiver import HttpReceiver, Reply, http_receiver
from tests.factories.mail_server import MailServer
from tests.factories.statements import counted_statements
from tests.notifications.notices import Person, Scene, approve, make_due, work

LIST = """query($first: Int) { deadLetters(first: $first) { totalCount nodes {
    id kind channel address attempts lastError createdAt failedAt user { username } } } }"""


@pytest.fixture
async def gone() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as server:
        server.reply = Reply(410)
        yield server


async def listed(person: Person, **variables: Any) -> Any:
    return (await person.client.execute(LIST, variables)).data["deadLetters"]


async def fail_webhook(scene: Scene, url: str) -> None:
    await scene.ada.act("createWebhook", "secret", url=url, label="hook")
    await approve(scene.runtime, scene.ada.actor, "ada")
    await work(scene.runtime)


async def test_administrators_see_what_was_given_up_and_why(
    scene: Scene, mail: MailServer, gone: HttpReceiver
) -> None:
    mail.refusals["nobody@example.com"] = "550 No such user"
    async with scene.runtime.unit_of_work() as uow:
        outbox.send(uow, AccountMail.APPROVED, {"email": "nobody@example.com", "username": "x"})
        outbox.send(uow, AccountMail.APPROVED, {"email": "somebody@example.com", "username": "y"})
    await fail_webhook(scene, gone.url)
    page = await listed(scene.root)
    assert page["totalCount"] == 2
    webhook, letter = page["nodes"]
    assert (webhook["kind"], webhook["channel"]) == ("notification.webhook", "WEBHOOK")
    assert (webhook["user"], webhook["address"], webhook["attempts"]) == ({"username": "ada"}, None, 1)
    assert webhook["lastError"] == "the server answered with status 410"
    assert (letter["kind"], letter["channel"]) == ("account.approved", "EMAIL")
    assert (letter["user"], letter["address"]) == (None, "nobody@example.com")
    assert "550" in letter["lastError"]


async def test_a_dead_letter_is_tried_once_more_and_that_is_noted(scene: Scene, gone: HttpReceiver) -> None:
    await fail_webhook(scene, gone.url)
    [letter] = (await listed(scene.root))["nodes"]
    gone.reply = Reply(200)
    [webhook] = (await scene.ada.client.execute("{ webhooks { id } }")).data["webhooks"]
    await scene.ada.act("updateWebhook", "secret", id=webhook["id"], active=True)
    done = await scene.root.act("retryDelivery", "deadLetter { id lastError }", id=letter["id"])
    assert done["errors"] == []
    assert done["deadLetter"]["id"] == letter["id"]
    again = await scene.root.act("retryDelivery", "deadLetter { id }", id=letter["id"])
    assert again == {"deadLetter": None, "errors": [{"code": "NOT_FOUND", "path": ["id"]}]}
    await work(scene.runtime)
    ids = [each.headers["webhook-id"] for each in gone.requests]
    # Besides, the owner is told that the webhook was turned off, here too once it is on again.
    assert ids.count(ids[0]) == 2
    assert (await listed(scene.root))["totalCount"] == 0
    async with scene.runtime.unit_of_work() as uow:
        events = await uow.session.scalars(
            select(AuditEventRow).where(AuditEventRow.action == "DELIVERY_RETRIED")
        )
        [event] = list(events)
    assert (event.actor_id, event.target_id) == (scene.root.actor.user_id, scene.ada.actor.user_id)
    assert event.details["kind"] == "notification.webhook"


async def test_a_dead_letter_for_a_webhook_that_is_off_is_kept(scene: Scene, gone: HttpReceiver) -> None:
    await fail_webhook(scene, gone.url)
    [letter] = (await listed(scene.root))["nodes"]
    refused = await scene.root.act("retryDelivery", "deadLetter { id }", id=letter["id"])
    assert refused == {"deadLetter": None, "errors": [{"code": "INVALID_STATE", "path": ["id"]}]}
    await work(scene.runtime)
    assert (await listed(scene.root))["nodes"] == [letter]
    [webhook] = (await scene.ada.client.execute("{ webhooks { id } }")).data["webhooks"]
    await scene.ada.act("deleteWebhook", "deletedId", id=webhook["id"])
    refused = await scene.root.act("retryDelivery", "deadLetter { id }", id=letter["id"])
    assert refused == {"deadLetter": None, "errors": [{"code": "INVALID_STATE", "path": ["id"]}]}
    assert len(gone.requests) == 1
    async with scene.runtime.unit_of_work() as uow:
        actions = set(await uow.session.scalars(select(AuditEventRow.action)))
    assert "DELIVERY_RETRIED" not in actions


async def test_what_waits_for_a_webhook_that_is_turned_off_becomes_dead_letters(
    scene: Scene, gone: HttpReceiver
) -> None:
    gone.reply = Reply(500)
    await fail_webhook(scene, gone.url)
    await approve(scene.runtime, scene.ada.actor, "another")
    await work(scene.runtime)
    assert (await listed(scene.root))["totalCount"] == 0
    # One more attempt of the first says that the endpoint is gone for good.
    gone.reply = Reply(410)
    async with scene.runtime.unit_of_work() as uow:
        first = text("UPDATE outbox_messages SET next_attempt_at = now() WHERE attempts = 1")
        assert (await uow.session.execute(first)).rowcount >= 1  # type: ignore[attr-defined]
    await work(scene.runtime)
    letters = (await listed(scene.root))["nodes"]
    assert sorted(each["lastError"] for each in letters) == [
        "the server answered with status 410",
        "the webhook was turned off",
    ]
    gone.reply = Reply(200)
    [webhook] = (await scene.ada.client.execute("{ webhooks { id } }")).data["webhooks"]
    await scene.ada.act("updateWebhook", "secret", id=webhook["id"], active=True)
    for each in letters:
        await scene.root.act("retryDelivery", "deadLetter { id }", id=each["id"])
    await work(scene.runtime)
    assert {each.json["data"]["body"] for each in gone.requests} >= {
        "Welcome, ada: your account was approved.",
        "Welcome, another: your account was approved.",
    }
    assert (await listed(scene.root))["totalCount"] == 0


async def test_what_waits_for_a_webhook_that_its_owner_turns_off_becomes_dead_letters(
    scene: Scene, gone: HttpReceiver
) -> None:
    gone.reply = Reply(500)
    await fail_webhook(scene, gone.url)
    [webhook] = (await scene.ada.client.execute("{ webhooks { id } }")).data["webhooks"]
    await scene.ada.act("updateWebhook", "secret", id=webhook["id"], active=False)
    [letter] = (await listed(scene.root))["nodes"]
    assert (letter["lastError"], letter["attempts"]) == ("the webhook was turned off", 1)


async def test_what_was_about_to_be_sent_when_a_webhook_was_turned_off_is_a_dead_letter(
    scene: Scene, gone: HttpReceiver
) -> None:
    gone.reply = Reply(500)
    await fail_webhook(scene, gone.url)
    async with scene.runtime.unit_of_work() as uow:
        # As if it was turned off between a message's being written and its being sent.
        await uow.session.execute(text("UPDATE webhooks SET active = false"))
    await make_due(scene.runtime)
    await work(scene.runtime)
    [letter] = (await listed(scene.root))["nodes"]
    assert (letter["lastError"], letter["attempts"]) == ("the webhook was turned off", 2)
    assert len(gone.requests) == 1
    assert [each["kind"] for each in (await scene.ada.listed())["nodes"]] == ["ACCOUNT_APPROVED"]


async def test_one_that_fails_again_after_all_its_attempts_is_dead_again(
    scene: Scene, gone: HttpReceiver
) -> None:
    await fail_webhook(scene, gone.url)
    [letter] = (await listed(scene.root))["nodes"]
    async with scene.runtime.unit_of_work() as uow:
        await uow.session.execute(text("UPDATE outbox_messages SET attempts = 8 WHERE failed_at IS NOT NULL"))
        await uow.session.execute(text("UPDATE webhooks SET active = true"))
    gone.reply = Reply(500)
    await scene.root.act("retryDelivery", "deadLetter { id }", id=letter["id"])
    await work(scene.runtime)
    [dead] = [each for each in (await listed(scene.root))["nodes"] if each["id"] == letter["id"]]
    assert (dead["attempts"], dead["lastError"]) == (9, "the server answered with status 500")


async def test_dead_letters_are_nobodys_but_administrators(scene: Scene, gone: HttpReceiver) -> None:
    await fail_webhook(scene, gone.url)
    [letter] = (await listed(scene.root))["nodes"]
    node = "query($id: ID!) { node(id: $id) { id } }"
    assert (await scene.ada.client.execute(node, {"id": letter["id"]})).data["node"] is None
    assert (await scene.root.client.execute(node, {"id": letter["id"]})).data["node"] == {"id": letter["id"]}
    assert (await scene.ada.client.execute(LIST)).codes == ["FORBIDDEN"]


async def test_a_page_costs_as_many_statements_whatever_its_size(scene: Scene) -> None:
    counts = []
    for size in (1, 20):
        await _bury(scene.runtime, scene.ada, size)
        with counted_statements(scene.runtime.database.engine) as executed:
            await listed(scene.root, first=100)
        counts.append(len(executed))
    assert counts[0] == counts[1]


async def _bury(runtime: Runtime, person: Person, count: int) -> None:
    async with runtime.unit_of_work() as uow:
        for number in range(count):
            payload = {"email": f"{number}@example.com"}
            outbox.send(uow, AccountMail.APPROVED, payload, user_id=person.actor.user_id)
        await uow.session.flush()
        await uow.session.execute(
            text("UPDATE outbox_messages SET failed_at = now(), last_error = 'x', attempts = 1")
        )
