"""Enums of the automation domain as GraphQL enums; inputs and types import them from here, registered."""

from gql_trader.automations.types import (
    AutomationAction,
    AutomationRunStatus,
    AutomationStatus,
    AutomationTrigger,
)
from gql_trader.gql.enums import register_enum

__all__ = ["AutomationAction", "AutomationRunStatus", "AutomationStatus", "AutomationTrigger"]

register_enum(
    AutomationAction,
    "What an automation does.",
    {
        "BACKTEST": "Runs the strategy over the candles of the last days, up to the moment it is due.",
        "BOT_START": "Starts a bot; the run fails if it is started already.",
        "BOT_STOP": "Stops a bot; the run fails if it is stopped already.",
    },
)
register_enum(
    AutomationStatus,
    "Whether an automation runs by the clock.",
    {"ACTIVE": "It does.", "PAUSED": "It does not, until it is resumed."},
)
register_enum(
    AutomationTrigger,
    "Why an automation ran.",
    {"SCHEDULE": "Its moment had come.", "MANUAL": "It was asked to by `runAutomation`."},
)
register_enum(
    AutomationRunStatus,
    "State of one run of an automation.",
    {
        "QUEUED": "A worker is about to do it.",
        "SUCCEEDED": "It was done; a backtest that it queued has a state of its own.",
        "FAILED": "It could not be done; `error` says why.",
    },
)
