"""What tests of backtests begin with."""

import pytest

from gql_trader.runtime import Runtime
from tests.factories.backtests import Desk, make_desk


@pytest.fixture
async def desk(runtime: Runtime) -> Desk:
    """A trader with candles and the built-in strategies."""
    return await make_desk(runtime)
