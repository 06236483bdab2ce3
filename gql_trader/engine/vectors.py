"""What compiled loops ask of the processor that numba has no words for.

Maxima and minima of neighbouring values: compilers leave such loops alone, since vectors would take NaN and
the two zeros differently; there is neither among the prices and amounts here, and the greatest of some
numbers does not depend on the order of asking. Sums: in one fixed order, whatever vectors the processor has.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from gql_trader.engine.bars import Flags, Floats, Integers

WIDTH = 32
"""Values in a block."""

LANES = 8
"""Values in a vector."""

CACHE_LINE = 8
"""Numbers that the processor fetches together."""

AHEAD = 768
"""How many numbers before they are needed a pass over a column fetches them: the processor does so by itself
within a page of memory, which is 512 of them, and the pass need not wait where the next one begins."""

FLAGS = 64
"""Flags that are looked at together."""

OfValues = Callable[[Floats, int], float]

typed_intrinsic: Callable[[Any], Any] = intrinsic


def folded(builder: Any, vector: Any, better: Callable[[Any, Any, Any], Any]) -> Any:
    """Return what is left of a vector when its halves are put together until there is one value."""
    lanes = LANES
    while lanes > 1:
        lanes //= 2
        halves = [
            builder.shuffle_vector(
                vector,
                ir.Constant(vector.type, ir.Undefined),
                ir.Constant(ir.VectorType(ir.IntType(32), lanes), [*range(first, first + lanes)]),
            )
            for first in (0, lanes)
        ]
        vector = better(builder, *halves)
    return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))


def _reduction(better: Callable[[Any, Any, Any], Any], width: int = WIDTH) -> Any:
    def reduce(context: Any, array: Any, start: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, value=arguments[0]).data
            vector = ir.VectorType(ir.DoubleType(), LANES)
            block = builder.bitcast(builder.gep(data, [arguments[1]]), vector.as_pointer())

            found: Any = None
            for number in range(width // LANES):
                place = builder.gep(block, [ir.Constant(ir.IntType(64), number)])
                values = builder.load(place, align=8)
                found = values if found is None else better(builder, found, values)
            return folded(builder, found, better)

        return types.float64(array, types.int64), generate

    return reduce


def extreme(comparison: str) -> Callable[[Any, Any, Any], Any]:
    """Return what chooses, lane by lane, the value that compares with the other one."""

    def better(builder: Any, one: Any, other: Any) -> Any:
        return builder.select(builder.fcmp_ordered(comparison, one, other), one, other)

    return better


highest_of_block: OfValues = typed_intrinsic(_reduction(extreme(">")))
"""From float64[n] and a place in it: the greatest of the `WIDTH` values that begin there."""

lowest_of_block: OfValues = typed_intrinsic(_reduction(extreme("<")))
"""From float64[n] and a place in it: the least of the `WIDTH` values that begin there."""

highest_of_vector: OfValues = typed_intrinsic(_reduction(extreme(">"), LANES))
"""Likewise of the `LANES` values that begin there."""

lowest_of_vector: OfValues = typed_intrinsic(_reduction(extreme("<"), LANES))
"""Likewise of the `LANES` values that begin there."""

sum_of_block: OfValues = typed_intrinsic(_reduction(lambda builder, one, other: builder.fadd(one, other)))
"""From float64[n] and a place in it: the sum of the `WIDTH` values that begin there, in one fixed order."""


def _lowest_set(_: Any, bits: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(bits), generate


lowest_set: Callable[[np.uint64], int] = typed_intrinsic(_lowest_set)
"""From uint64, not 0: the place of its lowest bit that is set."""


def _raised(_: Any, some: Any, others: Any, place: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.IntType(8), FLAGS)
        columns = []
        for kind, each in zip(signature.args, arguments[:2], strict=False):
            data = context.make_array(kind)(context, builder, value=each).data
            block = builder.bitcast(builder.gep(data, [arguments[2]]), vector.as_pointer())
            columns.append(builder.load(block, align=1))
        either = builder.or_(*columns)
        found = builder.icmp_unsigned("!=", either, ir.Constant(vector, [0] * FLAGS))
        return builder.bitcast(found, ir.IntType(FLAGS))

    return types.uint64(some, others, place), generate


raised: Callable[[Flags, Flags, int], np.uint64] = typed_intrinsic(_raised)
"""From two bool[n] and a place in them: whether either is true, for `FLAGS` places from there, a bit each."""


def _comparison(relation: str) -> Any:
    def compare(context: Any, some: Any, others: Any, start: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            vector = ir.VectorType(ir.DoubleType(), LANES)
            word = ir.IntType(64)
            blocks = []
            for kind, each in zip(signature.args, arguments[:2], strict=False):
                data = context.make_array(kind)(context, builder, value=each).data
                blocks.append(builder.bitcast(builder.gep(data, [arguments[2]]), vector.as_pointer()))
            found: Any = None
            for number in range(64 // LANES):
                place = ir.Constant(word, number)
                x, y = (builder.load(builder.gep(block, [place]), align=8) for block in blocks)
                mask = builder.bitcast(builder.fcmp_ordered(relation, x, y), ir.IntType(LANES))
                bits = builder.shl(builder.zext(mask, word), ir.Constant(word, number * LANES))
                found = bits if found is None else builder.or_(found, bits)
            return found

        return types.uint64(some, others, start), generate

    return compare


OfBlocks = Callable[[Floats, Floats, int], np.uint64]

above: OfBlocks = typed_intrinsic(_comparison(">"))
"""From two float64[n] and a place in them: whether x > y, for the 64 values from there, a bit each."""

below: OfBlocks = typed_intrinsic(_comparison("<"))
"""Likewise whether x < y."""

not_above: OfBlocks = typed_intrinsic(_comparison("<="))
"""Likewise whether x <= y, which is false next to NaN."""

not_below: OfBlocks = typed_intrinsic(_comparison(">="))
"""Likewise whether x >= y."""


def _prefetch(_: Any, array: Any, place: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, value=arguments[0]).data
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, number, number, number]),
            "llvm.prefetch.p0i8",
        )
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        # To be read, and kept close.
        builder.call(function, [address, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


prefetch: Callable[[Floats | Integers, int], None] = typed_intrinsic(_prefetch)
"""From an array and a place in it: nothing; what is there is on its way into the cache. No place is wrong."""
