"""Following one's notifications: what is unread or was missed, then what comes; nothing is left out.

PostgreSQL has the last word on what there is. The user's stream only says when to look, so that nothing
depends on how much of it Redis still holds.
"""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

from gql_trader.core.actor import Actor
from gql_trader.core.errors import InvalidInput
from gql_trader.infra.event_streams import BEGINNING, EventStreams, EventTransportError
from gql_trader.infra.unit_of_work import UnitOfWorkFactory
from gql_trader.notifications import repository
from gql_trader.notifications.types import NotificationRecord, stream_of

RECHECK_SECONDS = 15.0
"""After this long without an event the database is asked, in case one was never published."""

UNREAD_SHOWN = 50
"""Unread notifications that a fresh follower is told."""

_PAGE = 100
_CURSOR = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)


def cursor_of(notification: NotificationRecord) -> str:
    """Return where to go on behind a notification."""
    return str(notification.number)


async def follow(
    unit_of_work: UnitOfWorkFactory, events: EventStreams, actor: Actor, after: str | None
) -> AsyncGenerator[NotificationRecord, None]:
    """Yield what the actor has not read, or with ``after`` what came since, then what comes, for ever.

    Raises
    ------
    InvalidInput
        If ``after`` is not a cursor that the actor can have.
    """
    if after is not None and not _CURSOR.fullmatch(after):
        raise InvalidInput("Not a cursor of a notification; pass one that an event carried.", ("after",))
    stream = stream_of(actor.user_id)
    # Asked before the database: what is added between the two wakes us.
    try:
        newest = await events.last_cursor(stream)
    except EventTransportError:
        newest = BEGINNING
    if after is None:
        async with unit_of_work() as uow:
            seen = await repository.last_number(uow.session, actor.user_id)
            unread = await repository.newest_unread(uow.session, actor.user_id, seen, UNREAD_SHOWN)
        for each in unread:
            yield each
    else:
        seen = int(after)
        async with unit_of_work() as uow:
            last = await repository.last_number(uow.session, actor.user_id)
        if seen > last:
            raise InvalidInput("None of your notifications has this cursor yet.", ("after",))
    async with aclosing(events.follow(stream, newest, idle_seconds=RECHECK_SECONDS)) as feed:
        while True:
            async with unit_of_work() as uow:
                page = await repository.notifications_after(uow.session, actor.user_id, seen, _PAGE)
            for each in page:
                seen = each.number
                yield each
            if len(page) == _PAGE:
                continue
            async for event in feed:
                if event is None or event.data["number"] > seen:
                    break
