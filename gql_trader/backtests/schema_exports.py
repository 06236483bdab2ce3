"""Results of backtests as files over signed links."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import fields
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from strawberry.utils.str_converters import to_camel_case

from gql_trader.accounts.service import find_user
from gql_trader.accounts.types import UserStatus
from gql_trader.backtests import repository
from gql_trader.backtests.curves import thinned_equity
from gql_trader.backtests.ledger import SEGMENT_ROWS, decode_segments
from gql_trader.backtests.report import (
    MOST_TRADES,
    ReportData,
    render_report,
    render_trades,
    report_policy,
)
from gql_trader.backtests.schema_types import LedgerEntry, ledger_entries
from gql_trader.backtests.types import RunStatus
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.ids import UserId
from gql_trader.core.money import to_float
from gql_trader.gql.context import Services
from gql_trader.gql.cost import COLUMNS_COST
from gql_trader.gql.csv_export import csv_lines
from gql_trader.gql.downloads import CSV, HTML, PARQUET, Download
from gql_trader.infra.column_codec import decode_columns
from gql_trader.infra.parquet import ROW_GROUP, Columns, parquet_pieces
from gql_trader.market_data.service import market_with_base
from gql_trader.strategies.repository import by_ids as strategies_by_ids

EXPORT_ROUTE = "/exports/backtests/{backtest_id}/{file}"

_LEDGER_COLUMNS = [field.name for field in fields(LedgerEntry)]
_DAILY_COLUMNS = ["time", "equity", "return"]


class ExportFile(StrEnum):
    """A file of a backtest, by its name in the link."""

    DAILY = "daily.csv"
    LEDGER = "ledger.csv"
    EQUITY = "equity.parquet"
    REPORT = "report.html"


class ExportInterrupted(Exception):
    """The backtest was deleted while its file was being sent; ending the answer well would hide it."""


def export_link(services: Services, user_id: UserId, backtest_id: UUID, file: ExportFile) -> str:
    """Return a link to a file of a user's completed backtest, good for some minutes."""
    path = _path(backtest_id, file)
    return f"{services.settings.public_address}{path}?{services.links.sign(path, user_id)}"


def _path(backtest_id: UUID, file: ExportFile) -> str:
    return EXPORT_ROUTE.format(backtest_id=backtest_id, file=file.value)


async def find_export(
    services: Services, path: Mapping[str, str], query: Mapping[str, str]
) -> Download | None:
    """Return the file that a link stands for; None if the link is not good, or what it is for is gone.

    Nothing is read for a link that was not signed here. A user who is no longer active has no files.
    """
    try:
        backtest_id, file = UUID(path["backtest_id"]), ExportFile(path["file"])
    except ValueError:
        return None
    user_id = services.links.verify(_path(backtest_id, file), query)
    if user_id is None:
        return None
    async with services.unit_of_work() as uow:
        user = await find_user(uow, user_id)
        row = await repository.backtest(uow.session, user_id, backtest_id)
    if user is None or user.status is not UserStatus.ACTIVE:
        return None
    if row is None or row.status != RunStatus.COMPLETED.value:
        return None
    name, payer = f"backtest-{backtest_id}-{file.value}", str(user_id)
    match file:
        case ExportFile.LEDGER:
            segments = -(-row.trades // SEGMENT_ROWS)
            pieces = _ledger(services, backtest_id, segments)
            return Download(name, CSV, pieces, payer, COLUMNS_COST * max(segments, 1))
        case ExportFile.DAILY:
            return Download(name, CSV, _daily(services, backtest_id), payer, COLUMNS_COST)
        case ExportFile.EQUITY:
            pieces = parquet_pieces(lambda: _equity(services, row))
            return Download(name, PARQUET, pieces, payer, COLUMNS_COST * -(-row.bars // ROW_GROUP))
        case ExportFile.REPORT:
            segments = -(-min(row.trades, MOST_TRADES) // SEGMENT_ROWS)
            pieces = _report(services, user_id, row, segments)
            cost = COLUMNS_COST * (1 + segments)
            return Download(name, HTML, pieces, payer, cost, policy=await asyncio.to_thread(report_policy))


async def _curve(services: Services, backtest_id: UUID, column: str) -> Columns:
    async with services.unit_of_work() as uow:
        found = await repository.curves(uow.session, [backtest_id], column)
    if backtest_id not in found:
        raise ExportInterrupted(f"the {column} curve of backtest {backtest_id} is gone")
    return await asyncio.to_thread(decode_columns, found[backtest_id])


async def _equity(services: Services, row: Row[Any]) -> Columns:
    curve = await _curve(services, row.id, "equity")
    return await asyncio.to_thread(thinned_equity, curve, to_float(row.initial_capital), None)


async def _report(services: Services, user_id: UserId, row: Row[Any], segments: int) -> AsyncIterator[bytes]:
    async with services.unit_of_work() as uow:
        strategies = await strategies_by_ids(uow.session, user_id, [row.strategy_id], deleted=True)
        market, _ = await market_with_base(uow, row.market_id)
    data = ReportData(
        strategy=strategies[row.strategy_id].name,
        market=market.name,
        quote=market.symbol.partition("/")[2],
        row=row,
        equity=await _curve(services, row.id, "equity"),
        daily=await _curve(services, row.id, "daily"),
    )
    head, tail = await asyncio.to_thread(render_report, data)
    yield head
    capital = to_float(row.initial_capital)
    for number in range(segments):
        stored = await _segment(services, row.id, number)
        yield await asyncio.to_thread(_report_rows, number, stored, capital)
    yield tail


async def _ledger(services: Services, backtest_id: UUID, segments: int) -> AsyncIterator[bytes]:
    yield csv_lines([[to_camel_case(name) for name in _LEDGER_COLUMNS]])
    for number in range(segments):
        yield await asyncio.to_thread(_trades, number, await _segment(services, backtest_id, number))


async def _segment(services: Services, backtest_id: UUID, number: int) -> bytes:
    # A transaction for each segment: none stays open for as long as a slow reader takes.
    async with services.unit_of_work() as uow:
        found = await repository.ledger_segments(uow.session, [(backtest_id, number)])
    if (backtest_id, number) not in found:
        raise ExportInterrupted(f"segment {number} of the ledger of backtest {backtest_id} is gone")
    return found[backtest_id, number]


def _trades(number: int, data: bytes) -> bytes:
    entries = ledger_entries(decode_segments({number: data}))
    return csv_lines([getattr(entry, name) for name in _LEDGER_COLUMNS] for entry in entries)


def _report_rows(number: int, data: bytes, capital: float) -> bytes:
    return render_trades(ledger_entries(decode_segments({number: data})), capital)


async def _daily(services: Services, backtest_id: UUID) -> AsyncIterator[bytes]:
    columns = await _curve(services, backtest_id, "daily")
    yield csv_lines([_DAILY_COLUMNS])
    yield await asyncio.to_thread(_days, columns)


def _days(columns: Columns) -> bytes:
    days = zip(*(columns[name].tolist() for name in _DAILY_COLUMNS), strict=True)
    return csv_lines((from_milliseconds(time), equity, change) for time, equity, change in days)
