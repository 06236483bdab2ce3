"""What tests of optimizations begin with."""

import pytest

from gql_trader.runtime import Runtime
from tests.factories.backtests import make_desk
from tests.factories.optimizations import Searches


@pytest.fixture
async def searches(runtime: Runtime) -> Searches:
    """A trader with candles and the built-in strategies, who searches."""
    return Searches(await make_desk(runtime))
