"""What reports cost over one year and over ten, and how long it takes to note the balances of everybody.

Usage: python -m benchmarks.reports [--sessions 20] [--rows-a-day 24] [--users 10000] [--repeats 7]
                                    [--restarts]

Whole requests as the server sees them, without a network, over sessions in which something changed so many
times a day: once for a user with one year of history, once for one with ten, in turn; medians, their ratio
and how many statements the second took. Then what a worker does as ten minutes are over, at the hour of
a heartbeat, and after midnight, for so many users at the same moment.

--restarts makes the history of one session after another, each of a day, instead of some at the same time.
"""

import argparse
import asyncio
import gc
import logging
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any
from uuid import UUID

import httpx
import structlog
from rich.console import Console
from rich.table import Table
from sqlalchemy import event, text

from benchmarks.own_servers import access_token, add_users, own_servers
from gql_trader.app import create_app
from gql_trader.balances import jobs
from gql_trader.config import Settings
from gql_trader.market_data.service import ensure_market
from gql_trader.reports.jobs import keep_days
from gql_trader.runtime import Runtime, open_runtime

YEARS = (1, 10)

_SESSIONS = """
INSERT INTO trading_sessions (id, user_id, mode, status, quote_id, execution, capital, shard, equity_every,
                              started_at, trade_from)
SELECT uuidv7(), u.id, 'PAPER', 'ACTIVE', a.id, '{}', 10000, 0, 60, :start, :start
FROM users u, assets a, generate_series(1, :count) WHERE a.symbol = 'USD' AND u.id = ANY(:users)
"""
_STATES = """
INSERT INTO session_states (session_id, revision, fence, bars, balance, equity, cash, day, day_start_equity,
                            day_entries, halted, resting_bars, peak_equity, drawn_down)
SELECT id, 0, 0, 0, 10000, 10000, 10000, -1, 10000, 0, false, 0, 0, false FROM trading_sessions
WHERE user_id = ANY(:users)
"""
_RESTARTED = """
UPDATE trading_sessions s
SET started_at = p.moment, trade_from = p.moment, ended_at = p.moment + interval '1 day', status = 'STOPPED'
FROM (SELECT id,
             CAST(:start AS timestamptz) + (row_number() OVER (ORDER BY id) - 1) * interval '1 day' AS moment
      FROM trading_sessions WHERE user_id = :user) p
WHERE s.id = p.id
"""
_ROLLUPS = """
INSERT INTO session_rollups (session_id, time, equity, profit, fees, trades, wins)
SELECT s.id, time, 10000 + round((1000 * sin(time / 1e8 + s.place))::numeric, 8), 0, 0, 0, 0
FROM (SELECT id, row_number() OVER () AS place, trade_from,
             coalesce(ended_at, CAST(:now AS timestamptz)) AS until
      FROM trading_sessions WHERE user_id = :user) s,
     generate_series(floor(extract(epoch FROM trade_from) / 900)::bigint * 900000,
                     floor(extract(epoch FROM until) * 1000)::bigint - 1, CAST(:step AS bigint)) time
"""
_TRADES = """
INSERT INTO trades (id, session_id, user_id, number, side, quantity, entry_time, entry_price, exit_time,
                    exit_price, exit_reason, profit, profit_fraction, fees, changed_at, market_id)
SELECT gen_random_uuid(), s.id, s.user_id, row_number() OVER (PARTITION BY s.id ORDER BY moment),
       CASE WHEN extract(hour FROM moment) < 12 THEN 'LONG' ELSE 'SHORT' END, 1,
       moment, 100, moment + interval '1 hour', 101, 'SIGNAL', 1, 0.01, 0, moment, m.id
FROM trading_sessions s, markets m,
     generate_series(s.trade_from, coalesce(s.ended_at, CAST(:now AS timestamptz)),
                     interval '12 hours') moment
WHERE s.user_id = :user AND m.symbol = 'BTC/USD'
"""
_TOTALS = """
INSERT INTO session_totals (session_id, profit, fees, trades, wins)
SELECT session_id, sum(profit), 0, count(*), count(*) FROM trades WHERE user_id = :user GROUP BY session_id
"""

QUERIES = {
    "profit": "{ profit { profit today trades } }",
    "profit with bestDay and worstDay": "{ profit { profit bestDay { date } worstDay { date profit } } }",
    "calendar of 30 days": "{ calendar { date profit trades } }",
    "calendar of all days": '{ calendar(start: "$start") { date profit trades } }',
    "equityCurve of 30 days": "{ equityCurve { time equity } }",
    "equityCurve of all time": '{ equityCurve(start: "$startT00:00:00Z") { time equity } }',
    "trades, with their count": "{ trades(first: 50) { totalCount nodes { profit } } }",
    "trades by market and side": (
        '{ trades(first: 50, market: "BTC/USD", side: LONG) { totalCount nodes { profit } } }'
    ),
    "trades by time": (
        '{ trades(first: 50, start: "$startT07:00:00Z", end: "$agoT00:00:00Z") '
        "{ totalCount nodes { profit } } }"
    ),
    "trades a month ago": '{ trades(first: 50, end: "$agoT00:00:00Z") { nodes { profit } } }',
    "systemStatus": "{ systemStatus { running runningBots queuedJobs } }",
}


