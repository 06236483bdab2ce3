"""Enums of the notifications domain, described for the API."""

from gql_trader.gql.enums import register_enum
from gql_trader.notifications.kinds import KINDS
from gql_trader.notifications.types import Channel as Channel
from gql_trader.notifications.types import DevicePlatform as DevicePlatform
from gql_trader.notifications.types import NotificationKind as NotificationKind

register_enum(
    NotificationKind,
    "What a notification tells of.",
    {kind.name: KINDS[kind].description for kind in NotificationKind},
)
register_enum(
    Channel,
    "Where you are told of things, besides in the app.",
    {
        "EMAIL": "By mail, to the address of your account.",
        "PUSH": "By a push message to each of your devices.",
        "TELEGRAM": "By the bot of your trading settings, in the chat that they name.",
        "WEBHOOK": "By a signed request to each of your webhooks that is told of the kind.",
    },
)
register_enum(
    DevicePlatform,
    "What a device runs.",
    {"IOS": "iOS or iPadOS.", "ANDROID": "Android.", "WEB": "A web browser."},
)
