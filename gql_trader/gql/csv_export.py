"""Tables as CSV (RFC 4180) that no spreadsheet takes for formulas, downloaded over signed links."""

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from math import isfinite

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from gql_trader.core.errors import RateLimited
from gql_trader.gql.access_log import access_record
from gql_trader.gql.context import Services
from gql_trader.gql.scalars import format_datetime, format_decimal

# What makes a formula of a cell, in one program or another; some pass over blanks before it.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

# The link is a credential, and the file somebody's own: neither is to be kept on the way.
_HEADERS = {"cache-control": "private, no-store"}

Cell = str | int | float | Decimal | datetime | Enum | None


def csv_cell(value: Cell) -> str:
    """Return a value as a cell shows it: as the API writes it, or empty for null and NaN.

    Text that a spreadsheet would take for a formula gets an apostrophe before it. Numbers stay numbers.
    """
    match value:
        case None:
            return ""
        case Enum():
            return _harmless(value.name)
        case str():
            return _harmless(value)
        case Decimal():
            return format_decimal(value)
        case datetime():
            return format_datetime(value)
        case float():
            return repr(value) if isfinite(value) else ""
        case _:
            return str(value)


def _harmless(text: str) -> str:
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULAS) else text


def csv_lines(rows: Iterable[Sequence[Cell]]) -> bytes:
    """Return rows as lines of UTF-8, each ended by CR LF."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([csv_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A file to send.

    Attributes
    ----------
    name
        What it is called where it is saved; letters, digits, hyphens and dots.
    pieces
        Its content; not more than a piece or two is in memory at a time.
    payer
        Whose it is: the id of the user whose budget of points it is paid from.
    cost
        How many points it costs.
    """

    name: str
    pieces: AsyncIterator[bytes]
    payer: str
    cost: int


FindFile = Callable[[Services, Mapping[str, str], Mapping[str, str]], Awaitable[CsvFile | None]]
"""Finds the file that a link stands for, by the parameters of its path and of its query; None if the link
is not good, or what it is for is gone."""


def csv_endpoint(
    services: Callable[[], Services], find: FindFile
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that sends files to whoever has a good link.

    It answers 404 to every other link, whatever is wrong with it, and 429 when the budget of points of the
    link's user is spent.
    """

    async def answer(request: Request) -> Response:
        running = services()
        file = await find(running, request.path_params, request.query_params)
        if file is None:
            return JSONResponse({"error": "There is no such file, or the link has expired."}, 404, _HEADERS)
        access_record(request.scope).user_id = file.payer
        try:
            await running.budget.spend(file.payer, file.cost)
        except RateLimited as error:
            waiting = {"retry-after": str(error.retry_after_seconds)}
            return JSONResponse({"error": str(error)}, 429, _HEADERS | waiting)
        headers = _HEADERS | {"content-disposition": f'attachment; filename="{file.name}"'}
        if request.method == "HEAD":
            return Response(media_type="text/csv", headers=headers)
        return StreamingResponse(file.pieces, media_type="text/csv", headers=headers)

    return answer
