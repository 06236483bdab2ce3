"""The one way in which the engine compiles loops to machine code."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit, types

from gql_trader.engine import jit_cache

jit_cache.use()

Loop = TypeVar("Loop", bound=Callable[..., Any])

# Read-only, so that memory-mapped columns are taken as they are; writable arrays convert for nothing.
FLOATS_IN = types.Array(types.float64, 1, "C", readonly=True)
INTEGERS_IN = types.Array(types.int64, 1, "C", readonly=True)
FLAGS_IN = types.Array(types.boolean, 1, "C", readonly=True)
WORDS_IN = types.Array(types.uint64, 1, "C", readonly=True)
FLOATS = types.Array(types.float64, 1, "C")
INTEGERS = types.Array(types.int64, 1, "C")


def compiled(*signatures: object, allocates: bool = True, finite: bool = False) -> Callable[[Loop], Loop]:
    """Return a decorator that compiles a loop for the given signatures, cached on disk.

    The machine code does IEEE 754 arithmetic in the order written (no fast-math, no contraction), divides
    by zero as numpy does, and runs without the interpreter's lock.

    Parameters
    ----------
    signatures
        Numba signatures, compiled at import or loaded from the cache; none for a helper, which is compiled
        into its callers.
    allocates
        False for a loop that makes no arrays, and calls none that does. It keeps no reference counts then,
        whose atomic updates cost several times the arithmetic of a short call.
    """
    options: dict[str, Any] = {
        "nogil": True,
        "cache": bool(signatures),
        "fastmath": False,
        "error_model": "numpy",
        # Ways in that nobody takes cost time to compile.
        "no_cfunc_wrapper": True,
        "no_cpython_wrapper": not signatures,
        "_nrt": allocates,
        # Handing a dozen arrays over takes as long as what most helpers do with them.
        "forceinline": not signatures,
    }

    def decorate(function: Loop) -> Loop:
        return cast("Loop", njit(list(signatures) or None, **options)(function))

    return decorate
