"""A local cache of numpy arrays, keyed by content, memory-mapped and shared between processes."""

from pathlib import Path


class ArrayCache:
    """Arrays on local disk that can be had again from the database."""

    def __init__(self, directory: Path, maximum_bytes: int) -> None: ...
