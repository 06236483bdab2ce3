"""How fast the engine is: against a fused loop, which is the floor, and against its peers.

Run with ``python benchmarks/engine.py``; ``uv sync --group benchmark`` adds the peers. All engines do the
same backtest on the same bars: two simple moving averages of 50 and 200, long only, 0.1 % fees, fills at the
next open, without and with stops. Rounds of all engines are interleaved and medians compared, since a
machine's speed drifts. Results are compared where conventions agree.
"""

import argparse
import statistics
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from benchmarks.engine_floor import fused
from benchmarks.engine_peers import Peer, Task, backtesting_peers, vectorbt_peers
from gql_trader.engine import metrics, simulation
from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.rules import Rules, compile_rules
from gql_trader.engine.warmup import warm_up
from gql_trader.infra.allocator import keep_freed_memory

FAST, SLOW = 50, 200
CAPITAL = 1e9  # backtesting.py buys whole units only; with enough of them that is no difference
RULES = Rules(
    entry_long=f"crossover(sma(close, {FAST}), sma(close, {SLOW}))",
    exit_long=f"crossunder(sma(close, {FAST}), sma(close, {SLOW}))",
)
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


def own_peers(task: Task) -> list[Peer]:
    """Return the floor, and the engine whole and in parts."""
    bars, spec = task.bars, task.spec
    rules = compile_rules(RULES, ())
    equity, ledger = np.empty(len(bars)), np.empty((len(bars) // 2, 6))
    prepared = simulation.run(bars, task.signals, spec, task.capital)

    def floor() -> tuple[int, float]:
        trades, final, *_ = fused(
            bars.time, bars.open, bars.high, bars.low, bars.close, FAST, SLOW, spec.taker_fee,
            spec.stop_loss or 0.0, spec.take_profit or 0.0, spec.trailing_stop or 0.0,
            task.capital, equity, ledger,
        )  # fmt: skip
        return trades, final

    def whole() -> tuple[int, float]:
        result = simulation.run(bars, rules.signals(bars), spec, task.capital)
        found = metrics.compute(result, bars, 365)
        return found.trades, found.final_equity

    def simulated() -> tuple[int, float]:
        result = simulation.run(bars, task.signals, spec, task.capital)
        return len(result.ledger), result.final_equity

    def signals() -> tuple[int, float]:
        return int(rules.signals(bars).entry_long.sum()), float("nan")

    def measured() -> tuple[int, float]:
        found = metrics.compute(prepared, bars, 365)
        return found.trades, found.final_equity

    return [
        Peer("fused loop, the floor", floor),
        Peer("gql_trader: rules to all metrics", whole),
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
            begin = perf_counter()
            row.peer.run()
            row.times.append(perf_counter() - begin)


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
    floor = statistics.median(rows[0].times)
    print(f"\n{title}")
    print(f"{'':44}{'ms':>10}{'× floor':>10}{'bytes/bar':>11}{'trades':>8}{'final equity':>18}")
    for row in rows:
        median = statistics.median(row.times)
        trades, final = row.found
        shown = "" if np.isnan(final) else f"{final:.2f}"
        print(
            f"{row.peer.name:44}{median * 1e3:>10.2f}{median / floor:>10.2f}"
            f"{row.bytes / n:>11.1f}{trades:>8}{shown:>18}"
        )


def check(title: str, rows: list[Row], protected: bool) -> bool:
    """Compare results where conventions agree; say what does not."""
    by_name = {row.peer.name: row.found for row in rows}
    own = by_name["gql_trader: rules to all metrics"]
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


def main() -> int:
    """Print the tables; return 1 if results differ that should not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=525_600)
    parser.add_argument("--rounds", type=int, default=21)
    arguments = parser.parse_args()

    keep_freed_memory()  # as a worker does
    begin = perf_counter()
    warm_up()
    print(f"engine warmed up in {perf_counter() - begin:.2f} s")
    bars = synthetic_bars(arguments.bars)
    signals = compile_rules(RULES, ()).signals(bars)
    agreed = True
    for title, spec in (("plain", PLAIN), ("2 % stop, 4 % target, 1.5 % trailing", PROTECTED)):
        task = Task(bars, signals, FAST, SLOW, spec, CAPITAL)
        peers = own_peers(task)
        for make in (vectorbt_peers, backtesting_peers):
            try:
                peers.extend(make(task))
            except ImportError as error:
                print(f"left out: {error.name} is not installed (dependency group benchmark)")
        rows = [Row(peer) for peer in peers]
        time_all(rows, arguments.rounds)
        report(f"{arguments.bars:,} one-minute bars, {title}", rows, arguments.bars)
        agreed &= check(title, rows, task.protected)
    print("\nresults agree" if agreed else "\nresults differ")
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
