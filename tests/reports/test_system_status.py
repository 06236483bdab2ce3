"""How the server is doing, through GraphQL: also when a part of it is away."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from gql_trader import __version__
from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.core.actor import Role
from gql_trader.infra.job_queue import JobQueue
from gql_trader.infra.worker import QueueSpec, WakeWorker
from gql_trader.market_data.models_feeds import MarketFeedRow
from gql_trader.market_data.service import find_market
from gql_trader.reports import schema_system
from gql_trader.runtime import Runtime
from tests.factories.actors import make_access_token, make_actor
from tests.factories.bots import BotDesk
from tests.factories.clock import MovableClock
from tests.graphql_client import GraphQLSocket, InProcessTransport, graphql_client

_FIELDS = """
  running checkedAt startedAt uptimeSeconds version
  database { healthy latencyMs error } redis { healthy latencyMs error }
  workers { host processId queues runningJobs completedJobs failedJobs lastSeenAt }
  queues { name jobs } queuedJobs runningBots feeds { wanted live catchingUp late failing }
"""
STATUS = f"{{ systemStatus {{ {_FIELDS} }} }}"


async def _idle(_ctx: dict[str, Any]) -> None: ...


@dataclass
class Server:
    """An application, with a client of a viewer and one of an administrator."""

    settings: Settings
    bots: BotDesk
    viewer: str
    admin: str

    @property
    def runtime(self) -> Runtime:
        return self.bots.runtime

    async def status(self, token: str, runtime: Runtime | None = None) -> Any:
        app = create_app(self.settings, runtime or self.runtime)
        async with graphql_client(app) as client:
            return (await client.signed_in(token).execute(STATUS)).data["systemStatus"]

    async def beat(self, *queues: str) -> None:
        """Let a worker process give a sign of life on queues."""
        for name in queues:
            worker = WakeWorker(QueueSpec(name, [_idle]), self.settings.redis_url.get_secret_value(), {})
            await worker.record_health()
            await worker.pool.aclose(close_connection_pool=True)


@pytest.fixture
async def server(bots: BotDesk, settings: Settings) -> Server:
    tokens = [
        await make_access_token(bots.runtime, await make_actor(bots.runtime, name, role))
        for name, role in (("viewer", Role.VIEWER), ("admin", Role.ADMIN))
    ]
    return Server(settings, bots, *tokens)


async def test_the_status_tells_of_every_part_and_of_what_waits(server: Server, clock: MovableClock) -> None:
    alone = await server.status(server.viewer)
    assert (alone["running"], alone["workers"], alone["queuedJobs"]) == (False, [], 0)
    await server.beat("bots", "mail")
    for number in range(3):
        await server.runtime.queue.enqueue("job", queue="backtests", key=f"job:{number}")
    await server.bots.begin()
    await server.bots.make()
    async with server.runtime.unit_of_work() as uow:
        market = await find_market(uow, "test:BTC/USD")
        now = uow.clock.now()
        for interval, state, ahead in (("M1", "LIVE", 1), ("M5", "FAILING", 1), ("H1", "LIVE", -1)):
            uow.session.add(
                MarketFeedRow(
                    market_id=market.id,
                    interval=interval,
                    wanted_until=now + timedelta(hours=ahead),
                    state=state,
                    error="away" if state == "FAILING" else None,
                    holes=[],
                    failures=0,
                    next_poll_at=now,
                    fence=0,
                    updated_at=now,
                )
            )
    clock.move(minutes=5)
    found = await server.status(server.viewer)
    assert (found["running"], found["version"]) == (True, __version__)
    assert 300 <= found["uptimeSeconds"] < 600
    for name in ("database", "redis"):
        assert (found[name]["healthy"], found[name]["error"]) == (True, None)
        assert found[name]["latencyMs"] > 0
    [worker] = found["workers"]
    assert worker["queues"] == ["bots", "mail"]
    assert (worker["runningJobs"], worker["completedJobs"], worker["failedJobs"]) == (0, 0, 0)
    # The started bot's own job is in the queue of bots.
    assert found["queues"] == [
        {"name": "backtests", "jobs": 3},
        {"name": "bots", "jobs": 1},
        {"name": "mail", "jobs": 0},
    ]
    assert (found["queuedJobs"], found["runningBots"]) == (4, 1)
    assert found["feeds"] == {"wanted": 2, "live": 1, "catchingUp": 0, "late": 0, "failing": 1}


async def test_machines_are_named_to_administrators_alone(server: Server) -> None:
    await server.beat("bots")
    [seen] = (await server.status(server.viewer))["workers"]
    [known] = (await server.status(server.admin))["workers"]
    assert (seen["host"], seen["processId"]) == (None, None)
    assert known["host"]
    assert known["processId"] > 0


async def test_a_part_that_is_away_is_told_of(server: Server) -> None:
    await server.beat("bots")
    away = JobQueue("redis://127.0.0.1:1/0")
    found = await server.status(server.viewer, replace(server.runtime, queue=away))
    await away.close()
    assert found["running"] is False
    assert found["redis"] == {"healthy": False, "latencyMs": None, "error": "It does not answer."}
    assert found["database"]["healthy"] is True
    assert (found["workers"], found["queues"], found["queuedJobs"]) == ([], [], 0)


async def test_the_status_can_be_followed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_system, "SECONDS", 0.01)
    app = create_app(server.settings, server.runtime)
    header = {"authorization": f"Bearer {server.viewer}"}
    async with GraphQLSocket(InProcessTransport(app), header) as socket:
        events = socket.results(f"subscription {{ systemStatus {{ {_FIELDS} }} }}")
        first = await anext(events)
        assert first["data"]["systemStatus"]["workers"] == []
        await server.beat("bots")
        async for event in events:
            if event["data"]["systemStatus"]["running"]:
                break
        await events.aclose()
