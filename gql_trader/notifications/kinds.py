"""The registry of kinds: what each tells, and in which words."""

from collections.abc import Mapping
from dataclasses import dataclass

from gql_trader.notifications.types import NotificationKind


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of a kind of notifications.

    Attributes
    ----------
    description
        When it is sent, for whoever chooses what to be told.
    title, body
        What it says, with ``{names}`` of values that come with each notification.
    """

    description: str
    title: str
    body: str

    def write(self, values: Mapping[str, str]) -> tuple[str, str]:
        """Return title and body; each is one paragraph, whatever the values are."""
        shown = {name: " ".join(value.split()) for name, value in values.items()}
        return self.title.format_map(shown), self.body.format_map(shown)


KINDS: Mapping[NotificationKind, Kind] = {
    NotificationKind.SIGNUP_PENDING: Kind(
        description="Somebody has signed up and waits for an administrator's approval; to administrators.",
        title="A new sign-up waits for approval",
        body="{username} has signed up and cannot log in until an administrator approves the account.",
    ),
    NotificationKind.ACCOUNT_APPROVED: Kind(
        description="An administrator has approved your account.",
        title="Your account was approved",
        body="Welcome, {username}: your account was approved.",
    ),
}
