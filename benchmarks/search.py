"""How fast combinations are tried: on one core, on two, and against vectorbt.

Run with ``python -m benchmarks.search``; ``uv sync --group benchmark`` adds vectorbt. Two moving averages,
long only, stop loss 2 %, take profit 4 %, trailing stop 1.5 %, fee 0.1 %, fills at the next open; from rules
to the metrics of a trial, drawdown over every bar included. Rounds of all are interleaved, and what counts
are the ratios of medians within one run, since a machine's speed drifts.
"""

import argparse
import gc
import multiprocessing
import os
import resource
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from multiprocessing.synchronize import Barrier
from time import perf_counter, process_time

import numpy as np

from benchmarks.engine import synthetic_bars
from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.rules import Parameter, ParameterType, Rules, compile_rules
from gql_trader.engine.search.setting import Setting
from gql_trader.engine.search.trials import Trial, run_trials
from gql_trader.engine.trading_days import TradingDays
from gql_trader.engine.warmup import warm_up
from gql_trader.infra.allocator import keep_freed_memory

STOPS = ExecutionSpec(stop_loss=0.02, take_profit=0.04, trailing_stop=0.015)
RULES = compile_rules(
    Rules(
        entry_long="crossover(sma(close, fast), sma(close, slow))",
        exit_long="crossunder(sma(close, fast), sma(close, slow))",
    ),
    (Parameter("fast", ParameterType.INT, 50), Parameter("slow", ParameterType.INT, 200)),
)
CHUNK = 1000


def _setting(bars: Bars) -> Setting:
    return Setting(bars, 0, RULES, 1e6, TradingDays.EVERY_DAY)


