"""GraphQL query and subscription of the balances domain."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from gql_trader.balances import repository
from gql_trader.balances.following import follow
from gql_trader.balances.types import BalanceEventKind
from gql_trader.core.actor import Role
from gql_trader.gql.context import Info
from gql_trader.gql.enums import register_enum
from gql_trader.gql.pagination import After, Before, Connection, First, Last, connection
from gql_trader.gql.permissions import requires, visible
from gql_trader.infra.keyset import page_request
from gql_trader.reports.schema_types import CalendarDay
from gql_trader.reports.types import Day, Level

register_enum(
    BalanceEventKind,
    "Why a balance is told.",
    {
        "PRESENT": "It is what it was when the subscription began.",
        "SNAPSHOT": "It was noted, as it is every few minutes while anything trades "
        "(BALANCE_SNAPSHOT_MINUTES).",
        "HEARTBEAT": "It is one of the hours of the day at which you are told, in your time zone "
        "(HEARTBEAT_HOURS). The same is a notification of the kind HEARTBEAT.",
    },
)


OWNER = "the user whose balance it is"


@visible(OWNER)
@strawberry.type(description="What has become of your capital: all of your sessions in one currency.")
class BalanceEvent:
    """Event of balance."""

    cursor: str = strawberry.field(description="Pass it as `after` to go on behind this event.")
    time: datetime = strawberry.field(description="When it was so.")
    kind: BalanceEventKind = strawberry.field(description="Why it is told.")
    currency: str | None = strawberry.field(
        description="Symbol of the currency of the amounts: your stake currency if a session is in it, else "
        "that of your newest session; null without a session."
    )
    balance: Decimal = strawberry.field(
        description="The most capital that was at work at a time, and profit."
    )
    profit: Decimal = strawberry.field(
        description="Equity less capital of every session, summed; open positions at their last value."
    )
    profit_fraction: float = strawberry.field(
        description="Profit over the most capital that was at work at a time; 0 while there was none."
    )


@visible(OWNER)
@strawberry.type(description="A day of yours, as it was summed up.")
class DailyProfit:
    """A day that is over."""

    day: CalendarDay = strawberry.field(description="The day, and what was gained on it.")
    timezone: str = strawberry.field(description="Your time zone when it was summed up last.")
    currency: str | None = strawberry.field(
        description="Symbol of the currency of the amounts; null if no session had one."
    )
    summed_at: datetime = strawberry.field(
        description="When it was summed up last: five minutes after its end, and again on each of the next "
        "seven days."
    )

    @classmethod
    def from_row(cls, row: Row[Any]) -> "DailyProfit":
        """Return the GraphQL object of a day."""
        level = Level(row.change, row.realized, row.fees, row.trades, row.wins)
        return cls(
            day=CalendarDay.from_day(Day(row.day, row.before, level)),
            timezone=row.timezone,
            currency=row.currency,
            summed_at=row.summed_at,
        )


@visible(OWNER)
@strawberry.type(name="DailyProfitConnection", description="One page of days, newest first.")
class DailyProfitConnection(Connection[DailyProfit]):
    """Days of the viewer."""


@strawberry.type
class BalanceQuery:
    """Queries of the balances domain."""

    @strawberry.field(
        description="Your days as they were summed up at your midnights, newest first, those on which "
        "nothing of yours traded left out. `calendar` tells of any days in any time zone, and of today.",
        extensions=requires(Role.VIEWER),
    )
    async def daily_profits(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> DailyProfitConnection | None:
        user_id = info.context.viewer.user_id
        async with info.context.uow() as uow:
            wanted = page_request(first, after, last, before)
            page = await repository.page_of_days(uow.session, user_id, wanted)

        async def count() -> int:
            async with info.context.uow() as uow:
                return await repository.count_days(uow.session, user_id)

        return connection(DailyProfitConnection, page, DailyProfit.from_row, count)


@strawberry.type
class BalanceSubscription:
    """Subscriptions of the balances domain."""

    @strawberry.subscription(
        description="Follow your balance: what it is now, then what it is every few minutes while "
        "anything of yours trades, and at the hours of the day at which you are told.",
        extensions=requires(Role.VIEWER),
    )
    async def balance(
        self,
        info: Info,
        after: Annotated[
            str | None,
            strawberry.argument(
                description="Cursor of the last event seen: what was noted since comes first. It lasts as "
                "long as balances are kept (BALANCE_RETENTION_DAYS)."
            ),
        ] = None,
    ) -> AsyncGenerator[BalanceEvent, None]:
        context = info.context
        feed = follow(context.uow, context.services.events, context.viewer, after)
        async with aclosing(feed):
            async for cursor, record in feed:
                yield BalanceEvent(
                    cursor=cursor,
                    time=record.time,
                    kind=record.kind,
                    currency=record.currency,
                    balance=record.balance,
                    profit=record.profit,
                    profit_fraction=record.profit_fraction,
                )
