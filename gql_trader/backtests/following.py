"""Following a backtest: its present state, then what happens, until it ends."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from gql_trader.backtests import repository
from gql_trader.backtests.types import stream_of
from gql_trader.core.actor import Actor
from gql_trader.core.errors import NotFound
from gql_trader.infra.event_streams import EventStreams
from gql_trader.infra.following import News as News
from gql_trader.infra.following import follow_run as follow_run
from gql_trader.infra.unit_of_work import UnitOfWorkFactory


def follow(
    unit_of_work: UnitOfWorkFactory, events: EventStreams, actor: Actor, backtest_id: UUID, after: str | None
) -> AsyncGenerator[News, None]:
    """Yield a backtest's present state, or with ``after`` what was missed since, then every event to the end.

    Raises
    ------
    NotFound
        If the user has no such backtest.
    InvalidInput
        If ``after`` is not a cursor.
    """

    async def present() -> Row[Any]:
        async with unit_of_work() as uow:
            row = await repository.backtest(uow.session, actor.user_id, backtest_id)
        if row is None:
            raise NotFound("There is no such backtest.", ("id",))
        return row

    return follow_run(events, stream_of(backtest_id), present, after)
