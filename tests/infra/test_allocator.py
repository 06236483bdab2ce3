"""Memory that a worker keeps between runs."""

import platform
import subprocess
import sys

import pytest

PROBE = """
import resource, threading
import numpy as np
from gql_trader.infra.allocator import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def use():
    for _ in range(5):
        columns = [np.ones(500_000) for _ in range(8)]

if KEEP:
    print(keep_freed_memory())
def measure():
    use()
    before = faults()
    use()
    print(faults() - before)
thread = threading.Thread(target=measure)
thread.start()
thread.join()
"""


def test_arrays_of_a_run_cost_no_page_faults_after_the_first_run_in_any_thread() -> None:
    if sys.platform != "linux" or not _glibc():
        pytest.skip("only glibc can be told")
    kept, faults = _probe(keep=True)
    assert kept == "True"
    # Without it, each of 40 arrays of four megabytes is a thousand pages, or some large ones.
    [usual] = _probe(keep=False)
    assert int(usual) > 40
    assert int(faults) < int(usual) / 4


def _glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"


def _probe(*, keep: bool) -> list[str]:
    program = PROBE.replace("KEEP", str(keep))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()
