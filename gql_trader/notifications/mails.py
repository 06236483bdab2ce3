"""What mails say: one letter, as text and as HTML from the same templates."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from gql_trader.accounts.types import AccountMail, UserStatus

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Letter:
    """What a mail says; the first line is a greeting.

    Attributes
    ----------
    link
        Shown on a line of its own behind the paragraphs; None: there is none.
    postscript
        What follows the link.
    reason
        Why the reader gets this mail, below everything else.
    """

    subject: str
    greeting: str
    paragraphs: tuple[str, ...]
    link: str | None = None
    postscript: tuple[str, ...] = ()
    reason: str | None = None

    def filled(self, values: Mapping[str, Any]) -> "Letter":
        """Return the letter with values in place of their ``{names}``."""

        def fill(text: str) -> str:
            return text.format_map(values)

        return Letter(
            subject=" ".join(fill(self.subject).split()),
            greeting=fill(self.greeting),
            paragraphs=tuple(map(fill, self.paragraphs)),
            link=fill(self.link) if self.link else None,
            postscript=tuple(map(fill, self.postscript)),
            reason=fill(self.reason) if self.reason else None,
        )

    def text(self) -> str:
        """Return the letter as plain text."""
        return _environment().get_template("mail.txt.j2").render(letter=self)

    def html(self) -> str:
        """Return the letter as HTML; whatever is in it was escaped."""
        return _environment().get_template("mail.html.j2").render(letter=self)


_ACCOUNT_LETTERS = {
    AccountMail.SIGNED_UP: Letter(
        "Your account at {server}", "Hello {username},", ("you have an account at {server} now. {status}",)
    ),
    AccountMail.SIGNED_UP_AGAIN: Letter(
        "You have an account at {server} already",
        "Hello,",
        (
            "somebody, probably you, tried to make an account at {server} with this address. It has one "
            "already, which is unchanged. If you have forgotten its password, ask for a link to choose "
            "another one. If it was not you, there is nothing that you need to do.",
        ),
    ),
    AccountMail.APPROVED: Letter(
        "Your account at {server} was approved",
        "Hello {username},",
        ("your account at {server} was approved. You can log in.",),
    ),
    AccountMail.PASSWORD_RESET_REQUESTED: Letter(
        "Choose another password for {server}",
        "Hello {username},",
        (
            "somebody, probably you, asked for a link to choose another password for {server}. Within 30 "
            "minutes, open",
        ),
        "{link}",
        (
            "It can be used once. If it was not you, there is nothing that you need to do: your password is "
            "unchanged.",
        ),
    ),
    AccountMail.PASSWORD_RESET_ELSEWHERE: Letter(
        "Your password for {server}",
        "Hello {username},",
        (
            "somebody, probably you, asked for a link to choose another password for {server}. Your account "
            "has none here: you sign in through your identity provider, where you can choose another one. If "
            "it was not you, there is nothing that you need to do.",
        ),
    ),
    AccountMail.PASSWORD_CHANGED: Letter(
        "Your password for {server} was changed",
        "Hello {username},",
        (
            "your password for {server} was changed, and all your logins have ended.{tokens} If it was not "
            "you, ask for a link to choose another password at once, which ends your API tokens too, and "
            "tell the administrator.",
        ),
    ),
    AccountMail.API_TOKEN_CREATED: Letter(
        "There is a new API token for your account at {server}",
        "Hello {username},",
        (
            "an API token was made for your account at {server}. It begins with {prefix}, is called "
            "“{label}” and may be used for {scopes}.",
            "If it was not you, log in and revoke it, change your password, and tell the administrator.",
        ),
    ),
}
_STATUS = {
    UserStatus.PENDING.value: "An administrator has to approve it before you can log in.",
    UserStatus.ACTIVE.value: "You can log in.",
}


def account_letter(kind: AccountMail, server: str, values: Mapping[str, Any]) -> Letter:
    """Return what a mail about an account says.

    Parameters
    ----------
    server
        Address of the server, as people know it.
    values
        What the outbox says, and ``link`` where one is needed.
    """
    status = _STATUS.get(str(values.get("status")), "")
    filled = {**values, "server": server, "status": status, "tokens": _tokens(values)}
    return _ACCOUNT_LETTERS[kind].filled(filled)


def _tokens(values: Mapping[str, Any]) -> str:
    revoked, remaining = values.get("revoked", 0), values.get("remaining", 0)
    ended = f" API tokens that have ended, too: {revoked}." if revoked else ""
    return ended + (f" API tokens that go on working: {remaining}." if remaining else "")


def notification_letter(server: str, username: str, title: str, body: str) -> Letter:
    """Return what a mail about a notification says."""
    return Letter(
        subject=title,
        greeting=f"Hello {username},",
        paragraphs=(body,),
        link=server,
        reason=f"You get this mail because you are notified by mail by {server}; your settings of "
        "notifications there say of what.",
    )


@cache
def _environment() -> Environment:
    # Names and labels of users are in it: HTML is escaped, text is not.
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
