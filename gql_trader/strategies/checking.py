"""What rules amount to, without storing them."""

from collections.abc import Sequence
from dataclasses import dataclass

from gql_trader.core.errors import ErrorCode
from gql_trader.core.intervals import Interval
from gql_trader.engine.rules import Parameter, RuleIssue, RuleIssues, Rules, check_parameters, compile_rules
from gql_trader.strategies.definitions import has_entry, no_entry


@dataclass(frozen=True, slots=True)
class Check:
    """Every issue; without any also the warm-up in bars, with the defaults, and the functions used.

    The warm-up is None too if it depends on the interval of the bars, and that was not given.
    """

    issues: tuple[RuleIssue, ...]
    warmup: int | None = None
    indicators: tuple[str, ...] = ()


def check_strategy(rules: Rules, parameters: Sequence[Parameter], interval: Interval | None = None) -> Check:
    """Return what `create_strategy` would say of rules; the paths are those of the rules' own input.

    Parameters
    ----------
    interval
        Of the bars to run on, for rules with on(); None: any.
    """
    definitions = check_parameters(parameters)
    if definitions:
        return Check(
            tuple(RuleIssue(ErrorCode.RULE_TYPE, each.path, 1, 1, each.message) for each in definitions)
        )
    try:
        compiled = compile_rules(rules, parameters)
        if interval is not None:
            compiled.check(interval=interval.milliseconds)
    except RuleIssues as error:
        return Check(error.issues)
    if not has_entry(rules):
        return Check((RuleIssue(ErrorCode.RULE_TYPE, (), 1, 1, no_entry().message),))
    if compiled.uses_intervals and interval is None:
        return Check((), None, compiled.indicators)
    return Check((), compiled.warmup(None, (interval or Interval.M1).milliseconds), compiled.indicators)
