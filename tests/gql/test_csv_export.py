"""Cells of a CSV file: exact, and harmless in a spreadsheet."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from gql_trader.engine.execution import Side
from gql_trader.gql.csv_export import Cell, csv_cell, csv_lines


@pytest.mark.parametrize(
    "text",
    [
        "=HYPERLINK(1)",
        "+1",
        "-1",
        "@SUM(1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =1",
        "＝1",
        "=cmd|' /C calc'!A0",
    ],
)
def test_text_that_could_be_a_formula_begins_with_an_apostrophe(text: str) -> None:
    assert csv_cell(text) == f"'{text}"
    [[read]] = csv.reader(io.StringIO(csv_lines([[text]]).decode(), newline=""))
    assert read == f"'{text}"


@pytest.mark.parametrize(
    ("text", "cell"),
    [("x;=1+1", "x;'=1+1"), ("x; @SUM(1);-1", "x;' @SUM(1);'-1"), (";+1", ";'+1"), ("a; b = c", "a; b = c")],
)
def test_nor_is_a_formula_what_comes_after_a_semicolon(text: str, cell: str) -> None:
    # A spreadsheet for which semicolons end cells does not heed quotes in the middle of a line.
    assert csv_cell(text) == cell


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (Decimal("-12.50000000"), "-12.5"),
        (Decimal("1E-10"), "0.0000000001"),
        (Decimal("100"), "100"),
        (-3, "-3"),
        (-0.25, "-0.25"),
        (0.1 + 0.2, "0.30000000000000004"),
        (float("nan"), ""),
        (None, ""),
        (Side.SHORT, "SHORT"),
        (datetime(2026, 1, 31, 9, 30, tzinfo=UTC), "2026-01-31T09:30:00.000Z"),
        ("plain text", "plain text"),
        ("1 = 1", "1 = 1"),
    ],
)
def test_numbers_stay_numbers_and_what_is_undefined_is_empty(value: Cell, cell: str) -> None:
    assert csv_cell(value) == cell


def test_commas_quotes_and_line_breaks_stay_inside_their_cell() -> None:
    row = ['a "b", c', "d\r\ne", "ü"]
    content = csv_lines([row, ["1", "2", "3"]])
    assert content.endswith(b"\r\n1,2,3\r\n")
    assert list(csv.reader(io.StringIO(content.decode(), newline=""))) == [row, ["1", "2", "3"]]
