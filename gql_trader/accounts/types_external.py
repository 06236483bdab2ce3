"""What an identity provider tells of a user."""

from dataclasses import dataclass

NO_MAILBOX = "external.invalid"
"""Domain of the addresses of users whose provider tells none; RFC 2606 reserves it, no mail arrives there."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A user as an identity provider describes it.

    Attributes
    ----------
    subject
        The provider's name for the user, which never changes.
    email
        An address that the provider has verified; None if it has verified none.
    names
        What the user is called, the best name first; none of them need be a username of ours.
    """

    subject: str
    email: str | None = None
    names: tuple[str, ...] = ()
