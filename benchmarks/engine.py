"""How fast the engine is: against a fused loop, which is the floor, and against its peers.

Run with ``python benchmarks/engine.py``; ``uv sync --group benchmark`` adds the peers. All engines do the
same backtest on the same bars: two moving averages of 50 and 200, simple and exponential, long only, 0.1 %
fees, fills at the next open, without and with stops. Rounds of all engines are interleaved, since a machine's
speed drifts; processor time is shown, of the median and the fastest round, since others may use the machine.
Results are compared where conventions agree.

``--scaling`` shows instead what a bar costs from 100,000 to 10,000,000 bars, and ``--fresh`` how long a new
process takes to its first result.
"""

import argparse
import statistics
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from time import perf_counter, process_time

import numpy as np

from benchmarks.engine_floor import fused
from benchmarks.engine_peers import Peer, Task, backtesting_peers, vectorbt_peers
from gql_trader.engine import metrics, simulation
from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.rules import Rules, compile_rules
from gql_trader.engine.trading_days import TradingDays
from gql_trader.engine.warmup import warm_up
from gql_trader.infra.allocator import keep_freed_memory

FAST, SLOW = 50, 200
CAPITAL = 1e9  # backtesting.py buys whole units only; with enough of them that is no difference
AVERAGES = ("sma", "ema")
OWN = "gql_trader: rules to all metrics"
SIZES = (100_000, 1_000_000, 10_000_000)
PLAIN = ExecutionSpec()
PROTECTED = ExecutionSpec(stop_loss=0.02, take_profit=0.04, trailing_stop=0.015)


@dataclass
class Row:
    """One engine's times in seconds, and what it found."""

    peer: Peer
    times: list[float] = field(default_factory=list)
    found: tuple[int, float] = (0, 0.0)
    bytes: float = 0.0


def synthetic_bars(n: int) -> Bars:
    """Return one-minute bars of a random walk with the volatility of bitcoin."""
    random = np.random.default_rng(11)
    close = 20_000 * np.exp(np.cumsum(random.normal(0, 0.0008, n)))
    open_ = np.concatenate((close[:1], close[:-1]))
    high = np.maximum(open_, close) * (1 + np.abs(random.normal(0, 0.0003, n)))
    low = np.minimum(open_, close) * (1 - np.abs(random.normal(0, 0.0003, n)))
    time = 1_704_067_200_000 + 60_000 * np.arange(n, dtype=np.int64)
    return Bars(time, open_, high, low, close, np.ones(n), 60_000)


def rules_of(average: str) -> Rules:
    """Return the rules of a cross of two averages."""
    fast, slow = f"{average}(close, {FAST})", f"{average}(close, {SLOW})"
    return Rules(entry_long=f"crossover({fast}, {slow})", exit_long=f"crossunder({fast}, {slow})")


