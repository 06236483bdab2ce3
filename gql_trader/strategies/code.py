"""What a definition runs: rules of the language, or an installed strategy in Python."""

from collections.abc import Sequence
from typing import Any

from gql_trader.core.errors import DomainErrors, InvalidInput, InvalidState
from gql_trader.core.intervals import Interval
from gql_trader.engine.plugins import (
    Plugin,
    PluginError,
    PluginRegistry,
    PluginStrategy,
    StrategyCode,
    same_parameters,
)
from gql_trader.engine.rules import (
    ParameterValue,
    ParameterValues,
    RuleIssue,
    RuleIssues,
    compile_rules,
)
from gql_trader.engine.rules import resolve_parameters as resolve_values
from gql_trader.strategies.types import StrategyDefinition, rules_to_json


def compiled(definition: StrategyDefinition, plugins: PluginRegistry) -> StrategyCode:
    """Return what a definition runs.

    Raises
    ------
    RuleIssues
        If a stored rule is no longer part of the language; `resolve_parameters` reports it to a user.
    InvalidState
        If it needs a strategy in Python that is not installed, or only with other parameters.
    """
    if definition.plugin_ref is None:
        return compile_rules(definition.rules, definition.parameters)
    return PluginStrategy(_installed(definition, plugins))


def content(definition: StrategyDefinition, plugins: PluginRegistry) -> dict[str, Any]:
    """Return what a result depends on, as JSON: equal content with equal parameters, equal signals.

    Names and defaults are left out: a run records the values of its parameters.

    Raises
    ------
    InvalidState
        As of `compiled`.
    """
    types = {"parameterTypes": {each.name: each.type.value for each in definition.parameters}}
    if definition.plugin_ref is None:
        return {"rules": rules_to_json(definition.rules), **types}
    return {"codeRef": definition.plugin_ref, "version": _installed(definition, plugins).version, **types}


def _installed(definition: StrategyDefinition, plugins: PluginRegistry) -> Plugin:
    reference = definition.plugin_ref
    plugin = plugins.plugins.get(reference or "")
    if plugin is None:
        raise InvalidState(
            f"The strategy needs {reference}, which is not installed on this server.", ("strategyId",)
        )
    if not same_parameters(plugin, definition.parameters):
        raise InvalidState(
            f"{reference} {plugin.version}, which is installed, has other parameters than when this "
            f"strategy was stored; update the strategy.",
            ("strategyId",),
        )
    return plugin


def resolve_parameters(
    definition: StrategyDefinition, given: object, plugins: PluginRegistry
) -> dict[str, ParameterValue]:
    """Return a value for every parameter: those given, checked, and defaults for the rest.

    The values are also tried on the rules: a period that an indicator does not take is refused here.

    Raises
    ------
    DomainErrors
        One error for each value that is unknown or refused, with the path ``("parameters", name)``.
    InvalidState
        As of `compiled`.
    """
    values = resolve_values(definition.parameters, given)
    _checked(definition, values, plugins)
    return values


def prepare(
    definition: StrategyDefinition, given: object, interval: Interval, plugins: PluginRegistry
) -> tuple[dict[str, ParameterValue], int]:
    """Return a value for every parameter, and how many bars of warm-up the strategy needs with them.

    Long rules take a while: not for the event loop.

    Raises
    ------
    DomainErrors
        As of `resolve_parameters`; with the path ``("interval",)`` if the rules do not run on such bars.
    InvalidState
        As of `compiled`.
    """
    values = resolve_values(definition.parameters, given)
    code = _checked(definition, values, plugins)
    try:
        return values, code.warmup(values, interval.milliseconds)
    except RuleIssues as error:
        raise _errors("With this interval a rule is not valid", error.issues, "interval") from error


def _checked(
    definition: StrategyDefinition, values: ParameterValues, plugins: PluginRegistry
) -> StrategyCode:
    try:
        code = compiled(definition, plugins)
        code.check(values)
    except RuleIssues as error:
        raise _errors("With these parameters a rule is not valid", error.issues, "parameters") from error
    except PluginError as error:
        raise DomainErrors([InvalidInput(str(error), ("parameters",))]) from error
    return code


def _errors(what: str, issues: Sequence[RuleIssue], path: str) -> DomainErrors:
    return DomainErrors(InvalidInput(f"{what}: {issue}", (path,)) for issue in issues)
