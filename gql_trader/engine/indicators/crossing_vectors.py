"""What the search for crossings of averages asks of the processor: 64 bars at once, a bit each.

Sums of running differences, which wait for one another when they are computed one by one, are computed for a
vector of bars in three steps; so are exponential averages. The order of summation is another one than that
of the averages themselves, and the last digits are: whoever asks says by how much they may differ.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils

from gql_trader.engine.bars import Flags, Floats
from gql_trader.engine.vectors import LANES, extreme, folded, typed_intrinsic


def _turned(builder: Any, vector: Any, places: int) -> Any:
    """Return a vector moved up by some lanes; those at the top come out at the bottom."""
    lanes = [(each - places) % LANES for each in range(LANES)]
    kind = ir.VectorType(ir.IntType(32), LANES)
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), ir.Constant(kind, lanes))


def _from_lane(builder: Any, scalar: Any, first: int) -> Any:
    """Return a vector of a number from a lane on, and of zeros below."""
    vector = ir.Constant(ir.VectorType(ir.DoubleType(), LANES), [0.0] * LANES)
    for lane in range(first, LANES):
        vector = builder.insert_element(vector, scalar, ir.Constant(ir.IntType(32), lane))
    return vector


def _everywhere(builder: Any, scalar: Any) -> Any:
    vector = ir.VectorType(scalar.type, LANES)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), lanes)


def _block(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> list[Any]:
    """Return the 64 values from a place on, as vectors."""
    data = context.make_array(kind)(context, builder, value=array).data
    vector = ir.VectorType(ir.DoubleType(), LANES)
    block = builder.bitcast(builder.gep(data, [place]), vector.as_pointer())
    return [
        builder.load(builder.gep(block, [ir.Constant(ir.IntType(64), number)]), align=8)
        for number in range(64 // LANES)
    ]


def _bits(builder: Any, vectors: Any, relation: str, level: Any) -> Any:
    """Return for 64 values how they compare with a level, a bit each."""
    word, level = ir.IntType(64), _everywhere(builder, level)
    found: Any = None
    for number, each in enumerate(vectors):
        mask = builder.bitcast(builder.fcmp_ordered(relation, each, level), ir.IntType(LANES))
        bits = builder.shl(builder.zext(mask, word), ir.Constant(word, number * LANES))
        found = bits if found is None else builder.or_(found, bits)
    return found


def _called(builder: Any, name: str, *arguments: Any) -> Any:
    """Call one of the compiler's own functions of numbers, or of vectors of them."""
    kind = arguments[0].type
    suffix = f"v{kind.count}f64" if isinstance(kind, ir.VectorType) else "f64"
    function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
        builder.module, ir.FunctionType(kind, [kind] * len(arguments)), f"{name}.{suffix}"
    )
    return builder.call(function, arguments)


def _multiplied_and_added(builder: Any, x: Any, y: Any, z: Any) -> Any:
    return _called(builder, "llvm.fmuladd", x, y, z)


_STEPS = (1, 2, 4)


def _scanned(builder: Any, vector: Any, weights: Sequence[Any]) -> Any:
    """Return a vector in which each lane has gathered those below it, each times a factor a lane further.

    The weights are powers of that factor for `_STEPS`, 0 in lanes that have none so far below.
    """
    for places, weight in zip(_STEPS, weights, strict=True):
        vector = _multiplied_and_added(builder, _turned(builder, vector, places), weight, vector)
    return vector


_LAST = LANES - 1


