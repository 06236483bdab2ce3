"""Parameters: what their definitions may be, and which values they take."""
# ruff: noqa: E501 -- one case a line reads as the table it is

from typing import Any

import pytest

from gql_trader.core.errors import DomainErrors
from gql_trader.engine.rules import Parameter, ParameterType, check_parameters, resolve_parameters

INT, FLOAT, BOOL, CHOICE, SOURCE = (
    ParameterType[name] for name in ("INT", "FLOAT", "BOOL", "CHOICE", "SOURCE")
)
HUGE = 10**400

DEFINITIONS = (
    Parameter("period", INT, 20, 2, 200, 1),
    Parameter("level", FLOAT, 1.5, 0.0),
    Parameter("filtered", BOOL, True),
    Parameter("kind", CHOICE, "sma", choices=("sma", "ema")),
    Parameter("size", CHOICE, 1, choices=(1, 2.5)),
    Parameter("price", SOURCE, "close"),
    Parameter("average", SOURCE, "hl2", choices=("hl2", "hlc3")),
)


def refusal(given: object) -> list[tuple[tuple[str, ...], str]]:
    with pytest.raises(DomainErrors) as caught:
        resolve_parameters(DEFINITIONS, given)
    return [(error.path, error.message) for error in caught.value.errors]


def test_defaults_fill_in_what_is_not_given() -> None:
    assert resolve_parameters(DEFINITIONS, None) == {
        "period": 20,
        "level": 1.5,
        "filtered": True,
        "kind": "sma",
        "size": 1,
        "price": "close",
        "average": "hl2",
    }
    assert resolve_parameters(DEFINITIONS, {"period": 30, "kind": "ema"})["period"] == 30


def test_values_become_their_parameters_types() -> None:
    values = resolve_parameters(DEFINITIONS, {"period": 30.0, "level": 2, "size": 2.5})
    assert [(type(values[name]), values[name]) for name in ("period", "level", "size")] == [
        (int, 30),
        (float, 2.0),
        (float, 2.5),
    ]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("period", 1, "period must be a whole number from 2 to 200; got 1."),
        ("period", 2.5, "period must be a whole number from 2 to 200; got 2.5."),
        ("period", True, "period must be a whole number from 2 to 200; got true."),
        ("period", "20", 'period must be a whole number from 2 to 200; got "20".'),
        ("period", None, "period must be a whole number from 2 to 200; got None."),
        ("period", HUGE, "period must be a whole number from 2 to 200; got a huge number."),
        ("level", -0.5, "level must be a number from 0; got -0.5."),
        ("level", float("nan"), "level must be a number from 0; got nan."),
        ("level", [1], "level must be a number from 0; got [1]."),
        ("filtered", 1, "filtered must be true or false; got 1."),
        ("kind", "wma", 'kind must be one of "sma", "ema"; got "wma".'),
        ("size", True, "size must be one of 1, 2.5; got true."),
        ("price", "open_interest", 'price must be one of "open", "high", "low", "close", "volume", "hl2", '
         '"hlc3", "ohlc4"; got "open_interest".'),
        ("average", "close", 'average must be one of "hl2", "hlc3"; got "close".'),
        ("other", 1, 'There is no parameter "other"; this strategy has period, level, filtered, kind, size, price, average.'),
    ],
)  # fmt: skip
def test_a_refused_value(name: str, value: object, message: str) -> None:
    assert refusal({name: value}) == [(("parameters", name), message)]


def test_every_refused_value_is_reported() -> None:
    assert [path for path, _ in refusal({"period": 1, "nothing": 1, "kind": "x"})] == [
        ("parameters", "nothing"),
        ("parameters", "period"),
        ("parameters", "kind"),
    ]
    assert refusal([1]) == [(("parameters",), "Parameters are an object from names to values.")]


def test_the_definitions_above_are_accepted() -> None:
    assert check_parameters(DEFINITIONS) == []


