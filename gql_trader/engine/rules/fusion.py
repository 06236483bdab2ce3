"""Steps of a plan that one pass over the bars computes together, with the same results."""

from collections.abc import Sequence

from gql_trader.engine.rules.plan import AverageCrosses, Compute, Pick, Slot, Step, slots_of

_AVERAGES = ("sma", "ema", "rma")
_CROSSES = {"crossover": False, "crossunder": True}
"""By name: whether it is the second operand that rises above the first."""


def fuse(steps: Sequence[Step], wanted: Sequence[int]) -> list[Step]:
    """Return steps of which those that are wanted give what they gave before, at less cost.

    Two running averages of one series that are only asked where they cross, as in most strategies that
    follow trends, need not be kept: a loop that has both at hand notes the crossings. Numbers stay as they
    are; a step that nobody reads any more is still there.

    Parameters
    ----------
    wanted
        Numbers of the steps whose results are asked for.
    """
    fused = list(steps)
    for pair, crosses in _crossings(steps, set(wanted)).items():
        first, second = (steps[number] for number in pair)
        assert isinstance(first, Compute)
        assert isinstance(second, Compute)
        source = first.operands[0]
        assert isinstance(source, Slot)
        # In the place of the later average, after which all the crossings come.
        fused[pair[1]] = AverageCrosses(source, first.name, second.name, _period(first), _period(second))
        for number in crosses:
            step = steps[number]
            assert isinstance(step, Compute)
            swapped = step.operands[0] == Slot(pair[1])
            fused[number] = Pick(Slot(pair[1]), int(swapped != _CROSSES[step.name]))
    return fused


def _crossings(steps: Sequence[Step], wanted: set[int]) -> dict[tuple[int, int], list[int]]:
    # From pairs of averages that can go together to the steps that read them, all of which are crossings.
    readers: dict[int, list[int]] = {}
    found: dict[tuple[int, int], list[int]] = {}
    for number, step in _live(steps, wanted):
        for read in slots_of(step):
            readers.setdefault(read, []).append(number)
        if isinstance(step, Compute) and step.name in _CROSSES:
            pair = tuple(sorted(slots_of(step)))
            if len(pair) == 2 and pair[0] != pair[1]:
                found.setdefault((pair[0], pair[1]), []).append(number)
    return {
        pair: crosses
        for pair, crosses in found.items()
        if _together(steps[pair[0]], steps[pair[1]])
        and not wanted & set(pair)
        and readers.get(pair[0]) == readers.get(pair[1]) == crosses
    }


def _live(steps: Sequence[Step], wanted: set[int]) -> list[tuple[int, Step]]:
    needed = set(wanted)
    for number in range(len(steps) - 1, -1, -1):
        if number in needed:
            needed.update(slots_of(steps[number]))
    return [(number, step) for number, step in enumerate(steps) if number in needed]


def _together(first: Step, second: Step) -> bool:
    return (
        isinstance(first, Compute)
        and isinstance(second, Compute)
        and first.name in _AVERAGES
        and second.name in _AVERAGES
        and (first.name == "sma") == (second.name == "sma")
        and first.operands == second.operands
        and isinstance(first.operands[0], Slot)
    )


def _period(step: Compute) -> int:
    return int(dict(step.constants)["period"])
