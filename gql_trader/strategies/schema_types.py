"""GraphQL types of the strategy domain."""

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from gql_trader.engine.indicators import CATALOGUE, Function
from gql_trader.engine.rules import ON, Parameter, RuleIssue, Rules
from gql_trader.gql.context import Info
from gql_trader.gql.pagination import After, Before, First, Last
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import Node, encode_id
from gql_trader.gql.scalars import JSON
from gql_trader.strategies.schema_enums import ParameterType
from gql_trader.strategies.types import StrategyRecord

if TYPE_CHECKING:
    from gql_trader.backtests.schema_inputs import BacktestFilter, BacktestOrder
    from gql_trader.backtests.schema_lists import BacktestConnection


@visible("whoever may see the strategy")
@strawberry.type(description="A value that a strategy leaves open; rules use it by name.")
class StrategyParameter:
    """A parameter's definition."""

    name: str = strawberry.field(description="Its name in rules and in `parameters` of a backtest.")
    type: ParameterType = strawberry.field(description="What its value may be.")
    default: JSON = strawberry.field(description="Used where no value is given.")
    min: float | None = strawberry.field(description="Least value of INT and FLOAT; null: unbounded.")
    max: float | None = strawberry.field(description="Greatest value of INT and FLOAT; null: unbounded.")
    step: float | None = strawberry.field(
        description="A sensible increment for searches and sliders; values between steps are allowed."
    )
    choices: list[JSON] | None = strawberry.field(
        description="Allowed values of CHOICE, or of SOURCE if not all are; null for the other types."
    )
    description: str | None = strawberry.field(description="What it does; null if its author did not say.")

    @classmethod
    def from_parameter(cls, parameter: Parameter) -> "StrategyParameter":
        """Return the GraphQL object of a definition."""
        return cls(
            name=parameter.name,
            type=parameter.type,
            default=JSON(parameter.default),
            min=parameter.minimum,
            max=parameter.maximum,
            step=parameter.step,
            choices=[JSON(choice) for choice in parameter.choices] or None,
            description=parameter.description or None,
        )


@visible("whoever may see the strategy")
@strawberry.type(
    description="When a strategy enters and leaves, in the rule language; a missing rule never holds."
)
class StrategyRules:
    """The texts of the rules."""

    entry_long: str | None = strawberry.field(description="Condition that opens a long position.")
    exit_long: str | None = strawberry.field(description="Condition that closes a long position.")
    entry_short: str | None = strawberry.field(description="Condition that opens a short position.")
    exit_short: str | None = strawberry.field(description="Condition that closes a short position.")
    plots: list[str] = strawberry.field(description="Number series to draw with a chart.")

    @classmethod
    def from_rules(cls, rules: Rules) -> "StrategyRules":
        """Return the GraphQL object of rules."""
        return cls(
            entry_long=rules.entry_long,
            exit_long=rules.exit_long,
            entry_short=rules.entry_short,
            exit_short=rules.exit_short,
            plots=list(rules.plots),
        )


