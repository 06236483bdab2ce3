"""Parquet files in pieces: every number as it was, a row group at a time."""

import io

import numpy as np
import pyarrow.parquet

from gql_trader.infra.parquet import ROW_GROUP, Columns, parquet_pieces


async def _written(columns: Columns) -> list[bytes]:
    async def load() -> Columns:
        return columns

    return [piece async for piece in parquet_pieces(load)]


async def test_a_file_comes_a_row_group_at_a_time_and_holds_every_bit() -> None:
    rows = 2 * ROW_GROUP + 1
    columns = {
        "time": np.arange(rows, dtype=np.int64) * 60_000,
        "value": np.random.default_rng(1).normal(size=rows),
    }
    pieces = await _written(columns)
    # One for each row group, then the footer, which is small.
    assert len(pieces) == 4
    assert len(pieces[-1]) < 2000 < len(pieces[0])
    file = pyarrow.parquet.ParquetFile(io.BytesIO(b"".join(pieces)))
    assert [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)] == [
        ROW_GROUP,
        ROW_GROUP,
        1,
    ]
    table = file.read()
    assert [(field.name, str(field.type)) for field in table.schema] == [
        ("time", "timestamp[ms, tz=UTC]"),
        ("value", "double"),
    ]
    assert np.array_equal(table["time"].cast(pyarrow.int64()).to_numpy(), columns["time"])
    assert table["value"].to_numpy().tobytes() == columns["value"].tobytes()


async def test_a_file_without_rows_still_names_its_columns() -> None:
    pieces = await _written({"time": np.zeros(0, np.int64), "value": np.zeros(0)})
    table = pyarrow.parquet.read_table(io.BytesIO(b"".join(pieces)))
    assert (table.column_names, table.num_rows) == (["time", "value"], 0)
