"""A local cache of numpy arrays, keyed by content, memory-mapped and shared between processes.

Nothing in it is the only copy: every entry can be had again from the database. That decides the design.
A key names content (a hash of it), so an entry is never stale and two writers of one key write the same
bytes. Files are written under a temporary name and renamed, so that readers see all of an entry or none.
They are not synced to disk: what a power cut leaves half-written fails its checksum, and is made again.
"""

import json
import mmap
import os
import re
import secrets
import struct
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from gql_trader.infra.directories import make_private_directory

_log = structlog.get_logger(__name__)

_MAGIC: Final = b"GTAC"
_FORMAT: Final = 1
_PREFIX: Final = struct.Struct("<4sIQII")  # magic, format, file size, checksum of the rest, header length
_ALIGNMENT: Final = 64
_SUFFIX: Final = ".arrays"
_TEMPORARY: Final = ".part"
_KEY: Final = re.compile(r"[0-9a-z][0-9a-z-]{0,127}")
_ABANDONED_SECONDS: Final = 3600.0
_OPEN_ENTRIES: Final = 32


@dataclass(frozen=True, slots=True)
class CachedArrays:
    """An entry: named read-only arrays, and what was stored about them."""

    arrays: Mapping[str, NDArray[Any]]
    metadata: Mapping[str, Any]


class _DamagedEntryError(Exception):
    """A file of the cache is not what was written."""


class ArrayCache:
    """Arrays on local disk that can be had again from the database.

    Safe to use from several threads and several processes at once.

    Parameters
    ----------
    directory
        Where the files are; made when the first entry is.
    maximum_bytes
        The entries used least recently are removed once all of them together take more than this. An
        entry that is larger by itself is not kept.
    """

    def __init__(self, directory: Path, maximum_bytes: int) -> None:
        self._directory = directory
        self._maximum_bytes = maximum_bytes
        self._open: OrderedDict[str, CachedArrays] = OrderedDict()
        self._lock = threading.Lock()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="array-cache")

    def get(self, key: str) -> CachedArrays | None:
        """Return an entry, or None if it is not there or its file is damaged.

        The checksum is verified when this process first opens the file; after that the open map is
        returned. A damaged file is removed, so that the caller's `put` makes it again.
        """
        path = self._path(key)
        with self._lock:
            entry = self._open.get(key)
            if entry is not None:
                self._open.move_to_end(key)
        if entry is None:
            try:
                entry = _map(path, verify=True)
            except FileNotFoundError:
                return None
            except _DamagedEntryError as error:
                _log.warning("cache_entry_damaged", key=key, reason=str(error))
                path.unlink(missing_ok=True)
                return None
            self._remember(key, entry)
        # The modification time is the time of last use, for the eviction by whichever process does it.
        with suppress(FileNotFoundError):
            os.utime(path)
        return entry

    def put(
        self, key: str, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any] | None = None
    ) -> CachedArrays:
        """Store an entry and return it as `get` would.

        Parameters
        ----------
        key
            Names the content: lower-case letters, digits and hyphens. Never used for anything else.
        arrays
            One-dimensional arrays by name.
        metadata
            JSON values to keep with them.

        Notes
        -----
        The file is written by a thread of its own, so that the caller goes on at once; until then the
        entry shares the memory of the arrays given, which must not change. Where the disk is full or not
        writable a warning is logged: a cache that cannot store makes things slower, not wrong.
        """
        path = self._path(key)
        columns = {name: np.ascontiguousarray(column).view() for name, column in arrays.items()}
        entry = CachedArrays(columns, dict(metadata or {}))
        size = _layout(columns, entry.metadata)[2]
        for column in columns.values():
            column.flags.writeable = False
        if size <= self._maximum_bytes:
            self._remember(key, entry)
            # After `close` there is nothing to write for.
            with suppress(RuntimeError):
                self._writer.submit(self._store, key, path, entry)
        return entry

    def flush(self) -> None:
        """Wait until every entry that was put is in its file."""
        self._writer.submit(int).result()

    def close(self) -> None:
        """Finish writing and stop; entries already handed out stay valid."""
        self._writer.shutdown(wait=True)

    def size(self) -> int:
        """Return the bytes that all entries take on disk."""
        return sum(size for _, size, _ in self._files())

    def _store(self, key: str, path: Path, entry: CachedArrays) -> None:
        try:
            make_private_directory(self._directory)
            _write(path, entry.arrays, entry.metadata)
            # From now on the pages are the system's to share and to drop, not this process's memory.
            self._remember(key, _map(path, verify=False))
            self._evict(keep=path)
        except (OSError, _DamagedEntryError) as error:
            self._forget(key)
            _log.warning("cache_entry_not_stored", key=key, reason=str(error))

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"not a cache key: {key!r}")
        return self._directory / f"{key}{_SUFFIX}"

    def _remember(self, key: str, entry: CachedArrays) -> None:
        with self._lock:
            self._open[key] = entry
            self._open.move_to_end(key)
            # An entry that is dropped here stays mapped as long as somebody holds one of its arrays.
            while len(self._open) > _OPEN_ENTRIES:
                self._open.popitem(last=False)

    def _forget(self, key: str) -> None:
        with self._lock:
            self._open.pop(key, None)

    def _files(self) -> list[tuple[float, int, Path]]:
        found: list[tuple[float, int, Path]] = []
        with suppress(FileNotFoundError), os.scandir(self._directory) as files:
            for file in files:
                # Another process may remove files while this one looks.
                with suppress(FileNotFoundError):
                    if file.name.endswith(_SUFFIX):
                        status = file.stat()
                        found.append((status.st_mtime, status.st_size, Path(file.path)))
                    elif file.name.endswith(_TEMPORARY):
                        self._remove_abandoned(Path(file.path), file.stat().st_mtime)
        return sorted(found)

    def _remove_abandoned(self, path: Path, modified: float) -> None:
        # A writer that was killed leaves its temporary file; no write takes anywhere near this long.
        if time.time() - modified > _ABANDONED_SECONDS:
            path.unlink(missing_ok=True)

    def _evict(self, keep: Path) -> None:
        files = self._files()
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self._maximum_bytes:
                return
            if path != keep:
                # Maps of a removed file stay valid; where the system forbids removing it, it stays.
                with suppress(PermissionError):
                    path.unlink(missing_ok=True)
                    total -= size
                self._forget(path.name.removesuffix(_SUFFIX))


