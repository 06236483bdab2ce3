"""The texts of mails."""

from collections.abc import Mapping
from typing import Any

from gql_trader.accounts.types import AccountMail, UserStatus

# Kind: subject and text, with what the message in the outbox says filled in.
_TEXTS = {
    AccountMail.SIGNED_UP: (
        "Your account at {server}",
        "Hello {username},\n\nyou have an account at {server} now. {status}\n",
    ),
    AccountMail.SIGNED_UP_AGAIN: (
        "You have an account at {server} already",
        "Hello,\n\nsomebody, probably you, tried to make an account at {server} with this address. It has "
        "one already, which is unchanged. If you have forgotten its password, ask for a link to choose "
        "another one. If it was not you, there is nothing that you need to do.\n",
    ),
    AccountMail.APPROVED: (
        "Your account at {server} was approved",
        "Hello {username},\n\nyour account at {server} was approved. You can log in.\n",
    ),
    AccountMail.PASSWORD_RESET_REQUESTED: (
        "Choose another password for {server}",
        "Hello {username},\n\nsomebody, probably you, asked for a link to choose another password for "
        "{server}. Within 30 minutes, open\n\n{link}\n\nIt can be used once. If it was not you, there is "
        "nothing that you need to do: your password is unchanged.\n",
    ),
    AccountMail.PASSWORD_RESET_ELSEWHERE: (
        "Your password for {server}",
        "Hello {username},\n\nsomebody, probably you, asked for a link to choose another password for "
        "{server}. Your account has none here: you sign in through your identity provider, where you can "
        "choose another one. If it was not you, there is nothing that you need to do.\n",
    ),
    AccountMail.PASSWORD_CHANGED: (
        "Your password for {server} was changed",
        "Hello {username},\n\nyour password for {server} was changed, and all your logins have ended."
        "{tokens} If it was not you, ask for a link to choose another password at once, which ends your API "
        "tokens too, and tell the administrator.\n",
    ),
    AccountMail.API_TOKEN_CREATED: (
        "There is a new API token for your account at {server}",
        "Hello {username},\n\nan API token was made for your account at {server}. It begins with {prefix}, "
        "is called “{label}” and may be used for {scopes}. If it was not you, log in and revoke it, change "
        "your password, and tell the administrator.\n",
    ),
}
_STATUS = {
    UserStatus.PENDING.value: "An administrator has to approve it before you can log in.",
    UserStatus.ACTIVE.value: "You can log in.",
}


def write(kind: AccountMail, server: str, values: Mapping[str, Any]) -> tuple[str, str]:
    """Return the subject and the text of a mail.

    Parameters
    ----------
    server
        Address of the server, as people know it.
    values
        What the outbox says, and ``link`` where one is needed.
    """
    subject, text = _TEXTS[kind]
    status = _STATUS.get(str(values.get("status")), "")
    filled = {**values, "server": server, "status": status, "tokens": _tokens(values)}
    return subject.format_map(filled), text.format_map(filled)


def _tokens(values: Mapping[str, Any]) -> str:
    revoked, remaining = values.get("revoked", 0), values.get("remaining", 0)
    ended = f" API tokens that have ended, too: {revoked}." if revoked else ""
    return ended + (f" API tokens that go on working: {remaining}." if remaining else "")
