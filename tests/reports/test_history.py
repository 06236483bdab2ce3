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
from gql_trader.bots.models import SessionStateRow, TradingSessionRow
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.intervals import DAY
from gql_trader.reports import daily, periods, repository, repository_days, service
from gql_trader.reports.jobs import keep_days
from gql_trader.reports.levels import level_of
from gql_trader.reports.types import Day, Level, Scope
from tests.factories.bots import BotDesk, bar_time

BEGIN = datetime(2016, 1, 1, tzinfo=UTC)
YEARS = 10


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
    end = BEGIN + timedelta(days=3652)
    async with bots.runtime.unit_of_work() as uow:
        await uow.session.execute(
            update(TradingSessionRow)
            .where(TradingSessionRow.id == session_id)
            .values(trade_from=BEGIN, started_at=BEGIN)
        )
        rows = 3652 * 24 * 60 // minutes
        await uow.session.execute(
            update(SessionStateRow)
            .where(SessionStateRow.session_id == session_id)
            .values(last_bar_time=to_milliseconds(end), equity=10_000 + rows * 0.01)
        )
        await uow.session.execute(
            text(
                "INSERT INTO session_rollups (session_id, time, equity, profit, fees, trades, wins) "
                "SELECT :session, CAST(:begin AS bigint) + n * CAST(:step AS bigint), "
                "10000 + (n + 1) * 0.01, (n + 1) * 0.01, 0, n + 1, n + 1 FROM generate_series(0, :rows - 1) n"
            ),
            {
                "session": session_id,
                "begin": to_milliseconds(BEGIN),
                "step": minutes * 60_000,
                "rows": rows,
            },
        )
    return session_id


async def test_a_report_reads_a_row_for_each_day_and_session_of_ten_busy_or_quiet_years(
    bots: BotDesk,
) -> None:
    read = []
    for minutes in (60 * 24 * 7, 60):
        session_id = await _session_of_years(bots, minutes)
        async with bots.runtime.unit_of_work() as uow:
            await uow.session.execute(text("ANALYZE session_rollups"))
            accounts = await service.accounts_of(uow, bots.trader.user_id, Scope(session_id=session_id))
            moments = [to_milliseconds(BEGIN) + at * DAY for at in range(1, 1 + 365 * YEARS)]
            explained = _Explained(repository.levels_statement([(accounts, moments)]))
            found: Any = await uow.session.scalar(explained)
            days = await periods.days(uow, accounts, date(2025, 3, 1), date(2025, 3, 31), "Europe/Berlin")
        plan = json.loads(found) if isinstance(found, str) else found
        scans = list(_scans(plan[0]["Plan"]))
        assert {scan["Node Type"] for scan in scans} <= {"Index Scan", "Index Scan Backward"}
        read.append(sum(scan["Actual Rows"] * scan["Actual Loops"] for scan in scans))
    assert read == [365 * YEARS, 365 * YEARS]
    # A day with 24 hours gains 0.24; that of the change to summer time has one hour less.
    assert [day.level.change for day in days[28:]] == [Decimal("0.24"), Decimal("0.23"), Decimal("0.24")]
    assert {day.level.trades for day in days} == {23, 24}


async def test_the_best_day_of_ten_years_is_found_without_a_look_at_its_figures(bots: BotDesk) -> None:
    session_id = await _session_of_years(bots, 60)
    await bots.run((await bots.begin())[1])
    await keep_days(bots.runtime)
    async with bots.runtime.unit_of_work() as uow:
        await uow.session.execute(text("ANALYZE"))
        accounts = await service.accounts_of(uow, bots.trader.user_id, Scope(replays=True))
        kept = await repository_days.kept(uow.session, [each.id for each in accounts], "UTC")
        spans = daily.spans_left(accounts, kept, "UTC", to_milliseconds(uow.clock.now()))
        until = {key: mark.until for key, mark in kept.items()}
        for statement in (
            repository_days.best_and_worst_statement(until, spans, []),
            repository_days.changes_statement(until, spans, -(2**31), 2**31 - 1),
        ):
            found: Any = await uow.session.scalar(_Explained(statement))
            plan = json.loads(found) if isinstance(found, str) else found
            # Where each session stood as its last day began, and as it ended.
            assert sum(scan["Actual Rows"] * scan["Actual Loops"] for scan in _scans(plan[0]["Plan"])) <= 4
        best, worst = await daily.best_and_worst(uow, accounts[:1], "UTC") or (None, None)
    assert accounts[0].id == session_id
    # Every day but the last gained 0.24: the first of equal ones is named.
    assert (best, worst) == (BEGIN.date(), BEGIN.date())


async def test_sessions_from_before_there_were_such_figures_have_the_same_days(
    bots: BotDesk,
) -> None:
    _, session_id = await bots.begin()
    await bots.run(session_id)

    async def days() -> tuple[list[Day], Level]:
        async with bots.runtime.unit_of_work() as uow:
            accounts = await service.accounts_of(uow, bots.trader.user_id, Scope(replays=True))
            found = await periods.days(uow, accounts, date(2024, 1, 20), date(2024, 3, 30), "Asia/Kolkata")
        return found, level_of(accounts)

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
