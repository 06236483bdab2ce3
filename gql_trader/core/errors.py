"""Errors of the domain: each carries a stable code, never a transport status."""

from collections.abc import Iterable, Sequence
from enum import StrEnum


class ErrorCode(StrEnum):
    """What went wrong, in a form that a client may branch on."""

    INVALID_INPUT = "INVALID_INPUT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FORBIDDEN = "FORBIDDEN"
    INVALID_STATE = "INVALID_STATE"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    WEAK_PASSWORD = "WEAK_PASSWORD"  # noqa: S105 -- a code, not a password
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    INACTIVE_ACCOUNT = "INACTIVE_ACCOUNT"
    INVALID_TOKEN = "INVALID_TOKEN"  # noqa: S105 -- a code, not a token
    TOTP_REQUIRED = "TOTP_REQUIRED"
    RULE_SYNTAX = "RULE_SYNTAX"
    RULE_TYPE = "RULE_TYPE"
    NO_DATA = "NO_DATA"
    IDEMPOTENCY_MISMATCH = "IDEMPOTENCY_MISMATCH"
    EXCHANGE_ERROR = "EXCHANGE_ERROR"


class DomainError(Exception):
    """A refusal that the caller can understand and act on.

    Parameters
    ----------
    message
        One sentence for a person; names the value that was refused and what was expected.
    path
        Where in the input the problem is, for example ``("execution", "stopLoss")`` in the API's
        spelling. Empty when the error concerns the whole request.
    code
        Overrides the class's default code.
    """

    default_code: ErrorCode = ErrorCode.INVALID_INPUT

    def __init__(self, message: str, path: Sequence[str] = (), code: ErrorCode | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = tuple(path)
        self.code = code or self.default_code


class InvalidInput(DomainError):
    """A value is out of range, malformed or inconsistent with another one."""

    default_code = ErrorCode.INVALID_INPUT


class NotFound(DomainError):
    """No such object, or not one of this user's."""

    default_code = ErrorCode.NOT_FOUND


class Conflict(DomainError):
    """The object exists already, or an idempotency key was reused with other content."""

    default_code = ErrorCode.ALREADY_EXISTS


class Forbidden(DomainError):
    """The user may not do this."""

    default_code = ErrorCode.FORBIDDEN


class InvalidState(DomainError):
    """The object's present state does not allow this."""

    default_code = ErrorCode.INVALID_STATE


class QuotaExceeded(DomainError):
    """A limit on how much or how often was reached.

    Parameters
    ----------
    retry_after_seconds
        When trying again may succeed; None if waiting alone will not help.
    """

    default_code = ErrorCode.QUOTA_EXCEEDED

    def __init__(
        self, message: str, path: Sequence[str] = (), retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(message, path)
        self.retry_after_seconds = retry_after_seconds


class RateLimited(Exception):
    """Somebody tries too often; says nothing about whether what was tried would have succeeded.

    Parameters
    ----------
    limit
        Name of the limit, for the log.
    retry_after_seconds
        When trying again may succeed, at least 1.
    """

    def __init__(self, limit: str, retry_after_seconds: int) -> None:
        super().__init__(f"Too many attempts; try again in {retry_after_seconds} seconds.")
        self.limit = limit
        self.retry_after_seconds = retry_after_seconds


class DomainErrors(Exception):
    """Several refusals of one request, reported together so that a form can show them all at once."""

    def __init__(self, errors: Iterable[DomainError]) -> None:
        self.errors = tuple(errors)
        if not self.errors:
            raise ValueError("DomainErrors needs at least one error")
        super().__init__("; ".join(error.message for error in self.errors))
