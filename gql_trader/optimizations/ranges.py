"""From the ranges that were asked for to the axes of a search, and from its combinations to runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from gql_trader.backtests.execution import check_execution, execution_from_json
from gql_trader.core.errors import InvalidInput
from gql_trader.engine.indicators import SOURCES
from gql_trader.engine.rules import Parameter, ParameterType
from gql_trader.engine.search.setting import Trial
from gql_trader.engine.search.space import Axis, Space, Value
from gql_trader.optimizations.types import ParameterRange

MAXIMUM_AXES = 12
MAXIMUM_VALUES = 10_000
"""Values of one axis."""
PREFIX = "execution."

_WHOLE = frozenset([f"{PREFIX}maxDailyTrades", f"{PREFIX}cooldownBars"])

Execution = dict[str, Any]


def read_ranges(
    ranges: Sequence[ParameterRange],
    parameters: Sequence[Parameter],
    execution: Execution,
    *,
    listed: bool,
) -> tuple[Space, list[InvalidInput]]:
    """Return the space of a search, and everything that is wrong with it, with paths.

    Parameters
    ----------
    execution
        The execution of all trials, valid, as JSON; what is not searched of it stays.
    listed
        Whether every axis needs a list of values, as a grid does.
    """
    problems: list[InvalidInput] = []
    if not 1 <= len(ranges) <= MAXIMUM_AXES:
        message = f"A search is over 1 to {MAXIMUM_AXES} ranges; got {len(ranges)}."
        return Space(()), [InvalidInput(message, ("ranges",))]
    known = {parameter.name: parameter for parameter in parameters}
    samples = {each.name: _sample(each) for each in ranges if each.name.startswith(PREFIX)}
    axes: list[Axis] = []
    for index, wanted in enumerate(ranges):
        try:
            if wanted.name in (axis.name for axis in axes):
                raise _Refused("name", f"{wanted.name!r} is searched twice.")
            fields = _Fields(execution, {name: samples[name] for name in samples if name != wanted.name})
            axes.append(_axis(wanted, known, fields, listed))
        except _Refused as refusal:
            problems.append(InvalidInput(refusal.message, ("ranges", str(index), refusal.field)))
    # What changes the signals goes first, so that neighbours differ in their execution and share signals.
    axes.sort(key=lambda axis: axis.name.startswith(PREFIX))
    return Space(tuple(axes)), problems


class _Refused(Exception):
    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True)
class _Fields:
    """The execution, and a value of each of its fields that is searched besides."""

    execution: Execution
    others: Mapping[str, Any]


def _sample(wanted: ParameterRange) -> Any:
    for value in (*(wanted.values or ()), wanted.minimum, wanted.maximum):
        if value is not None and value is not False:
            return value
    return None


def _axis(wanted: ParameterRange, known: Mapping[str, Parameter], fields: _Fields, listed: bool) -> Axis:
    if wanted.name.startswith(PREFIX):
        return _execution_axis(wanted, fields, listed)
    parameter = known.get(wanted.name)
    if parameter is None:
        has = ", ".join(known) if known else "none"
        message = f"There is no parameter {wanted.name[:40]!r}; this strategy has {has}."
        raise _Refused("name", message)
    if wanted.values is not None:
        return _of_values(wanted, lambda value: _read(parameter, value, "values"))
    match parameter.type:
        case ParameterType.BOOL:
            return _of_choices(wanted, (False, True))
        case ParameterType.CHOICE:
            return _of_choices(wanted, parameter.choices)
        case ParameterType.SOURCE:
            return _of_choices(wanted, parameter.choices or tuple(SOURCES))
        case ParameterType.INT:
            low, high = _bounds(wanted, parameter.minimum, parameter.maximum)
            usual = 1.0 if parameter.step is None else parameter.step
            step = usual if wanted.step is None else wanted.step
            for name, number in (("min", low), ("max", high), ("step", step)):
                if not float(number).is_integer():
                    raise _Refused(name, f"{name} of {wanted.name}, a whole number, must be one too.")
            axis = _stepped(wanted, low, high, step, whole=True)
        case ParameterType.FLOAT:
            low, high = _bounds(wanted, parameter.minimum, parameter.maximum)
            axis = _numeric(wanted, low, high, parameter.step if listed else None, listed)
    for name, number in (("min", low), ("max", high)):
        _read(parameter, number, name)
    return axis


def _read(parameter: Parameter, value: object, field: str) -> Value:
    try:
        return parameter.read(value)
    except ValueError as error:
        raise _Refused(field, f"{parameter.name} {error}.") from error


def _execution_axis(wanted: ParameterRange, fields: _Fields, listed: bool) -> Axis:
    execution = fields.execution
    present = _find(execution, wanted.name)
    if present is _MISSING or isinstance(present, dict | list):
        single = ", ".join(sorted(_leaves(execution)))
        raise _Refused(
            "name", f"There is no {wanted.name[:60]!r} that could be searched; there are {single}."
        )
    if wanted.values is not None:
        return _of_values(wanted, lambda value: _try(fields, wanted.name, value, "values"))
    if isinstance(present, bool | str):
        raise _Refused("values", f"{wanted.name} needs a list of values.")
    low, high = _bounds(wanted, None, None)
    if wanted.name in _WHOLE:
        axis = _stepped(wanted, low, high, 1.0 if wanted.step is None else wanted.step, whole=True)
    else:
        axis = _numeric(wanted, low, high, None, listed)
    for name, number in (("min", low), ("max", high)):
        _try(fields, wanted.name, number, name)
    return axis


_MISSING = object()


def _find(execution: Execution, name: str) -> Any:
    found: Any = execution
    for part in name.removeprefix(PREFIX).split("."):
        found = found.get(part, _MISSING) if isinstance(found, dict) else _MISSING
    return found


def _leaves(execution: Execution, prefix: str = PREFIX) -> Iterable[str]:
    for name, value in execution.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        elif not isinstance(value, list):
            yield f"{prefix}{name}"


def _try(fields: _Fields, name: str, value: object, field: str) -> Value:
    if value is not None and not isinstance(value, bool | int | float | str):
        raise _Refused(field, f"{name} is a number, a text, or false for none.")
    present = _find(fields.execution, name)
    read: Value = value
    if value is False and not isinstance(present, bool):
        read = None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if name in _WHOLE and not float(value).is_integer():
            raise _Refused(field, f"{name} is a whole number; got {value:.15g}.")
        read = int(value) if name in _WHOLE else float(value)
    try:
        refusals = check_execution(execution_from_json(_with(fields.execution, {name: read})))
        if refusals and fields.others:
            # Some fields need another one, which may be searched too.
            refusals = check_execution(
                execution_from_json(_with(fields.execution, {**fields.others, name: read}))
            )
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise _Refused(field, f"{name} cannot be {str(value)[:40]!r}.") from error
    if refusals:
        raise _Refused(field, refusals[0].message)
    return read


def _bounds(wanted: ParameterRange, low: float | None, high: float | None) -> tuple[float, float]:
    low = wanted.minimum if wanted.minimum is not None else low
    high = wanted.maximum if wanted.maximum is not None else high
    for field, number in (("min", low), ("max", high)):
        if number is None:
            raise _Refused(field, f"{wanted.name} has no bounds of its own: give min and max, or values.")
        if not isfinite(number):
            raise _Refused(field, f"{field} must be finite.")
    assert low is not None
    assert high is not None
    if low > high:
        raise _Refused("max", f"max must not be below min; got {low:.15g} to {high:.15g}.")
    if wanted.logarithmic and low <= 0:
        raise _Refused("min", f"A logarithmic range is above 0; got {low:.15g}.")
    return low, high


def _numeric(wanted: ParameterRange, low: float, high: float, usual: float | None, listed: bool) -> Axis:
    step = wanted.step if wanted.step is not None else usual
    if step is not None:
        if wanted.logarithmic:
            raise _Refused("step", "A logarithmic range has no step; give values instead.")
        return _stepped(wanted, low, high, step, whole=False)
    if listed:
        raise _Refused("step", f"A grid needs a step or values for {wanted.name}.")
    return Axis(wanted.name, low=low, high=high, logarithmic=wanted.logarithmic)


def _stepped(wanted: ParameterRange, low: float, high: float, step: float, *, whole: bool) -> Axis:
    if not (isfinite(step) and step > 0):
        raise _Refused("step", f"step must be above 0; got {step:.15g}.")
    # A hair more than the last step, so that 0.3 is a multiple of 0.1.
    count = (high - low) / step * (1 + 1e-12) + 1e-9 + 1
    if count >= MAXIMUM_VALUES + 1:
        raise _Refused("step", f"An axis has at most {MAXIMUM_VALUES} values; this would be {count:.0f}.")
    numbers = [low + place * step for place in range(int(count))]
    values = (
        tuple(int(number) for number in numbers)
        if whole
        # Decimals as a person would have written them.
        else tuple(min(float(f"{number:.12g}"), high) for number in numbers)
    )
    return Axis(wanted.name, values=values, logarithmic=wanted.logarithmic)


def _of_choices(wanted: ParameterRange, choices: Sequence[Value]) -> Axis:
    for field, given in (("min", wanted.minimum), ("max", wanted.maximum), ("step", wanted.step)):
        if given is not None:
            raise _Refused(field, f"{wanted.name} is no number; give values, or nothing for all of them.")
    return Axis(wanted.name, values=_distinct(wanted, choices))


def _of_values(wanted: ParameterRange, read: Any) -> Axis:
    assert wanted.values is not None
    for field, given in (
        ("min", wanted.minimum),
        ("max", wanted.maximum),
        ("step", wanted.step),
        ("log", wanted.logarithmic or None),
    ):
        if given is not None:
            raise _Refused(field, f"Give values or {field}, one of them.")
    if not 1 <= len(wanted.values) <= MAXIMUM_VALUES:
        raise _Refused("values", f"An axis has 1 to {MAXIMUM_VALUES} values; got {len(wanted.values)}.")
    return Axis(wanted.name, values=_distinct(wanted, [read(value) for value in wanted.values]))


def _distinct(wanted: ParameterRange, values: Sequence[Value]) -> tuple[Value, ...]:
    seen = {(isinstance(value, bool), value) for value in values}
    if len(seen) < len(values):
        raise _Refused("values", f"A value of {wanted.name} is given twice.")
    if wanted.logarithmic:
        raise _Refused("log", "Only ranges of numbers can be logarithmic.")
    return tuple(values)


def _with(execution: Execution, values: Mapping[str, Value]) -> Execution:
    changed = dict(execution)
    for name, value in values.items():
        *outer, last = name.removeprefix(PREFIX).split(".")
        place = changed
        for part in outer:
            place[part] = dict(place[part])
            place = place[part]
        place[last] = value
    return changed


def trial(parameters: Mapping[str, Any], execution: Execution, values: Mapping[str, Value]) -> Trial:
    """Return the run of a combination.

    Parameters
    ----------
    parameters, execution
        What is not searched; the combination's values take the place of what they name.
    """
    merged = trial_parameters(parameters, values)
    spec = execution_from_json(trial_execution(execution, values))
    # Each value is valid by itself, but not with every other one.
    return Trial(merged, None if check_execution(spec) else spec)


def trial_parameters(parameters: Mapping[str, Any], values: Mapping[str, Value]) -> dict[str, Any]:
    """Return the parameters of a combination."""
    return {**parameters, **{name: value for name, value in values.items() if not name.startswith(PREFIX)}}


def trial_execution(execution: Execution, values: Mapping[str, Value]) -> Execution:
    """Return the execution of a combination, as JSON."""
    return _with(execution, {name: value for name, value in values.items() if name.startswith(PREFIX)})


def axes_to_json(space: Space) -> list[dict[str, Any]]:
    """Return axes as they are stored, in the API's spelling."""
    return [
        {
            "name": axis.name,
            "values": list(axis.values) or None,
            "min": None if axis.values else axis.low,
            "max": None if axis.values else axis.high,
            "log": axis.logarithmic,
        }
        for axis in space.axes
    ]


def axes_from_json(data: Sequence[Mapping[str, Any]]) -> Space:
    """Return the space that `axes_to_json` wrote."""
    return Space(
        tuple(
            Axis(each["name"], tuple(each["values"]), logarithmic=each["log"])
            if each["values"]
            else Axis(each["name"], (), each["min"], each["max"], each["log"])
            for each in data
        )
    )
