"""GraphQL queries of the reports domain."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import numpy as np
import strawberry

from gql_trader.backtests.curves import thinned_equity
from gql_trader.backtests.schema_backtest import EQUITY_COLUMNS
from gql_trader.backtests.schema_enums import Side
from gql_trader.backtests.schema_types import EquityColumns, points_of_curve
from gql_trader.bots.schema_enums import TradeStatus
from gql_trader.bots.schema_types import Trade, TradeConnection
from gql_trader.core.actor import Role
from gql_trader.core.money import to_float
from gql_trader.gql.context import Info
from gql_trader.gql.cost import COLUMNS_COST, costs
from gql_trader.gql.pagination import After, Before, First, Last, connection
from gql_trader.gql.permissions import requires
from gql_trader.gql.relay import decode_id
from gql_trader.infra.keyset import page_request
from gql_trader.reports import periods, service
from gql_trader.reports.schema_types import CalendarDay, ProfitSummary
from gql_trader.reports.types import Scope, TradeFilter
from gql_trader.settings.schema_enums import SessionMode

CALENDAR_COST = 30
DAY_NUMBERS = 8

OfBot = Annotated[
    strawberry.ID | None, strawberry.argument(description="Only of this bot; none: of all your sessions.")
]
OfSession = Annotated[strawberry.ID | None, strawberry.argument(description="Only of this session.")]
InCurrency = Annotated[
    str | None,
    strawberry.argument(
        description="Symbol of the quote currency to report in, such as USDT. None: the stake currency of "
        "your settings if a session is in it, else that of your newest session. One that nothing here is "
        "called is an error; one that you have never traded in gives figures of nothing."
    ),
]
InMode = Annotated[
    SessionMode | None, strawberry.argument(description="Only on paper, or only live; none: both together.")
]

Replays = Annotated[
    bool | None,
    strawberry.argument(
        description="Whether sessions over history count, too. They always do where their bot or session is "
        "named; else what they would have gained is not mixed with what was gained."
    ),
]


def _key(given: str | None, type_name: str, argument: str) -> UUID | None:
    return None if given is None else decode_id(given, type_name, (argument,))


def _scope(
    bot_id: str | None,
    session_id: str | None,
    currency: str | None,
    mode: SessionMode | None,
    replays: bool | None,
) -> Scope:
    return Scope(
        _key(bot_id, "Bot", "botId"),
        _key(session_id, "TradingSession", "sessionId"),
        None if currency is None else currency.strip().upper(),
        mode,
        bool(replays),
    )


@strawberry.type
class ReportQuery:
    """Queries of the reports domain."""

    @strawberry.field(
        description="Your trades, the last opened first; null if there is no such bot or session of yours.",
        extensions=requires(Role.VIEWER),
    )
    async def trades(
        self,
        info: Info,
        bot_id: OfBot = None,
        session_id: OfSession = None,
        market: Annotated[
            str | None,
            strawberry.argument(description="Only on this market: BTC/USD anywhere, or coinbase:BTC/USD."),
        ] = None,
        side: Annotated[Side | None, strawberry.argument(description="Only in this direction.")] = None,
        status: Annotated[
            TradeStatus | None, strawberry.argument(description="Only held, or only closed ones.")
        ] = None,
        start: Annotated[
            datetime | None, strawberry.argument(description="Only those opened at or after this moment.")
        ] = None,
        end: Annotated[
            datetime | None, strawberry.argument(description="Only those opened before this moment.")
        ] = None,
        replays: Replays = False,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> TradeConnection | None:
        user_id = info.context.viewer.user_id
        wanted = TradeFilter(
            bot_id=_key(bot_id, "Bot", "botId"),
            session_id=_key(session_id, "TradingSession", "sessionId"),
            market=market,
            side=side,
            status=status,
            start=start,
            end=end,
            replays=bool(replays),
        )
        async with info.context.uow() as uow:
            page = await service.list_trades(uow, user_id, wanted, page_request(first, after, last, before))

        async def count() -> int:
            async with info.context.uow() as uow:
                await uow.read_one_moment()
                return await service.count_trades(uow, user_id, wanted)

        return connection(TradeConnection, page, Trade.from_row, count) if page else None

    @strawberry.field(
        description="Your equity over time, summed over your sessions: it begins at the `baseline` of "
        "`profit` and has what was gained until each moment, so that capital put to work is no gain. Looked "
        "at in up to 1,500 regular moments, quarters of an hour or longer apart, and at its end. Null if "
        "there is no such bot or session of yours.",
        extensions=requires(Role.VIEWER),
        metadata=costs(COLUMNS_COST),
    )
    async def equity_curve(
        self,
        info: Info,
        bot_id: OfBot = None,
        session_id: OfSession = None,
        start: Annotated[
            datetime | None,
            strawberry.argument(description="Where it begins; 30 days before its end if left out."),
        ] = None,
        end: Annotated[
            datetime | None, strawberry.argument(description="Where it ends; now if left out, and at most.")
        ] = None,
        max_points: Annotated[
            int | None,
            strawberry.argument(description="Thin it to at most this many points, keeping what stands out."),
        ] = None,
        currency: InCurrency = None,
        mode: InMode = None,
        replays: Replays = False,
    ) -> EquityColumns | None:
        scope, user_id = _scope(bot_id, session_id, currency, mode, replays), info.context.viewer.user_id
        points_of_curve(0, max_points)
        info.context.spend(len(EQUITY_COLUMNS) * periods.CURVE_POINTS)
        async with info.context.uow() as uow:
            await uow.read_one_moment()
            book = await service.reported(uow, user_id, scope)
            if book is None:
                return None
            curve = await periods.curve(uow, book, start, end)
        columns = {"time": np.array(curve.times, np.int64), "equity": np.array(curve.equity, np.float64)}
        return EquityColumns.from_columns(thinned_equity(columns, to_float(curve.baseline), max_points))

    @strawberry.field(
        description="What your sessions have gained so far; null if there is no such bot or session of "
        "yours.",
        extensions=requires(Role.VIEWER),
    )
    async def profit(
        self,
        info: Info,
        bot_id: OfBot = None,
        session_id: OfSession = None,
        currency: InCurrency = None,
        mode: InMode = None,
        replays: Replays = False,
    ) -> ProfitSummary | None:
        scope, user_id = _scope(bot_id, session_id, currency, mode, replays), info.context.viewer.user_id
        async with info.context.uow() as uow:
            await uow.read_one_moment()
            book = await service.reported(uow, user_id, scope)
            if book is None:
                return None
            return ProfitSummary.of(scope, await periods.summary(uow, user_id, book))

    @strawberry.field(
        description="What your sessions gained on every day of a range, also on those without any trade. "
        "Null if there is no such bot or session of yours.",
        extensions=requires(Role.VIEWER),
        metadata=costs(CALENDAR_COST),
    )
    async def calendar(
        self,
        info: Info,
        start: Annotated[
            date | None, strawberry.argument(description="First day; 29 days before `end` if left out.")
        ] = None,
        end: Annotated[
            date | None, strawberry.argument(description="Last day, included; today if left out.")
        ] = None,
        timezone: Annotated[
            str | None,
            strawberry.argument(
                description="Where days begin at midnight: a name in the IANA database, such as "
                "Europe/Berlin; that of your preferences if left out."
            ),
        ] = None,
        bot_id: OfBot = None,
        session_id: OfSession = None,
        currency: InCurrency = None,
        mode: InMode = None,
        replays: Replays = False,
    ) -> list[CalendarDay] | None:
        scope, user_id = _scope(bot_id, session_id, currency, mode, replays), info.context.viewer.user_id
        async with info.context.uow() as uow:
            await uow.read_one_moment()
            days = await periods.calendar(uow, user_id, scope, start, end, timezone)
        if days is None:
            return None
        info.context.spend(DAY_NUMBERS * len(days))
        return [CalendarDay.from_day(day) for day in days]
