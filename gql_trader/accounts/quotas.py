"""How much of something one user may have going on, and how much of it they may ask for in an hour."""

from collections.abc import Awaitable, Callable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.accounts.models import UserRow
from gql_trader.core.actor import Actor
from gql_trader.core.errors import QuotaExceeded, RateLimited
from gql_trader.core.ids import UserId
from gql_trader.infra.rate_limits import Policy, RateLimits, Subject
from gql_trader.infra.unit_of_work import UnitOfWork

_SECONDS_UNTIL_ONE_ENDS = 5


async def check_quota(
    uow: UnitOfWork,
    rate_limits: RateLimits,
    actor: Actor,
    what: str,
    count_active: Callable[[AsyncSession, UserId], Awaitable[int]],
    *,
    active: int,
    hourly: int,
) -> None:
    """Count one more of something; hold the user's row until the transaction ends.

    Parameters
    ----------
    what
        Plural, for messages, such as "backtests"; also the name of the rate limit.
    count_active
        Returns how many are queued or running.
    active, hourly
        How many may be queued or running, and how many queued within any hour.

    Raises
    ------
    QuotaExceeded
        If there would be more than either.
    """
    # Locks the user's row, so that requests at the same moment are counted one after the other.
    await uow.session.execute(
        select(UserRow.id).where(UserRow.id == actor.user_id).with_for_update(key_share=True)
    )
    found = await count_active(uow.session, actor.user_id)
    if found >= active:
        raise QuotaExceeded(
            f"{found} of your {what} are queued or running, which is as many as may be.",
            retry_after_seconds=_SECONDS_UNTIL_ONE_ENDS,
        )
    await count_request(rate_limits, actor, what, hourly)


async def count_request(rate_limits: RateLimits, actor: Actor, what: str, hourly: int) -> None:
    """Count one more of something against what a user may queue within an hour.

    Raises
    ------
    QuotaExceeded
        If that many were queued already.
    """
    try:
        await rate_limits.count(Subject(Policy(what, hourly, 3600), str(actor.user_id)))
    except RateLimited as error:
        raise QuotaExceeded(
            f"You have queued {hourly} {what} within the last hour, which is as many as may be.",
            retry_after_seconds=error.retry_after_seconds,
        ) from error
