"""Rules of preferences: what users would like things to begin with."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from gql_trader.accounts.live_trading import LiveTrading
from gql_trader.core.actor import Actor, Role
from gql_trader.core.errors import DomainError, DomainErrors, Forbidden, InvalidInput
from gql_trader.core.zones import time_zones
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.settings import repository
from gql_trader.settings.models import PreferencesRow
from gql_trader.settings.types import Preferences, SessionMode, Theme

LARGEST_CAPITAL = Decimal(10) ** 15
"""As much as a backtest takes."""


async def preferences_of(uow: UnitOfWork, user_id: UUID) -> Preferences:
    """Return what a user prefers, or the defaults."""
    return (await preferences_of_users(uow, [user_id]))[user_id]


async def preferences_of_users(uow: UnitOfWork, user_ids: Sequence[UUID]) -> dict[UUID, Preferences]:
    """Return what users prefer, by user; one statement however many there are."""
    rows = await repository.preferences(uow.session, user_ids)
    return {
        user_id: _preferences(rows[user_id]) if user_id in rows else Preferences() for user_id in user_ids
    }


async def update_preferences(
    uow: UnitOfWork, live: LiveTrading, actor: Actor, given: Mapping[str, Any]
) -> tuple[Preferences, Preferences]:
    """Change what is given of the actor's preferences; return all of them, before and after.

    Parameters
    ----------
    given
        New values by the name of their field in `Preferences`.

    Raises
    ------
    DomainErrors
        Everything that is wrong; nothing is changed then.
    """
    problems = list(_problems(live, actor, given))
    if problems:
        raise DomainErrors(problems)
    before = await preferences_of(uow, actor.user_id)
    if given:
        now = uow.clock.now()
        # One statement, so that changes at the same moment to different fields all hold.
        await uow.session.execute(
            insert(PreferencesRow)
            .values(user_id=actor.user_id, updated_at=now, **{**asdict(Preferences()), **given})
            .on_conflict_do_update(index_elements=[PreferencesRow.user_id], set_={**given, "updated_at": now})
        )
    return before, await preferences_of(uow, actor.user_id)


def _problems(live: LiveTrading, actor: Actor, given: Mapping[str, Any]) -> list[DomainError]:
    problems: list[DomainError] = []
    capital = given.get("default_capital")
    if capital is not None and not 0 < capital <= LARGEST_CAPITAL:
        problems.append(
            InvalidInput(
                f"This is above 0 and at most {LARGEST_CAPITAL:,}; got {capital}.", ("defaultCapital",)
            )
        )
    for name, path in (("risk_per_trade", "riskPerTrade"), ("max_drawdown", "maxDrawdown")):
        fraction = given.get(name)
        if fraction is not None and not 0 < fraction <= 1:
            problems.append(
                InvalidInput(f"This is above 0 and at most 1, a fraction; got {fraction}.", (path,))
            )
    timezone = given.get("timezone")
    if timezone is not None and timezone not in time_zones():
        problems.append(
            InvalidInput("This is no time zone of the IANA database, such as Europe/Berlin.", ("timezone",))
        )
    if given.get("default_mode") is SessionMode.LIVE:
        if not live.enabled:
            problems.append(Forbidden("This server does not trade live.", ("defaultMode",)))
        elif not actor.role.includes(Role.TRADER):
            problems.append(Forbidden("Live trading needs the role TRADER.", ("defaultMode",)))
    return problems


def _preferences(row: PreferencesRow) -> Preferences:
    return Preferences(
        default_mode=SessionMode(row.default_mode),
        default_capital=row.default_capital,
        risk_per_trade=row.risk_per_trade,
        max_drawdown=row.max_drawdown,
        notifications=row.notifications,
        theme=Theme(row.theme),
        timezone=row.timezone,
    )