@visible("everybody signed in if it is built in, else its owner")
@strawberry.type(description="When to enter and leave a market: built in, or written by a user.")
class Strategy(Node):
    """A strategy in its present version."""

    key: strawberry.Private[UUID]
    slug: str = strawberry.field(description="Short name for URLs and scripts; unique among those you see.")
    name: str = strawberry.field(description="Name for people.")
    description: str = strawberry.field(description="What the strategy does, for people.")
    builtin: bool = strawberry.field(
        description="Whether it comes with the program, or with a plugin that was installed."
    )
    code_ref: str | None = strawberry.field(
        description="The registered strategy that it was made from, such as builtin:golden_cross, or an "
        "installed plugin; null if its rules are its owner's."
    )
    parameters: list[StrategyParameter] = strawberry.field(description="What it leaves open.")
    default_parameters: JSON = strawberry.field(description="The default of every parameter, by name.")
    rules: StrategyRules | None = strawberry.field(
        description="Its rules, in the rule language; null if a plugin, which is written in Python, decides."
    )
    version: int = strawberry.field(
        description="Counts changes from 1. Backtests keep the version that they ran."
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it last changed.")

    @strawberry.field(
        description="Version of the plugin that is installed; null if the strategy has rules, or its plugin "
        "is not installed on this server, so that it cannot be run."
    )
    def code_version(self, info: Info) -> str | None:
        plugin = info.context.services.plugins.plugins.get(self.code_ref or "")
        return plugin.version if plugin is not None else None

    @strawberry.field(description="Your backtests of this strategy, in any of its versions.")
    async def backtests(
        self,
        info: Info,
        where: Annotated[
            Annotated["BacktestFilter", strawberry.lazy("gql_trader.backtests.schema_inputs")] | None,
            strawberry.argument(description="Which backtests to list; none: all."),
        ] = None,
        order_by: Annotated[
            list[Annotated["BacktestOrder", strawberry.lazy("gql_trader.backtests.schema_inputs")]] | None,
            strawberry.argument(description="Orderings, the most important first; none: the newest first."),
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Annotated["BacktestConnection", strawberry.lazy("gql_trader.backtests.schema_lists")]:
        # The one field that points upwards: imported when it is asked for, since backtests import us.
        from gql_trader.backtests.schema_lists import list_backtests_of

        return await list_backtests_of(info, self.key, where, order_by, (first, after, last, before))

    @classmethod
    def from_record(cls, record: StrategyRecord) -> "Strategy":
        """Return the GraphQL object of a strategy."""
        definition = record.definition
        return cls(
            id=encode_id("Strategy", record.id),
            key=record.id,
            slug=record.slug,
            name=record.name,
            description=record.description,
            builtin=record.builtin,
            code_ref=definition.code_ref,
            parameters=list(map(StrategyParameter.from_parameter, definition.parameters)),
            default_parameters=JSON({each.name: each.default for each in definition.parameters}),
            rules=StrategyRules.from_rules(definition.rules) if definition.plugin_ref is None else None,
            version=definition.version,
            created_at=record.created_at,
            updated_at=record.updated_at,
        )


@visible("whoever sent the rules")
@strawberry.type(name="RuleIssue", description="A mistake in a rule, and where.")
class RuleIssueInfo:
    """An issue as the engine reports it."""

    path: list[str] = strawberry.field(
        description='Where in the input, such as ["entryLong"] or ["parameters", "0", "default"].'
    )
    line: int = strawberry.field(description="Line of the rule's text, from 1.")
    column: int = strawberry.field(
        description="Column of that line, from 1, in characters (Unicode code points)."
    )
    message: str = strawberry.field(description="What is wrong and what was expected.")

    @classmethod
    def from_issue(cls, issue: RuleIssue) -> "RuleIssueInfo":
        """Return the GraphQL object of an issue."""
        return cls(path=list(issue.path), line=issue.line, column=issue.column, message=issue.message)


@visible("whoever sent the rules")
@strawberry.type(description="What rules amount to, checked without storing them.")
class StrategyCheck:
    """Result of checkStrategy."""

    valid: bool = strawberry.field(description="Whether createStrategy would accept the rules.")
    issues: list[RuleIssueInfo] = strawberry.field(description="Every mistake; empty if valid.")
    warmup_bars: int | None = strawberry.field(
        description="Bars needed before the first signal, with the default parameters. Null if not valid, "
        "or if on() makes it depend on the interval and none was given."
    )
    indicators: list[str] = strawberry.field(
        description="Names of the functions used, in alphabetical order; empty if not valid."
    )


@visible("everybody signed in")
@strawberry.type(description="A function of the rule language.")
class IndicatorInfo:
    """One entry of the catalogue."""

    name: str = strawberry.field(description="How it is called.")
    group: str = strawberry.field(description="What it belongs to, such as Momentum Indicators.")
    signature: str = strawberry.field(
        description='How a call is written, with defaults, such as "ema(source, period=30)". Arguments may '
        "be given by position or by name."
    )
    description: str = strawberry.field(description="What it computes.")
    outputs: list[str] = strawberry.field(
        description="Its results, each read as a member, such as macd(close).hist; empty if the call itself "
        "is the result."
    )

    @classmethod
    def from_function(cls, function: Function) -> "IndicatorInfo":
        """Return the GraphQL object of a function."""
        return cls(
            name=function.name,
            group=function.group,
            signature=function.signature,
            description=function.description,
            outputs=[output.name for output in function.outputs],
        )


@cache
def all_indicators() -> list[IndicatorInfo]:
    """Return the whole catalogue, by name."""
    functions = sorted([*CATALOGUE.values(), ON], key=lambda each: each.name)
    return list(map(IndicatorInfo.from_function, functions))
