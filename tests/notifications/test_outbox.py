"""The outbox: mails leave once their reason has committed, once each, through outages and crashes."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import structlog
from sqlalchemy import select, text

from gql_trader.accounts.types import AccountMail
from gql_trader.config import Environment, Settings
from gql_trader.infra import outbox
from gql_trader.infra.mail import LoggedMail, Mail, MailTransport
from gql_trader.infra.outbox import OutboxRow
from gql_trader.infra.worker import WakeWorker
from gql_trader.notifications import delivering
from gql_trader.notifications.jobs import deliver_outbox, forget_failed, sweep_mail
from gql_trader.notifications.types import HAND_OVER_SECONDS, LEASE_SECONDS, MOST_ATTEMPTS, RETRY_SECONDS
from gql_trader.runtime import Runtime, mail_transport
from tests.factories.mail_server import MailServer, text_of
from tests.notifications.notices import make_due
from workers import mail as mail_queue

TO = "ada@example.com"


async def send(runtime: Runtime, to: str = TO) -> None:
    async with runtime.unit_of_work() as uow:
        outbox.send(uow, AccountMail.APPROVED, {"email": to, "username": "ada"})


async def deliver(runtime: Runtime, transport: MailTransport | None = None) -> None:
    """Do what a worker does, perhaps with another way out."""
    await deliver_outbox({"runtime": replace(runtime, mail=transport) if transport else runtime})


async def waiting(runtime: Runtime) -> list[OutboxRow]:
    async with runtime.unit_of_work() as uow:
        return list(await uow.session.scalars(select(OutboxRow).order_by(OutboxRow.id)))


async def test_a_mail_says_who_sends_it_and_is_gone_from_the_outbox(
    runtime: Runtime, mail: MailServer
) -> None:
    await send(runtime)
    [row] = await waiting(runtime)
    await deliver(runtime)
    [sent] = mail.mails
    assert (sent["From"], sent["To"]) == ("gql_trader <trader@trader.example>", TO)
    assert sent["Subject"] == "Your account at https://trader.example was approved"
    assert sent["Message-ID"] == f"<{row.id}@trader.example>"
    assert sent["Auto-Submitted"] == "auto-generated"
    assert text_of(sent).splitlines() == [
        "Hello ada,",
        "",
        "your account at https://trader.example was approved. You can log in.",
    ]
    assert await waiting(runtime) == []


async def test_nothing_is_mailed_if_the_reason_did_not_commit(runtime: Runtime, mail: MailServer) -> None:
    async def fail() -> None:
        async with runtime.unit_of_work() as uow:
            outbox.send(uow, AccountMail.APPROVED, {"email": TO, "username": "ada"})
            raise ValueError("undo")

    with pytest.raises(ValueError, match="undo"):
        await fail()
    await deliver(runtime)
    assert mail.mails == []


async def test_many_workers_send_each_mail_once(runtime: Runtime, mail: MailServer) -> None:
    addresses = [f"user{number}@example.com" for number in range(12)]
    for address in addresses:
        await send(runtime, address)
    await asyncio.gather(*(deliver(runtime) for _ in range(4)))
    assert sorted(each["To"] for each in mail.mails) == sorted(addresses)
    assert await waiting(runtime) == []


async def test_a_worker_is_woken_at_once(runtime: Runtime, settings: Settings, mail: MailServer) -> None:
    spec = mail_queue.queue(settings)
    worker = WakeWorker(spec, settings.redis_url.get_secret_value(), {"runtime": runtime})
    running = asyncio.create_task(worker.main())
    try:
        await worker.ready.wait()
        await send(runtime)
        assert (await mail.next())["To"] == TO
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await worker.stop()


async def test_mails_wait_while_the_server_is_away_and_are_not_lost(
    runtime: Runtime, settings: Settings, mail: MailServer
) -> None:
    away = mail_transport(settings.model_copy(update={"smtp_port": 9}))
    await send(runtime)
    await deliver(runtime, away)
    [row] = await waiting(runtime)
    assert (row.attempts, row.failed_at) == (1, None)
    assert row.last_error is not None
    assert "SMTPConnectError" in row.last_error
    # It is not due yet: the pauses grow.
    await deliver(runtime)
    assert mail.mails == []
    await make_due(runtime)
    await sweep_mail(runtime)
    assert [each["To"] for each in mail.mails] == [TO]
    assert await waiting(runtime) == []


async def test_a_mail_that_is_never_taken_is_given_up_and_kept(
    runtime: Runtime, settings: Settings, mail: MailServer
) -> None:
    away = mail_transport(settings.model_copy(update={"smtp_port": 9}))
    await send(runtime)
    for _ in range(len(RETRY_SECONDS) + 3):
        await make_due(runtime)
        await deliver(runtime, away)
    [row] = await waiting(runtime)
    assert row.attempts == len(RETRY_SECONDS) + 1
    assert row.failed_at is not None
    await forget_failed(runtime)
    assert len(await waiting(runtime)) == 1
    async with runtime.unit_of_work() as uow:
        await uow.session.execute(text("UPDATE outbox_messages SET failed_at = now() - interval '31 days'"))
    await forget_failed(runtime)
    assert await waiting(runtime) == []


@pytest.mark.parametrize(
    ("reply", "event", "reason"),
    [
        (f"550 5.1.1 <{TO}>: Recipient address rejected", "mail_refused", "SMTP 550 5.1.1"),
        (f"451 <{TO}> come back later", "mail_not_sent", "SMTP 451"),
        ("451 4.7.1", "mail_not_sent", "SMTP 451 4.7.1"),
    ],
)
async def test_of_a_refusal_nothing_but_its_codes_is_logged_and_kept(
    runtime: Runtime, mail: MailServer, reply: str, event: str, reason: str
) -> None:
    mail.refusals[TO] = reply
    await send(runtime)
    with structlog.testing.capture_logs() as logged:
        await deliver(runtime)
    assert [(entry["event"], entry["reason"]) for entry in logged] == [(event, reason)]
    assert "ada" not in str(logged)
    [row] = await waiting(runtime)
    assert row.last_error == reason


@pytest.mark.parametrize(("reply", "failed"), [("550 No such user", True), ("451 Greylisted", False)])
async def test_a_refusal_for_good_is_final_and_one_for_now_is_not(
    runtime: Runtime, mail: MailServer, reply: str, failed: bool
) -> None:
    mail.refusals[TO] = reply
    await send(runtime)
    await send(runtime, "bob@example.com")
    await deliver(runtime)
    [row] = await waiting(runtime)
    assert row.payload["email"] == TO
    assert (row.failed_at is not None) is failed
    # Others are not kept waiting.
    assert [each["To"] for each in mail.mails] == ["bob@example.com"]
    mail.refusals.clear()
    await make_due(runtime)
    await deliver(runtime)
    assert ([each["To"] for each in mail.mails] == ["bob@example.com"]) is failed


async def test_a_worker_that_dies_before_sending_is_replaced_when_its_lease_is_over(
    runtime: Runtime, mail: MailServer
) -> None:
    await send(runtime)
    async with runtime.unit_of_work() as uow:
        [claimed] = await outbox.claim(uow, 1, 60, MOST_ATTEMPTS)
    await deliver(runtime)
    assert mail.mails == []
    await make_due(runtime)
    await deliver(runtime)
    assert len(mail.mails) == 1
    # Should it not be dead after all, it changes nothing any more.
    async with runtime.unit_of_work() as uow:
        await outbox.retry(uow, claimed, 0, "late")
    await deliver(runtime)
    assert len(mail.mails) == 1


async def test_a_mail_that_may_have_been_sent_by_a_dead_worker_keeps_its_message_id(
    runtime: Runtime, mail: MailServer
) -> None:
    class DiesAfterSending:
        async def send(self, mail: Mail) -> None:
            assert runtime.mail is not None
            await runtime.mail.send(mail)
            raise asyncio.CancelledError

    await send(runtime)
    with pytest.raises(asyncio.CancelledError):
        await deliver(runtime, DiesAfterSending())
    await make_due(runtime)
    await deliver(runtime)
    first, second = mail.mails
    assert first["Message-ID"] == second["Message-ID"]


async def test_a_message_that_kills_its_workers_is_given_up(runtime: Runtime, mail: MailServer) -> None:
    await send(runtime)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        await make_due(runtime)
        async with runtime.unit_of_work() as uow:
            [claimed] = await outbox.claim(uow, 1, 60, MOST_ATTEMPTS)
        assert claimed.attempt == attempt
    await make_due(runtime)
    await deliver(runtime)
    assert mail.mails == []
    [row] = await waiting(runtime)
    assert (row.attempts, row.last_error) == (MOST_ATTEMPTS, "the last attempt has not ended")
    assert row.failed_at is not None


async def test_the_last_attempt_may_succeed(runtime: Runtime, mail: MailServer) -> None:
    await send(runtime)
    async with runtime.unit_of_work() as uow:
        await uow.session.execute(text(f"UPDATE outbox_messages SET attempts = {MOST_ATTEMPTS - 1}"))
    await deliver(runtime)
    assert [each["To"] for each in mail.mails] == [TO]
    assert await waiting(runtime) == []


async def test_what_takes_longer_than_any_server_may_is_tried_again_later(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hangs:
        async def send(self, _mail: Mail) -> None:
            await asyncio.Event().wait()

    assert HAND_OVER_SECONDS <= LEASE_SECONDS / 2
    monkeypatch.setattr(delivering, "HAND_OVER_SECONDS", 0.05)
    await send(runtime)
    async with asyncio.timeout(60):
        await deliver(runtime, Hangs())
    [row] = await waiting(runtime)
    assert (row.attempts, row.last_error, row.failed_at) == (1, "not handed over within 0.05 s", None)


async def test_what_was_sent_is_deleted_also_by_a_worker_whose_lease_has_ended(
    runtime: Runtime, mail: MailServer
) -> None:
    class OutlastsItsLease:
        async def send(self, mail: Mail) -> None:
            assert runtime.mail is not None
            await make_due(runtime)
            async with runtime.unit_of_work() as uow:
                [taken] = await outbox.claim(uow, 1, 60, MOST_ATTEMPTS)
            assert taken.attempt == 2
            await runtime.mail.send(mail)

    await send(runtime)
    await deliver(runtime, OutlastsItsLease())
    assert await waiting(runtime) == []
    assert len(mail.mails) == 1


async def test_a_message_nobody_understands_keeps_no_other_waiting(
    runtime: Runtime, mail: MailServer
) -> None:
    async with runtime.unit_of_work() as uow:
        outbox.send(uow, "of.the.future", {})
    await send(runtime)
    await deliver(runtime)
    assert len(mail.mails) == 1
    assert [row.kind for row in await waiting(runtime)] == ["of.the.future"]


async def test_without_a_mail_server_mails_are_shown_locally_and_wait_elsewhere(
    runtime: Runtime, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    none = settings.model_copy(update={"smtp_host": ""})
    elsewhere = none.model_copy(update={"env": Environment.PRODUCTION})
    # is_local is computed once for each instance of the settings.
    elsewhere.__dict__.pop("is_local", None)
    assert isinstance(mail_transport(none), LoggedMail)
    assert mail_transport(elsewhere) is None
    await send(runtime)
    await sweep_mail(replace(runtime, mail=None))
    assert len(await waiting(runtime)) == 1
    await deliver(runtime, LoggedMail())
    assert await waiting(runtime) == []
    written: Any = capsys.readouterr()
    assert "no_mail_server_is_set" in written.out + written.err
    assert "your account at https://trader.example was approved" in written.out + written.err
