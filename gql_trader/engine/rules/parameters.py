"""Parameters of a strategy: their definitions, and values checked against them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

from gql_trader.core.errors import DomainError, DomainErrors, InvalidInput
from gql_trader.engine.indicators import COLUMNS, SOURCES
from gql_trader.engine.rules.nodes import Kind

MAXIMUM_PARAMETERS = 50
MAXIMUM_CHOICES = 100
LARGEST = 2**53
"""Whole numbers up to this are exact in float64, which the engine computes with."""

ParameterValue = int | float | bool | str
ParameterValues = Mapping[str, ParameterValue]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}", re.ASCII)
_RESERVED = frozenset(["and", "or", "not", "true", "false", "True", "False", "None", *COLUMNS])


class ParameterType(StrEnum):
    """What a parameter's value may be."""

    INT = "INT"
    FLOAT = "FLOAT"
    BOOL = "BOOL"
    CHOICE = "CHOICE"
    SOURCE = "SOURCE"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that a strategy leaves open.

    Attributes
    ----------
    minimum, maximum
        Inclusive bounds of INT and FLOAT; None: unbounded.
    step
        A sensible increment for searches and sliders; values between steps are allowed.
    choices
        Allowed values: all numbers, all texts or all booleans for CHOICE; for SOURCE columns, empty: all.
    """

    name: str
    type: ParameterType
    default: ParameterValue
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[ParameterValue, ...] = ()
    description: str = ""

    @property
    def kind(self) -> Kind:
        """What the parameter's name is in a rule."""
        match self.type:
            case ParameterType.INT | ParameterType.FLOAT:
                return Kind.NUMBER
            case ParameterType.BOOL:
                return Kind.FLAG
            case ParameterType.SOURCE:
                return Kind.SERIES
            case ParameterType.CHOICE:
                return _kind_of(self.default)

    def read(self, value: object) -> ParameterValue:
        """Return a value given in JSON as this parameter's own type.

        Raises
        ------
        ValueError
            If it is not one; the message says what was expected.
        """
        match self.type:
            case ParameterType.INT:
                return self._within(_whole(value), "a whole number", value)
            case ParameterType.FLOAT:
                return self._within(_number(value), "a number", value)
            case ParameterType.BOOL:
                if not isinstance(value, bool):
                    raise ValueError(f"must be true or false; got {_shown(value)}")
                return value
            case ParameterType.CHOICE | ParameterType.SOURCE:
                allowed = self.choices or tuple(SOURCES)
                for choice in allowed:
                    if choice == value and isinstance(choice, bool) == isinstance(value, bool):
                        return choice
                raise ValueError(f"must be one of {', '.join(map(_shown, allowed))}; got {_shown(value)}")

    def _within(self, number: int | float | None, expected: str, given: object) -> int | float:
        low, high = self.minimum, self.maximum
        if number is not None and (low is None or number >= low) and (high is None or number <= high):
            return number
        start = f" from {_plain(low)}" if low is not None else ""
        end = (" to " if start else " up to ") + _plain(high) if high is not None else ""
        raise ValueError(f"must be {expected}{start}{end}; got {_shown(given)}")


def check_parameters(
    parameters: Sequence[Parameter], path: Sequence[str] = ("parameters",)
) -> list[DomainError]:
    """Return what is wrong with definitions, each with the path of its field in the API's spelling."""
    if len(parameters) > MAXIMUM_PARAMETERS:
        message = f"A strategy has at most {MAXIMUM_PARAMETERS} parameters; got {len(parameters)}."
        return [InvalidInput(message, path)]
    found: list[DomainError] = []
    seen: set[str] = set()
    for index, parameter in enumerate(parameters):
        place = (*path, str(index))
        if not _NAME.fullmatch(parameter.name):
            found.append(
                InvalidInput(
                    "A parameter's name is a letter, then up to 39 letters, digits or underscores; "
                    f"got {_shown(parameter.name)}.",
                    (*place, "name"),
                )
            )
            continue
        if parameter.name in _RESERVED:
            message = f"{parameter.name!r} means something else in a rule; choose another name."
            found.append(InvalidInput(message, (*place, "name")))
        if parameter.name in seen:
            found.append(InvalidInput(f"There are two parameters {parameter.name!r}.", (*place, "name")))
        seen.add(parameter.name)
        found.extend(InvalidInput(message, (*place, name)) for name, message in _problems(parameter))
    return found


