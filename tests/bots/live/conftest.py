"""What tests of live trading begin with."""

import pytest

from tests.bots.live.bench import Bench, make_bench
from tests.bots.live.desk import LiveDesk


@pytest.fixture
async def bench(desk: LiveDesk) -> Bench:
    """What `make_bench` makes."""
    return await make_bench(desk)
