"""Following one's balance: what it is, or what was missed, then what is noted; nothing is left out.

PostgreSQL has the last word on what there is. The user's stream only says when to look, so that nothing
depends on how much of it Redis still holds.
"""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

from gql_trader.balances import repository, service
from gql_trader.balances.types import BalanceRecord, stream_of
from gql_trader.core.actor import Actor
from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.errors import InvalidInput
from gql_trader.infra.event_streams import BEGINNING, EventStreams, EventTransportError
from gql_trader.infra.unit_of_work import UnitOfWorkFactory

RECHECK_SECONDS = 15.0
"""After this long without an event the database is asked, in case one was never published."""

_PAGE = 100
# A moment in milliseconds, up to the year 2286.
_CURSOR = re.compile(r"0|[1-9]\d{0,12}", re.ASCII)


async def follow(
    unit_of_work: UnitOfWorkFactory, events: EventStreams, actor: Actor, after: str | None
) -> AsyncGenerator[tuple[str, BalanceRecord], None]:
    """Yield what the actor's balance is, or with ``after`` what was noted since, then what is, for ever.

    Each comes with its cursor.

    Raises
    ------
    InvalidInput
        If ``after`` is not a cursor that the actor can have.
    """
    if after is not None and not _CURSOR.fullmatch(after):
        raise InvalidInput("Not a cursor of a balance; pass one that an event carried.", ("after",))
    stream = stream_of(actor.user_id)
    # Asked before the database: what is noted between the two wakes us.
    try:
        newest = await events.last_cursor(stream)
    except EventTransportError:
        newest = BEGINNING
    async with unit_of_work() as uow:
        await uow.read_one_moment()
        last = await repository.last_snapshot(uow.session, actor.user_id)
        noted = 0 if last is None else to_milliseconds(last.time)
        first = await service.present(uow, actor.user_id) if after is None else None
    seen = noted if after is None else int(after)
    if seen > noted:
        raise InvalidInput("None of your balances has this cursor yet.", ("after",))
    if first is not None:
        yield str(seen), first
    async with aclosing(events.follow(stream, newest, idle_seconds=RECHECK_SECONDS)) as feed:
        while True:
            async with unit_of_work() as uow:
                page = await repository.snapshots_after(
                    uow.session, actor.user_id, from_milliseconds(seen), _PAGE
                )
            for each in page:
                seen = to_milliseconds(each.time)
                yield str(seen), each
            if len(page) == _PAGE:
                continue
            async for event in feed:
                if event is None or event.data["time"] > seen:
                    break
