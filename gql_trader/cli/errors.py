"""Errors for the person at the terminal: what is wrong and what to do, without a traceback."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class CommandError(Exception):
    """A command cannot be carried out; the message says why."""


@contextmanager
def explained() -> Iterator[None]:
    """End the process with a message and exit code 1 where an error explains itself."""
    try:
        yield
    except Exception as error:
        message = _explanation(error)
        if message is None:
            raise
        print(f"gql-trader: {message}", file=sys.stderr)
        raise SystemExit(1) from None


def setting_problems(error: "ValidationError") -> list[str]:
    """Return what is wrong with the settings, each named as its environment variable."""
    return [
        f"{'.'.join(map(str, problem['loc'])).upper() or 'settings'}: "
        f"{problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors()
    ]


def _explanation(error: Exception) -> str | None:
    # By name where the class is: most commands never import these modules.
    from gql_trader.core.errors import DomainError, DomainErrors

    if isinstance(error, CommandError | DomainError | DomainErrors):
        return str(error)
    if _is(error, "gql_trader.infra.embedded", "EmbeddedServerError"):
        return str(error)
    modules = sys.modules
    if "pydantic" in modules and isinstance(error, modules["pydantic"].ValidationError):
        return "\n  ".join(["the settings are refused:", *setting_problems(error)])
    if _is(error, "gql_trader.infra.key_ring", "KeyRingError"):
        return f"ENCRYPTION_KEYS: {error}"
    if _is(error, "redis.exceptions", "RedisError"):
        return f"Redis (REDIS_URL) cannot be used: {_one_line(error)}"
    if "sqlalchemy.exc" in modules and isinstance(error, modules["sqlalchemy.exc"].DBAPIError):
        # Without a statement it is the connection that failed. A wrong statement is our mistake, and wants
        # its traceback.
        away = _is(error, "sqlalchemy.exc", "OperationalError") or _is(
            error, "sqlalchemy.exc", "InterfaceError"
        )
        if error.statement is not None and not away:
            return None
        return f"the database (DATABASE_URL) cannot be used: {_one_line(error.orig or error)}"
    if _is(error, "sqlalchemy.exc", "ArgumentError"):
        return f"the database (DATABASE_URL) cannot be used: {_one_line(error)}"
    if _is(error, "asyncpg", "PostgresError") or _is(error, "asyncpg", "InterfaceError"):
        return f"the database (DATABASE_URL) cannot be used: {_one_line(error)}"
    if isinstance(error, ConnectionError | TimeoutError | socket.gaierror):
        # Redis's client has classes of its own.
        return f"the database (DATABASE_URL) cannot be reached: {_one_line(error)}"
    if isinstance(error, OSError):
        return _one_line(error)
    return None


def _is(error: Exception, module: str, name: str) -> bool:
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, type) and isinstance(error, found)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
