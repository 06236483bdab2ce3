"""GraphQL types of the reports domain."""

import datetime as dt
from decimal import Decimal

import strawberry

from gql_trader.gql.context import Info
from gql_trader.gql.cost import costs
from gql_trader.gql.enums import register_enum
from gql_trader.gql.permissions import visible
from gql_trader.reports.loaders import ReportLoaders
from gql_trader.reports.types import Day, DayColor, Scope, Summary

_EVENTFUL_DAYS_COST = 30
"""Of looking at all days that there were."""

OWNER = "the user whose sessions they are about"

register_enum(
    DayColor,
    "How a day went.",
    {
        "GREEN": "Money was gained.",
        "RED": "Money was lost.",
        "NEUTRAL": "Neither: nothing was held, or all came out even.",
    },
)


@visible(OWNER)
@strawberry.type(description="What your sessions gained and closed on a day of a time zone.")
class CalendarDay:
    """A day."""

    date: dt.date = strawberry.field(description="The day.")
    profit: Decimal = strawberry.field(
        description="By how much equity changed from one midnight to the next, apart from capital that was "
        "put to work: open positions count at their value. A bar belongs to the day on which it opened."
    )
    realized_profit: Decimal = strawberry.field(
        description="Profit of the trades that were closed, wherever it was made: it may have grown for days."
    )
    profit_fraction: float = strawberry.field(
        description="`profit` over what the capital had become by the midnight before."
    )
    fees: Decimal = strawberry.field(description="Fees of the trades that were closed.")
    trades: int = strawberry.field(description="Trades that were closed.")
    wins: int = strawberry.field(description="Those of them that gained.")
    color: DayColor = strawberry.field(description="Whether `profit` is a gain or a loss.")

    @classmethod
    def from_day(cls, day: Day) -> "CalendarDay":
        """Return the GraphQL object of a day."""
        return cls(
            date=day.date,
            profit=day.level.change,
            realized_profit=day.level.realized,
            profit_fraction=day.profit_fraction,
            fees=day.level.fees,
            trades=day.level.trades,
            wins=day.level.wins,
            color=day.color,
        )


@visible(OWNER)
@strawberry.type(
    description="What your sessions have gained so far. All amounts are in `currency`: sessions in other "
    "currencies do not count, since amounts of different ones cannot be added."
)
class ProfitSummary:
    """Figures over all sessions of a scope."""

    scope: strawberry.Private[Scope]
    currency: str | None = strawberry.field(
        description="Symbol of the quote currency: the one that was asked for, also without a session in it; "
        "else null while no session has one."
    )
    balance: Decimal = strawberry.field(description="`baseline` and `profit`.")
    baseline: Decimal = strawberry.field(
        description="The most capital that was at work at one time: a session that begins after another has "
        "ended can use its money."
    )
    profit: Decimal = strawberry.field(
        description="Equity less capital of every session, summed: `realizedProfit` and `unrealizedProfit`."
    )
    profit_fraction: float = strawberry.field(description="`profit` over `baseline`; 0 without any.")
    realized_profit: Decimal = strawberry.field(description="Profit of all trades that are closed.")
    unrealized_profit: Decimal = strawberry.field(
        description="What open positions have gained at their last value, less the fees of their entries."
    )
    fees: Decimal = strawberry.field(description="Fees of all trades that are closed.")
    win_rate: float | None = strawberry.field(
        description="Trades that gained over those that are closed, 0 to 1; null while none is."
    )
    trades: int = strawberry.field(description="Trades that are closed.")
    open_trades: int = strawberry.field(description="Trades whose positions are held.")
    today: Decimal = strawberry.field(
        description="By how much equity changed since midnight in your time zone; capital is no gain."
    )

    @classmethod
    def of(cls, scope: Scope, found: Summary) -> "ProfitSummary":
        """Return the GraphQL object of a summary."""
        level, balance = found.level, found.balance
        return cls(
            scope=scope,
            currency=balance.currency or scope.currency,
            balance=balance.balance,
            baseline=balance.baseline,
            profit=balance.profit,
            profit_fraction=balance.profit_fraction,
            realized_profit=level.realized,
            unrealized_profit=level.change - level.realized,
            fees=level.fees,
            win_rate=level.wins / level.trades if level.trades else None,
            trades=level.trades,
            open_trades=found.open_trades,
            today=found.today,
        )

    @strawberry.field(
        description="The day in your time zone on which most was gained, or least lost; null while equity "
        "has not changed on any.",
        metadata=costs(_EVENTFUL_DAYS_COST),
    )
    async def best_day(self, info: Info) -> CalendarDay | None:
        days = await info.context.loaders(ReportLoaders).best_and_worst.load(self.scope)
        return CalendarDay.from_day(days[0]) if days else None

    @strawberry.field(
        description="The day in your time zone on which most was lost, or least gained; null while equity "
        "has not changed on any.",
        metadata=costs(_EVENTFUL_DAYS_COST),
    )
    async def worst_day(self, info: Info) -> CalendarDay | None:
        days = await info.context.loaders(ReportLoaders).best_and_worst.load(self.scope)
        return CalendarDay.from_day(days[1]) if days else None
