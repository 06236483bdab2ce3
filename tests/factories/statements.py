"""Counting SQL statements: a page of ten must cost as many as a page of a hundred."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine


@contextmanager
def counted_statements(engine: AsyncEngine) -> Iterator[list[str]]:
    """Collect the statements that are executed inside the block."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)


@contextmanager
def executed_statements(engine: AsyncEngine) -> Iterator[list[tuple[str, Any]]]:
    """Collect the statements that are executed inside the block, with their parameters."""
    found: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        found.append((statement, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)


async def rows_read(engine: AsyncEngine, executed: Sequence[tuple[str, Any]], *, writes: bool = False) -> int:
    """Return how many rows of tables the database looks at for queries: those that it drops, too.

    With ``writes`` also for what they write, which is undone.
    """
    read = 0
    async with engine.connect() as connection:
        for statement, parameters in executed:
            if writes or statement.lstrip("( ").startswith(("SELECT", "WITH")):
                explained = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
                found: Any = (await connection.exec_driver_sql(explained, parameters)).scalar()
                plan = json.loads(found) if isinstance(found, str) else found
                read += sum(_rows(scan) for scan in _scans(plan[0]["Plan"]))
    return read


def _scans(plan: Any) -> Iterator[Any]:
    if "Relation Name" in plan:
        yield plan
    for part in plan.get("Plans", ()):
        yield from _scans(part)


def _rows(scan: Any) -> int:
    dropped = sum(scan.get(f"Rows Removed by {name}", 0) for name in ("Filter", "Index Recheck"))
    return int((scan["Actual Rows"] + dropped) * scan["Actual Loops"])
