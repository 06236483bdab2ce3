"""Rules of alerts: what users may be told of, and telling them once."""

import asyncio
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, insert, select, update

from gql_trader.accounts.models import UserRow
from gql_trader.alerts import repository
from gql_trader.alerts.conditions import Looked, check_condition
from gql_trader.alerts.models import AlertRow
from gql_trader.alerts.types import MAXIMUM_CONDITION, AlertSpec
from gql_trader.core.actor import Actor
from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.errors import DomainError, DomainErrors, InvalidInput, NotFound, QuotaExceeded
from gql_trader.core.ids import global_id, uuid7
from gql_trader.engine.rules import is_plain_text
from gql_trader.infra.keyset import PageRequest, Slice, SortKey, fetch_page
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data.closed_bars import last_closed_bar
from gql_trader.market_data.service import find_market
from gql_trader.market_data.store.loading import find_series
from gql_trader.notifications.service import notify
from gql_trader.notifications.types import NotificationKind

_NEWEST_FIRST = [
    SortKey(repository.ALERT.created_at, descending=True),
    SortKey(repository.ALERT.id, descending=True),
]
_SHOWN = 100


async def create_alert(uow: UnitOfWork, actor: Actor, spec: AlertSpec, most: int) -> Row[Any]:
    """Store an alert and return its row; bars that are there already are not looked at.

    Parameters
    ----------
    most
        How many alerts a user may have.

    Raises
    ------
    DomainErrors
        Everything that is wrong: RULE_SYNTAX and RULE_TYPE in the condition, a market that is not there.
    QuotaExceeded
        If the user has as many as may be.
    """
    problems: list[DomainError] = []
    condition = spec.condition.strip()
    if not condition or not is_plain_text(condition, MAXIMUM_CONDITION):
        problems.append(
            InvalidInput(f"A condition has 1 to {MAXIMUM_CONDITION} printable characters.", ("condition",))
        )
    else:
        problems += await asyncio.to_thread(check_condition, condition, spec.interval)
    market = None
    try:
        market = await find_market(uow, spec.market)
    except DomainError as error:
        problems.append(error)
    if problems or market is None:
        raise DomainErrors(problems)
    # Requests at the same moment are counted one after the other.
    await uow.session.execute(
        select(UserRow.id).where(UserRow.id == actor.user_id).with_for_update(key_share=True)
    )
    found = await repository.count(uow.session, actor.user_id)
    if found >= most:
        raise QuotaExceeded(f"You have {found} alerts, which is as many as may be.")
    series = await find_series(uow, market.id, spec.interval)
    # Without candles whatever is over by now: history that is fetched later is no news.
    over = to_milliseconds(uow.clock.now()) - spec.interval.milliseconds
    return (
        await uow.session.execute(
            insert(AlertRow)
            .values(
                id=uuid7(),
                user_id=actor.user_id,
                market_id=market.id,
                interval=spec.interval.name,
                condition=condition,
                once=spec.once,
                active=True,
                last_bar=last_closed_bar(series) if series else over,
                created_at=uow.clock.now(),
            )
            .returning(*repository.ALERT)
        )
    ).one()


async def delete_alert(uow: UnitOfWork, actor: Actor, alert_id: UUID) -> None:
    """Delete one of the user's alerts.

    Raises
    ------
    NotFound
        If the user has no such alert.
    """
    deleted = await uow.session.scalar(
        delete(AlertRow)
        .where(AlertRow.id == alert_id, AlertRow.user_id == actor.user_id)
        .returning(AlertRow.id)
    )
    if deleted is None:
        raise NotFound("There is no such alert.", ("id",))


async def settle(uow: UnitOfWork, row: Row[Any], looked: Looked, market: str) -> bool:
    """Note what was seen, and tell the user if the condition came to hold; once, whoever else does this.

    Returns
    -------
    bool
        Whether the user was told.
    """
    triggered = looked.triggered is not None
    values: dict[str, Any] = {"last_bar": looked.last_bar, "held": looked.held, "error": None}
    if triggered:
        values |= {"last_triggered_at": uow.clock.now(), "active": not row.once}
    if not await _move_on(uow, row, values) or looked.triggered is None:
        return False
    interval = row.interval
    condition = row.condition if len(row.condition) <= _SHOWN else f"{row.condition[: _SHOWN - 1]}…"
    await notify(
        uow,
        row.user_id,
        NotificationKind.ALERT_TRIGGERED,
        {
            "market": market,
            "interval": interval,
            "condition": condition,
            "time": f"{from_milliseconds(looked.triggered):%Y-%m-%d %H:%M} UTC",
        },
        {"alertId": global_id("Alert", row.id)},
    )
    return True


async def fail(uow: UnitOfWork, row: Row[Any], last_bar: int, reason: str) -> None:
    """End an alert whose condition cannot be looked at any more, and say why."""
    await _move_on(uow, row, {"last_bar": last_bar, "active": False, "error": reason})


async def _move_on(uow: UnitOfWork, row: Row[Any], values: dict[str, Any]) -> bool:
    moved = await uow.session.scalar(
        update(AlertRow)
        .where(AlertRow.id == row.id, AlertRow.active, AlertRow.last_bar == row.last_bar)
        .values(**values)
        .returning(AlertRow.id)
    )
    return moved is not None


async def list_alerts(uow: UnitOfWork, actor: Actor, page: PageRequest) -> Slice[Row[Any]]:
    """Return one page of the user's alerts, the newest first."""
    statement = repository.alerts_statement(actor.user_id)
    return await fetch_page(uow.session, statement, _NEWEST_FIRST, page)


async def count_alerts(uow: UnitOfWork, actor: Actor) -> int:
    """Return how many alerts the user has."""
    return await repository.count(uow.session, actor.user_id)
