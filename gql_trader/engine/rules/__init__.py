"""The rule language: strategies written by users, safe on a shared server."""

from gql_trader.engine.rules.compiler import (
    MAXIMUM_TOTAL_LENGTH,
    CompiledRules,
    PlotLine,
    Rules,
    compile_rules,
)
from gql_trader.engine.rules.intervals import ON
from gql_trader.engine.rules.issues import RuleIssue, RuleIssues
from gql_trader.engine.rules.parameters import (
    Parameter,
    ParameterType,
    ParameterValue,
    ParameterValues,
    check_parameters,
    is_plain_text,
    resolve_parameters,
)

__all__ = [
    "MAXIMUM_TOTAL_LENGTH",
    "ON",
    "CompiledRules",
    "Parameter",
    "ParameterType",
    "ParameterValue",
    "ParameterValues",
    "PlotLine",
    "RuleIssue",
    "RuleIssues",
    "Rules",
    "check_parameters",
    "compile_rules",
    "is_plain_text",
    "resolve_parameters",
]
