"""Checks of what a strategy is made of; no database."""

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import replace

from gql_trader.core.errors import DomainError, DomainErrors, InvalidInput
from gql_trader.engine.plugins import Plugin, PluginError, PluginStrategy
from gql_trader.engine.rules import (
    Parameter,
    ParameterValue,
    RuleIssue,
    RuleIssues,
    Rules,
    check_parameters,
    compile_rules,
    is_plain_text,
)
from gql_trader.engine.rules import resolve_parameters as resolve_values

MAXIMUM_NAME = 100
MAXIMUM_DESCRIPTION = 2_000


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


def plugin_parameters(
    plugin: Plugin, before: Sequence[Parameter], defaults: object, problems: list[DomainError]
) -> tuple[Parameter, ...]:
    """Return the parameters of a strategy made from a plugin; add to the problems what is wrong with them.

    Parameters
    ----------
    before
        Those that it was stored with: their defaults are kept where the plugin still takes them.
    defaults
        New defaults by name, decoded from JSON; None: none.
    """
    kept = {each.name: each.default for each in before}
    parameters = tuple(_with_default(each, kept.get(each.name)) for each in plugin.parameters)
    try:
        if defaults is not None:
            parameters = with_defaults(parameters, defaults)
        PluginStrategy(plugin).check({each.name: each.default for each in parameters})
    except DomainErrors as errors:
        problems.extend(errors.errors)
    except PluginError as error:
        problems.append(InvalidInput(str(error), ("defaultParameters",)))
    return parameters


def _with_default(parameter: Parameter, default: ParameterValue | None) -> Parameter:
    try:
        return parameter if default is None else replace(parameter, default=parameter.read(default))
    except ValueError:
        # The plugin has changed its mind about this parameter.
        return parameter


def make_slug(name: str, taken: Collection[str]) -> str:
    """Return a name in lower-case ASCII letters, digits and hyphens that is not taken yet."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].rstrip("-") or "strategy"
    slug, number = base, 1
    while slug in taken:
        number += 1
        slug = f"{base}-{number}"
    return slug
