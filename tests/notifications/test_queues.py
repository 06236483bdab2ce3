"""All queues of a worker process, as they are started, with servers that are away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog

from gql_trader.accounts.types import AccountMail
from gql_trader.cli.worker import _queues
from gql_trader.config import Settings
from gql_trader.infra import outbox
from gql_trader.infra.outbox import Lane
from gql_trader.infra.push import PushMessage, PushTransport
from gql_trader.infra.work import run_queues
from gql_trader.runtime import Runtime, mail_transport
from tests.factories.http_receiver import http_receiver
from tests.notifications.notices import Scene

MAILS = 12


class KeptPushes(PushTransport):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[PushMessage] = asyncio.Queue()

    async def send(self, device_token: str, message: PushMessage) -> None:
        assert device_token == "phone"
        self.sent.put_nowait(message)


@asynccontextmanager
async def at_work(settings: Settings, runtime: Runtime) -> AsyncIterator[None]:
    """Run what ``gql-trader worker`` runs."""
    ready = asyncio.Event()
    url = settings.redis_url.get_secret_value()
    running = asyncio.create_task(run_queues(_queues(settings), url, runtime, on_ready=ready.set))
    try:
        async with asyncio.timeout(60):
            await ready.wait()
        yield
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def silent_mail_server() -> AsyncIterator[tuple[int, asyncio.Semaphore]]:
    """Run a server that never says anything; return its port and how many have come."""
    came, gone = asyncio.Semaphore(0), asyncio.Event()

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.release()
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], came
    finally:
        gone.set()
        server.close()


async def test_each_lane_has_a_queue_of_its_own(settings: Settings) -> None:
    specs = {spec.name: spec for spec in _queues(settings)}
    assert len(specs) == len(_queues(settings))
    assert len({lane.queue for lane in Lane}) == len(Lane)
    for lane in Lane:
        assert [each.__name__ for each in specs[lane.queue].functions] == ["deliver_outbox"]
        assert f"notifications.jobs.sweep_{lane}" in {each.name for each in specs[lane.queue].scheduled}


async def test_a_mail_server_that_hangs_keeps_nothing_but_mails_waiting(
    settings: Settings, scene: Scene
) -> None:
    """With the queues as they are, so that none is left out or takes what is another's."""
    async with silent_mail_server() as (port, came), http_receiver() as receiver:
        away = mail_transport(settings.model_copy(update={"smtp_port": port}))
        hook = await scene.ada.act("createWebhook", "secret", url=receiver.url, label="hook")
        assert hook["errors"] == []
        device = await scene.ada.act("registerDevice", "device { id }", token="phone")
        assert device["errors"] == []
        pushes = KeptPushes()
        with structlog.testing.capture_logs() as logged:
            async with at_work(settings, replace(scene.runtime, mail=away, push=pushes)):
                async with scene.runtime.unit_of_work() as uow:
                    for number in range(MAILS):
                        to = {"email": f"user{number}@example.com", "username": "x"}
                        outbox.send(uow, AccountMail.APPROVED, to)
                # As many as mails are sent at once; then all slots for mails are taken.
                async with asyncio.timeout(60):
                    for _ in range(4):
                        await came.acquire()
                async with scene.runtime.unit_of_work() as uow:
                    outbox.tell(uow, scene.ada.actor.user_id, "ACCOUNT_APPROVED", {"username": "ada"})
                await receiver.arrived()
                async with asyncio.timeout(60):
                    push = await pushes.sent.get()
                [node] = (await scene.ada.listed())["nodes"]
                async with scene.runtime.unit_of_work() as uow:
                    assert await outbox.waiting(uow, Lane.MAIL) >= MAILS
                beats = await scene.runtime.queue.heartbeats()
        assert receiver.requests[0].json["data"]["id"] == push.data["id"] == node["id"]
        assert {beat.queue for beat in beats} == {spec.name for spec in _queues(settings)}
        assert [beat.queue for beat in beats if beat.failed] == []
        failures = ("periodic_work_failed", "scheduled_work_failed")
        assert [each for each in logged if each["event"] in failures] == []
