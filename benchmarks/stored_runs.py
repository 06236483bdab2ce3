"""What surrounds the engine in a stored run, as multiples of the engine's own time.

Run ``python -m benchmarks.stored_runs`` from the repository. From bars as the worker's cache gives them,
over what is stored (curve, daily curve and ledger, encoded), to what a client gets: the curve at 4,000
points and every trade of the ledger as JSON, completed by the server's executor and written by its writer.
No database and no network. Rounds of all parts are interleaved; medians and the fastest rounds, in
processor time of the process.
"""

import argparse
import gc
import statistics
from collections.abc import Callable
from time import process_time

import numpy as np
import strawberry
from graphql import DocumentNode, ExecutionResult, parse
from strawberry.schema.config import StrawberryConfig

from benchmarks.engine import PLAIN, PROTECTED, rules_of, synthetic_bars
from gql_trader.backtests.compute import RunInput, compute
from gql_trader.backtests.curves import Columns, thinned_equity
from gql_trader.backtests.ledger import COLUMNS as LEDGER
from gql_trader.backtests.ledger import LedgerRows, decode_segments, encode_ledger
from gql_trader.backtests.progress import Stage
from gql_trader.backtests.schema_ledger import LedgerColumns
from gql_trader.backtests.schema_types import EquityColumns, LedgerEntry, ledger_entries
from gql_trader.engine import metrics, simulation
from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.plugins import StrategyCode
from gql_trader.engine.rules import compile_rules
from gql_trader.engine.trading_days import TradingDays
from gql_trader.engine.version import METRICS_VERSION
from gql_trader.engine.warmup import warm_up
from gql_trader.gql.fast_execution import FastExecutor
from gql_trader.gql.scalars import SCALARS
from gql_trader.gql.schema_builder import core_schema
from gql_trader.infra.allocator import keep_freed_memory
from gql_trader.infra.column_codec import decode_columns, encode_columns
from gql_trader.infra.json_codec import dumps

CAPITAL = 10_000.0
POINTS = 4000
TRADE = """{
    number side quantity entryTime entryPrice exitTime exitPrice profit profitFraction fees funding bars
    exitReason maxFavorable maxAdverse equityAfter
}"""


@strawberry.type
class Answer:
    """What is asked of the run; made from decoded columns at each request."""

    rows: strawberry.Private[LedgerRows]
    curve: strawberry.Private[Columns]

    @strawberry.field
    def equity(self) -> EquityColumns:
        """Return the thinned curve."""
        return EquityColumns.from_columns(thinned_equity(self.curve, CAPITAL, POINTS))

    @strawberry.field
    def ledger(self) -> list[LedgerEntry]:
        """Return every trade."""
        return ledger_entries(self.rows)

    @strawberry.field
    def ledger_columns(self) -> LedgerColumns:
        """Return every trade, as columns."""
        return LedgerColumns.from_rows(self.rows)


SCHEMA = strawberry.Schema(
    Answer, config=StrawberryConfig(scalar_map=SCALARS), execution_context_class=FastExecutor
)


OBJECTS = parse(f"{{ equity {{ time equity drawdown }} ledger {TRADE} }}")
COLUMNS = parse(f"{{ equity {{ time equity drawdown }} ledgerColumns {TRADE} }}")


def answer(rows: LedgerRows, curve: Columns, document: DocumentNode = COLUMNS) -> bytes:
    """Return the JSON of the curve and the whole ledger, of a document parsed before as the server's are."""
    executor = FastExecutor.build(
        core_schema(SCHEMA), document, root_value=Answer(rows=rows, curve=curve), context_value=None
    )
    assert isinstance(executor, FastExecutor), executor
    found = executor.execute_operation()
    assert isinstance(found, ExecutionResult)
    assert found.errors is None, found.errors
    return dumps(found.data)


def answer_at_once(bars: Bars, rules: StrategyCode, spec: ExecutionSpec) -> bytes:
    """Return the JSON of a run of its own, of which nothing is stored."""
    result = simulation.run(bars, rules.signals(bars, {}), spec, CAPITAL)
    metrics.compute(result, bars, TradingDays.EVERY_DAY)
    columns = {name: getattr(result.ledger, name) for name in LEDGER}
    rows = LedgerRows(np.arange(1, len(result.ledger) + 1), columns)
    return answer(rows, {"time": bars.time, "equity": result.equity})


