"""Columns as a Parquet file, written in pieces."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ROW_GROUP: Final = 100_000
"""Rows that are written, and read back, at once."""

Columns = Mapping[str, NDArray[Any]]


class _Pieces(io.RawIOBase):
    """A file that can only be written, and hands out what was written since the last time."""

    def __init__(self) -> None:
        super().__init__()
        self._written = bytearray()
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        self._written += data
        self._position += len(data)
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


async def parquet_pieces(
    load: Callable[[], Awaitable[Columns]], *, times: str = "time"
) -> AsyncIterator[bytes]:
    """Yield a Parquet file of columns of equal length: a row group after the other, then the footer.

    Parameters
    ----------
    load
        Returns the columns; awaited once, when the first piece is asked for.
    times
        The column that has Unix milliseconds; it becomes timestamps in UTC. The others stay what they are.
    """
    columns = await load()
    # Imported when a file is asked for: it takes a tenth of a second, and most servers never write one.
    writer, sink = await asyncio.to_thread(_begin, columns, times)
    rows = len(next(iter(columns.values())))
    for start in range(0, rows, ROW_GROUP):
        yield await asyncio.to_thread(_write, writer, sink, columns, slice(start, start + ROW_GROUP))
    await asyncio.to_thread(writer.close)
    yield sink.take()


def _begin(columns: Columns, times: str) -> tuple[Any, _Pieces]:
    import pyarrow as pa
    import pyarrow.parquet

    schema = pa.schema(
        [
            pa.field(
                name,
                pa.timestamp("ms", "UTC") if name == times else pa.from_numpy_dtype(column.dtype),
                nullable=False,
            )
            for name, column in columns.items()
        ]
    )
    sink = _Pieces()
    # The stubs ask for the whole interface of files; what is written to needs less.
    file: Any = sink
    return pyarrow.parquet.ParquetWriter(file, schema, compression="zstd"), sink


def _write(writer: Any, sink: _Pieces, columns: Columns, part: slice) -> bytes:
    import pyarrow as pa

    arrays = [
        pa.array(np.ascontiguousarray(columns[field.name][part])).cast(field.type) for field in writer.schema
    ]
    writer.write_table(pa.Table.from_arrays(arrays, schema=writer.schema), row_group_size=ROW_GROUP)
    return sink.take()
