"""The same backtest in vectorbt and backtesting.py, as their documentation would have it.

Both are installed with the dependency group ``benchmark`` only; importing this module imports neither.
"""

from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib import import_module
from io import StringIO
from typing import Any

import numpy as np

from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.signals import Signals


@dataclass(frozen=True)
class Task:
    """What every engine is asked to do."""

    bars: Bars
    signals: Signals
    fast: int
    slow: int
    spec: ExecutionSpec
    capital: float

    @property
    def protected(self) -> bool:
        """Whether stops are on."""
        return self.spec.stop_loss is not None


@dataclass(frozen=True)
class Peer:
    """A way to run the task; the function returns trades and final equity."""

    name: str
    run: Callable[[], tuple[int, float]]
    slow: bool = False


def vectorbt_peers(task: Task) -> Iterator[Peer]:
    """Yield vectorbt's simulation alone, with what our metrics hold at their core, and with its stats.

    These begin with signals that are ready; one more begins as ours does, with the averages. All with each of
    its engines: numba's, which it always has, and the one in Rust, which it takes by itself where
    ``vectorbt[rust]`` is installed.

    Raises
    ------
    ImportError
        If vectorbt is not installed, or, after numba's, its Rust engine.
    """
    import vectorbt

    yield from _vectorbt_with("numba", "numba", task)
    import_module("vectorbt_rust")
    # "rust" would refuse what has no counterpart there; left to itself it takes Rust wherever it can.
    assert vectorbt._engine.is_rust_available()
    yield from _vectorbt_with("rust", "auto", task)


def _vectorbt_with(name: str, engine: str, task: Task) -> Iterator[Peer]:
    import pandas as pd
    import vectorbt as vbt

    index = pd.to_datetime(task.bars.time, unit="ms")
    names = ("open", "high", "low", "close")
    columns = {name: pd.Series(getattr(task.bars, name), index=index) for name in names}
    # Its fills are at the signal's close; shifted by one bar and priced at the open they are ours.
    entries, exits = (
        pd.Series(np.concatenate(([False], flags[:-1])), index=index)
        for flags in (task.signals.entry_long, task.signals.exit_long)
    )
    stops: dict[str, Any] = {}
    if task.protected:
        # A stop and a trailing stop exclude each other there; the trailing one is the nearer.
        stops = {
            "sl_stop": task.spec.trailing_stop,
            "sl_trail": True,
            "tp_stop": task.spec.take_profit,
            "open": columns["open"],
            "high": columns["high"],
            "low": columns["low"],
        }

    def simulate(entries: Any = entries, exits: Any = exits) -> Any:
        # Whatever is asked of the portfolio afterwards looks there as well.
        vbt.settings["engine"] = engine
        return vbt.Portfolio.from_signals(
            columns["close"],
            entries,
            exits,
            price=columns["open"],
            fees=task.spec.taker_fee,
            init_cash=task.capital,
            freq="1min",
            **stops,
        )

    def simulation_only() -> tuple[int, float]:
        portfolio = simulate()
        return len(portfolio.order_records), float("nan")

    def core() -> tuple[int, float]:
        return measure(simulate())

    def whole() -> tuple[int, float]:
        vbt.settings["engine"] = engine
        fast, slow = (vbt.MA.run(columns["close"], window) for window in (task.fast, task.slow))
        crossings = fast.ma_crossed_above(slow), fast.ma_crossed_below(slow)
        return measure(simulate(*(each.shift(1, fill_value=False) for each in crossings)))

    def measure(portfolio: Any) -> tuple[int, float]:
        value = portfolio.value()
        portfolio.total_return(), portfolio.sharpe_ratio(), portfolio.max_drawdown()
        trades = portfolio.trades
        trades.win_rate(), trades.profit_factor(), trades.records
        return trades.count(), float(value.iloc[-1])

    def everything() -> tuple[int, float]:
        stats = simulate().stats()
        return int(stats["Total Trades"]), float(stats["End Value"])

    title = f"vectorbt {vbt.__version__}, {name}"
    yield Peer(f"{title}: simulation only", simulation_only)
    yield Peer(f"{title}: signals to core metrics", core)
    yield Peer(f"{title}: averages to core metrics", whole)
    yield Peer(f"{title}: signals to stats()", everything)


def backtesting_peers(task: Task) -> Iterator[Peer]:
    """Yield backtesting.py's run.

    Raises
    ------
    ImportError
        If backtesting.py is not installed.
    """
    import backtesting
    import pandas as pd
    from backtesting.lib import crossover

    bars, spec = task.bars, task.spec
    frame = pd.DataFrame(
        {"Open": bars.open, "High": bars.high, "Low": bars.low, "Close": bars.close, "Volume": bars.volume},
        index=pd.to_datetime(bars.time, unit="ms"),
    )

    def average(closes: Any, window: int) -> Any:
        return pd.Series(closes).rolling(window).mean()

    class Crossing(backtesting.Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.fast = self.I(average, self.data.Close, task.fast)
            self.slow = self.I(average, self.data.Close, task.slow)

        def next(self) -> None:
            if self.position:
                if crossover(self.slow, self.fast):
                    self.position.close()
                elif task.protected:
                    level = self.data.High[-1] * (1 - (spec.trailing_stop or 0))
                    for trade in self.trades:
                        trade.sl = max(trade.sl or -np.inf, level)
            elif crossover(self.fast, self.slow):
                if task.protected:
                    price = self.data.Close[-1]
                    self.buy(sl=price * (1 - (spec.stop_loss or 0)), tp=price * (1 + (spec.take_profit or 0)))
                else:
                    self.buy()

    def run() -> tuple[int, float]:
        with redirect_stderr(StringIO()):  # its progress bar would tear the tables
            stats = backtesting.Backtest(
                frame, Crossing, cash=task.capital, commission=spec.taker_fee, finalize_trades=True
            ).run()
        return int(stats["# Trades"]), float(stats["Equity Final [$]"])

    yield Peer(f"backtesting.py {backtesting.__version__}", run, slow=True)
