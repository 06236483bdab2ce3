"""What tests of bots begin with."""

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.infra.exchange.exchanges import Exchanges
from gql_trader.runtime import Runtime, open_runtime
from tests.accounts.accounts_api import Accounts
from tests.bots.bots_api import Api
from tests.bots.live.desk import KEY, SECRET, LiveDesk, make_key, make_trader, quote
from tests.factories.actors import make_access_token
from tests.factories.backtests import make_desk
from tests.factories.bots import BotDesk, LiveMarket, make_live_market
from tests.factories.clock import MovableClock
from tests.factories.exchange_simulator import Account, exchange_simulator
from tests.factories.waits import VirtualWaits
from tests.graphql_client import graphql_client

_TIMEOUT = 0.3


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


@pytest.fixture
async def desk(settings: Settings, exchange_list: Path) -> AsyncIterator[LiveDesk]:
    """A trader who has just logged in, with a verified key to an account of 100,000 USDT and 1 BTC."""
    clock = MovableClock()
    chosen = settings.model_copy(update={"live_trading_enabled": True})
    async with open_runtime(chosen, clock) as opened, exchange_simulator() as simulator:
        exchanges = Exchanges({"binance": simulator.url}, None, _TIMEOUT, exchange_list, VirtualWaits().waits)
        runtime = replace(opened, exchanges=exchanges)
        app = create_app(chosen, runtime)
        async with graphql_client(app) as client:
            accounts = Accounts(app, runtime, clock, client)
            trader = await make_trader(accounts)
            funds = {"USDT": Decimal(100_000), "BTC": Decimal(1)}
            account = simulator.add_account(Account(KEY, SECRET, transferring=True, free=funds))
            key_id = await make_key(runtime, trader.member.actor)
            await quote(runtime, 50_000.0)
            signed_in = client.signed_in(trader.member.token)
            yield LiveDesk(trader, runtime, signed_in, simulator, account, key_id)
        await exchanges.close()


@pytest.fixture
async def api(bots: BotDesk, settings: Settings) -> AsyncIterator[Api]:
    """The application over the desk's runtime."""
    app = create_app(settings, bots.runtime)
    token = await make_access_token(bots.runtime, bots.trader)
    async with graphql_client(app) as client:
        yield Api(bots, app, client.signed_in(token), token)
