"""Rules of presets: settings kept under a name, without secrets, to come back to."""

from collections.abc import Sequence
from copy import copy
from uuid import UUID

from sqlalchemy import delete

from gql_trader.accounts.live_trading import LiveTrading
from gql_trader.core.actor import Actor
from gql_trader.core.errors import Conflict, DomainError, DomainErrors, InvalidInput, NotFound, QuotaExceeded
from gql_trader.core.ids import uuid7
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.settings import repository, service
from gql_trader.settings.fields import FIELDS, decode, encode
from gql_trader.settings.models import SettingsPresetRow
from gql_trader.settings.rules import SECRET_PATHS
from gql_trader.settings.types import Changed, PresetRecord, SettingsChange, TradingSettings

MOST_PRESETS = 50
"""Presets of one user."""
LONGEST_NAME = 100
_PATHS = frozenset(each.path for each in FIELDS) | frozenset(SECRET_PATHS.values())


async def presets_of_users(uow: UnitOfWork, user_ids: Sequence[UUID]) -> dict[UUID, list[PresetRecord]]:
    """Return users' presets in the order of their names, by user; one statement however many there are."""
    found: dict[UUID, list[PresetRecord]] = {user_id: [] for user_id in user_ids}
    for row in await repository.presets_of_users(uow.session, user_ids):
        found[row.user_id].append(_record(row))
    return found


async def own_presets(uow: UnitOfWork, actor: Actor, ids: Sequence[UUID]) -> dict[UUID, PresetRecord]:
    """Return those of the presets that exist and are the actor's own, by id."""
    rows = await repository.presets_by_ids(uow.session, actor.user_id, ids)
    return {key: _record(row) for key, row in rows.items()}


async def save_preset(uow: UnitOfWork, actor: Actor, name: str, *, overwrite: bool) -> PresetRecord:
    """Keep the actor's settings as they are now, but for secrets, under a name.

    Parameters
    ----------
    overwrite
        Replace a preset that has the name, in any case, and give it this spelling.

    Raises
    ------
    InvalidInput
        If the name is empty, too long or not printable.
    Conflict
        If there is a preset of this name and it must not be replaced.
    QuotaExceeded
        If the actor has as many presets as may be.
    """
    name = name.strip()
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise InvalidInput(f"A name has 1 to {LONGEST_NAME} printable characters.", ("name",))
    # Others who save a preset of this user wait here, so that they count this one.
    await repository.lock_settings(uow.session, actor.user_id)
    settings = await service.settings_of(uow, actor.user_id)
    now = uow.clock.now()
    row = await repository.preset_by_name(uow.session, actor.user_id, name.lower())
    if row is None:
        if await repository.count_presets(uow.session, actor.user_id) >= MOST_PRESETS:
            raise QuotaExceeded(f"You have {MOST_PRESETS} presets, as many as may be; delete one first.")
        row = SettingsPresetRow(
            id=uuid7(), user_id=actor.user_id, name_key=name.lower(), created_at=now, settings={}
        )
        uow.session.add(row)
    elif not overwrite:
        raise Conflict(f"There is a preset “{row.name}”; give overwrite: true to replace it.", ("name",))
    row.name, row.settings, row.updated_at = name, encode(settings.values), now
    await uow.session.flush()
    return _record(row)


async def apply_preset(
    uow: UnitOfWork, keys: KeyRing, live: LiveTrading, actor: Actor, preset_id: UUID, change: SettingsChange
) -> tuple[PresetRecord, Changed]:
    """Change the actor's settings to those of a preset; secrets stay as they are.

    Raises
    ------
    NotFound
        If the actor has no such preset.
    DomainErrors, InvalidState
        As `service.update_settings` does.
    """
    preset = (await own_presets(uow, actor, [preset_id])).get(preset_id)
    if preset is None:
        raise _missing()
    try:
        return preset, await service.replace_settings(uow, keys, live, actor, preset.values, change)
    except DomainErrors as refused:
        raise DomainErrors(map(_of_preset, refused.errors)) from refused


async def delete_preset(uow: UnitOfWork, actor: Actor, preset_id: UUID) -> None:
    """Delete one of the actor's presets; settings that came from it stay.

    Raises
    ------
    NotFound
        If the actor has no such preset.
    """
    deleted = await uow.session.scalar(
        delete(SettingsPresetRow)
        .where(SettingsPresetRow.id == preset_id, SettingsPresetRow.user_id == actor.user_id)
        .returning(SettingsPresetRow.id)
    )
    if deleted is None:
        raise _missing()


def _of_preset(error: DomainError) -> DomainError:
    # The input has no settings, only the preset that has them.
    if error.path not in _PATHS:
        return error
    moved = copy(error)
    moved.message, moved.path = f"{'.'.join(error.path)}: {error.message}", ("id",)
    return moved


def _missing() -> NotFound:
    return NotFound("There is no such preset.", ("id",))


def _record(row: SettingsPresetRow) -> PresetRecord:
    # A field that a later release added has what the program comes with.
    return PresetRecord(
        id=row.id,
        user_id=row.user_id,
        name=row.name,
        values=decode(TradingSettings(), row.settings),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