def windows(count: int) -> list[tuple[int, int]]:
    """Return that many pairs of different lengths, as a grid of 25 fast ones has them."""
    slow = -(-count // 25)
    return [(20 + 2 * fast, 100 + 5 * step) for fast in range(25) for step in range(slow)][:count]


def of_windows(count: int) -> list[Trial]:
    """Return trials each with signals of its own."""
    return [Trial({"fast": fast, "slow": slow}, STOPS) for fast, slow in windows(count)]


def of_stops(count: int) -> list[Trial]:
    """Return trials of ten pairs of windows, each with many different stops."""
    return [
        Trial({"fast": fast, "slow": slow}, replace(STOPS, stop_loss=0.005 + 0.0005 * place))
        for fast, slow in windows(10)
        for place in range(count // 10)
    ]


def _vectorbt(bars: Bars, pairs: Sequence[tuple[int, int]], columns: int, engine: str) -> Callable[[], None]:
    import vectorbt as vbt

    def signals(part: Sequence[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
        fast = vbt.MA.run(bars.close, [pair[0] for pair in part], short_name="f").ma.to_numpy()
        slow = vbt.MA.run(bars.close, [pair[1] for pair in part], short_name="s").ma.to_numpy()
        above, below = fast > slow, fast < slow
        entries = np.zeros_like(above)
        exits = np.zeros_like(above)
        # Known at a close, filled at the next open.
        entries[2:] = above[1:-1] & ~above[:-2]
        exits[2:] = below[1:-1] & ~below[:-2]
        return entries, exits

    def run() -> None:
        vbt.settings["engine"] = engine
        for begin in range(0, len(pairs), columns):
            entries, exits = signals(pairs[begin : begin + columns])
            portfolio = vbt.Portfolio.from_signals(
                bars.close[:, None],
                entries,
                exits,
                price=bars.open[:, None],
                open=bars.open[:, None],
                high=bars.high[:, None],
                low=bars.low[:, None],
                fees=0.001,
                # Its stop either trails or does not: the nearer of our two.
                sl_stop=0.015,
                sl_trail=True,
                tp_stop=0.04,
                init_cash=1e6,
                freq="1min",
            )
            portfolio.total_return(), portfolio.sharpe_ratio(), portfolio.max_drawdown()
            portfolio.trades.win_rate(), portfolio.trades.profit_factor()

    return run


def _timed(work: Callable[[], object], clock: Callable[[], float]) -> float:
    begin = clock()
    work()
    return clock() - begin


def _worker(barrier: Barrier, bars: int, count: int) -> None:
    warm_up()
    setting = _setting(synthetic_bars(bars))
    run_trials(setting, of_windows(8))
    barrier.wait()
    run_trials(setting, of_windows(count))
    barrier.wait()


def on_processes(processes: int, bars: int, count: int) -> float:
    """Return combinations a second of so many processes that begin at once, each with ``count``."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(processes + 1)
    workers = [context.Process(target=_worker, args=(barrier, bars, count)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    barrier.wait()
    begin = perf_counter()
    barrier.wait()
    seconds = perf_counter() - begin
    for worker in workers:
        worker.join()
    return processes * count / seconds


def try_many(setting: Setting, combinations: int) -> None:
    """Try combinations chunk by chunk, as a worker does, and print the most memory that was ever in use."""
    begun = process_time()
    for begin in range(0, combinations, CHUNK):
        if begin in (0, CHUNK, 10 * CHUNK, 100 * CHUNK):
            print(f"{begin:,} combinations: {_most_memory():.0f} MB at most", flush=True)
        # A grid of pairs of windows and stops, of which no two combinations are the same.
        stops = replace(STOPS, stop_loss=0.005 + 0.00002 * (begin // CHUNK))
        chunk = [replace(each, execution=stops) for each in of_windows(CHUNK)]
        run_trials(setting, chunk[: combinations - begin])
    rate = combinations / (process_time() - begun)
    print(f"{combinations:,} combinations: {_most_memory():.0f} MB at most, {rate:,.0f} a second")


def _most_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=100_000)
    parser.add_argument("--combinations", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=int, default=0, help="only try so many, and show the memory")
    arguments = parser.parse_args()
    keep_freed_memory()  # as a worker does
    warm_up()
    gc.freeze()  # as a worker does
    bars = synthetic_bars(arguments.bars)
    setting = _setting(bars)
    count = arguments.combinations
    if arguments.memory:
        try_many(setting, arguments.memory)
        return 0
    rows: dict[str, tuple[int, Callable[[], object]]] = {
        "gql_trader, every combination with signals of its own": (
            count,
            lambda: run_trials(setting, of_windows(count)),
        ),
        "gql_trader, a hundred stops for each of ten signals": (
            count,
            lambda: run_trials(setting, of_stops(count)),
        ),
    }
    try:
        for engine, needed in (("numba", "vectorbt"), ("auto", "vectorbt_rust")):
            import_module(needed)
            # Few combinations suffice for a rate, and vectorbt needs minutes for a thousand.
            for columns, size in ((20, 40), (5, 20)):
                core = "rust" if engine == "auto" else engine
                name = f"vectorbt, {core}, {columns} columns at a time"
                rows[name] = (size, _vectorbt(bars, windows(size), columns, engine))
    except ImportError as error:
        print(f"left out: {error.name} is not installed (dependency group benchmark)")
    for _, work in rows.values():
        work()
    rates: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(arguments.rounds):
        for name, (size, work) in rows.items():
            rates[name].append(size / _timed(work, process_time))
    peer = max(
        (statistics.median(found) for name, found in rates.items() if "vectorbt" in name), default=None
    )
    print(f"{arguments.bars:,} bars, combinations a second of one core")
    for name, found in rates.items():
        rate = statistics.median(found)
        print(f"{name:56}{rate:>10,.0f}" + (f"{rate / peer:>8.0f} × vectorbt" if peer else ""))
    if (os.cpu_count() or 1) > 1:
        alone = statistics.median(on_processes(1, arguments.bars, count) for _ in range(3))
        both = statistics.median(on_processes(2, arguments.bars, count) for _ in range(3))
        print(f"two processes: {both / alone:.2f} × one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
