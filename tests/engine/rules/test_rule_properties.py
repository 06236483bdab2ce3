"""Whatever text arrives, the language answers with rules or with issues, quickly; rules never look ahead."""

import time

import numpy as np
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from gql_trader.core.intervals import HOUR
from gql_trader.engine.indicators import CATALOGUE, COLUMNS, ArgumentKind, Function
from gql_trader.engine.rules import RuleIssue, RuleIssues, Rules, compile_rules
from tests.factories.random_bars import random_bars

QUIET = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

FRAGMENTS = [
    *COLUMNS, *CATALOGUE, *"()[],.=<>+-*/%:#\n", "==", "**", " and ", " or ", " not ", "true", "1", "14",
    "0.5", "1e308", ".upper", "lambda", "__class__", "'x'",
]  # fmt: skip


def survives(text: str) -> None:
    """Compile a text; only RuleIssues may be raised, positions are inside the text, and it is quick."""
    begun = time.perf_counter()
    issues: tuple[RuleIssue, ...] = ()
    try:
        compile_rules(Rules(entry_long=text, plots=(text,))).warmup(None, HOUR)
    except RuleIssues as error:
        issues = error.issues
    assert time.perf_counter() - begun < 2.0
    lines = text.split("\n")
    for issue in issues:
        assert 1 <= issue.line <= len(lines)
        assert 1 <= issue.column <= len(lines[issue.line - 1]) + 1
        assert len(issue.message) < 300
    assert len(issues) <= 40


@QUIET
@given(st.text(max_size=200))
def test_any_text_is_answered(text: str) -> None:
    survives(text)


@QUIET
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=60).map("".join))
def test_any_sequence_of_words_is_answered(text: str) -> None:
    survives(text)


def test_hostile_texts_are_answered_quickly() -> None:
    for text in (
        "-" * 4000 + "1",
        "not " * 1000,
        "(" * 4000,
        "[" * 4000,
        "a." * 2000,
        "sma(" * 1000,
        "close" + "[1]" * 1333,
        "1+" * 2000 + "1",
        "1<" * 2000 + "1",
        "x and " * 600 + "x",
        "9" * 4000,
        "a" * 4000,
        "'" + "a" * 3998 + "'",
        "1e" + "9" * 3000,
        "max(" * 30 + "1" + ",1)" * 30 + "> 1",
        "1.0.0.0",
        "close" * 10_000_000,
    ):
        survives(text)


def calls() -> st.SearchStrategy[str]:
    """Draw number series: columns, constants and calls of any function with series and small periods."""
    leaf = st.sampled_from([*COLUMNS, "1", "0", "2.5"])

    def call(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        def arguments(function: Function) -> st.SearchStrategy[str]:
            parts = []
            for argument in function.arguments:
                match argument.kind:
                    case ArgumentKind.SERIES | ArgumentKind.OPERAND:
                        parts.append(inner)
                    case ArgumentKind.CONDITION:
                        parts.append(st.tuples(inner, inner).map(lambda pair: f"{pair[0]} > {pair[1]}"))
                    case ArgumentKind.INTEGER:
                        parts.append(st.integers(2, 9).map(str))
                    case ArgumentKind.TEXT:
                        parts.append(st.sampled_from(argument.choices).map(lambda name: f"'{name}'"))
                    case ArgumentKind.NUMBER:
                        parts.append(st.just(str(argument.default)))
            members = [f".{output.name}" for output in function.outputs] or [""]
            return st.tuples(st.tuples(*parts), st.sampled_from(members)).map(
                lambda drawn: f"{function.name}({', '.join(drawn[0])}){drawn[1]}"
            )

        binary = st.tuples(inner, st.sampled_from("+-*/%"), inner).map(lambda x: f"({x[0]} {x[1]} {x[2]})")
        shifted = st.tuples(st.sampled_from(list(COLUMNS)), st.integers(0, 3)).map(
            lambda x: f"{x[0]}[{x[1]}]"
        )
        return st.one_of(st.sampled_from(list(CATALOGUE.values())).flatmap(arguments), binary, shifted)

    return call(st.one_of(leaf, call(leaf)))


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(calls(), calls(), st.integers(0, 219), st.integers(0, 5))
def test_rules_never_look_ahead(left: str, right: str, cut: int, seed: int) -> None:
    try:
        compiled = compile_rules(Rules(f"{left} > {right}", f"crossover({left}, {right})", plots=(left,)))
    except RuleIssues:
        reject()
    bars = random_bars(220, seed)
    whole, part = compiled.signals(bars), compiled.signals(bars.slice(0, cut))
    np.testing.assert_array_equal(whole.entry_long[:cut], part.entry_long)
    np.testing.assert_array_equal(whole.exit_long[:cut], part.exit_long)
    assert not whole.entry_long[: compiled.warmup(None, HOUR)].any()
    np.testing.assert_array_equal(
        compiled.plots(bars)[0].values[:cut], compiled.plots(bars.slice(0, cut))[0].values
    )
