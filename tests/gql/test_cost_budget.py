"""Everybody's budget of points: what it allows in a minute, over either transport, with Redis or without."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.core.errors import RateLimited
from gql_trader.infra.cost_budget import CostBudget
from gql_trader.runtime import open_runtime
from tests.factories.actors import make_access_token, make_actor
from tests.graphql_client import GraphQLSocket, InProcessTransport, graphql_client

NOWHERE = "redis://127.0.0.1:9/0"
STATUS = "{ rateLimit { limit remaining resetAt cost } }"
# 1 for the page, and for each of 100 markets: itself, its asset, and the asset's 10 markets.
DEAR = "{ markets(first: 100) { nodes { base { markets { id } } } } }"


class ManualClock:
    """A clock that tests move; it begins 20 seconds into a minute."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 22, 12, 0, 20, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["redis", "process"])
async def budget(
    request: pytest.FixtureRequest, redis_url: str, clock: ManualClock
) -> AsyncIterator[CostBudget]:
    budget = CostBudget(redis_url if request.param == "redis" else NOWHERE, clock, 1000)
    yield budget
    await budget.close()


async def test_a_budget_lasts_until_it_is_spent_and_returns_with_the_minute(
    budget: CostBudget, clock: ManualClock
) -> None:
    for _ in range(9):
        await budget.spend("ada", 110)
    assert budget.status("ada").remaining == 10
    with pytest.raises(RateLimited) as refused:
        await budget.spend("ada", 11)
    assert refused.value.retry_after_seconds == 40
    await budget.spend("ada", 10)
    await budget.spend("grace", 1000)
    clock.moment += timedelta(seconds=40)
    status = budget.status("ada")
    assert (status.remaining, status.reset_at) == (1000, datetime(2026, 11, 22, 12, 2, tzinfo=UTC))
    await budget.spend("ada", 1000)


async def test_processes_share_a_budget(redis_url: str, clock: ManualClock) -> None:
    one, other = CostBudget(redis_url, clock, 1000), CostBudget(redis_url, clock, 1000)
    spent = 0
    for budget in [one, other] * 60:
        try:
            await budget.spend("ada", 10)
            spent += 10
        except RateLimited:
            pass
    assert spent == 1000
    await one.close()
    await other.close()


async def test_reading_ever_new_documents_is_paid_by_the_network(settings: Settings) -> None:
    chosen = settings.model_copy(update={"cost_per_minute": 1000, "trusted_proxies": 1})
    async with open_runtime(chosen, ManualClock()) as runtime:
        app = create_app(chosen, runtime)
        async with graphql_client(app) as client:
            codes = []
            for number in range(4):
                # Sixty characters, at five points each; invalid, so that it is not kept.
                text = f"{{ nothing{number} " + "x" * 46 + " }"
                answer = await client.execute(text, headers={"x-forwarded-for": "203.0.113.7"})
                codes.append(answer.codes[0])
            assert codes == ["GRAPHQL_VALIDATION_FAILED"] * 3 + ["RATE_LIMITED"]
            # A document that is known costs nothing to read, and others are not concerned.
            for address in ("198.51.100.1", "203.0.113.7"):
                answer = await client.execute(STATUS, headers={"x-forwarded-for": address})
                assert answer.data["rateLimit"]["limit"] == 1000
        async with GraphQLSocket(
            InProcessTransport(app, headers={"x-forwarded-for": "203.0.113.7"})
        ) as socket:
            await socket.start("{ nothing " + "x" * 46 + " }")
            message = await socket.receive()
            assert message["payload"][0]["extensions"]["code"] == "RATE_LIMITED"


@pytest.fixture(params=["redis", "without redis"])
async def app(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[tuple[Starlette, str]]:
    """The application with a budget of 2,000 points, and a trader's access token."""
    update: dict[str, object] = {"cost_per_minute": 2000}
    if request.param == "without redis":
        update["redis_url"] = SecretStr(NOWHERE)
    async with open_runtime(settings.model_copy(update=update), ManualClock()) as runtime:
        await make_actor(runtime, "trader")
        actor = await make_actor(runtime, "ada")
        yield create_app(runtime.settings, runtime), await make_access_token(runtime, actor)


async def test_the_budget_is_told_and_enforced_over_both_transports(app: tuple[Starlette, str]) -> None:
    application, token = app
    async with graphql_client(application) as anonymous:
        client = anonymous.signed_in(token)
        first = (await client.execute(STATUS)).data["rateLimit"]
        assert first == {"limit": 2000, "remaining": 1999, "resetAt": "2026-11-22T12:01:00.000Z", "cost": 1}
        told = await client.post(f'{{"query": "{DEAR}", "extensions": {{"cost": true}}}}'.encode())
        assert told.body["extensions"]["cost"] == {
            "requested": 1201,
            "maximum": 20_000,
            "limit": 2000,
            "remaining": 798,
            "resetAt": "2026-11-22T12:01:00.000Z",
        }
        refused = await client.execute(DEAR)
        assert refused.codes == ["RATE_LIMITED"]
        assert refused.headers["retry-after"] == "40"
        assert "data" not in refused.body
        async with GraphQLSocket(
            InProcessTransport(application), {"authorization": f"Bearer {token}"}
        ) as socket:
            assert (await socket.execute(STATUS))["data"]["rateLimit"]["remaining"] == 797
            await socket.start(DEAR)
            message = await socket.receive()
            assert message["type"] == "error"
            assert message["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
            assert message["payload"][0]["extensions"]["retryAfterSeconds"] == 40
        # Whoever is not signed in pays from the address's own.
        assert (await anonymous.execute(STATUS)).data["rateLimit"]["remaining"] == 1999
