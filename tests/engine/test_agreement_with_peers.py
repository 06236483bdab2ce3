"""The same runs in backtesting.py and vectorbt: equal trades, prices, equity and drawdown to 1e-12.

Their defaults differ from ours and from one another's. What makes them agree, all of it legitimate use:

- fills at the next open: vectorbt is given the signals one bar later, and the opens as prices;
- sizes: a fixed quantity, in whole units for backtesting.py; or all of the cash, which vectorbt does too, in
  fractions, fee included;
- backtesting.py's stops are prices that the order carries. Ours are distances from the entry price, so that
  the test tells it the open that the order will fill at;
- both leave a position open at the end, or close it elsewhere: the test closes it by a signal before;
- neither liquidates a short whose price doubles: the test's shorts follow the trend, or have a stop.
"""

import warnings
from collections.abc import Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gql_trader.core.intervals import Interval
from gql_trader.engine import metrics, simulation
from gql_trader.engine.bars import Bars, Floats
from gql_trader.engine.execution import Direction, ExecutionSpec, Sizing, SizingKind
from gql_trader.engine.rules import Rules, compile_rules
from gql_trader.engine.signals import Signals
from gql_trader.market_data.incoming.files import read_candles
from gql_trader.market_data.incoming.validation import check
from tests.factories.candles import random_bars

_REASON = "{} is not installed; it is in the dependency group 'peers'"
_DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
_FAR = 10**14

CAPITAL = 1_000_000.0
ENTRY, EXIT = "crossover(sma(close, 10), sma(close, 30))", "crossunder(sma(close, 10), sma(close, 30))"


@dataclass(frozen=True)
class Played:
    """What an engine did: times and prices of k trades, and equity and drawdown at n closes."""

    entry_time: Any
    exit_time: Any
    entry_price: Floats
    exit_price: Floats
    profit: Floats
    equity: Floats
    drawdown: float


@pytest.fixture(params=["hourly", "daily", "random"], name="bars", scope="module")
def _bars(request: pytest.FixtureRequest) -> Bars:
    if request.param == "random":
        return random_bars(3_000, seed=8)
    name, interval = {
        "hourly": ("coinbase-BTCUSD-1h.csv", Interval.H1),
        "daily": ("coinbase-BTCUSD-1d.csv", Interval.D1),
    }[request.param]
    file = _DATA / name
    if not file.exists():
        pytest.skip(f"{name} is not here")
    return check(read_candles(file, "BTC"), interval, _FAR)


@pytest.fixture(params=["numba", "rust"])
def _vectorbt_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    vectorbt = pytest.importorskip("vectorbt", reason=_REASON.format("vectorbt"))
    if request.param == "rust":
        pytest.importorskip("vectorbt_rust", reason="vectorbt[rust] is in the dependency group 'benchmark'")
    # Left to itself it takes Rust wherever that has what is asked for.
    vectorbt.settings["engine"] = "auto" if request.param == "rust" else "numba"
    yield
    vectorbt.settings["engine"] = "auto"


def signals_of(bars: Bars, spec: ExecutionSpec) -> Signals:
    """Return crossings in the direction of the spec, as longs, that end without a position."""
    enter, leave = (EXIT, ENTRY) if spec.direction is Direction.SHORT else (ENTRY, EXIT)
    found = compile_rules(Rules(enter, leave)).signals(bars)
    found.entry_long[-5:] = False
    found.exit_long[-5:] = False
    found.exit_long[-3] = True
    return found


def ours(bars: Bars, signals: Signals, spec: ExecutionSpec) -> Played:
    if spec.direction is Direction.SHORT:
        none = np.zeros(len(bars), dtype=np.bool_)
        signals = Signals(none, none, signals.entry_long, signals.exit_long)
    result = simulation.run(bars, signals, spec, CAPITAL)
    ledger = result.ledger
    return Played(
        ledger.entry_time,
        ledger.exit_time,
        ledger.entry_price,
        ledger.exit_price,
        ledger.profit,
        result.equity,
        metrics.drawdown(bars.time, result.equity, bars.interval, CAPITAL).deepest,
    )


def assert_agree(found: Played, peer: Played, *, at_least: int) -> None:
    assert len(found.profit) == len(peer.profit) >= at_least
    np.testing.assert_array_equal(found.entry_time, peer.entry_time)
    np.testing.assert_array_equal(found.exit_time, peer.exit_time)
    np.testing.assert_allclose(found.entry_price, peer.entry_price, rtol=1e-12)
    np.testing.assert_allclose(found.exit_price, peer.exit_price, rtol=1e-12)
    np.testing.assert_allclose(found.equity, peer.equity, rtol=1e-12)
    # A profit is a small difference of large amounts: to 1e-12 of what was traded.
    np.testing.assert_allclose(found.profit, peer.profit, rtol=0, atol=1e-12 * CAPITAL)
    assert found.drawdown == pytest.approx(peer.drawdown, abs=1e-12)


def drawdown_of(equity: Floats) -> float:
    return float(np.max(1.0 - equity / np.maximum.accumulate(np.append(CAPITAL, equity))[1:]))


