"""Maxima and minima of a few neighbouring values, with the processor's vector instructions.

Compilers leave such loops alone, since vectors would take NaN and the two zeros differently; there is neither
among the prices and amounts here, and the greatest of some numbers does not depend on the order of asking.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

WIDTH = 32
"""Values that `highest_of_block` and `lowest_of_block` look at."""

_LANES = 8


def _reduction(comparison: str) -> Any:
    def extreme(context: Any, array: Any, start: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, value=arguments[0]).data
            vector = ir.VectorType(ir.DoubleType(), _LANES)
            block = builder.bitcast(builder.gep(data, [arguments[1]]), vector.as_pointer())

            def better(one: Any, other: Any) -> Any:
                return builder.select(builder.fcmp_ordered(comparison, one, other), one, other)

            found = None
            for number in range(WIDTH // _LANES):
                place = builder.gep(block, [ir.Constant(ir.IntType(64), number)])
                values = builder.load(place, align=8)
                found = values if found is None else better(found, values)
            lanes = _LANES
            while lanes > 1:
                lanes //= 2
                halves = [
                    builder.shuffle_vector(
                        found,
                        ir.Constant(found.type, ir.Undefined),
                        ir.Constant(ir.VectorType(ir.IntType(32), lanes), [*range(first, first + lanes)]),
                    )
                    for first in (0, lanes)
                ]
                found = better(*halves)
            return builder.extract_element(found, ir.Constant(ir.IntType(32), 0))

        return types.float64(array, types.int64), generate

    return extreme


highest_of_block = intrinsic(_reduction(">"))
"""From float64[n] and a place in it: the greatest of the `WIDTH` values that begin there."""

lowest_of_block = intrinsic(_reduction("<"))
"""From float64[n] and a place in it: the least of the `WIDTH` values that begin there."""
