"""Where machine code is kept, made to notice changes of everything that it was made from.

Numba keeps a loop's machine code as long as the file that the loop is in stays the same. Helpers and
constants from other files are in it, too, and changes of these would go unnoticed. So the code of the
engine's loops is stamped with the contents of all files of the house that theirs imports, and that those
import.
"""

import re
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from numba import config
from numba.core.caching import InTreeCacheLocator, UserProvidedCacheLocator, UserWideCacheLocator

_SETTINGS: Any = config
_ENGINE = __name__.rpartition(".")[0]
_HOUSE = _ENGINE.partition(".")[0]
_IMPORTS = re.compile(rf"^from ({_HOUSE}(?:\.\w+)*) import (\([^)]*\)|.*)", re.MULTILINE)
"""The way in which the engine imports; a test looks for any other."""


def sources_of(path: Path) -> frozenset[Path]:
    """Return a file and all files of the house that are imported for it.

    Only what has been imported counts: a module's imports have been when its loops are compiled.
    """
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += _imported_by(each)
    return frozenset(found)


def _imported_by(path: Path) -> list[Path]:
    _, imported = _read(path, *_state(path))
    modules = (sys.modules.get(name) for name in imported)
    return [Path(each.__file__) for each in modules if each is not None and each.__file__ is not None]


def _state(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_mtime_ns, state.st_size


@cache
def _read(path: Path, modified: int, size: int) -> tuple[str, frozenset[str]]:
    """Return the digest of a file and what may be the modules that it imports; read again once it changed."""
    source = path.read_bytes()
    names: set[str] = set()
    for module, taken in _IMPORTS.findall(source.decode()):
        names |= {module} | {f"{module}.{name}" for name in re.findall(r"\w+", taken)}
    return sha256(source).hexdigest(), frozenset(names)


class _OfTheEngine:
    """Where the machine code of the engine's loops is kept; of no others."""

    _py_file: str

    @classmethod
    def from_function(cls, function: Any, file: str) -> Any:
        if not function.__module__.startswith(f"{_ENGINE}."):
            return None
        return super().from_function(function, file)  # type: ignore[misc]

    def get_source_stamp(self) -> tuple[str, ...]:
        sources = sorted(sources_of(Path(self._py_file)))
        return tuple(_read(each, *_state(each))[0] for each in sources)


class InCacheDirectory(_OfTheEngine, UserProvidedCacheLocator):
    """In the directory that NUMBA_CACHE_DIR names."""


class NextToSource(_OfTheEngine, InTreeCacheLocator):
    """Where Python keeps what it compiles."""


class InHome(_OfTheEngine, UserWideCacheLocator):
    """Among the user's caches."""


def use() -> None:
    """Tell numba; loops outside of the engine are kept as before."""
    ours = [f"{__name__}.{each.__name__}" for each in (InCacheDirectory, NextToSource, InHome)]
    default = (UserProvidedCacheLocator, InTreeCacheLocator, UserWideCacheLocator)
    others = _SETTINGS.CACHE_LOCATOR_CLASSES or ",".join(each.__name__ for each in default)
    _SETTINGS.CACHE_LOCATOR_CLASSES = ",".join([*ours, others])
