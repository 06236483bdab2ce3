"""Errors as clients see them: typed in payloads, coded at the top level, masked when they are bugs."""

from collections.abc import Sequence
from enum import Enum
from typing import Any

import strawberry
from graphql import GraphQLError

from gql_trader.core.errors import (
    Conflict,
    DomainError,
    DomainErrors,
    ErrorCode,
    Forbidden,
    InvalidState,
    NotFound,
    QuotaExceeded,
)
from gql_trader.gql.enums import register_enum

_DESCRIPTIONS = {
    ErrorCode.INVALID_INPUT: "A value is malformed, out of range or inconsistent with another.",
    ErrorCode.NOT_FOUND: "No such object, or not one of yours.",
    ErrorCode.ALREADY_EXISTS: "Something with this name or key exists already.",
    ErrorCode.FORBIDDEN: "Your role or settings do not allow this.",
    ErrorCode.INVALID_STATE: "The object's present state does not allow this.",
    ErrorCode.QUOTA_EXCEEDED: "A limit on how much or how often was reached.",
    ErrorCode.WEAK_PASSWORD: "The password is too easy to guess.",
    ErrorCode.INVALID_CREDENTIALS: "Login or password is wrong.",
    ErrorCode.INACTIVE_ACCOUNT: "The account is pending or disabled.",
    ErrorCode.INVALID_TOKEN: "The token is malformed, expired or used already.",
    ErrorCode.TOTP_REQUIRED: "A second factor is needed.",
    ErrorCode.RULE_SYNTAX: "A rule cannot be parsed.",
    ErrorCode.RULE_TYPE: "A rule has the wrong type, or uses a name or function wrongly.",
    ErrorCode.NO_DATA: "There are no candles for what was asked.",
    ErrorCode.IDEMPOTENCY_MISMATCH: "The idempotency key was used before with other content.",
    ErrorCode.EXCHANGE_ERROR: "The exchange refused or did not answer.",
}

UserErrorCode = Enum("UserErrorCode", {code.name: code.value for code in ErrorCode})  # type: ignore[misc]
register_enum(
    UserErrorCode,
    "What went wrong, in a form that a client may branch on.",
    {code.name: description for code, description in _DESCRIPTIONS.items()},
)


@strawberry.interface(description="Why a mutation was refused; nothing was changed.")
class UserError:
    """A refusal in a payload."""

    __visible_to__ = "whoever sent the mutation"

    code: UserErrorCode = strawberry.field(description="What went wrong, for programs.")
    message: str = strawberry.field(description="What went wrong, for people; one sentence.")
    path: list[str] = strawberry.field(
        description='Where in the input, such as ["execution", "stopLoss"]; empty if the whole is meant.'
    )


@strawberry.type(description="A value of the input was refused.")
class ValidationError(UserError):
    """INVALID_INPUT and its relatives."""


@strawberry.type(description="Something that the input names does not exist for this user.")
class NotFoundError(UserError):
    """NOT_FOUND, NO_DATA."""


@strawberry.type(description="Something exists already, or an idempotency key was reused with other content.")
class ConflictError(UserError):
    """ALREADY_EXISTS, IDEMPOTENCY_MISMATCH."""


@strawberry.type(description="The user may not do this.")
class ForbiddenError(UserError):
    """FORBIDDEN."""


@strawberry.type(description="The object's present state does not allow this.")
class StateError(UserError):
    """INVALID_STATE."""


@strawberry.type(description="A limit was reached.")
class QuotaError(UserError):
    """QUOTA_EXCEEDED."""

    retry_after_seconds: int | None = strawberry.field(
        description="When trying again may succeed; null if waiting alone does not help."
    )


USER_ERROR_TYPES = (ValidationError, NotFoundError, ConflictError, ForbiddenError, StateError, QuotaError)


def user_errors(error: DomainError | DomainErrors, prefix: Sequence[str] = ()) -> list[UserError]:
    """Return the payload errors of a refusal."""
    if isinstance(error, DomainErrors):
        return [each for one in error.errors for each in user_errors(one, prefix)]
    fields: dict[str, Any] = {
        "code": UserErrorCode[error.code.value],
        "message": error.message,
        "path": [*prefix, *error.path],
    }
    match error:
        case QuotaExceeded():
            return [QuotaError(**fields, retry_after_seconds=error.retry_after_seconds)]
        case NotFound():
            return [NotFoundError(**fields)]
        case Conflict():
            return [ConflictError(**fields)]
        case Forbidden():
            return [ForbiddenError(**fields)]
        case InvalidState():
            return [StateError(**fields)]
        case _:
            return [ValidationError(**fields)]


class ApiError(GraphQLError):
    """A top-level error with a stable ``extensions.code``; its message is meant for clients."""

    def __init__(self, message: str, code: str, **extensions: Any) -> None:
        super().__init__(message, extensions={"code": code, **extensions})


def unauthenticated(problem: str | None = None) -> ApiError:
    """Return the error for a field that needs a signed-in user."""
    return ApiError(problem or "Sign in first: send an Authorization header.", "UNAUTHENTICATED")


def forbidden(message: str) -> ApiError:
    """Return the error for a field that this user may not use."""
    return ApiError(message, "FORBIDDEN")


def bad_user_input(error: DomainError) -> ApiError:
    """Return the top-level error for a query argument that was refused."""
    return ApiError(error.message, "BAD_USER_INPUT", reason=error.code.value, argument=list(error.path))
