"""Candle files: CSV, Parquet and Arrow/Feather, read and written as whole columns."""

import csv
import io
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
from numpy.typing import NDArray

from gql_trader.core.errors import InvalidInput
from gql_trader.engine.bars import Bars, Floats
from gql_trader.market_data.incoming.raw_candles import PRICES, UNREADABLE, RawCandles
from gql_trader.market_data.incoming.timestamps import times_of_column

# The stubs' overloads cannot follow columns whose type is known at run time only.
pc: Any = pyarrow.compute
Column = Any

_TIME_NAMES: Final = (
    "open_time", "opentime", "timestamp", "unix", "unix_timestamp", "unix_time", "datetime", "date_time",
    "date", "time", "gmt_time", "start_time", "start", "ts", "t", "index_level_0", "index",
)  # fmt: skip
_PRICE_NAMES: Final = {name: (name, f"{name}_price", f"price_{name}", name[0]) for name in PRICES}
_VOLUME_NAMES: Final = ("volume", "vol", "base_volume", "volume_base", "v", "qty", "quantity")
# What `_unique` adds to a name that is there already.
_UNIQUE: Final = re.compile(r" #\d+$")
_HEADER_LINES: Final = 30
_HEAD_BYTES: Final = 65_536


def read_candles(path: Path, base: str) -> RawCandles:
    """Return the candles in a file, whose kind is told by its ending.

    Columns are found by name, ignoring case and punctuation; columns of other names are left alone. The
    volume is that of the base currency where the file names it (``volume_btc``), else ``volume``.

    Parameters
    ----------
    base
        Symbol of the base asset.

    Raises
    ------
    InvalidInput
        If the file is missing, unreadable or of an unknown kind, or lacks a column.
    """
    readers = {
        ".csv": _read_csv,
        ".txt": _read_csv,
        ".parquet": _read_parquet,
        ".pq": _read_parquet,
        ".feather": _read_feather,
        ".arrow": _read_feather,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InvalidInput(f"{path.name}: candles are read from {', '.join(readers)} files.", ("file",))
    try:
        return reader(path, base)
    except FileNotFoundError as error:
        raise InvalidInput(f"There is no file {path}.", ("file",)) from error
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path.name} cannot be read: {error}", ("file",)) from error


def write_candles(path: Path, bars: Bars) -> None:
    """Write candles to a CSV, Parquet or Feather file, so that importing it gives the same candles.

    Times are written in UTC; numbers in the shortest form that reads back to the same float64. The file
    appears when it is complete, replacing one of the same name.

    Raises
    ------
    InvalidInput
        If the ending is none of them.
    """
    time: Column = pa.array(bars.time, pa.int64()).cast(pa.timestamp("ms", "UTC"))
    suffix = path.suffix.lower()
    if suffix == ".csv":
        time = pc.strftime(time, "%Y-%m-%dT%H:%M:%SZ")
    columns = {name: pa.array(getattr(bars, name)) for name in (*PRICES, "volume")}
    table = pa.table({"time": time, **columns})
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        match suffix:
            case ".csv":
                pyarrow.csv.write_csv(table, temporary, pyarrow.csv.WriteOptions(quoting_style="none"))
            case ".parquet" | ".pq":
                pyarrow.parquet.write_table(table, temporary, compression="zstd")
            case ".feather" | ".arrow":
                pyarrow.feather.write_feather(table, str(temporary), compression="zstd")
            case _:
                known = ".csv, .parquet or .feather"
                raise InvalidInput(f"{path.name}: candles are written to {known} files.", ("file",))
        os.replace(temporary, path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error}", ("file",)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _read_parquet(path: Path, base: str) -> RawCandles:
    return _from_table(pyarrow.parquet.read_table(path), base, path.name)


def _read_feather(path: Path, base: str) -> RawCandles:
    return _from_table(pyarrow.feather.read_table(str(path)), base, path.name)


def _from_table(table: pa.Table, base: str, file: str) -> RawCandles:
    names, notes = _find_columns(table.column_names, base, file)
    return _candles(table, names, np.arange(1, table.num_rows + 1), (), notes)


