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
from tests.notifications.notices import Person, Scene, approve, work

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
    assert {each.headers["webhook-id"] for each in gone.requests[:2]} == {
        gone.requests[0].headers["webhook-id"]
    }
    assert (await listed(scene.root))["totalCount"] == 0
    async with scene.runtime.unit_of_work() as uow:
        events = await uow.session.scalars(
            select(AuditEventRow).where(AuditEventRow.action == "DELIVERY_RETRIED")
        )
        [event] = list(events)
    assert (event.actor_id, event.target_id) == (scene.root.actor.user_id, scene.ada.actor.user_id)
    assert event.details["kind"] == "notification.webhook"


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
