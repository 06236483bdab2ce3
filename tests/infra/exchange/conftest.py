"""An account at a simulated exchange, and the adapter that reaches it."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from gql_trader.infra.exchange.exchanges import Exchanges
from gql_trader.infra.exchange.records import Credentials
from gql_trader.infra.exchange.trading import TradingClient
from tests.factories.exchange_simulator import Account, ExchangeSimulator, exchange_simulator
from tests.factories.waits import VirtualWaits

KEY, SECRET = "k" * 64, "s" * 64
TIMEOUT = 0.3


@pytest.fixture
async def simulator() -> AsyncIterator[ExchangeSimulator]:
    """An exchange with one account of 100,000 USDT and 1 BTC."""
    async with exchange_simulator() as simulator:
        funds = {"USDT": Decimal(100_000), "BTC": Decimal(1)}
        simulator.add_account(Account(KEY, SECRET, transferring=True, free=funds))
        yield simulator


@pytest.fixture
def waits() -> VirtualWaits:
    """Time for the adapter."""
    return VirtualWaits()


@pytest.fixture
async def exchanges(
    simulator: ExchangeSimulator, waits: VirtualWaits, exchange_list: Path
) -> AsyncIterator[Exchanges]:
    """The adapter, whose requests to Binance go to the simulator."""
    found = Exchanges({"binance": simulator.url}, None, TIMEOUT, exchange_list, waits.waits)
    yield found
    await found.close()


@pytest.fixture
async def client(exchanges: Exchanges, simulator: ExchangeSimulator) -> AsyncIterator[TradingClient]:
    """A client that acts for the account, and has read the markets."""
    async with exchanges.client("binance", Credentials(KEY, SECRET)) as client:
        await client.markets()
        simulator.received.clear()
        yield client
