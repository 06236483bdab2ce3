"""Following a search: its present state, then what happens, until it ends."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from gql_trader.backtests.following import News, follow_run
from gql_trader.core.actor import Actor
from gql_trader.core.errors import NotFound
from gql_trader.infra.event_streams import EventStreams
from gql_trader.infra.unit_of_work import UnitOfWorkFactory
from gql_trader.optimizations import repository
from gql_trader.optimizations.types import stream_of


def follow(
    unit_of_work: UnitOfWorkFactory,
    events: EventStreams,
    actor: Actor,
    optimization_id: UUID,
    after: str | None,
) -> AsyncGenerator[News, None]:
    """Yield a search's present state, or with ``after`` what was missed since, then every event to the end.

    Raises
    ------
    NotFound
        If the user has no such search.
    InvalidInput
        If ``after`` is not a cursor.
    """

    async def present() -> Row[Any]:
        async with unit_of_work() as uow:
            row = await repository.optimization(uow.session, actor.user_id, optimization_id)
        if row is None:
            raise NotFound("There is no such optimization.", ("id",))
        return row

    return follow_run(events, stream_of(optimization_id), present, after)
