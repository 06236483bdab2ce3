"""The fixtures themselves: each test has databases of its own."""

import pytest
import redis.asyncio
from sqlalchemy import text

from gql_trader.runtime import Runtime


@pytest.mark.parametrize("attempt", [1, 2])
async def test_each_test_gets_an_empty_migrated_database_and_an_empty_valkey(
    attempt: int, runtime: Runtime, redis_url: str
) -> None:
    async with runtime.unit_of_work() as uow:
        assert await uow.session.scalar(text("SELECT to_regclass('left_over')")) is None
        assert await uow.session.scalar(text("SELECT to_regclass('alembic_version')")) is not None
        await uow.session.execute(text("CREATE TABLE left_over (id int)"))
    client = redis.asyncio.Redis.from_url(redis_url)
    assert await client.get("left_over") is None
    await client.set("left_over", attempt)
    await client.aclose()
