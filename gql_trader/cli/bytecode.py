"""Bytecode of our own and foreign modules: without it every start takes twice as long.

Neither uv nor an image that sets PYTHONDONTWRITEBYTECODE leaves any. Writing it makes a start slower still,
so a first start goes without, and a process of low priority writes it afterwards.
"""

import importlib.util
import sys
from pathlib import Path

from gql_trader import __version__
from gql_trader.infra.embedded import Child, spawn

_DONT_WRITE = "PYTHONDONTWRITEBYTECODE"
_PREFIX = "PYTHONPYCACHEPREFIX"
_PROGRAM = "import os; os.nice(19); import alembic.command, gql_trader.cli.serve, gql_trader.cli.worker"
# If the largest package has bytecode, the installation has been compiled.
_LARGEST = "sqlalchemy"


class Bytecode:
    """Whether there is bytecode, and where it goes.

    Parameters
    ----------
    directory
        Where it is kept if it must not be written beside the sources.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._is_installed = _has_bytecode(_LARGEST)
        self._stamp = directory / "complete"
        self._release = f"{__version__} {sys.version} {sys.prefix}"
        self.is_missing = not self._is_installed and not self._is_complete()

    def environment(self, *, in_a_hurry: bool) -> dict[str, str]:
        """Return what a child's environment needs; one in a hurry writes nothing that is missing."""
        if self._is_installed:
            return {}
        variables = {_PREFIX: str(self._directory)} if sys.dont_write_bytecode else {}
        variables[_DONT_WRITE] = "1" if in_a_hurry and self.is_missing else ""
        return variables

    def start_writing(self, environment: dict[str, str], log: Path) -> Child:
        """Start a child that writes what is missing; call `finish` when it has ended."""
        return spawn("bytecode", [sys.executable, "-c", _PROGRAM], log=log, environment=environment)

    def finish(self, child: Child) -> None:
        """Remember that everything is written, if it is."""
        if child.exit_code == 0 and self._directory.is_dir():
            self._stamp.write_text(self._release)

    def _is_complete(self) -> bool:
        return self._stamp.exists() and self._stamp.read_text() == self._release


def _has_bytecode(package: str) -> bool:
    spec = importlib.util.find_spec(package)
    return spec is not None and spec.cached is not None and Path(spec.cached).exists()