@pytest.mark.parametrize(
    ("definition", "field", "message"),
    [
        (Parameter("2fast", INT, 1), "name", "A parameter's name is a letter, then up to 39 letters, digits or "
         'underscores; got "2fast".'),
        (Parameter("a" * 41, INT, 1), "name", "A parameter's name is a letter, then up to 39 letters, digits or "
         f'underscores; got "{"a" * 36}....'),
        (Parameter("__class__", INT, 1), "name", "A parameter's name is a letter, then up to 39 letters, digits or "
         'underscores; got "__class__".'),
        (Parameter("close", INT, 1), "name", "'close' means something else in a rule; choose another name."),
        (Parameter("and", INT, 1), "name", "'and' means something else in a rule; choose another name."),
        (Parameter("a", INT, 1.5), "default", "The default of a must be a whole number; got 1.5."),
        (Parameter("a", INT, 5, 6, 9), "default", "The default of a must be a whole number from 6 to 9; got 5."),
        (Parameter("a", INT, 5, 9, 6), "max", "max must not be below min; got 9 to 6."),
        (Parameter("a", INT, 5, 0.5), "min", "min of an INT parameter must be a whole number; got 0.5."),
        (Parameter("a", FLOAT, 5.0, step=0.0), "step", "step must be above 0; got 0."),
        (Parameter("a", FLOAT, 5.0, maximum=float("inf")), "max", "max must be a finite number below 2^53."),
        (Parameter("a", BOOL, True, minimum=0), "min", "Only INT and FLOAT parameters have min."),
        (Parameter("a", BOOL, 1), "default", "The default of a must be true or false; got 1."),
        (Parameter("a", INT, 1, choices=(1,)), "choices", "Only CHOICE and SOURCE parameters have choices."),
        (Parameter("a", CHOICE, 1), "choices", "A CHOICE parameter needs choices."),
        (Parameter("a", CHOICE, 1, choices=(1, "x")), "choices", "Choices must be all numbers, all texts, or all true and false."),
        (Parameter("a", CHOICE, 3, choices=(1, 2)), "default", "The default of a must be one of 1, 2; got 3."),
        (Parameter("a", CHOICE, 1, choices=(HUGE,)), "choices", "Numbers among the choices must be finite and below 2^53."),
        (Parameter("a", CHOICE, "x", choices=("x\0",)), "choices", "Choices are numbers, texts of at most 100 characters, or true and false."),
        (Parameter("a", SOURCE, "close", choices=("close", "hour")), "choices", 'Sources are open, high, low, close, volume, hl2, hlc3, ohlc4; got "hour".'),
        (Parameter("a", INT, 1, description="x\0"), "description", "A description has at most 500 characters, none of them control characters."),
    ],
)  # fmt: skip
def test_a_refused_definition(definition: Parameter, field: str, message: str) -> None:
    assert [(error.path, error.message) for error in check_parameters([definition])] == [
        (("parameters", "0", field), message)
    ]


@pytest.mark.parametrize("junk", [None, [1], {"a": 1}, [[[]]], {}])
def test_json_of_any_shape_is_refused_as_a_default_or_a_choice(junk: Any) -> None:
    for kind in ParameterType:
        assert check_parameters([Parameter("a", kind, junk, choices=(junk,))])
        assert check_parameters([Parameter("a", kind, junk)])


def test_names_are_unique_and_there_are_not_too_many() -> None:
    twice = [Parameter("a", INT, 1), Parameter("a", INT, 1)]
    assert [error.path for error in check_parameters(twice)] == [("parameters", "1", "name")]
    (error,) = check_parameters([Parameter(f"p{n}", INT, 1) for n in range(51)], ("rules", "parameters"))
    assert error.path == ("rules", "parameters")


def test_the_errors_about_unknown_values_are_bounded() -> None:
    with pytest.raises(DomainErrors) as caught:
        resolve_parameters((), {f"unknown{i}": 1 for i in range(10_000)})
    assert len(caught.value.errors) == 50
