"""Machine code made ready before a user waits for it."""

import numpy as np

from gql_trader.engine import indicators, metrics, simulation
from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.rules import Rules, compile_rules
from gql_trader.engine.search.fast import FastTrials
from gql_trader.engine.search.scoring import METRICS
from gql_trader.engine.search.setting import Setting
from gql_trader.engine.signals import RawSignals, Signals
from gql_trader.engine.trading_days import TradingDays

_CAPITAL = 1_000.0
_DAY = 86_400_000


def warm_up() -> None:
    """Compile every loop of the engine, or load it from the cache, and run a small backtest through it.

    Signatures are explicit, so that importing compiles or loads; the run proves that it works, which an
    unwritable or damaged cache would otherwise show to the first user. Takes a few seconds with an empty
    cache and about half a second with a full one. A worker calls it before it takes jobs.

    Raises
    ------
    RuntimeError
        If the loops do not give the result known beforehand.
    """
    indicators.warm_up()
    prices = np.array([100.0, 100.0, 120.0, 90.0, 90.0])
    time = _DAY * np.arange(5, dtype=np.int64)
    bars = Bars(time, prices, prices, prices, prices, np.ones(5), _DAY)
    signals = Signals.none(5)
    signals.entry_long[0] = True
    free = ExecutionSpec(maker_fee=0.0, taker_fee=0.0, stop_loss=0.1)
    result = simulation.run(bars, signals, free, _CAPITAL)
    measured = metrics.compute(result, bars, TradingDays.EVERY_DAY)
    if (measured.trades, measured.final_equity, measured.max_drawdown) != (1, 900.0, 0.25):
        raise RuntimeError(f"the engine's machine code computes wrongly: {measured}")
    setting = Setting(
        bars, 0, compile_rules(Rules(entry_long="close > open")), _CAPITAL, TradingDays.EVERY_DAY
    )
    figures = FastTrials(setting).run(RawSignals.of(signals), free)
    found = None if figures is None else dict(zip(METRICS, figures.tolist(), strict=True))
    if found is None or (found["trades"], found["max_drawdown"]) != (1.0, 0.25):
        raise RuntimeError(f"the search's machine code computes wrongly: {found}")