def own_peers(task: Task, average: str) -> list[Peer]:
    """Return the floor, and the engine whole and in parts."""
    bars, spec = task.bars, task.spec
    rules = compile_rules(rules_of(average), ())
    factors = (2.0 / (FAST + 1), 2.0 / (SLOW + 1)) if average == "ema" else (0.0, 0.0)
    equity, ledger = np.empty(len(bars)), np.empty((len(bars) // 2, 6))
    prepared = simulation.run(bars, task.signals, spec, task.capital)

    def floor() -> tuple[int, float]:
        trades, final, *_ = fused(
            bars.time, bars.open, bars.high, bars.low, bars.close, FAST, SLOW, *factors, spec.taker_fee,
            spec.stop_loss or 0.0, spec.take_profit or 0.0, spec.trailing_stop or 0.0,
            task.capital, equity, ledger,
        )  # fmt: skip
        return trades, final

    def whole() -> tuple[int, float]:
        result = simulation.run(bars, rules.signals(bars), spec, task.capital)
        found = metrics.compute(result, bars, TradingDays.EVERY_DAY)
        return found.trades, found.final_equity

    def simulated() -> tuple[int, float]:
        result = simulation.run(bars, task.signals, spec, task.capital)
        return len(result.ledger), result.final_equity

    def signals() -> tuple[int, float]:
        return int(rules.signals(bars).entry_long.sum()), float("nan")

    def measured() -> tuple[int, float]:
        found = metrics.compute(prepared, bars, TradingDays.EVERY_DAY)
        return found.trades, found.final_equity

    return [
        Peer("fused loop, the floor", floor),
        Peer(OWN, whole),
        Peer("  of which rules to signals", signals),
        Peer("  of which simulation", simulated),
        Peer("  of which metrics", measured),
    ]


def time_all(rows: list[Row], rounds: int) -> None:
    """Run every engine once to warm it up, then in interleaved rounds."""
    for row in rows:
        row.found = row.peer.run()
        row.bytes = peak_bytes(row.peer.run)
    for number in range(rounds):
        for row in rows:
            if row.peer.slow and number >= 3:
                continue
            # All of them work in one thread. What others do meanwhile shall not count.
            begin = process_time()
            row.peer.run()
            row.times.append(process_time() - begin)


def peak_bytes(run: Callable[[], object]) -> float:
    """Return the most memory that Python and numpy held at once during a run, beyond what was there."""
    tracemalloc.start()
    try:
        run()
        return float(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


def report(title: str, rows: list[Row], n: int) -> None:
    """Print one table."""
    floor, least = statistics.median(rows[0].times), min(rows[0].times)
    print(f"\n{title}")
    print(
        f"{'':44}{'ms':>10}{'× floor':>10}{'fastest':>10}{'× floor':>10}{'bytes/bar':>11}{'trades':>8}"
        f"{'final equity':>18}"
    )
    for row in rows:
        median, fastest = statistics.median(row.times), min(row.times)
        trades, final = row.found
        shown = "" if np.isnan(final) else f"{final:.2f}"
        print(
            f"{row.peer.name:44}{median * 1e3:>10.2f}{median / floor:>10.2f}"
            f"{fastest * 1e3:>10.2f}{fastest / least:>10.2f}"
            f"{row.bytes / n:>11.1f}{trades:>8}{shown:>18}"
        )
    own = next(row for row in rows if row.peer.name == OWN)
    for row in rows:
        if "core" in row.peer.name or row.peer.slow:
            ratios = (least_of(row.times) / least_of(own.times) for least_of in (statistics.median, min))
            print("{} takes {:,.1f} × gql_trader; fastest rounds {:,.1f} ×".format(row.peer.name, *ratios))


def check(title: str, rows: list[Row], protected: bool) -> bool:
    """Compare results where conventions agree; say what does not."""
    by_name = {row.peer.name: row.found for row in rows}
    own = by_name[OWN]
    agreed = True

    def compare(name: str, tolerance: float) -> None:
        nonlocal agreed
        trades, final = by_name[name]
        if trades != own[0] or abs(final / own[1] - 1) > tolerance:
            agreed = False
            print(
                f"DIFFERENT: {title}: {name} found {trades} trades and {final!r}, we {own[0]} and {own[1]!r}"
            )

    compare("fused loop, the floor", 0.0)
    for name in by_name:
        # With stops the peers differ by design: where levels are anchored, and whether the entry bar counts.
        if not protected and ("core metrics" in name or name.startswith("backtesting")):
            # backtesting.py buys whole units, which is a difference of up to 20,000 in 1e9 a trade.
            compare(name, 1e-9 if "core" in name else 1e-2)
    return agreed


def scaling(rounds: int) -> None:
    """Print what a bar costs in runs of different lengths."""
    print(f"\n{'bars':>12}{'plain: ns/bar':>16}{'bytes/bar':>12}{'stops: ns/bar':>16}{'bytes/bar':>12}")
    rules = compile_rules(rules_of("sma"), ())
    for size in SIZES:
        bars = synthetic_bars(size)

        def run(spec: ExecutionSpec, bars: Bars = bars) -> None:
            result = simulation.run(bars, rules.signals(bars), spec, CAPITAL)
            metrics.compute(result, bars, TradingDays.EVERY_DAY)

        shown = f"{size:>12,}"
        for spec in (PLAIN, PROTECTED):
            held = peak_bytes(partial(run, spec)) / size
            times = []
            for _ in range(rounds):
                begin = perf_counter()
                run(spec)
                times.append(perf_counter() - begin)
            shown += f"{min(times) / size * 1e9:>16.2f}{held:>12.1f}"
        print(shown)


PEERS_OWN = ("pandas", "polars", "scipy")
"""What numba and TA-Lib import where it is installed, which it is for the peers and never for the product."""

FRESH = f"""
import sys
sys.modules.update(dict.fromkeys({PEERS_OWN!r}))
from time import perf_counter
begin = perf_counter()
from benchmarks import engine
from gql_trader.engine import metrics, simulation
from gql_trader.engine.rules import compile_rules
from gql_trader.engine.trading_days import TradingDays
from gql_trader.engine.warmup import warm_up
warm_up()
ready = perf_counter()
bars = engine.synthetic_bars(525_600)
made = perf_counter()
rules = compile_rules(engine.rules_of("sma"), ())
result = simulation.run(bars, rules.signals(bars), engine.PLAIN, engine.CAPITAL)
metrics.compute(result, bars, TradingDays.EVERY_DAY)
print(ready - begin + perf_counter() - made)
"""


def fresh(rounds: int) -> None:
    """Print how long a new process takes from its first import to its first result."""
    times = [
        float(subprocess.run([sys.executable, "-c", FRESH], capture_output=True, check=True).stdout)
        for _ in range(rounds + 1)
    ][1:]
    print(
        f"first result of a fresh process, machine code cached: {statistics.median(times):.2f} s "
        f"(without {', '.join(PEERS_OWN)}, which only the benchmarks' peers bring along)"
    )


def main() -> int:
    """Print the tables; return 1 if results differ that should not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=525_600)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--scaling", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    arguments = parser.parse_args()

    keep_freed_memory()  # as a worker does
    begin = perf_counter()
    warm_up()
    print(f"engine warmed up in {perf_counter() - begin:.2f} s")
    if arguments.scaling or arguments.fresh:
        if arguments.scaling:
            scaling(arguments.rounds)
        if arguments.fresh:
            fresh(5)
        return 0
    bars = synthetic_bars(arguments.bars)
    agreed = True
    for average, (title, spec) in product(
        AVERAGES, (("plain", PLAIN), ("2 % stop, 4 % target, 1.5 % trailing", PROTECTED))
    ):
        signals = compile_rules(rules_of(average), ()).signals(bars)
        task = Task(bars, signals, FAST, SLOW, spec, CAPITAL)
        peers = own_peers(task, average)
        for make in (vectorbt_peers, backtesting_peers) if average == "sma" else ():
            try:
                peers.extend(make(task))
            except ImportError as error:
                print(f"left out: {error.name} is not installed (dependency group benchmark)")
        rows = [Row(peer) for peer in peers]
        time_all(rows, arguments.rounds)
        report(f"{arguments.bars:,} one-minute bars, {average.upper()}, {title}", rows, arguments.bars)
        agreed &= check(title, rows, task.protected)
    print("\nresults agree" if agreed else "\nresults differ")
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
