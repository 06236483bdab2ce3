"""Checks of what a strategy is made of; no database."""

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import replace

from gql_trader.core.errors import DomainError, DomainErrors, InvalidInput
from gql_trader.core.intervals import Interval
from gql_trader.engine.rules import (
    CompiledRules,
    Parameter,
    ParameterValue,
    ParameterValues,
    RuleIssue,
    RuleIssues,
    Rules,
    check_parameters,
    compile_rules,
    is_plain_text,
)
from gql_trader.engine.rules import resolve_parameters as resolve_values
from gql_trader.strategies.types import StrategyDefinition

MAXIMUM_NAME = 100
MAXIMUM_DESCRIPTION = 2_000


def compiled(definition: StrategyDefinition) -> CompiledRules:
    """Return the compiled rules of a definition.

    Raises
    ------
    RuleIssues
        If a stored rule is no longer part of the language; `resolve_parameters` reports it to a user.
    """
    return compile_rules(definition.rules, definition.parameters)


def resolve_parameters(definition: StrategyDefinition, given: object) -> dict[str, ParameterValue]:
    """Return a value for every parameter: those given, checked, and defaults for the rest.

    The values are also tried on the rules: a period that an indicator does not take is refused here.

    Raises
    ------
    DomainErrors
        One error for each value that is unknown or refused, with the path ``("parameters", name)``.
    """
    values = resolve_values(definition.parameters, given)
    _compiled_with(definition, values)
    return values


def _compiled_with(definition: StrategyDefinition, values: ParameterValues) -> CompiledRules:
    try:
        rules = compiled(definition)
        rules.check(values)
    except RuleIssues as error:
        raise DomainErrors(
            InvalidInput(f"With these parameters a rule is not valid: {issue}", ("parameters",))
            for issue in error.issues
        ) from error
    return rules


def prepare(
    definition: StrategyDefinition, given: object, interval: Interval
) -> tuple[dict[str, ParameterValue], int]:
    """Return a value for every parameter, and how many bars of warm-up the strategy needs with them.

    Long rules take a while: not for the event loop.

    Raises
    ------
    DomainErrors
        As of `resolve_parameters`; with the path ``("interval",)`` if the rules do not run on such bars.
    """
    values = resolve_values(definition.parameters, given)
    rules = _compiled_with(definition, values)
    try:
        return values, rules.warmup(values, interval.milliseconds)
    except RuleIssues as error:
        raise DomainErrors(
            InvalidInput(f"With this interval a rule is not valid: {issue}", ("interval",))
            for issue in error.issues
        ) from error


def check_texts(name: str | None, description: str | None) -> list[DomainError]:
    """Return what is wrong with a name and a description; None: not given."""
    found: list[DomainError] = []
    if name is not None and not (name.strip() and is_plain_text(name.strip(), MAXIMUM_NAME)):
        found.append(
            InvalidInput(
                f"A name has 1 to {MAXIMUM_NAME} characters, none of them control characters.", ("name",)
            )
        )
    if description is not None and not is_plain_text(description, MAXIMUM_DESCRIPTION):
        message = (
            f"A description has at most {MAXIMUM_DESCRIPTION} characters, none of them control characters."
        )
        found.append(InvalidInput(message, ("description",)))
    return found


def check_rules(
    rules: Rules, parameters: Sequence[Parameter], parameters_path: Sequence[str]
) -> list[DomainError]:
    """Return what is wrong with rules and the definitions of their parameters."""
    found = check_parameters(parameters, parameters_path)
    if found:
        # Rules cannot be checked against parameters that mean nothing.
        return found
    try:
        compile_rules(rules, parameters)
    except RuleIssues as error:
        return [rule_error(issue) for issue in error.issues]
    return [] if has_entry(rules) else [no_entry()]


def has_entry(rules: Rules) -> bool:
    """Return whether the rules can open a position."""
    return any(text is not None and text.strip() for text in (rules.entry_long, rules.entry_short))


def no_entry() -> DomainError:
    """Return the error for rules that never open a position."""
    return InvalidInput("Give entryLong or entryShort; without them nothing is ever traded.", ("rules",))


def rule_error(issue: RuleIssue) -> DomainError:
    """Return a rule's issue as an error of a payload; the place is in the message."""
    message = f"Line {issue.line}, column {issue.column}: {issue.message}"
    return DomainError(message, ("rules", *issue.path), issue.code)


def with_defaults(parameters: Sequence[Parameter], given: object) -> tuple[Parameter, ...]:
    """Return parameters with their defaults replaced by the values given.

    Raises
    ------
    DomainErrors
        For each value that is unknown or refused, with the path ``("defaultParameters", name)``.
    """
    values = resolve_values(parameters, given, ("defaultParameters",))
    return tuple(replace(each, default=values[each.name]) for each in parameters)


def make_slug(name: str, taken: Collection[str]) -> str:
    """Return a name in lower-case ASCII letters, digits and hyphens that is not taken yet."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].rstrip("-") or "strategy"
    slug, number = base, 1
    while slug in taken:
        number += 1
        slug = f"{base}-{number}"
    return slug