def _read_csv(path: Path, base: str) -> RawCandles:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES).decode("utf-8-sig", errors="replace")
    line, delimiter, header = _find_header(head, path.name)
    names, notes = _find_columns(header, base, path.name)
    malformed: list[tuple[int, str]] = []

    def note(row: pyarrow.csv.InvalidRow) -> Literal["skip", "error"]:
        fields = f"{row.actual_columns} fields, {row.expected_columns} in the header"
        malformed.append((row.number or 0, fields))
        return "skip"

    table = pyarrow.csv.read_csv(
        path,
        # One thread, so that rows have numbers; blank lines are kept for the same reason.
        read_options=pyarrow.csv.ReadOptions(use_threads=False, skip_rows=line, column_names=header),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=delimiter, ignore_empty_lines=False, invalid_row_handler=note
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=list(names.values()), column_types=dict.fromkeys(names.values(), pa.string())
        ),
    )
    numbers = np.arange(line + 1, line + 1 + table.num_rows + len(malformed))
    numbers = numbers[~np.isin(numbers, [number for number, _ in malformed])]
    texts = {
        name: pc.fill_null(pc.utf8_trim_whitespace(table[name].combine_chunks()), "")
        for name in names.values()
    }
    blank = np.ones(table.num_rows, np.bool_)
    for column in texts.values():
        blank &= pc.equal(column, "").to_numpy(zero_copy_only=False)
    if blank.any():
        keep = pa.array(~blank)
        texts = {name: column.filter(keep) for name, column in texts.items()}
        numbers = numbers[~blank]
    return _candles(pa.table(texts), names, numbers, malformed, notes)


def _find_header(head: str, file: str) -> tuple[int, str, list[str]]:
    """Return how many lines end with the header, the delimiter, and the names of the columns."""
    lines = head.splitlines()[:_HEADER_LINES]
    for number, line in enumerate(lines, start=1):
        for delimiter in ",;\t|":
            header = [name.strip() for name in next(csv.reader(io.StringIO(line), delimiter=delimiter), [])]
            normal = {_normal(name) for name in header}
            if all(not normal.isdisjoint(_PRICE_NAMES[price]) for price in PRICES):
                return number, delimiter, _unique(header)
    shown = lines[0][:120] if lines else ""
    raise InvalidInput(
        f"{file} has no header line that names open, high, low and close; it begins with {shown!r}.",
        ("file",),
    )


def _unique(header: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    names = []
    for name in header:
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return names


def _normal(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _find_columns(header: Sequence[str], base: str, file: str) -> tuple[dict[str, str], list[str]]:
    """Return the name of the column for each role, and which others would have done."""
    by_name: dict[str, list[str]] = {}
    for name in header:
        by_name.setdefault(_normal(_UNIQUE.sub("", name)), []).append(name)
    symbol = base.lower()
    wanted = {
        "time": _TIME_NAMES,
        **_PRICE_NAMES,
        "volume": (f"volume_{symbol}", f"{symbol}_volume", f"vol_{symbol}", *_VOLUME_NAMES),
    }
    found, notes = {}, []
    for column, candidates in wanted.items():
        matches = [by_name[each] for each in candidates if each in by_name]
        if not matches:
            raise InvalidInput(
                f"{file} has no column for {column} (such as {column!r}); it has {', '.join(header)}.",
                ("file",),
            )
        (chosen, *same), *others = matches
        if same:
            raise InvalidInput(
                f"{file} has {len(same) + 1} columns {_UNIQUE.sub('', chosen)!r}: leave one for {column}.",
                ("file",),
            )
        if others:
            left = ", ".join(repr(name) for names in others for name in names)
            notes.append(f"{column} is read from {chosen!r}, not from {left}")
        found[column] = chosen
    return found, notes


def _candles(
    table: pa.Table,
    names: dict[str, str],
    rows: NDArray[np.int64],
    malformed: Sequence[tuple[int, str]],
    notes: Sequence[str],
) -> RawCandles:
    columns = {column: table[name].combine_chunks() for column, name in names.items()}
    times = columns.pop("time")
    return RawCandles(
        row=rows.astype(np.int64),
        time=times_of_column(times),
        **{name: _floats(column) for name, column in columns.items()},
        malformed=malformed,
        written_times=times,
        notes=notes,
    )


def _floats(column: Column) -> Floats:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        try:
            column = column.cast(pa.float64())
        except pa.ArrowInvalid:
            number = pc.match_substring_regex(column, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
            column = pc.if_else(number, column, None).cast(pa.float64())
    return np.array(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


__all__ = ["PRICES", "UNREADABLE", "RawCandles", "read_candles", "write_candles"]
