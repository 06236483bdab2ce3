"""The messages of graphql-transport-ws: reading the client's strictly, writing the server's.

The protocol is that of the npm package graphql-ws: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from gql_trader.gql import nul
from gql_trader.gql.api import MalformedRequestError, Request, read_request
from gql_trader.infra import json_codec

SUBPROTOCOL = "graphql-transport-ws"

_MAXIMUM_ID_LENGTH = 256


class CloseCode(IntEnum):
    """Why the server closes a socket."""

    SHUTTING_DOWN = 1001
    TOO_SLOW = 1008
    TOO_BIG = 1009
    INTERNAL = 1011
    BAD_REQUEST = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    INITIALISATION_TIMEOUT = 4408
    SUBSCRIBER_EXISTS = 4409
    TOO_MANY_INITIALISATIONS = 4429
    TOO_MANY_SOCKETS = 4429


class ProtocolError(Exception):
    """The client broke the protocol, so the socket is closed with this code and reason."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ConnectionInit:
    """The client's first message; ``authorization`` is what its payload says, if anything."""

    authorization: str | None


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Start an operation of any kind."""

    id: str
    request: Request


@dataclass(frozen=True, slots=True)
class Complete:
    """Stop an operation."""

    id: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there?"""


@dataclass(frozen=True, slots=True)
class Pong:
    """I am here."""


ClientMessage = ConnectionInit | Subscribe | Complete | Ping | Pong


def read_message(text: str) -> ClientMessage:
    """Return the message in a text frame.

    Raises
    ------
    ProtocolError
        4400, if it is not a message of the protocol.
    """
    try:
        message = nul.loads(text)
    except ValueError as error:
        raise _bad("The message is not JSON.") from error
    except nul.NulError as error:
        raise _bad(str(error)) from error
    if not isinstance(message, dict):
        raise _bad("A message must be a JSON object.")
    payload = message.get("payload")
    match message.get("type"):
        case "connection_init":
            return ConnectionInit(_authorization(_object_or_null(payload)))
        case "ping":
            _object_or_null(payload)
            return Ping()
        case "pong":
            _object_or_null(payload)
            return Pong()
        case "subscribe":
            identifier = _identifier(message)
            try:
                return Subscribe(identifier, read_request(payload))
            except MalformedRequestError as error:
                raise _bad(str(error)) from error
        case "complete":
            return Complete(_identifier(message))
        case _:
            raise _bad("The message has no type of the protocol.")


def _identifier(message: dict[str, Any]) -> str:
    identifier = message.get("id")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= _MAXIMUM_ID_LENGTH:
        raise _bad(f"id must be a string of 1 to {_MAXIMUM_ID_LENGTH} characters.")
    return identifier


def _object_or_null(payload: Any) -> dict[str, Any]:
    if payload is None:
        return {}
    if not isinstance(payload, dict):
        raise _bad("payload must be an object or null.")
    return payload


def _authorization(payload: dict[str, Any]) -> str | None:
    for key, value in payload.items():
        if key.lower() == "authorization" and value is not None:
            if not isinstance(value, str):
                raise _bad("authorization must be a string.")
            return value or None
    return None


def _bad(reason: str) -> ProtocolError:
    return ProtocolError(CloseCode.BAD_REQUEST, reason)


def write_message(kind: str, identifier: str | None = None, payload: Any = None) -> str:
    """Return a message of the server as text: the protocol has no binary frames."""
    message: dict[str, Any] = {"type": kind}
    if identifier is not None:
        message["id"] = identifier
    if payload is not None:
        message["payload"] = payload
    return json_codec.dumps_text(message)