class _Clock:
    def __init__(self) -> None:
        self.moment = datetime.now(UTC)

    def now(self) -> datetime:
        """Return the time shown."""
        return self.moment


async def _sessions(runtime: Runtime, users: list[UUID], start: datetime, count: int) -> None:
    async with runtime.unit_of_work() as uow:
        # Sessions are in dollars.
        await ensure_market(uow, "demo", "BTC/USD")
        await uow.session.execute(text(_SESSIONS), {"users": users, "start": start, "count": count})
        await uow.session.execute(text(_STATES), {"users": users})


async def _history(runtime: Runtime, options: argparse.Namespace, years: int) -> UUID:
    """Make a user whose sessions have changed so often for so long, up to now."""
    [user] = await add_users(runtime, [f"years{years}"])
    start = runtime.clock.now() - timedelta(days=365 * years)
    await _sessions(runtime, [user], start, 365 * years if options.restarts else options.sessions)
    values = {"user": user, "now": runtime.clock.now(), "step": 86_400_000 // options.rows_a_day}
    async with runtime.unit_of_work() as uow:
        if options.restarts:
            await uow.session.execute(text(_RESTARTED), {"user": user, "start": start})
        await uow.session.execute(text(_ROLLUPS), values)
        await uow.session.execute(text(_TRADES), {"user": user, "now": runtime.clock.now()})
        await uow.session.execute(text(_TOTALS), {"user": user})
    return user


async def _vacuum(runtime: Runtime) -> None:
    async with runtime.database.engine.connect() as connection:
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.exec_driver_sql("VACUUM ANALYZE")


@contextmanager
def _counted(runtime: Runtime) -> Iterator[list[str]]:
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    engine = runtime.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def _reports(settings: Settings, options: argparse.Namespace, console: Console) -> None:
    async with open_runtime(settings) as runtime:
        users = {years: await _history(runtime, options, years) for years in YEARS}
        await _vacuum(runtime)
        begun = perf_counter()
        await keep_days(runtime)
        console.print(f"keeping all days for the first time: {perf_counter() - begun:.1f} s")
        await _vacuum(runtime)
        tokens = {years: await access_token(runtime, user) for years, user in users.items()}
        columns = "ratio", "of the fastest", "statements"
        table = Table("request", *(f"{years} a, ms" for years in YEARS), *columns)
        transport = httpx.ASGITransport(app=create_app(settings, runtime))
        # As the server does once it has started.
        gc.freeze()
        gc.set_threshold(50_000, 50, 50)
        async with httpx.AsyncClient(transport=transport, base_url="http://benchmark") as client:
            for name, query in QUERIES.items():
                taken: dict[int, list[float]] = {years: [] for years in YEARS}
                for _ in range(options.repeats + 1):
                    for years in YEARS:
                        first = runtime.clock.now().date() - timedelta(days=365 * years)
                        ago = runtime.clock.now().date() - timedelta(days=30)
                        filled = query.replace("$start", first.isoformat()).replace("$ago", ago.isoformat())
                        body = {"query": filled}
                        headers = {"authorization": f"Bearer {tokens[years]}"}
                        with _counted(runtime) as statements:
                            begun = perf_counter()
                            response = await client.post("/graphql", json=body, headers=headers)
                            taken[years].append(1000 * (perf_counter() - begun))
                        assert "errors" not in response.json(), response.text
                low, high = (statistics.median(taken[years][1:]) for years in YEARS)
                fastest = min(taken[YEARS[1]][1:]) / min(taken[YEARS[0]][1:])
                ratios = f"{high / low:.2f}", f"{fastest:.2f}"
                table.add_row(name, f"{low:.1f}", f"{high:.1f}", *ratios, str(len(statements)))
        console.print(table)


async def _settling(settings: Settings, options: argparse.Namespace, console: Console) -> None:
    clock = _Clock()
    clock.moment = datetime(2026, 3, 3, 12, 1, tzinfo=UTC)
    async with open_runtime(settings, clock) as runtime:
        users = await add_users(runtime, [f"trader{at}" for at in range(options.users)])
        await _sessions(runtime, users, clock.moment, 2)
        await _vacuum(runtime)
        table = Table("what is due for everybody", "s", title=f"{options.users} users with two sessions each")
        for name, moment in (
            ("nothing yet: clocks are started", clock.moment),
            ("snapshots", clock.moment.replace(minute=10)),
            ("nothing", clock.moment.replace(minute=11)),
            ("snapshots", clock.moment.replace(minute=20)),
            ("heartbeats", clock.moment.replace(hour=14, minute=0)),
            ("snapshots and days", datetime(2026, 3, 4, 0, 10, tzinfo=UTC)),
        ):
            clock.moment = moment
            begun = perf_counter()
            await jobs.tick(runtime)
            table.add_row(name, f"{perf_counter() - begun:.2f}")
        console.print(table)


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, usual in (("sessions", 20), ("rows-a-day", 24), ("users", 10_000), ("repeats", 7)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--restarts", action="store_true")
    options, console = parser.parse_args(), Console()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with own_servers() as settings:
        if options.sessions:
            asyncio.run(_reports(settings, options, console))
        if options.users:
            asyncio.run(_settling(settings, options, console))


if __name__ == "__main__":
    main()
