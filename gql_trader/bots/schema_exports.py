"""Trades of bots and sessions as CSV over signed links."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from strawberry.utils.str_converters import to_camel_case

from gql_trader.accounts.service import find_user
from gql_trader.accounts.types import UserStatus
from gql_trader.bots import repository_trades
from gql_trader.bots.repository_trades import EXPORTED, TradesOf
from gql_trader.bots.schema_enums import TradeStatus
from gql_trader.core.ids import UserId
from gql_trader.gql.context import Services
from gql_trader.gql.cost import COLUMNS_COST
from gql_trader.gql.csv_export import Cell, csv_lines
from gql_trader.gql.downloads import CSV, Download
from gql_trader.gql.relay import encode_id

TRADES_ROUTE = "/exports/{owner}/{key}/trades.csv"

_ROWS = 1000
_COLUMNS = ["session", *map(to_camel_case, EXPORTED), "status"]


class TradesOwner(StrEnum):
    """Whose trades a file has, as the link says it."""

    USER = "users"
    BOT = "bots"
    SESSION = "sessions"


def trades_link(services: Services, user_id: UserId, owner: TradesOwner, key: UUID) -> str:
    """Return a link to the trades of a user, or of one of the user's bots or sessions, for some minutes."""
    path = TRADES_ROUTE.format(owner=owner.value, key=key)
    return f"{services.settings.public_address}{path}?{services.links.sign(path, user_id)}"


async def find_trades(
    services: Services, path: Mapping[str, str], query: Mapping[str, str]
) -> Download | None:
    """Return the file that a link stands for; None if the link is not good, or what it is for is gone.

    Nothing is read for a link that was not signed here. A user who is no longer active has no files.
    """
    user_id = services.links.verify(TRADES_ROUTE.format(**path), query)
    if user_id is None:
        return None
    # What was signed here is well formed.
    owner, key = TradesOwner(path["owner"]), UUID(path["key"])
    wanted = TradesOf(
        user_id,
        bot_id=key if owner is TradesOwner.BOT else None,
        session_id=key if owner is TradesOwner.SESSION else None,
    )
    async with services.unit_of_work() as uow:
        user = await find_user(uow, user_id)
        if user is None or user.status is not UserStatus.ACTIVE:
            return None
        if not await repository_trades.exists(uow.session, wanted):
            return None
        count = await repository_trades.count(uow.session, wanted)
    name = "trades.csv" if owner is TradesOwner.USER else f"{owner.name.lower()}-{key}-trades.csv"
    cost = COLUMNS_COST * max(1, -(-count // _ROWS))
    return Download(name, CSV, _trades(services, wanted), str(user_id), cost)


async def _trades(services: Services, wanted: TradesOf) -> AsyncIterator[bytes]:
    yield csv_lines([_COLUMNS])
    session: UUID | None = None
    while True:
        # A transaction for each page: none stays open for as long as a slow reader takes.
        async with services.unit_of_work() as uow:
            sessions = await repository_trades.sessions_after(uow.session, wanted, session, _ROWS)
        if not sessions:
            return
        session = sessions[-1]
        after: tuple[UUID, int] | None = None
        while True:
            async with services.unit_of_work() as uow:
                rows = await repository_trades.trades_after(uow.session, sessions, after, _ROWS)
            if rows:
                yield await asyncio.to_thread(_lines, rows)
            if len(rows) < _ROWS:
                break
            after = (rows[-1].session_id, rows[-1].number)


def _lines(rows: Sequence[Row[Any]]) -> bytes:
    return csv_lines(map(_cells, rows))


def _cells(row: Row[Any]) -> list[Cell]:
    status = TradeStatus.OPEN if row.exit_time is None else TradeStatus.CLOSED
    return [
        encode_id("TradingSession", row.session_id),
        *(getattr(row, name) for name in EXPORTED),
        status,
    ]
