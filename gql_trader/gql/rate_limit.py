"""`rateLimit`: how the viewer's budget stands."""

from datetime import datetime

import strawberry

from gql_trader.core.actor import TokenScope
from gql_trader.gql.context import Info
from gql_trader.gql.permissions import public, visible


@visible("whoever asks, about their own budget")
@strawberry.type(
    description="How your budget of points stands. An operation costs about one point for each object that "
    "it may return; every minute begins with a full budget."
)
class RateLimitStatus:
    """The budget of a user, or of an address that is not signed in."""

    limit: int = strawberry.field(description="Points that may be spent in a minute.")
    remaining: int = strawberry.field(description="Points that are left of this minute.")
    reset_at: datetime = strawberry.field(description="When the next minute begins.")
    cost: int = strawberry.field(description="Points that this operation costs; they are spent already.")


@strawberry.type
class RateLimitQuery:
    """The query about one's own budget."""

    @strawberry.field(
        description="What your operations may cost, and what is left; also told with any operation that is "
        'sent with `"extensions": {"cost": true}`.',
        extensions=public(TokenScope.READ),
    )
    async def rate_limit(self, info: Info) -> RateLimitStatus | None:
        context = info.context
        budget = context.services.budget.status(context.payer)
        return RateLimitStatus(
            limit=budget.limit, remaining=budget.remaining, reset_at=budget.reset_at, cost=context.cost
        )
