"""Errors on their way to the client: coded, with the request's id, and silent about bugs."""

import re
from collections.abc import Iterable
from typing import Any

import structlog
from graphql import FieldNode, GraphQLError

from gql_trader.core.errors import DomainError, DomainErrors, RateLimited
from gql_trader.gql.errors import ApiError, bad_user_input

_log = structlog.get_logger(__name__)

# What was sent, repeated by graphql-core: a form with one misspelt field has a password in another, and
# messages end in other people's logs.
_ECHO = re.compile(r"(, found:| Found:) .*", re.DOTALL)

INTERNAL_MESSAGE = "Something went wrong on the server. The request id identifies it in the server's log."


def present_errors(errors: Iterable[GraphQLError], request_id: str) -> list[dict[str, Any]]:
    """Return execution errors as the client sees them.

    A refusal by the domain becomes BAD_USER_INPUT and an `ApiError` stays what it is. Everything else is
    a bug: it is logged with its traceback, and the client learns no more than the request's id.
    """
    return [shown for error in errors for shown in _present(error, request_id)]


def refusal(error: GraphQLError, code: str, request_id: str) -> dict[str, Any]:
    """Return an error of the request itself (syntax, validation, variables) as the client sees it."""
    message = _ECHO.sub(lambda echo: "." if echo[0].startswith(",") else "", error.message)
    return _format(error, message, {"code": code, **(error.extensions or {})}, request_id)


def internal_error(error: BaseException, request_id: str) -> dict[str, Any]:
    """Log a bug outside any field, and return what the client sees of it."""
    _log.error("request_failed", request_id=request_id, exc_info=error)
    return {"message": INTERNAL_MESSAGE, "extensions": {"code": "INTERNAL", "requestId": request_id}}


def _present(error: GraphQLError, request_id: str) -> list[dict[str, Any]]:
    cause = _cause(error)
    if isinstance(cause, DomainErrors):
        return [_refused(error, each, request_id) for each in cause.errors]
    if isinstance(cause, DomainError):
        return [_refused(error, cause, request_id)]
    if isinstance(cause, RateLimited):
        _log.warning("rate_limited", limit=cause.limit, retry_after_seconds=cause.retry_after_seconds)
        extensions = {"code": "RATE_LIMITED", "retryAfterSeconds": cause.retry_after_seconds}
        return [_format(error, str(cause), extensions, request_id)]
    if isinstance(cause, ApiError):
        return [_format(error, cause.message, cause.extensions or {}, request_id)]
    # graphql-core points at the part of the document that it cannot coerce to an argument; errors about
    # a value that a resolver returned have no nodes, or the field's.
    if isinstance(cause, GraphQLError) and cause.nodes and not isinstance(cause.nodes[0], FieldNode):
        return [_format(error, cause.message, {"code": "BAD_USER_INPUT"}, request_id)]
    _log.error(
        "resolver_failed",
        request_id=request_id,
        path=".".join(map(str, error.path or ())),
        exc_info=cause,
    )
    return [_format(error, INTERNAL_MESSAGE, {"code": "INTERNAL"}, request_id)]


def _cause(error: GraphQLError) -> BaseException:
    cause: BaseException = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def _refused(error: GraphQLError, refused: DomainError, request_id: str) -> dict[str, Any]:
    shown = bad_user_input(refused)
    return _format(error, shown.message, shown.extensions or {}, request_id)


def _format(error: GraphQLError, message: str, extensions: dict[str, Any], request_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"message": message}
    if error.locations:
        shown["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path is not None:
        shown["path"] = list(error.path)
    shown["extensions"] = {**extensions, "requestId": request_id}
    return shown
