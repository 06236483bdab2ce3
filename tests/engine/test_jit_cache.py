"""Machine code that is kept is made again when anything changed that it was made from."""

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import pytest

import gql_trader.engine
from gql_trader.engine import jit_cache
from gql_trader.engine.indicators import crossings, recurrences
from gql_trader.engine.search import kernel as search_kernel

CONSTANT = "STEP = 1.0\n"
HELPER = """
from gql_trader.engine.jit import compiled
from gql_trader.engine.tried_constant import (
    STEP,
)

@compiled(allocates=False)
def stepped(x):
    return x + STEP
"""
LOOP = """
from numba import types
from gql_trader.engine import tried_helper
from gql_trader.engine.jit import compiled
from gql_trader.engine.tried_helper import stepped

@compiled(types.float64(types.float64), allocates=False)
def loop(x):
    return 10.0 * stepped(x)
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of more modules of the engine."""
    monkeypatch.setattr(gql_trader.engine, "__path__", [*gql_trader.engine.__path__, str(tmp_path)])
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "tried_constant.py").write_text(CONSTANT)
    (tmp_path / "tried_helper.py").write_text(HELPER)
    (tmp_path / "tried_loop.py").write_text(LOOP)
    # What was compiled to Python's own code is told apart by seconds.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    forget()


def forget() -> None:
    for name in ("constant", "helper", "loop"):
        sys.modules.pop(f"gql_trader.engine.tried_{name}", None)
        vars(gql_trader.engine).pop(f"tried_{name}", None)
    importlib.invalidate_caches()


def started_again() -> ModuleType:
    """Return the loop's module as a new process imports it."""
    forget()
    return importlib.import_module("gql_trader.engine.tried_loop")


def was_kept(module: ModuleType) -> bool:
    hits: int = sum(module.loop.stats.cache_hits.values())
    return hits == 1


def test_a_changed_constant_or_helper_of_another_file_is_noticed(engine: Path) -> None:
    first = started_again()
    assert (first.loop(2.0), was_kept(first)) == (30.0, False)
    again = started_again()
    assert (again.loop(2.0), was_kept(again)) == (30.0, True)

    (engine / "tried_helper.py").write_text(HELPER.replace("x + STEP", "x - STEP"))
    changed = started_again()
    assert (changed.loop(2.0), was_kept(changed)) == (10.0, False)

    # Of a file that only the helper's imports.
    constant = engine / "tried_constant.py"
    constant.write_text(CONSTANT.replace("1.0", "2.0"))
    changed = started_again()
    assert (changed.loop(2.0), was_kept(changed)) == (0.0, False)
    again = started_again()
    assert (again.loop(2.0), was_kept(again)) == (0.0, True)


def test_a_change_of_what_a_loop_does_not_import_is_not_its_business(engine: Path) -> None:
    started_again()
    (engine / "tried_other.py").write_text("STEP = 3.0\n")
    assert was_kept(started_again())
    assert Path(recurrences.__file__) not in jit_cache.sources_of(engine / "tried_loop.py")


def test_the_loops_of_the_engine_are_stamped_with_what_they_import() -> None:
    stamped = {each.name for each in jit_cache.sources_of(Path(crossings.__file__))}
    assert {"crossings.py", "crossing_vectors.py", "vectors.py", "signals.py", "jit.py"} <= stamped
    run: Any = search_kernel.run
    locator = run._cache._impl.locator
    assert isinstance(locator, jit_cache._OfTheEngine)
    assert len(locator.get_source_stamp()) == len(jit_cache.sources_of(Path(search_kernel.__file__)))


def test_loops_outside_of_the_engine_are_kept_as_ever(tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text("import numba\n\n@numba.njit(cache=True)\ndef loop(x):\n    return x\n")
    spec = importlib.util.spec_from_file_location("other", other)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert not isinstance(module.loop._cache._impl.locator, jit_cache._OfTheEngine)


def test_every_import_within_the_engine_is_seen() -> None:
    root = Path(gql_trader.engine.__file__).parent
    for path in root.rglob("*.py"):
        wanted: set[str] = set()
        for each in ast.parse(path.read_text()).body:
            if isinstance(each, ast.ImportFrom):
                assert each.level == 0, f"{path}: {ast.unparse(each)}"
                module = each.module or ""
                if module.partition(".")[0] == "gql_trader":
                    wanted |= {module} | {f"{module}.{name.name}" for name in each.names}
            elif isinstance(each, ast.Import):
                assert not any(name.name.startswith("gql_trader") for name in each.names), path
        _, found = jit_cache._read(path, *jit_cache._state(path))
        assert wanted <= found, path