def _simple_sides(_: Any, x: Any, place: Any, short: Any, long: Any, carried: Any, margin: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, place, short, long, carried, margin = arguments
        kind, double = signature.args[0], ir.DoubleType()
        one = ir.Constant(double, 1.0)
        short_share, long_share = (builder.fdiv(one, builder.sitofp(each, double)) for each in (short, long))
        gain, drop = builder.fsub(short_share, long_share), builder.fneg(short_share)
        gains, drops, returns = (_everywhere(builder, each) for each in (gain, drop, long_share))
        blocks = [
            _block(context, builder, kind, array, start)
            for start in (place, builder.sub(place, short), builder.sub(place, long))
        ]
        once = [_from_lane(builder, one, places) for places in _STEPS]
        last, found = ir.Constant(ir.IntType(32), _LAST), []
        for new, dropped, oldest in zip(*blocks, strict=True):
            steps = _multiplied_and_added(
                builder,
                new,
                gains,
                _multiplied_and_added(builder, dropped, drops, builder.fmul(oldest, returns)),
            )
            scanned = _scanned(builder, steps, once)
            found.append(builder.fadd(scanned, _everywhere(builder, carried)))
            carried = builder.fadd(carried, builder.extract_element(scanned, last))
        higher = _bits(builder, found, ">", margin)
        lower = _bits(builder, found, "<", builder.fneg(margin))
        return context.make_tuple(builder, signature.return_type, (higher, lower, carried))

    return types.Tuple((types.uint64, types.uint64, types.float64))(  # type: ignore[no-untyped-call]
        x, place, short, long, carried, margin
    ), generate


Sides = tuple[np.uint64, np.uint64, float]

simple_sides: Callable[[Floats, int, int, int, float, float], Sides] = typed_intrinsic(_simple_sides)
"""About how far the simple average of the shorter of two periods is above that of the longer.

From float64[n], a place, both periods, the distance on the bar before and a margin: for the 64 bars from the
place whether it is above by more than the margin, and whether below, a bit each, and the last distance.
"""


def _smoothed_sides(
    _: Any, x: Any, place: Any, first_factor: Any, second_factor: Any, first: Any, second: Any, margin: Any
) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, place, *factors = arguments[:4]
        averages, margin = list(arguments[4:6]), arguments[6]
        one = ir.Constant(ir.DoubleType(), 1.0)
        last = ir.Constant(ir.IntType(32), _LAST)
        vector = ir.VectorType(ir.DoubleType(), LANES)
        prepared = []
        for factor in factors:
            kept = builder.fsub(one, factor)
            powers = [kept]
            for _ in range(_LAST):
                powers.append(builder.fmul(powers[-1], kept))
            fading: Any = ir.Constant(vector, ir.Undefined)
            for lane, power in enumerate(powers):
                fading = builder.insert_element(fading, power, ir.Constant(ir.IntType(32), lane))
            steps = [_from_lane(builder, powers[places - 1], places) for places in _STEPS]
            prepared.append((_everywhere(builder, factor), steps, fading, powers[_LAST]))
        found = []
        for values in _block(context, builder, signature.args[0], array, place):
            both = []
            for number, (weight, steps, fading, faded) in enumerate(prepared):
                scanned = _scanned(builder, builder.fmul(values, weight), steps)
                before = averages[number]
                both.append(_multiplied_and_added(builder, fading, _everywhere(builder, before), scanned))
                averages[number] = _multiplied_and_added(
                    builder, faded, before, builder.extract_element(scanned, last)
                )
            found.append(builder.fsub(*both))
        higher = _bits(builder, found, ">", margin)
        lower = _bits(builder, found, "<", builder.fneg(margin))
        return context.make_tuple(builder, signature.return_type, (higher, lower, *averages))

    kinds = (types.uint64, types.uint64, types.float64, types.float64)
    result = types.Tuple(kinds)  # type: ignore[no-untyped-call]
    return result(x, place, first_factor, second_factor, first, second, margin), generate


SmoothedSides = tuple[np.uint64, np.uint64, float, float]

smoothed_sides: Callable[[Floats, int, float, float, float, float, float], SmoothedSides] = typed_intrinsic(
    _smoothed_sides
)
"""About how far one exponential average is above another.

From float64[n], a place, both factors, both averages on the bar before and a margin: for the 64 bars from
the place whether the first is above by more than the margin, and whether below, a bit each; then both
averages on the last of them.
"""


def _largest(_: Any, array: Any, place: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        blocks = _block(context, builder, signature.args[0], *arguments)
        found: Any = None
        for each in blocks:
            size = _called(builder, "llvm.fabs", each)
            found = size if found is None else extreme(">")(builder, found, size)
        return folded(builder, found, extreme(">"))

    return types.float64(array, place), generate


largest_of_block: Callable[[Floats, int], float] = typed_intrinsic(_largest)
"""From float64[n] and a place in it: the largest magnitude of the 64 values that begin there."""


def _clear_block(_: Any, flags: Any, place: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, value=arguments[0]).data
        vector = ir.VectorType(ir.IntType(8), 64)
        block = builder.bitcast(builder.gep(data, [arguments[1]]), vector.as_pointer())
        builder.store(ir.Constant(vector, [0] * 64), block, align=1)
        return context.get_dummy_value()

    return types.void(flags, place), generate


clear_block: Callable[[Flags, int], None] = typed_intrinsic(_clear_block)
"""From bool[n] and a place in it: nothing; the 64 flags that begin there are false."""
