"""Limits on how often a mutation may be tried, declared beside it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from strawberry.extensions.field_extension import AsyncExtensionResolver, FieldExtension
from strawberry.types import Info as StrawberryInfo
from strawberry.utils.await_maybe import await_maybe

from gql_trader.core.errors import DomainError, DomainErrors, ErrorCode
from gql_trader.gql.context import Context, Info
from gql_trader.infra.rate_limits import Attempt, Policy, Subject

_log = structlog.get_logger(__name__)

# What an attacker's guess ends with. A malformed or weak new value is no guess.
_GUESSES = frozenset(
    {
        ErrorCode.INVALID_CREDENTIALS.value,
        ErrorCode.INACTIVE_ACCOUNT.value,
        ErrorCode.INVALID_TOKEN.value,
        ErrorCode.TOTP_REQUIRED.value,
    }
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy and how to name whom it counts, given the operation's context and the input."""

    policy: Policy
    name: Callable[[Context, Any], str | Awaitable[str]]


def by_address(policy: Policy) -> Rule:
    """Count a client's address, or its network for IPv6."""
    return Rule(policy, lambda context, _input: context.client.network)


def by_viewer(policy: Policy) -> Rule:
    """Count the signed-in user."""
    return Rule(policy, lambda context, _input: str(context.viewer.user_id))


class Limited(FieldExtension):
    """Limit a field by rules; all of them hold at once.

    Parameters
    ----------
    failures
        Count only attempts that fail as a guess does: with INVALID_CREDENTIALS, INACTIVE_ACCOUNT,
        INVALID_TOKEN or a second factor that is wrong. Otherwise every attempt counts.
    attempts
        Rules that count every attempt all the same, for what is dear even when it succeeds.
    when
        Limit only attempts whose input this holds for; None: all.

    Raises
    ------
    RateLimited
        When resolving, if one of the rules is at its limit; nothing has been tried then.
    """

    def __init__(
        self,
        *rules: Rule,
        failures: bool = False,
        attempts: Sequence[Rule] = (),
        when: Callable[[Any], bool] | None = None,
    ) -> None:
        self._failures = rules if failures else ()
        self._attempts = attempts if failures else (*rules, *attempts)
        self._when = when

    async def resolve_async(
        self, next_: AsyncExtensionResolver, source: Any, info: StrawberryInfo[Any, Any], **kwargs: Any
    ) -> Any:
        """Resolve, unless a limit is reached."""
        context: Context = info.context
        given = kwargs.get("input")
        if self._when is not None and not self._when(given):
            return await next_(source, info, **kwargs)
        limits = context.services.rate_limits
        attempts = await _subjects(self._attempts, context, given)
        if not self._failures:
            await limits.count(*attempts)
            return await next_(source, info, **kwargs)
        async with limits.failures(*await _subjects(self._failures, context, given)) as attempt:
            async with _judged(attempt, info, given):
                if attempts:
                    await limits.count(*attempts)
                result = await next_(source, info, **kwargs)
            codes = {error.code.value for error in getattr(result, "errors", ())}
            _judge(attempt, codes, info, given)
            return result


async def _subjects(rules: Sequence[Rule], context: Context, given: Any) -> list[Subject]:
    return [Subject(rule.policy, await await_maybe(rule.name(context, given))) for rule in rules]


@asynccontextmanager
async def _judged(attempt: Attempt, info: Info, given: Any) -> AsyncIterator[None]:
    try:
        yield
    except DomainError as error:
        _judge(attempt, {error.code.value}, info, given)
        raise
    except DomainErrors as errors:
        _judge(attempt, {error.code.value for error in errors.errors}, info, given)
        raise
    except Exception:
        # Nobody has learned anything: the database may be away, and its users must not be shut out for that.
        attempt.succeeded()
        raise


def _whom(context: Context, given: Any) -> dict[str, str]:
    """Return whom an attempt was about, for the log: enough to count by, nothing to read."""
    if context.actor is not None:
        return {"user_id": str(context.actor.user_id)}
    login = getattr(given, "login", None)
    return {"login_hash": context.services.keys.pseudonym(login.strip().lower())} if login else {}


def _judge(attempt: Attempt, codes: set[str], info: Info, given: Any) -> None:
    guesses = codes & _GUESSES
    if not getattr(given, "totp_code", None):
        # Being asked for the second factor is how a login with one begins.
        guesses -= {ErrorCode.TOTP_REQUIRED.value}
    if guesses:
        _log.warning(
            "attempt_failed", field=info.field_name, codes=sorted(guesses), **_whom(info.context, given)
        )
    else:
        attempt.succeeded()
