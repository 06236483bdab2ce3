"""Years of history: what a report reads does not grow with it, and what was there before is taken over."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from alembic.script import ScriptDirectory
from sqlalchemy import ClauseElement, Executable, text, update
from sqlalchemy.ext.compiler import compiles

from gql_trader import migrate
from gql_trader.app import create_app
from gql_trader.bots.models import SessionStateRow, TradingSessionRow
from gql_trader.config import Settings
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.intervals import DAY
from gql_trader.gql.relay import encode_id
from gql_trader.reports import periods, repository, service
from gql_trader.reports.jobs import keep_days
from gql_trader.reports.types import Day, Level, Scope
from tests.factories.actors import make_access_token
from tests.factories.bots import BotDesk, bar_time
from tests.factories.statements import executed_statements, rows_read
from tests.graphql_client import graphql_client

BEGIN = datetime(2016, 1, 1, tzinfo=UTC)
YEARS = 10
END = BEGIN + timedelta(days=3652)


class _Explained(Executable, ClauseElement):
    inherit_cache = False

    def __init__(self, statement: Any) -> None:
        self.statement = statement


@compiles(_Explained)
def _explain(element: _Explained, compiler: Any, **options: Any) -> str:
    return "EXPLAIN (ANALYZE, FORMAT JSON) " + str(compiler.process(element.statement, **options))


def _scans(plan: Any) -> Iterator[Any]:
    if plan.get("Relation Name") == "session_rollups":
        yield plan
    for part in plan.get("Plans", ()):
        yield from _scans(part)


async def _session_of_years(bots: BotDesk, minutes: int) -> UUID:
    """Return a session that has gained 0.01 in every so many minutes of ten years."""
    _, session_id = await bots.begin()
    await _trade_since(bots, session_id, BEGIN, minutes)
    return session_id


async def _trade_since(bots: BotDesk, session_id: UUID, begin: datetime, minutes: int) -> int:
    """Let a session have gained 0.01 in every so many minutes up to `END`; return of how many there were."""
    rows = int((END - begin) / timedelta(minutes=minutes))
    values = {
        "session": session_id,
        "begin": to_milliseconds(begin),
        "step": minutes * 60_000,
        "rows": rows,
    }
    async with bots.runtime.unit_of_work() as uow:
        await uow.session.execute(
            update(TradingSessionRow)
            .where(TradingSessionRow.id == session_id)
            .values(trade_from=begin, started_at=begin)
        )
        await uow.session.execute(
            update(SessionStateRow)
            .where(SessionStateRow.session_id == session_id)
            .values(last_bar_time=to_milliseconds(END), equity=10_000 + rows * 0.01)
        )
        await uow.session.execute(
            text(
                "INSERT INTO session_rollups (session_id, time, equity, profit, fees, trades, wins) "
                "SELECT :session, CAST(:begin AS bigint) + n * CAST(:step AS bigint), "
                "10000 + (n + 1) * 0.01, (n + 1) * 0.01, 0, n + 1, n + 1 FROM generate_series(0, :rows - 1) n"
            ),
            values,
        )
    return rows


async def test_a_report_reads_a_row_for_each_day_and_session_of_ten_busy_or_quiet_years(
    bots: BotDesk,
) -> None:
    read = []
    for minutes in (60 * 24 * 7, 60):
        session_id = await _session_of_years(bots, minutes)
        async with bots.runtime.unit_of_work() as uow:
            await uow.session.execute(text("ANALYZE session_rollups"))
            book = await service.book_of(uow, bots.trader.user_id, Scope(session_id=session_id))
            moments = [to_milliseconds(BEGIN) + at * DAY for at in range(1, 1 + 365 * YEARS)]
            explained = _Explained(repository.levels_statement([(book, moments)]))
            found: Any = await uow.session.scalar(explained)
            days = await periods.days(uow, book, date(2025, 3, 1), date(2025, 3, 31), "Europe/Berlin")
        plan = json.loads(found) if isinstance(found, str) else found
        scans = list(_scans(plan[0]["Plan"]))
        assert {scan["Node Type"] for scan in scans} <= {"Index Scan", "Index Scan Backward"}
        read.append(sum(scan["Actual Rows"] * scan["Actual Loops"] for scan in scans))
    assert read == [365 * YEARS, 365 * YEARS]
    # A day with 24 hours gains 0.24; that of the change to summer time has one hour less.
    assert [day.level.change for day in days[28:]] == [Decimal("0.24"), Decimal("0.23"), Decimal("0.24")]
    assert {day.level.trades for day in days} == {23, 24}


REPORTS = """
query($botId: ID) {
  profit(botId: $botId, replays: true) {
    balance realizedProfit trades openTrades today bestDay { date profit } worstDay { date profit }
  }
  calendar(botId: $botId, replays: true, end: "2025-12-31") { date profit trades }
  quarter: calendar(botId: $botId, replays: true, start: "2025-10-01", end: "2025-12-31") { date profit }
  equityCurve(botId: $botId, replays: true, end: "2025-12-31T00:00:00Z") { time equity }
  trades(botId: $botId, replays: true, first: 20) { totalCount nodes { entryTime profit } }
}
"""
_EMPTIED = (
    *("session_rollups", "trades", "session_totals", "session_days", "session_kept_days", "day_series"),
    "trade_counts",
)
_TRADES = """
INSERT INTO trades (id, session_id, user_id, number, side, quantity, entry_time, entry_price, exit_time,
                    exit_price, exit_reason, profit, profit_fraction, fees, changed_at)