def vectorbt_plays(bars: Bars, signals: Signals, spec: ExecutionSpec) -> Played:
    vectorbt = pytest.importorskip("vectorbt", reason=_REASON.format("vectorbt"))
    import pandas as pd

    index = pd.to_datetime(bars.time, unit="ms")

    def series(values: Any) -> Any:
        return pd.Series(values, index=index)

    entries, exits = (
        series(np.concatenate(([False], flags[:-1]))) for flags in (signals.entry_long, signals.exit_long)
    )
    size = np.inf if spec.sizing.kind is SizingKind.EQUITY_FRACTION else spec.sizing.value
    portfolio = vectorbt.Portfolio.from_signals(
        series(bars.close),
        entries,
        exits,
        price=series(bars.open),
        size=size,
        fees=spec.taker_fee,
        slippage=spec.slippage,
        init_cash=CAPITAL,
        direction="shortonly" if spec.direction is Direction.SHORT else "longonly",
        freq=pd.Timedelta(milliseconds=bars.interval),
    )
    trades = portfolio.trades.records
    equity = portfolio.value().to_numpy()
    return Played(
        bars.time[trades["entry_idx"].to_numpy()],
        bars.time[trades["exit_idx"].to_numpy()],
        trades["entry_price"].to_numpy(),
        trades["exit_price"].to_numpy(),
        trades["pnl"].to_numpy(),
        equity,
        -float(portfolio.max_drawdown()),
    )


def backtesting_plays(bars: Bars, signals: Signals, spec: ExecutionSpec) -> Played:
    backtesting = pytest.importorskip("backtesting", reason=_REASON.format("backtesting.py"))
    import pandas as pd

    short = spec.direction is Direction.SHORT
    sign = -1 if short else 1

    class Crossing(backtesting.Strategy):  # type: ignore[misc, name-defined]
        def init(self) -> None:
            self.enter = self.I(lambda: signals.entry_long, plot=False)
            self.leave = self.I(lambda: signals.exit_long, plot=False)

        def next(self) -> None:
            if self.position and self.leave[-1]:
                self.position.close()
            elif not self.position and self.enter[-1]:
                price = bars.open[len(self.data)]  # where the order fills
                protect: dict[str, float] = {}
                if spec.stop_loss is not None:
                    protect["sl"] = price * (1 - sign * spec.stop_loss)
                if spec.take_profit is not None:
                    protect["tp"] = price * (1 + sign * spec.take_profit)
                (self.sell if short else self.buy)(size=int(spec.sizing.value), **protect)

    frame = pd.DataFrame(
        {"Open": bars.open, "High": bars.high, "Low": bars.low, "Close": bars.close, "Volume": bars.volume},
        index=pd.to_datetime(bars.time, unit="ms"),
    )
    with redirect_stderr(StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stats = backtesting.Backtest(frame, Crossing, cash=CAPITAL, commission=spec.taker_fee).run()
    trades = stats["_trades"].sort_values("EntryBar")
    equity = stats["_equity_curve"]["Equity"].to_numpy()
    entries, exits = trades["EntryBar"].to_numpy(), trades["ExitBar"].to_numpy()
    return Played(
        bars.time[entries],
        bars.time[exits],
        trades["EntryPrice"].to_numpy(),
        trades["ExitPrice"].to_numpy(),
        trades["PnL"].to_numpy(),
        equity,
        -float(stats["Max. Drawdown [%]"]) / 100,
    )


FIXED = ExecutionSpec(sizing=Sizing(SizingKind.QUANTITY, 7.0), taker_fee=0.002, maker_fee=0.002)


@pytest.mark.parametrize(
    "spec",
    [
        FIXED,
        replace(FIXED, slippage=0.001),
        replace(FIXED, direction=Direction.SHORT),
        ExecutionSpec(taker_fee=0.001),
        ExecutionSpec(taker_fee=0.0),
        ExecutionSpec(taker_fee=0.001, slippage=0.0005),
    ],
    ids=["fixed", "slippage", "short", "all cash", "free", "all cash, slippage"],
)
@pytest.mark.usefixtures("_vectorbt_engine")
def test_vectorbt(bars: Bars, spec: ExecutionSpec) -> None:
    signals = signals_of(bars, spec)
    assert_agree(ours(bars, signals, spec), vectorbt_plays(bars, signals, spec), at_least=20)


@pytest.mark.parametrize("spec", [FIXED, replace(FIXED, direction=Direction.SHORT)], ids=["long", "short"])
def test_backtesting(bars: Bars, spec: ExecutionSpec) -> None:
    signals = signals_of(bars, spec)
    assert_agree(ours(bars, signals, spec), backtesting_plays(bars, signals, spec), at_least=20)


@pytest.mark.parametrize("direction", [Direction.LONG, Direction.SHORT])
@pytest.mark.parametrize(
    ("stop_loss", "take_profit"), [(2.0, None), (8.0, 3.0), (1.5, 2.0)], ids=["stop", "target", "both"]
)
def test_backtesting_with_stops_and_targets(
    bars: Bars, direction: Direction, stop_loss: float, take_profit: float | None
) -> None:
    # In ranges of a usual bar, which are hourly 0.8 % and daily 4 %.
    scale = float(np.median(bars.high / bars.low - 1.0))
    spec = replace(
        FIXED,
        direction=direction,
        stop_loss=stop_loss * scale,
        take_profit=take_profit and take_profit * scale,
    )
    signals = signals_of(bars, spec)
    found, peer = ours(bars, signals, spec), backtesting_plays(bars, signals, spec)
    # A fill inside a bar has the closing time of its bar with us.
    inside = ~np.isin(found.exit_time, bars.time) | (found.exit_time != peer.exit_time)
    exits = np.where(inside, found.exit_time - bars.interval, found.exit_time)
    assert_agree(replace(found, exit_time=exits), peer, at_least=20)


def test_the_peers_agree_with_one_another(bars: Bars) -> None:
    """Should this fail and those above too, a peer has changed."""
    signals = signals_of(bars, FIXED)
    assert_agree(vectorbt_plays(bars, signals, FIXED), backtesting_plays(bars, signals, FIXED), at_least=20)
