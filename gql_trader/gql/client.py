"""Who is at the other end of a connection."""

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Scope

_LONGEST_USER_AGENT = 300


@dataclass(frozen=True, slots=True)
class Client:
    """A client as its connection shows it.

    Attributes
    ----------
    address
        IP address; None if the transport has none.
    user_agent
        What the client says it is, cut to a reasonable length; None if it does not say.
    """

    address: str | None = None
    user_agent: str | None = None


def client_of(scope: Scope) -> Client:
    """Return the client of a request or a socket."""
    peer = scope.get("client")
    user_agent = Headers(scope=scope).get("user-agent", "").replace("\0", "").strip()
    return Client(peer[0] if peer else None, user_agent[:_LONGEST_USER_AGENT] or None)