SELECT gen_random_uuid(), s.id, s.user_id, row_number() OVER (PARTITION BY s.id ORDER BY r.time), 'LONG', 1,
       to_timestamp(r.time / 1000), 100, to_timestamp(r.time / 1000), 101, 'SIGNAL', 0.01, 0.0001, 0, now()
FROM session_rollups r JOIN trading_sessions s ON s.id = r.session_id
"""
_TOTALS = """
INSERT INTO session_totals (session_id, profit, fees, trades, wins)
SELECT session_id, sum(profit), 0, count(*), count(*) FROM trades GROUP BY session_id
"""


async def test_reports_of_ten_years_read_as_many_rows_as_those_of_one(
    bots: BotDesk, settings: Settings
) -> None:
    begun = [await bots.begin() for _ in range(3)]
    engine = bots.runtime.database.engine
    token = await make_access_token(bots.runtime, bots.trader)
    read = []
    async with graphql_client(create_app(settings, bots.runtime)) as client:
        for begin in (datetime(2025, 1, 1, tzinfo=UTC), BEGIN):
            async with bots.runtime.unit_of_work() as uow:
                await uow.session.execute(text(f"TRUNCATE {', '.join(_EMPTIED)} CASCADE"))
            for _, session_id in begun:
                days = await _trade_since(bots, session_id, begin, 24 * 60)
            async with bots.runtime.unit_of_work() as uow:
                await uow.session.execute(text(_TRADES))
                await uow.session.execute(text(_TOTALS))
            await keep_days(bots.runtime)
            async with bots.runtime.unit_of_work() as uow:
                await uow.session.execute(text("ANALYZE"))
            for bot_id, sessions in ((None, 3), (encode_id("Bot", begun[0][0]), 1)):
                with executed_statements(engine) as executed:
                    answer = await client.signed_in(token).execute(REPORTS, {"botId": bot_id})
                data = answer.data
                assert data["trades"]["totalCount"] == data["profit"]["trades"] == sessions * days
                # Every day gained as much: the first of equal ones is named.
                equal = {"date": begin.date().isoformat(), "profit": f"{sessions / 100:g}"}
                assert (data["profit"]["bestDay"], data["profit"]["worstDay"]) == (equal, equal)
                read.append(await rows_read(engine, executed))
    # Small tables are read as a whole where that is cheaper: a few rows more or less.
    assert all(ten <= 1.02 * one for one, ten in zip(read[:2], read[2:], strict=True)), read


async def test_sessions_from_before_there_were_such_figures_have_the_same_days(
    bots: BotDesk,
) -> None:
    _, session_id = await bots.begin()
    await bots.run(session_id)

    async def days() -> tuple[list[Day], Level]:
        async with bots.runtime.unit_of_work() as uow:
            book = await service.book_of(uow, bots.trader.user_id, Scope(replays=True))
            found = await periods.days(uow, book, date(2024, 1, 20), date(2024, 3, 30), "Asia/Kolkata")
        return found, book.level

    before = await days()
    assert before[1].trades > 20
    script = (
        ScriptDirectory.from_config(migrate.alembic_config("")).get_revision("add_session_rollups").module
    )
    async with bots.runtime.unit_of_work() as uow:
        for table in ("session_rollups", "session_totals"):
            await uow.session.execute(text(f"DELETE FROM {table}"))
        for statement in (script._ROLLUPS, script._TOTALS):
            await uow.session.execute(text(statement.replace("::", "\\:\\:")))
    after = await days()
    assert after[1] == before[1]
    assert [day.level.change for day in after[0]] == [day.level.change for day in before[0]]
    assert sum((day.level for day in after[0]), Level()) == before[1]
    assert bar_time(0).year == 2024