def unheard(stage: Stage, fraction: float, time: int | None, equity: float | None) -> None:
    """Take a report of progress and do nothing with it."""


def parts_of(run: RunInput, spec: ExecutionSpec) -> tuple[str, dict[str, Callable[[], object]]]:
    """Return a title and what is to be timed, by name; the engine alone comes first."""
    bars = run.bars

    def engine() -> metrics.Metrics:
        result = simulation.run(bars, run.rules.signals(bars, run.parameters), spec, CAPITAL)
        return metrics.compute(result, bars, run.trading_days)

    def stored(document: DocumentNode) -> bytes:
        outcome = compute(run, unheard)
        segments = dict(enumerate(outcome.ledger))
        return answer(decode_segments(segments), decode_columns(outcome.equity), document)

    result = simulation.run(bars, run.rules.signals(bars, run.parameters), spec, CAPITAL)
    curve = {"time": bars.time, "equity": result.equity}
    outcome = compute(run, unheard)
    segments = dict(enumerate(outcome.ledger))
    rows = decode_segments(segments)
    title = (
        f"{len(bars):,} bars, {len(rows):,} trades; stored: "
        f"{len(outcome.equity) / len(bars):.2f} bytes a bar, "
        f"{sum(map(len, outcome.ledger)) / len(rows):.0f} a trade; JSON: {len(answer(rows, curve)):,} bytes"
    )
    return title, {
        "engine: rules to all metrics": engine,
        "run as stored: the engine, progress, all encoded": lambda: compute(run, unheard),
        "  of which encoding the curve": lambda: encode_columns(curve),
        "  of which encoding the ledger": lambda: encode_ledger(result.ledger),
        "from stored bytes to JSON, all trades as columns": lambda: answer(
            decode_segments(segments), decode_columns(outcome.equity)
        ),
        "  of which decoding the curve": lambda: decode_columns(outcome.equity),
        "  of which thinning it": lambda: thinned_equity(curve, CAPITAL, POINTS),
        "  of which decoding the ledger": lambda: decode_segments(segments),
        "  of which JSON of everything": lambda: answer(rows, curve),
        "from stored bytes to JSON, all trades as objects": lambda: answer(
            decode_segments(segments), decode_columns(outcome.equity), OBJECTS
        ),
        "from stored bytes to JSON, a page of 100 trades": lambda: answer(
            decode_segments({0: segments[0]}).take(slice(0, 100)), decode_columns(outcome.equity), OBJECTS
        ),
        "bars to JSON, nothing stored": lambda: answer_at_once(bars, run.rules, spec),
        "bars to JSON, through what is stored": lambda: stored(COLUMNS),
        "the same, trades as objects": lambda: stored(OBJECTS),
    }


def main() -> None:
    """Print a table without and one with stops."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=525_600)
    parser.add_argument("--rounds", type=int, default=31)
    arguments = parser.parse_args()
    keep_freed_memory()  # as a worker does
    warm_up()
    gc.freeze()  # as the server does
    gc.set_threshold(50_000, 50, 50)
    bars = synthetic_bars(arguments.bars)
    rules = compile_rules(rules_of("sma"), ())
    for name, spec in (("plain", PLAIN), ("stops", PROTECTED)):
        title, parts = parts_of(
            RunInput(bars, 0, rules, {}, spec, CAPITAL, TradingDays.EVERY_DAY, METRICS_VERSION, ""), spec
        )
        times: dict[str, list[float]] = {part: [] for part in parts}
        for number in range(arguments.rounds + 1):
            for part, run in parts.items():
                # What a request leaves in cycles would take memory from the next run, which is a worker's.
                gc.collect()
                begin = process_time()
                run()
                if number:
                    times[part].append(process_time() - begin)
        print(f"\n{name}: {title}")
        print(f"{'':52}{'ms':>8}{'× engine':>10}{'fastest':>10}{'× engine':>10}")
        engine = next(iter(times.values()))
        for part, taken in times.items():
            median, fastest = statistics.median(taken), min(taken)
            print(
                f"{part:52}{median * 1e3:>8.2f}{median / statistics.median(engine):>10.2f}"
                f"{fastest * 1e3:>10.2f}{fastest / min(engine):>10.2f}"
            )


if __name__ == "__main__":
    main()