def _layout(columns: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> tuple[bytes, list[int], int]:
    described = []
    for name, column in columns.items():
        if column.ndim != 1 or column.dtype.hasobject:
            raise TypeError(f"array {name!r} must be one-dimensional and without Python objects")
        described.append({"name": name, "type": column.dtype.str, "n": len(column)})
    header = json.dumps({"arrays": described, "metadata": dict(metadata)}, separators=(",", ":")).encode()
    offsets = []
    position = _PREFIX.size + len(header)
    for column in columns.values():
        position = _aligned(position)
        offsets.append(position)
        position += column.nbytes
    return header, offsets, position


def _aligned(position: int) -> int:
    return -(-position // _ALIGNMENT) * _ALIGNMENT


def _write(path: Path, columns: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> None:
    header, offsets, size = _layout(columns, metadata)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}{_TEMPORARY}")
    try:
        with temporary.open("xb") as file:
            file.write(bytes(_PREFIX.size))
            checksum = zlib.crc32(header)
            file.write(header)
            for column, offset in zip(columns.values(), offsets, strict=True):
                padding = bytes(offset - file.tell())
                content = column.view(np.uint8).data
                checksum = zlib.crc32(content, zlib.crc32(padding, checksum))
                file.write(padding)
                file.write(content)
            file.seek(0)
            file.write(_PREFIX.pack(_MAGIC, _FORMAT, size, checksum, len(header)))
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _map(path: Path, *, verify: bool) -> CachedArrays:
    with path.open("rb") as file:
        actual = os.fstat(file.fileno()).st_size
        if actual < _PREFIX.size:
            raise _DamagedEntryError(f"{actual} bytes are too few")
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    view = memoryview(content)
    magic, version, size, checksum, header_length = _PREFIX.unpack_from(view)
    if magic != _MAGIC or version != _FORMAT:
        raise _DamagedEntryError("not an entry of this format")
    if size != actual:
        raise _DamagedEntryError(f"{actual} bytes of {size}")
    if verify and zlib.crc32(view[_PREFIX.size :]) != checksum:
        raise _DamagedEntryError("the checksum does not match")
    header = json.loads(bytes(view[_PREFIX.size : _PREFIX.size + header_length]))
    arrays: dict[str, NDArray[Any]] = {}
    position = _PREFIX.size + header_length
    for described in header["arrays"]:
        position = _aligned(position)
        dtype, n = np.dtype(described["type"]), described["n"]
        # An empty map cannot be viewed; everything else is a view of the file, nothing is copied.
        column = np.frombuffer(content, dtype, n, position) if n else np.empty(0, dtype)
        arrays[described["name"]] = column
        position += column.nbytes
    return CachedArrays(arrays, header["metadata"])
