"""What the transports need to know about the credentials of a request."""

from collections.abc import Awaitable, Callable, Hashable
from datetime import datetime
from typing import Protocol

from gql_trader.core.actor import Actor
from gql_trader.gql.context import Services


class Credentials(Protocol):
    """What an Authorization header amounts to.

    Attributes
    ----------
    actor
        The user, or None if nobody is signed in.
    problem
        Why credentials that were sent were refused; None if none were sent or they are good.
    expires_at
        When the credentials end; None if they do not.
    grant
        What can be looked up, for many sockets at once, to see whether the credentials have ended before;
        None if only judging them anew can tell.
    """

    @property
    def actor(self) -> Actor | None: ...
    @property
    def problem(self) -> str | None: ...
    @property
    def expires_at(self) -> datetime | None: ...
    @property
    def grant(self) -> Hashable | None: ...


Authenticate = Callable[[Services, str | None], Awaitable[Credentials]]
"""Judges the value of an Authorization header, None if none was sent."""
