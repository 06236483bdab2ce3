"""GraphQL inputs of the strategy domain."""

import strawberry

from gql_trader.core.errors import InvalidInput
from gql_trader.core.ids import StrategyId
from gql_trader.engine.rules import Parameter, Rules
from gql_trader.gql.relay import decode_id
from gql_trader.gql.scalars import JSON
from gql_trader.strategies.schema_enums import ParameterType
from gql_trader.strategies.types import NewStrategy, StrategyChange


@strawberry.input(description="A value that a strategy leaves open; rules use it by name.")
class StrategyParameterInput:
    """A parameter's definition."""

    name: str = strawberry.field(
        description="A letter, then up to 39 letters, digits or underscores; not the name of a series."
    )
    type: ParameterType = strawberry.field(description="What its value may be.")
    default: JSON = strawberry.field(description="Used where no value is given; of the parameter's type.")
    min: float | None = strawberry.field(default=None, description="Least value; INT and FLOAT only.")
    max: float | None = strawberry.field(default=None, description="Greatest value; INT and FLOAT only.")
    step: float | None = strawberry.field(
        default=None, description="A sensible increment for searches and sliders; INT and FLOAT only."
    )
    choices: list[JSON] | None = strawberry.field(
        default=None,
        description="Allowed values: all numbers, all texts or all booleans; CHOICE and SOURCE only.",
    )
    description: str | None = strawberry.field(default=None, description="What it does, for people.")

    def to_parameter(self) -> Parameter:
        """Return the definition, unchecked."""
        # JSON of any shape may arrive here; `check_parameters` refuses what is not a plain value.
        return Parameter(
            name=self.name,
            type=self.type,
            default=self.default,  # type: ignore[arg-type]
            minimum=self.min,
            maximum=self.max,
            step=self.step,
            choices=tuple(self.choices or ()),  # type: ignore[arg-type]
            description=self.description or "",
        )


def _no_texts() -> list[str]:
    return []


def _no_parameters() -> list[StrategyParameterInput]:
    return []


@strawberry.input(
    description="When to enter and leave, in the rule language: one condition per rule, such as "
    "`crossover(ema(close, 12), ema(close, 26)) and rsi(close, 14) < 70`. See `indicators` for its "
    "functions. A missing rule never holds. A rule has at most 4,000 characters; all rules and plots "
    "together, 20,000."
)
class StrategyRulesInput:
    """The texts of the rules."""

    entry_long: str | None = strawberry.field(default=None, description="Opens a long position.")
    exit_long: str | None = strawberry.field(default=None, description="Closes a long position.")
    entry_short: str | None = strawberry.field(default=None, description="Opens a short position.")
    exit_short: str | None = strawberry.field(default=None, description="Closes a short position.")
    plots: list[str] | None = strawberry.field(
        default_factory=_no_texts, description="Number series to draw with a chart, such as `sma(close, 50)`."
    )
    parameters: list[StrategyParameterInput] | None = strawberry.field(
        default_factory=_no_parameters,
        description="Parameters that the rules use, unless they are given beside the rules.",
    )

    def to_rules(self) -> Rules:
        """Return the rules, unchecked."""
        return Rules(
            self.entry_long, self.exit_long, self.entry_short, self.exit_short, tuple(self.plots or ())
        )


def _definitions(
    beside: list[StrategyParameterInput] | None, rules: StrategyRulesInput | None
) -> tuple[tuple[Parameter, ...], tuple[str, ...]]:
    """Return the parameters and where they were given: beside the rules, or among them."""
    inside = rules.parameters if rules is not None else None
    if beside and inside:
        raise InvalidInput(
            "Give parameters beside the rules or among them, not both.", ("rules", "parameters")
        )
    path = ("rules", "parameters") if inside else ("parameters",)
    return tuple(each.to_parameter() for each in beside or inside or ()), path


@strawberry.input(description="A strategy to make: give `rules`, or `codeRef` to build on a registered one.")
class CreateStrategyInput:
    """Input of createStrategy."""

    name: str = strawberry.field(description="Name for people, 1 to 100 characters.")
    description: str | None = strawberry.field(
        default="", description="What it does, up to 2,000 characters."
    )
    parameters: list[StrategyParameterInput] | None = strawberry.field(
        default_factory=_no_parameters, description="What the rules leave open; at most 50."
    )
    rules: StrategyRulesInput | None = strawberry.field(default=None, description="When to enter and leave.")
    code_ref: str | None = strawberry.field(
        default=None, description="A registered strategy whose rules to use, such as builtin:golden_cross."
    )
    default_parameters: JSON | None = strawberry.field(
        default=None,
        description='Defaults by name that replace those of the parameters, such as {"fast": 20}.',
    )

    def to_new(self) -> NewStrategy:
        """Return the strategy asked for, unchecked."""
        parameters, path = _definitions(self.parameters, self.rules)
        return NewStrategy(
            name=self.name,
            description=self.description or "",
            rules=self.rules.to_rules() if self.rules is not None else None,
            parameters=parameters,
            code_ref=self.code_ref,
            default_parameters=self.default_parameters,
            parameters_path=path,
        )


@strawberry.input(description="What to change of a strategy; fields left out stay as they are.")
class UpdateStrategyInput:
    """Input of updateStrategy."""

    id: strawberry.ID = strawberry.field(description="The strategy, one of your own.")
    name: str | None = strawberry.field(default=None, description="A new name; the slug stays.")
    description: str | None = strawberry.field(default=None, description="A new description.")
    parameters: list[StrategyParameterInput] | None = strawberry.field(
        default=None, description="New parameters in place of all present ones; [] for none."
    )
    rules: StrategyRulesInput | None = strawberry.field(
        default=None,
        description="New rules in place of all present ones; a rule left out is gone. Parameters stay unless "
        "they are given too.",
    )
    default_parameters: JSON | None = strawberry.field(
        default=None, description="Defaults by name that replace those of the parameters."
    )
    expected_version: int | None = strawberry.field(
        default=None, description="Refuse if the strategy is at another version by now."
    )

    @property
    def key(self) -> StrategyId:
        """The strategy's key."""
        return StrategyId(decode_id(self.id, "Strategy"))

    def to_change(self) -> StrategyChange:
        """Return the change asked for, unchecked."""
        parameters, path = _definitions(self.parameters, self.rules)
        return StrategyChange(
            name=self.name,
            description=self.description,
            rules=self.rules.to_rules() if self.rules is not None else None,
            parameters=parameters if parameters or self.parameters is not None else None,
            default_parameters=self.default_parameters,
            expected_version=self.expected_version,
            parameters_path=path,
        )


@strawberry.input(description="A strategy to delete.")
class DeleteStrategyInput:
    """Input of deleteStrategy."""

    id: strawberry.ID = strawberry.field(description="The strategy, one of your own.")
