"""A small exchange that speaks Binance's REST dialect over HTTP, for ccxt itself to talk to."""

from tests.factories.exchange_simulator.accounts import Account
from tests.factories.exchange_simulator.faults import CutOff, Hang, Pause, Refusal
from tests.factories.exchange_simulator.markets import BTC_USDT, SimulatedMarket
from tests.factories.exchange_simulator.server import ExchangeSimulator, Received, exchange_simulator

__all__ = [
    "BTC_USDT",
    "Account",
    "CutOff",
    "ExchangeSimulator",
    "Hang",
    "Pause",
    "Received",
    "Refusal",
    "SimulatedMarket",
    "exchange_simulator",
]