def _problems(parameter: Parameter) -> Iterable[tuple[str, str]]:
    numeric = parameter.type in (ParameterType.INT, ParameterType.FLOAT)
    if not is_plain_text(parameter.description, 500):
        yield "description", "A description has at most 500 characters, none of them control characters."
    bounds = {"min": parameter.minimum, "max": parameter.maximum, "step": parameter.step}
    for name, value in bounds.items():
        if value is None:
            continue
        if not numeric:
            yield name, f"Only INT and FLOAT parameters have {name}."
        elif not isfinite(value) or abs(value) > LARGEST:
            yield name, f"{name} must be a finite number below 2^53."
        elif parameter.type is ParameterType.INT and not float(value).is_integer():
            yield name, f"{name} of an INT parameter must be a whole number; got {value}."
    if parameter.step is not None and not parameter.step > 0:
        yield "step", f"step must be above 0; got {_plain(parameter.step)}."
    low, high = parameter.minimum, parameter.maximum
    if low is not None and high is not None and low > high:
        yield "max", f"max must not be below min; got {_plain(low)} to {_plain(high)}."
        return
    problem = _choices_problem(parameter)
    if problem is not None:
        yield "choices", problem
        return
    try:
        parameter.read(parameter.default)
    except ValueError as error:
        yield "default", f"The default of {parameter.name} {error}."


def _choices_problem(parameter: Parameter) -> str | None:
    choices = parameter.choices
    if parameter.type not in (ParameterType.CHOICE, ParameterType.SOURCE):
        return "Only CHOICE and SOURCE parameters have choices." if choices else None
    if len(choices) > MAXIMUM_CHOICES:
        return f"There are at most {MAXIMUM_CHOICES} choices; got {len(choices)}."
    if parameter.type is ParameterType.SOURCE:
        unknown = [each for each in choices if not (isinstance(each, str) and each in SOURCES)]
        return f"Sources are {', '.join(SOURCES)}; got {_shown(unknown[0])}." if unknown else None
    if not choices:
        return "A CHOICE parameter needs choices."
    for choice in choices:
        plain = not isinstance(choice, str) or is_plain_text(choice, 100)
        if not isinstance(choice, bool | int | float | str) or not plain:
            return "Choices are numbers, texts of at most 100 characters, or true and false."
        if _kind_of(choice) is Kind.NUMBER and _number(choice) is None:
            return "Numbers among the choices must be finite and below 2^53."
    if len({_kind_of(choice) for choice in choices}) > 1:
        return "Choices must be all numbers, all texts, or all true and false."
    return None


def is_plain_text(text: str, maximum: int) -> bool:
    """Return whether a text is short enough and has no control characters but line ends and tabs."""
    return len(text) <= maximum and text.translate(_BLANKS).isprintable()


# Also printable for our purposes: what separates words, lines and the parts of an emoji.
_BLANKS = dict.fromkeys(map(ord, "\n\r\t\u00a0\u200d\u2028\u3000"), " ")


def resolve_parameters(
    parameters: Sequence[Parameter], given: object, path: Sequence[str] = ("parameters",)
) -> dict[str, ParameterValue]:
    """Return a value for every parameter: those given, checked, and defaults for the rest.

    Parameters
    ----------
    given
        An object decoded from JSON, from names to values; None: all defaults.

    Raises
    ------
    DomainErrors
        One error for each value that is unknown or refused, with the path of its name.
    """
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        raise DomainErrors([InvalidInput("Parameters are an object from names to values.", path)])
    known = {parameter.name: parameter for parameter in parameters}
    errors: list[DomainError] = []
    for name in given:
        if len(errors) == MAXIMUM_PARAMETERS:
            break
        if name not in known:
            has = f"this strategy has {', '.join(known)}" if known else "this strategy has none"
            message = f"There is no parameter {_shown(name)}; {has}."
            errors.append(InvalidInput(message, (*path, str(name)[:100])))
    values: dict[str, ParameterValue] = {}
    for name, parameter in known.items():
        try:
            values[name] = parameter.read(given[name]) if name in given else parameter.default
        except ValueError as error:
            errors.append(InvalidInput(f"{name} {error}.", (*path, name)))
    if errors:
        raise DomainErrors(errors)
    return values


def _kind_of(value: object) -> Kind:
    if isinstance(value, bool):
        return Kind.FLAG
    return Kind.TEXT if isinstance(value, str) else Kind.NUMBER


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= LARGEST else None


def _whole(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number.is_integer() else None


def _plain(value: float) -> str:
    return "a huge number" if abs(value) > 1e300 else f"{value:.15g}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return _plain(value)
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
