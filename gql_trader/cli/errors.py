"""Errors for the person at the terminal: what is wrong and what to do, without a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


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


def _explanation(error: Exception) -> str | None:
    # By name where the class is: most commands never import these modules.
    from gql_trader.core.errors import DomainError, DomainErrors

    if isinstance(error, CommandError | DomainError | DomainErrors):
        return str(error)
    modules = sys.modules
    if "pydantic" in modules and isinstance(error, modules["pydantic"].ValidationError):
        lines = [
            f"  {'.'.join(map(str, problem['loc'])).upper() or 'settings'}: "
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        ]
        return "\n".join(["the settings are refused:", *lines])
    if "gql_trader.infra.key_ring" in modules and isinstance(
        error, modules["gql_trader.infra.key_ring"].KeyRingError
    ):
        return f"ENCRYPTION_KEYS: {error}"
    if "gql_trader.infra.embedded" in modules and isinstance(
        error, modules["gql_trader.infra.embedded"].EmbeddedServerError
    ):
        return str(error)
    return None
