"""The registry of kinds: what each tells, in which words, to whom and where."""

from collections.abc import Mapping
from dataclasses import dataclass

from gql_trader.core.actor import Role
from gql_trader.notifications.types import Channel, NotificationKind

_EVERYWHERE = frozenset(Channel)


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of a kind of notifications.

    Attributes
    ----------
    description
        When it is sent, for whoever chooses what to be told.
    title, body
        What it says, with ``{names}`` of values that come with each notification.
    role
        Least role of those who are ever told.
    channels
        Where it is told, besides in the app, to those who have not chosen.
    available
        Where it can be told.
    """

    description: str
    title: str
    body: str
    role: Role = Role.VIEWER
    channels: frozenset[Channel] = _EVERYWHERE
    available: frozenset[Channel] = _EVERYWHERE

    def write(self, values: Mapping[str, str]) -> tuple[str, str]:
        """Return title and body; each is one paragraph, whatever the values are."""
        shown = {name: " ".join(value.split()) for name, value in values.items()}
        return self.title.format_map(shown), self.body.format_map(shown)


KINDS: Mapping[NotificationKind, Kind] = {
    NotificationKind.SIGNUP_PENDING: Kind(
        description="Somebody has signed up and waits for an administrator's approval; to administrators.",
        title="A new sign-up waits for approval",
        body="{username} has signed up and cannot log in until an administrator approves the account.",
        role=Role.ADMIN,
    ),
    NotificationKind.ACCOUNT_APPROVED: Kind(
        description="An administrator has approved your account. It is mailed in any case.",
        title="Your account was approved",
        body="Welcome, {username}: your account was approved.",
        channels=_EVERYWHERE - {Channel.EMAIL},
        available=_EVERYWHERE - {Channel.EMAIL},
    ),
    NotificationKind.BACKTEST_COMPLETED: Kind(
        description="One of your backtests that ran for a minute or longer has completed.",
        title="A backtest has completed",
        body="Your backtest {name} has completed after {duration}.",
        channels=_EVERYWHERE - {Channel.EMAIL},
    ),
    NotificationKind.BACKTEST_FAILED: Kind(
        description="One of your backtests that ran for a minute or longer has failed.",
        title="A backtest has failed",
        body="Your backtest {name} has failed after {duration}: {reason}",
        channels=_EVERYWHERE - {Channel.EMAIL},
    ),
    NotificationKind.OPTIMIZATION_COMPLETED: Kind(
        description="One of your parameter searches that ran for a minute or longer has completed.",
        title="A parameter search has completed",
        body="Your parameter search {name} has completed after {duration}.",
        channels=_EVERYWHERE - {Channel.EMAIL},
    ),
    NotificationKind.OPTIMIZATION_FAILED: Kind(
        description="One of your parameter searches that ran for a minute or longer has failed.",
        title="A parameter search has failed",
        body="Your parameter search {name} has failed after {duration}: {reason}",
        channels=_EVERYWHERE - {Channel.EMAIL},
    ),
    NotificationKind.ALERT_TRIGGERED: Kind(
        description="The condition of one of your alerts has come to hold.",
        title="An alert on {market}",
        body="At the close of the {interval} bar of {time} this came to hold on {market}: {condition}",
    ),
    NotificationKind.BOT_FAILED: Kind(
        description="One of your bots was ended by an error.",
        title="A bot has failed",
        body="Your bot “{name}” has failed and trades no more: {reason}",
    ),
    NotificationKind.POSITION_CLOSED: Kind(
        description="A position of a live session by hand was liquidated, or closed at the exchange by "
        "somebody else.",
        title="A position on {market} was closed",
        body="{reason}",
    ),
    NotificationKind.POSITION_NOT_CLOSED: Kind(
        description="A live session by hand was told to stop, and one of its positions could not be closed, "
        "or has no stop at the exchange any more; or the exchange has not been reached for minutes to close "
        "a position of a session or bot.",
        title="A position on {market} could not be closed",
        body="{reason}",
    ),
    NotificationKind.ORDER_UNKNOWN: Kind(
        description="It has not been known for some minutes what became of one of your live orders.",
        title="An order on {market} is not accounted for",
        body="It is not known whether the exchange has taken your order to {order} of {time}. It is asked "
        "again and again, and nothing is sent twice. Look at your account there.",
    ),
    NotificationKind.HEARTBEAT: Kind(
        description="Your balance at certain hours of your day, while anything of yours trades.",
        title="Your balance",
        body="Balance: {balance}, P/L: {profit}",
        channels=_EVERYWHERE - {Channel.EMAIL},
    ),
    NotificationKind.DAILY_PROFIT: Kind(
        description="What your sessions gained on a day, if anything changed; shortly after your midnight.",
        title="Your day",
        body="{day}: {profit}; trades closed: {trades}",
        channels=frozenset(),
    ),
    NotificationKind.WEBHOOK_DISABLED: Kind(
        description="One of your webhooks was turned off, since its server could not be told for a day or is "
        "gone.",
        title="A webhook was turned off",
        body="Nothing more is sent to your webhook {label}: {reason}. Turn it on again once that is solved.",
    ),
    NotificationKind.TELEGRAM_BLOCKED: Kind(
        description="You are not told by Telegram any more, since the bot of your trading settings cannot "
        "write into the chat.",
        title="Telegram was turned off",
        body="Nothing more is sent to your chat in Telegram: {reason}. Name another bot or chat in your "
        "trading settings, or choose your channels again once that is solved.",
        channels=_EVERYWHERE - {Channel.TELEGRAM},
        available=_EVERYWHERE - {Channel.TELEGRAM},
    ),
}
