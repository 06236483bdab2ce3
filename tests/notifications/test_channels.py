"""Where users are told: what they choose, what mails look like, and what a crash in the middle costs."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from sqlalchemy import text

from gql_trader.config import Settings
from gql_trader.infra.outbox import Lane
from gql_trader.notifications import choices, service
from gql_trader.notifications.jobs import deliver_outbox, sweep_mail, sweep_webhooks
from gql_trader.notifications.kinds import KINDS
from gql_trader.notifications.types import Channel, NotificationKind
from tests.factories.http_receiver import Reply, http_receiver
from tests.factories.mail_server import MailServer, text_of
from tests.notifications.notices import Person, Scene, approve, make_due, sign_up, work

EVERYWHERE = ["EMAIL", "PUSH", "TELEGRAM", "WEBHOOK"]
CHOICES = "notificationChannels { kind channels available isDefault }"


async def chosen(person: Person) -> dict[str, Any]:
    found = (await person.client.execute(f"{{ me {{ {CHOICES} }} }}")).data["me"]["notificationChannels"]
    return {each["kind"]: (each["channels"], each["isDefault"]) for each in found}


async def choose(person: Person, **channels: list[str] | None) -> list[Any]:
    given = [{"kind": kind, "channels": value} for kind, value in channels.items()]
    return (await person.act("updateNotificationChannels", f"user {{ {CHOICES} }}", choices=given))["errors"]  # type: ignore[no-any-return]


async def mailed(scene: Scene, mail: MailServer) -> list[str]:
    """Let a sign-up be told, and return to whom mails went, but for the one to the newcomer."""
    await sign_up(scene, "newcomer", "newcomer@example.com")
    await work(scene.runtime)
    return [each["To"] for each in mail.mails if each["To"] != "newcomer@example.com"]


async def test_a_notification_is_mailed_as_text_and_html(scene: Scene, mail: MailServer) -> None:
    assert await mailed(scene, mail) == ["root@example.com"]
    [sent] = [each for each in mail.mails if each["To"] == "root@example.com"]
    assert sent["Subject"] == "A new sign-up waits for approval"
    assert sent.get_content_type() == "multipart/alternative"
    assert text_of(sent).splitlines()[:6] == [
        "Hello root,",
        "",
        "newcomer has signed up and cannot log in until an administrator approves the account.",
        "",
        "https://trader.example",
        "",
    ]
    html = sent.get_body(("html",))
    assert html is not None
    assert "<p>newcomer has signed up" in html.get_content()
    assert '<a href="https://trader.example"' in html.get_content()


async def test_what_people_have_written_is_escaped_in_html_and_breaks_no_header(
    scene: Scene, mail: MailServer
) -> None:
    async with scene.runtime.unit_of_work() as uow:
        await choices.choose(uow, scene.ada.actor, {NotificationKind.WEBHOOK_DISABLED: [Channel.EMAIL]})
        await uow.session.execute(text("UPDATE users SET username = '<b>ada</b>' WHERE username = 'ada'"))
    async with scene.runtime.unit_of_work() as uow:
        await service.notify(
            uow,
            scene.ada.actor.user_id,
            NotificationKind.WEBHOOK_DISABLED,
            {"label": "<script>\r\nBcc: everybody", "reason": "x"},
        )
    await work(scene.runtime)
    [sent] = mail.mails
    html = sent.get_body(("html",))
    assert html is not None
    assert "<script>" not in html.get_content()
    assert "&lt;script&gt; Bcc: everybody" in html.get_content()
    assert "Hello &lt;b&gt;ada&lt;/b&gt;," in html.get_content()
    assert "Hello <b>ada</b>," in text_of(sent)
    assert sent["Bcc"] is None


async def test_users_choose_where_they_are_told_of_what(scene: Scene, mail: MailServer) -> None:
    assert (await chosen(scene.root))["SIGNUP_PENDING"] == (EVERYWHERE, True)
    assert await choose(scene.root, SIGNUP_PENDING=[]) == []
    assert (await chosen(scene.root))["SIGNUP_PENDING"] == ([], False)
    assert await mailed(scene, mail) == []
    # It is told in the app all the same.
    assert (await scene.root.listed())["totalCount"] == 1
    assert await choose(scene.root, SIGNUP_PENDING=["EMAIL"], WEBHOOK_DISABLED=["WEBHOOK"]) == []
    assert (await chosen(scene.root))["SIGNUP_PENDING"] == (["EMAIL"], False)
    assert await choose(scene.root, SIGNUP_PENDING=None) == []
    assert (await chosen(scene.root))["SIGNUP_PENDING"] == (EVERYWHERE, True)
    assert (await chosen(scene.root))["WEBHOOK_DISABLED"] == (["WEBHOOK"], False)


async def test_what_is_not_told_to_a_role_is_not_offered(scene: Scene) -> None:
    assert set(await chosen(scene.root)) - set(await chosen(scene.ada)) == {"SIGNUP_PENDING"}


async def test_a_channel_that_a_kind_does_not_have_is_refused_and_nothing_changes(scene: Scene) -> None:
    problems = await choose(scene.ada, WEBHOOK_DISABLED=[], ACCOUNT_APPROVED=["EMAIL"])
    assert problems == [{"code": "INVALID_INPUT", "path": ["choices", "1", "channels"]}]
    assert (await chosen(scene.ada))["WEBHOOK_DISABLED"] == (EVERYWHERE, True)
    twice = [{"kind": "WEBHOOK_DISABLED"}] * 2
    refused = await scene.ada.act("updateNotificationChannels", "user { id }", choices=twice)
    assert refused == {"user": None, "errors": [{"code": "INVALID_INPUT", "path": ["choices"]}]}


async def test_a_slow_webhook_keeps_no_mail_waiting(scene: Scene, mail: MailServer) -> None:
    async with http_receiver() as receiver:
        receiver.reply = Reply(None)
        await scene.root.act("createWebhook", "secret", url=receiver.url, label="slow")
        await sign_up(scene, "newcomer", "newcomer@example.com")
        for _ in range(2):
            # The sign-up becomes a notification, and that becomes deliveries.
            await deliver_outbox({"runtime": scene.runtime}, Lane.NOTICES)
        waiting = asyncio.create_task(sweep_webhooks(scene.runtime))
        try:
            await receiver.arrived()
            await sweep_mail(scene.runtime)
            assert {each["To"] for each in mail.mails} == {"newcomer@example.com", "root@example.com"}
            assert not waiting.done()
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)


_WORKER = """
import asyncio, json, sys
from gql_trader.config import Settings
from gql_trader.notifications.jobs import deliver_outbox
from gql_trader.runtime import open_runtime

