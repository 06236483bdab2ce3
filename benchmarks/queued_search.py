"""How much faster a search is with two workers than with one, through the queue and the database.

Run with ``python -m benchmarks.queued_search``. Servers of its own, one-minute bars, and worker processes as
`gql-trader worker` starts them: a grid of moving averages with stops is requested as a client would, and
timed from its commit until it has completed, report included. Rounds with one worker and with two take turns;
what counts is the ratio of medians, on a machine that does nothing else.
"""

import argparse
import asyncio
import statistics
import subprocess
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

import psutil

from benchmarks.engine import synthetic_bars
from benchmarks.own_servers import add_users, own_servers, start_worker
from gql_trader.config import Settings
from gql_trader.core.actor import Actor, Role
from gql_trader.core.ids import UserId
from gql_trader.core.intervals import Interval
from gql_trader.core.runs import RunStatus
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.market_data.service import ensure_market, save_candles
from gql_trader.optimizations import following, service
from gql_trader.optimizations.checking import Limits
from gql_trader.optimizations.types import QUEUE, OptimizationRequest, ParameterRange
from gql_trader.runtime import Runtime, open_runtime
from gql_trader.strategies import service as strategies
from gql_trader.strategies.builtin import BUILTIN_STRATEGIES

_LOOK_SECONDS = 0.01
_READY_SECONDS = 120.0
_STOPS = ExecutionSpec(stop_loss=0.02, take_profit=0.04, trailing_stop=0.015)
_LIMITS = Limits(active=100, hourly=10_000, bars=10**7, trials=10**7, work=10**13)


async def _prepare(runtime: Runtime, options: argparse.Namespace) -> tuple[Actor, OptimizationRequest]:
    [user_id] = await add_users(runtime, ["bench"])
    actor = Actor(UserId(user_id), Role.TRADER)
    async with runtime.unit_of_work() as uow:
        await strategies.sync_builtin_strategies(uow)
        market = await ensure_market(uow, "demo", "BENCH/USD")
        await save_candles(uow, market.id, Interval.M1, synthetic_bars(options.bars))
    golden_cross = next(each for each in BUILTIN_STRATEGIES.values() if each.slug == "golden-cross")
    side = round(options.combinations**0.5)
    return actor, OptimizationRequest(
        strategy_id=golden_cross.id,
        market="demo:BENCH/USD",
        interval=Interval.M1,
        ranges=(
            ParameterRange("fast", 20, 20 + side - 1, 1),
            ParameterRange("slow", 21 + side, 20 + 2 * side, 1),
        ),
        execution=_STOPS,
        force=True,
    )


async def _search(runtime: Runtime, actor: Actor, request: OptimizationRequest) -> tuple[float, int]:
    """Return the seconds that a search takes, and its trials."""
    async with runtime.unit_of_work() as uow:
        row, _ = await service.request_search(
            uow, runtime.arrays, runtime.rate_limits, actor, request, _LIMITS, runtime.plugins
        )
    begun = monotonic()
    # As a client follows it: asking the database again and again would take much of a core from the workers.
    async with aclosing(following.follow(runtime.unit_of_work, runtime.events, actor, row.id, None)) as told:
        statuses = [news.status async for news in told]
    seconds = monotonic() - begun
    assert statuses[-1] is RunStatus.COMPLETED, statuses
    return seconds, row.trials_total


class _Workers:
    """Worker processes, as many as are asked for. Each writes its log into a file: nobody need read it."""

    def __init__(self, settings: Settings) -> None:
        self._logs = settings.data_dir / "logs"
        self._logs.mkdir(exist_ok=True)
        self._started = 0
        self._settings = settings
        self._running: list[subprocess.Popen[bytes]] = []

    def make(self, count: int) -> None:
        """Start or stop workers; return when that many are ready."""
        while len(self._running) > count:
            worker = self._running.pop()
            worker.terminate()
            worker.wait(30)
        while len(self._running) < count:
            log = self._logs / f"worker-{self._started}.log"
            self._started += 1
            with log.open("wb") as output:
                worker = start_worker(self._settings, QUEUE, "INFO", output)
            self._running.append(worker)
            _wait_until_ready(worker, log)

    def processor_seconds(self) -> float:
        """Return the processor time that the workers have used so far."""
        return sum(sum(psutil.Process(worker.pid).cpu_times()[:2]) for worker in self._running)


def _wait_until_ready(worker: "subprocess.Popen[bytes]", log: Path) -> None:
    until = monotonic() + _READY_SECONDS
    while b"worker_ready" not in log.read_bytes():
        if worker.poll() is not None or monotonic() > until:
            raise RuntimeError(f"a worker did not become ready:\n{log.read_text()[-2000:]}")
        sleep(_LOOK_SECONDS)


async def _measure(settings: Settings, options: argparse.Namespace) -> None:
    async with open_runtime(settings) as runtime:
        actor, request = await _prepare(runtime, options)
        narrow = (ParameterRange("fast", 20, 35, 1), request.ranges[1])
        workers = _Workers(settings)
        times: dict[int, list[float]] = {1: [], 2: []}
        try:
            for _ in range(options.rounds):
                for count, found in times.items():
                    workers.make(count)
                    # Each worker loads the candles once.
                    await _search(runtime, actor, replace(request, ranges=narrow))
                    before = workers.processor_seconds()
                    seconds, trials = await _search(runtime, actor, request)
                    found.append(seconds)
                    spent = workers.processor_seconds() - before
                    print(
                        f"{count} worker(s): {trials:,} combinations in {seconds:.2f} s, "
                        f"{spent / trials * 1e6:.0f} µs of a processor each",
                        flush=True,
                    )
        finally:
            workers.make(0)
    one, two = (statistics.median(found) for found in times.values())
    print(f"two workers: {one / two:.2f} × one (medians of {options.rounds} rounds)")


def main() -> None:
    """Start servers and workers of their own, measure, and remove everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=100_000)
    parser.add_argument("--combinations", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with own_servers() as settings:
        asyncio.run(_measure(settings, options))


if __name__ == "__main__":
    main()
