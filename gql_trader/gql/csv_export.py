"""Tables as CSV (RFC 4180) that no spreadsheet takes for formulas."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from math import isfinite

from gql_trader.gql.scalars import format_datetime, format_decimal

# What makes a formula of a cell, in one program or another; some pass over blanks before it. Where decimals
# have commas, spreadsheets take semicolons for the ends of cells, and see no quotes but where a line begins.
_FORMULAS = re.compile(r"(?:^|(?<=;))(?= *[=+\-@\t\r\n＝＋－＠])")

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
    return _FORMULAS.sub("'", text)


def csv_lines(rows: Iterable[Sequence[Cell]]) -> bytes:
    """Return rows as lines of UTF-8, each ended by CR LF."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([csv_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()
