"""GraphQL inputs of the automation domain, and how they become specs."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import strawberry

from gql_trader.automations.schema_enums import AutomationAction
from gql_trader.automations.types import AutomationSpec
from gql_trader.backtests.schema_execution import ExecutionInput, default_object, execution_of
from gql_trader.core.errors import InvalidInput
from gql_trader.core.ids import StrategyId
from gql_trader.core.intervals import Interval
from gql_trader.gql.relay import decode_id
from gql_trader.gql.scalars import JSON
from gql_trader.settings.types import NOTHING_PREFERRED, Preferences


@strawberry.input(description="An automation to make.")
class CreateAutomationInput:
    """Input of createAutomation."""

    name: str = strawberry.field(description="A name for people, 1 to 100 characters.")
    strategy_id: strawberry.ID = strawberry.field(description="The strategy.")
    cron: str = strawberry.field(
        description='When to run: minute, hour, day, month and weekday, such as "30 8 * * 1-5".'
    )
    timezone: str | None = strawberry.field(
        default="UTC", description="The IANA time zone in which `cron` is read."
    )
    action: AutomationAction = strawberry.field(description="What to do.")
    active: bool | None = strawberry.field(
        default=True, description="false: it is made paused, and runs by the clock once it is resumed."
    )
    bot_id: strawberry.ID | None = strawberry.field(
        default=None, description="The bot, one that runs the strategy; needed for BOT_START and BOT_STOP."
    )
    market: str | None = strawberry.field(
        default=None, description='"BTC/USD" or "coinbase:BTC/USD"; needed for BACKTEST.'
    )
    interval: Interval | None = strawberry.field(
        default=None, description="Length of a bar; needed for BACKTEST."
    )
    lookback_days: int | None = strawberry.field(
        default=None, description="Days of candles up to the moment of the run; needed for BACKTEST."
    )
    parameters: JSON | None = default_object(
        {}, 'Parameters of the strategy by name, such as {"fast": 20}; the rest take their defaults.'
    )
    execution: ExecutionInput | None = default_object({}, "How signals become fills.")

    def to_spec(self, preferred: Preferences = NOTHING_PREFERRED) -> AutomationSpec:
        """Return the automation asked for, unchecked.

        Parameters
        ----------
        preferred
            What to take for the execution where the client has not said.
        """
        return AutomationSpec(
            name=self.name,
            strategy_id=_strategy(self.strategy_id),
            cron=self.cron,
            timezone="UTC" if self.timezone is None else self.timezone,
            action=self.action,
            active=self.active is not False,
            bot_id=decode_id(self.bot_id, "Bot", ("botId",)) if self.bot_id is not None else None,
            market=self.market,
            interval=self.interval,
            lookback_days=self.lookback_days,
            parameters=_parameters(self.parameters),
            execution=execution_of(self.execution, preferred),
        )


@strawberry.input(description="What to change of an automation; what is left out stays.")
class UpdateAutomationInput:
    """Input of updateAutomation."""

    id: strawberry.ID = strawberry.field(description="One of your automations.")
    name: str | None = strawberry.field(default=None, description="Another name.")
    strategy_id: strawberry.ID | None = strawberry.field(default=None, description="Another strategy.")
    cron: str | None = strawberry.field(default=None, description="Another rule of when to run.")
    timezone: str | None = strawberry.field(default=None, description="Another time zone.")
    market: str | None = strawberry.field(default=None, description="Another market.")
    interval: Interval | None = strawberry.field(default=None, description="Another length of a bar.")
    lookback_days: int | None = strawberry.field(default=None, description="Another number of days.")
    parameters: JSON | None = strawberry.field(
        default=None, description="Parameters in place of all that were given."
    )
    execution: ExecutionInput | None = strawberry.field(
        default=None, description="How signals become fills, in place of all that was given."
    )

    @property
    def key(self) -> UUID:
        """The automation's key."""
        return decode_id(self.id, "Automation")

    def to_changes(self) -> dict[str, Any]:
        """Return what is given, by the names of `AutomationSpec`."""
        changes: dict[str, Any] = {
            name: value
            for name in ("name", "cron", "timezone", "market", "interval", "lookback_days")
            if (value := getattr(self, name)) is not None
        }
        if self.strategy_id is not None:
            changes["strategy_id"] = _strategy(self.strategy_id)
        if self.parameters is not None:
            changes["parameters"] = _parameters(self.parameters)
        if self.execution is not None:
            changes["execution"] = self.execution.to_spec()
        return changes


def _strategy(given: strawberry.ID) -> StrategyId:
    return StrategyId(decode_id(given, "Strategy", ("strategyId",)))


def _parameters(given: object) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidInput('parameters is an object such as {"fast": 20}.', ("parameters",))
    return given
