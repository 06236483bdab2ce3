"""Results of backtests as CSV files over signed links."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import fields
from enum import StrEnum
from uuid import UUID

from strawberry.utils.str_converters import to_camel_case

from gql_trader.accounts.service import find_user
from gql_trader.accounts.types import UserStatus
from gql_trader.backtests import repository
from gql_trader.backtests.ledger import SEGMENT_ROWS, decode_segments
from gql_trader.backtests.schema_types import LedgerEntry, ledger_entries
from gql_trader.backtests.types import RunStatus
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.ids import UserId
from gql_trader.gql.context import Services
from gql_trader.gql.cost import COLUMNS_COST
from gql_trader.gql.csv_export import CsvFile, csv_lines
from gql_trader.infra.column_codec import decode_columns

EXPORT_ROUTE = "/exports/backtests/{backtest_id}/{kind}.csv"

_LEDGER_COLUMNS = [field.name for field in fields(LedgerEntry)]
_DAILY_COLUMNS = ["time", "equity", "return"]


class ExportKind(StrEnum):
    """A file of a backtest."""

    DAILY = "daily"
    LEDGER = "ledger"


class ExportInterrupted(Exception):
    """The backtest was deleted while its file was being sent; ending the answer well would hide it."""


def export_link(services: Services, user_id: UserId, backtest_id: UUID, kind: ExportKind) -> str:
    """Return a link to a file of a user's completed backtest, good for some minutes."""
    path = _path(backtest_id, kind)
    return f"{services.settings.public_address}{path}?{services.links.sign(path, user_id)}"


def _path(backtest_id: UUID, kind: ExportKind) -> str:
    return EXPORT_ROUTE.format(backtest_id=backtest_id, kind=kind.value)


async def find_export(
    services: Services, path: Mapping[str, str], query: Mapping[str, str]
) -> CsvFile | None:
    """Return the file that a link stands for; None if the link is not good, or what it is for is gone.

    Nothing is read for a link that was not signed here. A user who is no longer active has no files.
    """
    try:
        backtest_id, kind = UUID(path["backtest_id"]), ExportKind(path["kind"])
    except ValueError:
        return None
    user_id = services.links.verify(_path(backtest_id, kind), query)
    if user_id is None:
        return None
    async with services.unit_of_work() as uow:
        user = await find_user(uow, user_id)
        row = await repository.backtest(uow.session, user_id, backtest_id)
        if user is None or user.status is not UserStatus.ACTIVE:
            return None
        if row is None or row.status != RunStatus.COMPLETED.value:
            return None
        if kind is ExportKind.DAILY:
            curves = await repository.curves(uow.session, [backtest_id], "daily")
    name = f"backtest-{backtest_id}-{kind.value}.csv"
    if kind is ExportKind.LEDGER:
        segments = -(-row.trades // SEGMENT_ROWS)
        pieces = _ledger(services, backtest_id, segments)
        return CsvFile(name, pieces, str(user_id), COLUMNS_COST * max(segments, 1))
    if backtest_id not in curves:
        return None
    return CsvFile(name, _daily(curves[backtest_id]), str(user_id), COLUMNS_COST)


async def _ledger(services: Services, backtest_id: UUID, segments: int) -> AsyncIterator[bytes]:
    yield csv_lines([[to_camel_case(name) for name in _LEDGER_COLUMNS]])
    for number in range(segments):
        # A transaction for each segment: none stays open for as long as a slow reader takes.
        async with services.unit_of_work() as uow:
            found = await repository.ledger_segments(uow.session, [(backtest_id, number)])
        data = found.get((backtest_id, number))
        if data is None:
            raise ExportInterrupted(f"segment {number} of the ledger of backtest {backtest_id} is gone")
        yield await asyncio.to_thread(_trades, number, data)


def _trades(number: int, data: bytes) -> bytes:
    entries = ledger_entries(decode_segments({number: data}))
    return csv_lines([getattr(entry, name) for name in _LEDGER_COLUMNS] for entry in entries)


async def _daily(data: bytes) -> AsyncIterator[bytes]:
    yield csv_lines([_DAILY_COLUMNS])
    yield await asyncio.to_thread(_days, data)


def _days(data: bytes) -> bytes:
    columns = decode_columns(data)
    days = zip(*(columns[name].tolist() for name in _DAILY_COLUMNS), strict=True)
    return csv_lines((from_milliseconds(time), equity, change) for time, equity, change in days)
