"""What tests of bots begin with."""

from collections.abc import AsyncIterator

import pytest

from gql_trader.config import Settings
from gql_trader.runtime import Runtime, open_runtime
from tests.factories.backtests import make_desk
from tests.factories.bots import BotDesk, LiveMarket, make_live_market
from tests.factories.clock import MovableClock


@pytest.fixture
def clock() -> MovableClock:
    """The clock of `bots`."""
    return MovableClock()


@pytest.fixture
async def runtime(settings: Settings, clock: MovableClock) -> AsyncIterator[Runtime]:
    """An open runtime on this test's databases, whose clock tests move."""
    async with open_runtime(settings, clock) as opened:
        yield opened


@pytest.fixture
async def bots(runtime: Runtime) -> BotDesk:
    """A trader with candles who makes bots."""
    return BotDesk(await make_desk(runtime))


@pytest.fixture
async def live(bots: BotDesk, clock: MovableClock) -> LiveMarket:
    """A market with candles up to now: bots that are started now trade from bar WARMUP + 1 on."""
    return await make_live_market(bots, clock)
