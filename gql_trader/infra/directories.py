"""Directories that nobody else may read."""

from pathlib import Path


def make_private_directory(path: Path) -> None:
    """Make a directory and those above it that are missing, all of them for their owner only.

    `Path.mkdir` gives its mode to the last one alone.
    """
    for missing in reversed([each for each in (path, *path.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
