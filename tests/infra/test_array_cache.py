"""The array cache never returns anything but what was put, whoever else uses or damages its directory."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gql_trader.infra.array_cache import ArrayCache

MEBIBYTE = 1 << 20


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "arrays"


@pytest.fixture
def cache(directory: Path) -> Iterator[ArrayCache]:
    opened = ArrayCache(directory, 64 * MEBIBYTE)
    yield opened
    opened.close()


def columns(seed: int = 0, n: int = 1000) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    price = random.random(n)
    return {"time": np.arange(n), "price": price, "flag": price > 0.5, "none": np.empty(0)}


def reopened(directory: Path) -> ArrayCache:
    return ArrayCache(directory, 64 * MEBIBYTE)


def assert_equal(found: object, expected: dict[str, np.ndarray]) -> None:
    assert list(found) == list(expected)  # type: ignore[call-overload]
    for name, column in expected.items():
        assert found[name].dtype == column.dtype  # type: ignore[index]
        assert found[name].tobytes() == column.tobytes()  # type: ignore[index]


def test_an_entry_comes_back_in_this_and_in_a_later_process(cache: ArrayCache, directory: Path) -> None:
    put = cache.put("one", columns(), {"months": [[1, "ab"]]})
    cache.flush()
    for entry in (put, cache.get("one"), reopened(directory).get("one")):
        assert entry is not None
        assert_equal(entry.arrays, columns())
        assert entry.metadata == {"months": [[1, "ab"]]}


def test_an_unknown_key_is_none(cache: ArrayCache) -> None:
    assert cache.get("nothing") is None


def test_arrays_are_read_only_and_aligned_for_the_engine(cache: ArrayCache, directory: Path) -> None:
    own = columns()
    put = cache.put("one", own)
    cache.flush()
    mapped = reopened(directory).get("one")
    assert mapped is not None
    for entry in (put, mapped):
        with pytest.raises(ValueError, match="read-only"):
            entry.arrays["price"][0] = 1.0
    assert all(column.ctypes.data % 64 == 0 for name, column in mapped.arrays.items() if name != "none")
    own["price"][0] = 2.0  # the caller's own array stays the caller's


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "foreign", "longer"])
def test_a_damaged_file_is_noticed_and_made_again(cache: ArrayCache, directory: Path, damage: str) -> None:
    cache.put("one", columns())
    cache.flush()
    (file,) = directory.iterdir()
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[-7] ^= 1
    elif damage == "cut":
        del content[len(content) // 2 :]
    elif damage == "empty":
        content.clear()
    elif damage == "foreign":
        content[:4] = b"\x93NUM"
    else:
        content += b"x"
    file.write_bytes(content)
    again = reopened(directory)
    assert again.get("one") is None
    assert not file.exists()
    again.put("one", columns())
    again.flush()
    restored = reopened(directory).get("one")
    assert restored is not None
    assert_equal(restored.arrays, columns())


def test_the_entries_used_least_recently_are_removed_first(directory: Path) -> None:
    cache = ArrayCache(directory, 3 * MEBIBYTE + 4096)
    for age, key in enumerate(("first", "second", "third")):
        cache.put(key, {"x": np.zeros(MEBIBYTE // 8)})
        cache.flush()
        os.utime(directory / f"{key}.arrays", (age, age))
    assert cache.get("first") is not None
    cache.put("fourth", {"x": np.zeros(MEBIBYTE // 8)})
    cache.flush()
    assert sorted(file.stem for file in directory.iterdir()) == ["first", "fourth", "third"]
    assert cache.get("second") is None
    assert cache.size() <= 3 * MEBIBYTE + 4096


def test_an_evicted_entry_stays_readable_by_whoever_holds_it(directory: Path) -> None:
    cache = ArrayCache(directory, 2 * MEBIBYTE)
    cache.put("first", {"x": np.ones(MEBIBYTE // 8)})
    cache.flush()
    held = cache.get("first")
    cache.put("second", {"x": np.zeros(MEBIBYTE // 8)})
    cache.flush()
    assert cache.get("first") is None
    assert held is not None
    assert held.arrays["x"].sum() == MEBIBYTE // 8


def test_an_entry_larger_than_the_cache_is_returned_but_not_kept(directory: Path) -> None:
    cache = ArrayCache(directory, 1000)
    assert cache.put("large", {"x": np.arange(1000)}).arrays["x"][999] == 999
    cache.flush()
    assert cache.get("large") is None
    assert not directory.exists()


def test_a_directory_that_cannot_be_written_makes_the_cache_useless_but_not_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    cache = ArrayCache(tmp_path / "file" / "arrays", MEBIBYTE)
    assert cache.put("one", {"x": np.arange(3)}).arrays["x"].tolist() == [0, 1, 2]
    cache.flush()


@pytest.mark.parametrize("key", ["", "../x", "a/b", "A", "x" * 129, "a.b"])
def test_a_key_that_is_not_one_is_refused(cache: ArrayCache, key: str) -> None:
    with pytest.raises(ValueError, match="cache key"):
        cache.put(key, {})


WRITER = """
import sys, numpy, pathlib
from gql_trader.infra.array_cache import ArrayCache
cache = ArrayCache(pathlib.Path(sys.argv[1]), 1 << 30)
print("ready", flush=True)
while True:
    cache.put("large", {"x": numpy.arange(1_000_000)})
    cache.flush()
"""


def test_a_killed_writer_leaves_no_bad_entry(directory: Path) -> None:
    for delay in (0.0, 0.004, 0.009, 0.015):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(directory)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(delay)  # a different point of the write each time
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        entry = reopened(directory).get("large")
        if entry is not None:
            assert np.array_equal(entry.arrays["x"], np.arange(1_000_000))


def test_what_a_killed_writer_left_is_cleared_away_later(cache: ArrayCache, directory: Path) -> None:
    directory.mkdir()
    old, fresh = directory / "a.arrays.1.00.part", directory / "b.arrays.2.00.part"
    old.write_bytes(b"half")
    fresh.write_bytes(b"half")
    os.utime(old, (1, 1))
    cache.put("one", columns())
    cache.flush()
    assert not old.exists()
    assert fresh.exists()  # its writer may be alive


SHARER = """
import sys, numpy, pathlib
from gql_trader.infra.array_cache import ArrayCache
cache = ArrayCache(pathlib.Path(sys.argv[1]), 200_000)
for turn in range(300):
    key = f"k{turn % 7}"
    entry = cache.get(key) or cache.put(key, {"x": numpy.full(5_000, turn % 7)})
    assert (entry.arrays["x"] == turn % 7).all(), key
    if turn % 3 == 0:
        cache.flush()
cache.close()
"""


def test_two_processes_share_a_cache_that_keeps_evicting(directory: Path) -> None:
    command = [sys.executable, "-c", SHARER, str(directory)]
    for process in [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]:
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()
        assert b"damaged" not in errors
    assert ArrayCache(directory, 200_000).size() <= 200_000
