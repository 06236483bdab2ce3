"""Rules of who is told what where: what each user has chosen, or else what each kind suggests."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from gql_trader.core.actor import Actor, Role
from gql_trader.core.errors import DomainErrors, InvalidInput
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.notifications.kinds import KINDS
from gql_trader.notifications.models import NotificationChoiceRow, TelegramBlockRow
from gql_trader.notifications.types import Channel, NotificationKind


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a user is told of a kind, besides in the app.

    Attributes
    ----------
    is_default
        Whether the user has not chosen, so that it follows what the kind suggests.
    """

    kind: NotificationKind
    channels: frozenset[Channel]
    is_default: bool


async def channels_of(uow: UnitOfWork, user_id: UUID, kind: NotificationKind) -> frozenset[Channel]:
    """Return where a user is told of a kind."""
    statement = select(NotificationChoiceRow.channels).where(
        NotificationChoiceRow.user_id == user_id, NotificationChoiceRow.kind == kind.value
    )
    return _choice(kind, await uow.session.scalar(statement)).channels


async def choices_of(uow: UnitOfWork, user_ids: Collection[UUID]) -> dict[UUID, list[Choice]]:
    """Return users' choices for every kind, by user."""
    statement = select(NotificationChoiceRow).where(NotificationChoiceRow.user_id.in_(user_ids))
    stored = {(row.user_id, row.kind): row.channels for row in await uow.session.scalars(statement)}
    return {
        user_id: [_choice(kind, stored.get((user_id, kind.value))) for kind in KINDS] for user_id in user_ids
    }


async def choose(
    uow: UnitOfWork, actor: Actor, chosen: Mapping[NotificationKind, Collection[Channel] | None]
) -> None:
    """Store where the actor wants to be told of some kinds; None: where the kind suggests.

    Raises
    ------
    DomainErrors
        For every kind that is not told in a channel.
    """
    problems = [
        InvalidInput(
            f"{kind} is not told by {', '.join(sorted(wrong))}.", ("choices", str(place), "channels")
        )
        for place, (kind, channels) in enumerate(chosen.items())
        if (wrong := set(channels or ()) - KINDS[kind].available)
    ]
    if problems:
        raise DomainErrors(problems)
    # Whoever chooses has looked at what stopped Telegram: it is tried again.
    await uow.session.execute(delete(TelegramBlockRow).where(TelegramBlockRow.user_id == actor.user_id))
    # In one order, so that two requests at once do not wait for each other.
    for kind in sorted(chosen):
        channels = chosen[kind]
        if channels is None:
            await uow.session.execute(
                delete(NotificationChoiceRow).where(
                    NotificationChoiceRow.user_id == actor.user_id, NotificationChoiceRow.kind == kind.value
                )
            )
            continue
        values = {"channels": [channel.value for channel in Channel if channel in channels]}
        await uow.session.execute(
            insert(NotificationChoiceRow)
            .values(user_id=actor.user_id, kind=kind.value, **values)
            .on_conflict_do_update(
                index_elements=[NotificationChoiceRow.user_id, NotificationChoiceRow.kind], set_=values
            )
        )


def concerns(kind: NotificationKind, role: Role) -> bool:
    """Return whether users with a role are ever told of a kind."""
    return role.includes(KINDS[kind].role)


def _choice(kind: NotificationKind, stored: Collection[str] | None) -> Choice:
    if stored is None:
        return Choice(kind, KINDS[kind].channels, is_default=True)
    return Choice(kind, frozenset(Channel(each) for each in stored) & KINDS[kind].available, is_default=False)