async def main():
    async with open_runtime(Settings.model_validate(json.loads(sys.argv[1]))) as runtime:
        await deliver_outbox({"runtime": runtime})

asyncio.run(main())
"""


async def test_a_worker_that_is_killed_while_it_sends_is_replaced_and_nothing_is_lost(
    scene: Scene, settings: Settings, tmp_path: Path
) -> None:
    async with http_receiver() as receiver:
        receiver.replies = [Reply(None)]
        await scene.ada.act("createWebhook", "secret", url=receiver.url, label="hook")
        await approve(scene.runtime, scene.ada.actor, "ada")
        given = json.dumps(
            {
                "database_url": settings.database_url.get_secret_value(),
                "redis_url": settings.redis_url.get_secret_value(),
                "data_dir": str(settings.data_dir),
                "webhook_private_addresses": True,
                "webhook_plain_http": True,
            }
        )
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", _WORKER, given, cwd=tmp_path)
        await receiver.arrived()
        os.kill(process.pid, signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        # Its lease still holds: nobody else sends.
        await work(scene.runtime)
        assert len(receiver.requests) == 1
        await make_due(scene.runtime)
        await asyncio.gather(*(work(scene.runtime) for _ in range(3)))
        first, second = receiver.requests
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.json == second.json
    async with scene.runtime.unit_of_work() as uow:
        assert await uow.session.scalar(text("SELECT count(*) FROM outbox_messages")) == 0


@pytest.mark.parametrize("kind", list(NotificationKind))
def test_every_kind_says_something_in_its_channels(kind: NotificationKind) -> None:
    known = KINDS[kind]
    assert known.channels <= known.available
    names = {name for _, name, _, _ in Formatter().parse(known.title + known.body) if name}
    title, body = known.write(dict.fromkeys(names, "a\nb"))
    assert title
    assert "\n" not in title + body
