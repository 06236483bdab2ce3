"""Relay's global object identification: opaque ids and the Node interface."""

import base64
import binascii
from collections.abc import Sequence
from uuid import UUID

import strawberry

from gql_trader.core.errors import InvalidInput
from gql_trader.core.ids import global_id


@strawberry.interface(description="An object that can be fetched again by its id alone.")
class Node:
    """Relay's Node."""

    id: strawberry.ID = strawberry.field(
        description="Global id: opaque, unique across all types, accepted by `node(id:)`."
    )


def encode_id(type_name: str, key: UUID) -> strawberry.ID:
    """Return the global id of an object."""
    return strawberry.ID(global_id(type_name, key))


def parse_id(global_id: str, path: Sequence[str] = ("id",)) -> tuple[str, UUID]:
    """Return the type name and the key in a global id.

    Raises
    ------
    InvalidInput
        If it is not a global id.
    """
    try:
        type_name, _, key = base64.b64decode(global_id, validate=True).decode().partition(":")
        return type_name, UUID(key)
    except (ValueError, binascii.Error) as error:
        raise InvalidInput("This is not a global id.", path) from error


def decode_id(global_id: str, type_name: str, path: Sequence[str] = ("id",)) -> UUID:
    """Return the key in the global id of an object of a known type.

    Raises
    ------
    InvalidInput
        If it is not a global id, or one of another type.
    """
    found, key = parse_id(global_id, path)
    if found != type_name:
        raise InvalidInput(f"This is not the id of a {type_name}.", path)
    return key
