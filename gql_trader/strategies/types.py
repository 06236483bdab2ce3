"""Specs and records of the strategy domain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gql_trader.core.ids import StrategyId, UserId
from gql_trader.engine.rules import Parameter, Rules

BUILTIN_PREFIX = "builtin:"
"""What the references of the program's own strategies begin with; all others are plugins'."""


@dataclass(frozen=True, slots=True)
class StrategyDefinition:
    """One version of a strategy: all that its signals depend on, and nothing that changes.

    Attributes
    ----------
    code_ref
        The registered strategy that it was made from; None if its rules were written by a user.
    """

    strategy_id: StrategyId
    version: int
    rules: Rules
    parameters: tuple[Parameter, ...]
    code_ref: str | None = None

    @property
    def plugin_ref(self) -> str | None:
        """The strategy in Python that is run instead of rules, which are empty then; None: there is none."""
        code_ref = self.code_ref
        return code_ref if code_ref is not None and not code_ref.startswith(BUILTIN_PREFIX) else None


@dataclass(frozen=True, slots=True)
class StrategyRecord:
    """A strategy in its present version, or in the last one if it was deleted.

    Attributes
    ----------
    owner_id
        None: built in, visible to everybody.
    """

    id: StrategyId
    owner_id: UserId | None
    slug: str
    name: str
    description: str
    definition: StrategyDefinition
    created_at: datetime
    updated_at: datetime

    @property
    def builtin(self) -> bool:
        """Whether the strategy comes with the program."""
        return self.owner_id is None


@dataclass(frozen=True, slots=True)
class NewStrategy:
    """A strategy as asked for: with rules, or with a reference to a registered one.

    Attributes
    ----------
    default_parameters
        Values by name that replace the defaults of the parameters; decoded from JSON, unchecked.
    parameters_path
        Where in the input the parameters are, for errors.
    """

    name: str
    description: str = ""
    rules: Rules | None = None
    parameters: tuple[Parameter, ...] = ()
    code_ref: str | None = None
    default_parameters: object = None
    parameters_path: tuple[str, ...] = ("parameters",)


@dataclass(frozen=True, slots=True)
class StrategyChange:
    """What to change of a strategy; None: leave it.

    Attributes
    ----------
    expected_version
        Refuse unless this is the present version: nobody's change is overwritten unseen.
    """

    name: str | None = None
    description: str | None = None
    rules: Rules | None = None
    parameters: tuple[Parameter, ...] | None = None
    default_parameters: object = None
    expected_version: int | None = None
    parameters_path: tuple[str, ...] = field(default=("parameters",))


_RULE_NAMES = {
    "entryLong": "entry_long",
    "exitLong": "exit_long",
    "entryShort": "entry_short",
    "exitShort": "exit_short",
}


def rules_to_json(rules: Rules) -> dict[str, Any]:
    """Return rules as they are stored, in the API's spelling."""
    return {
        **{name: getattr(rules, attribute) for name, attribute in _RULE_NAMES.items()},
        "plots": list(rules.plots),
    }


def rules_from_json(stored: Mapping[str, Any]) -> Rules:
    """Return rules from what `rules_to_json` returned."""
    texts = {attribute: stored[name] for name, attribute in _RULE_NAMES.items()}
    return Rules(**texts, plots=tuple(stored["plots"]))


def parameters_to_json(parameters: Sequence[Parameter]) -> list[dict[str, Any]]:
    """Return parameter definitions as they are stored, in the API's spelling."""
    return [
        {
            "name": each.name,
            "type": each.type.value,
            "default": each.default,
            "min": each.minimum,
            "max": each.maximum,
            "step": each.step,
            "choices": list(each.choices),
            "description": each.description,
        }
        for each in parameters
    ]
