"""Rules of trading settings: what holds for a user, what a change makes of it, and the defaults.

A user's row has what the user has changed; the rest is taken from the defaults as they are at the
moment. Fields that are judged together are kept together, so that no later change of the defaults can
make a user's settings contradict themselves.
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from gql_trader.accounts.audit import record_event
from gql_trader.accounts.live_trading import LiveTrading, check_live_rights, require_live_rights
from gql_trader.accounts.types_credentials import AuditAction
from gql_trader.core.actor import Actor
from gql_trader.core.errors import DomainError, DomainErrors, Forbidden
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.settings import repository, states
from gql_trader.settings.fields import BY_NAME, FIELDS, decode, encode, with_groups
from gql_trader.settings.models import DefaultSettingsRow, UserSettingsRow
from gql_trader.settings.preferences import preferences_of as preferences_of
from gql_trader.settings.preferences import preferences_of_users as preferences_of_users
from gql_trader.settings.rules import check_change, check_login, check_together
from gql_trader.settings.sealing import seal, unseal
from gql_trader.settings.types import (
    Changed,
    Difference,
    Expected,
    Secret,
    SettingsChange,
    SettingsRecord,
    TradingSettings,
)

# What is everybody's own: no default.
_PERSONAL = frozenset({"dry_run", "telegram_enabled", "telegram_chat_id"})


async def settings_of_users(uow: UnitOfWork, user_ids: Sequence[UUID]) -> dict[UUID, SettingsRecord]:
    """Return the settings of users, by user; two statements however many there are."""
    defaults = await repository.defaults(uow.session)
    rows = await repository.settings_by_users(uow.session, user_ids)
    return {user_id: states.record(defaults, rows.get(user_id)) for user_id in user_ids}


async def settings_of(uow: UnitOfWork, user_id: UUID) -> SettingsRecord:
    """Return the settings of a user."""
    return (await settings_of_users(uow, [user_id]))[user_id]


async def default_settings(uow: UnitOfWork) -> SettingsRecord:
    """Return the settings of users who have changed nothing."""
    return states.record(await repository.defaults(uow.session), None)


async def telegram_target(uow: UnitOfWork, keys: KeyRing, user_id: UUID) -> tuple[str, str] | None:
    """Return the bot's token and the chat's id of a user; None if the user has Telegram off.

    Raises
    ------
    DecryptionError
        If the token cannot be opened.
    """
    row = (await repository.settings_by_users(uow.session, [user_id])).get(user_id)
    if row is None:
        return None
    # Telegram is no part of the defaults: they need not be looked at.
    values = decode(TradingSettings(), row.settings)
    token = unseal(keys, row, Secret.TELEGRAM_TOKEN)
    if not values.telegram_enabled or token is None or values.telegram_chat_id is None:
        return None
    return token, values.telegram_chat_id


async def secrets_of(uow: UnitOfWork, keys: KeyRing, user_id: UUID) -> dict[Secret, str]:
    """Return the secrets of a user, opened; for the operator's export alone.

    Raises
    ------
    DecryptionError
        If one cannot be opened.
    """
    row = (await repository.settings_by_users(uow.session, [user_id])).get(user_id)
    found = {each: unseal(keys, row, each) for each in Secret} if row is not None else {}
    return {each: text for each, text in found.items() if text is not None}


async def update_settings(
    uow: UnitOfWork,
    keys: KeyRing,
    live: LiveTrading,
    actor: Actor,
    change: SettingsChange,
    *,
    by_operator: bool = False,
) -> Changed:
    """Change what is given of the actor's settings, or tell what would change.

    Trading live has to be allowed for (`require_live_rights`) whenever ``dry_run`` is given as False; a
    preview uses up no code.

    Parameters
    ----------
    by_operator
        The operator does it, from the command line, and not the user; for the audit log.

    Raises
    ------
    DomainErrors
        Everything that is wrong, with its place in the input; nothing is changed then.
    InvalidState
        If the settings are in another state than ``expected``.
    """
    defaults, row = await _read(uow, actor.user_id, lock=not change.preview)
    before = states.record(defaults, row)
    states.check_unchanged(before, change.expected)
    problems = check_change(change)
    values = replace(before.values, **change.values)
    secrets = states.secrets_after(before, change)
    problems += check_together(values, secrets)
    problems += check_login(actor, before.values, values, change.secrets)
    if change.values.get("dry_run") is False:
        try:
            if change.preview:
                await check_live_rights(uow, live, actor, BY_NAME["dry_run"].path)
            else:
                await require_live_rights(uow, keys, live, actor, change.totp_code, BY_NAME["dry_run"].path)
        except DomainError as error:
            problems.append(error)
    if problems:
        raise DomainErrors(problems)
    differences = states.differences(before.values, values) + states.secret_differences(before, change)
    if change.preview or row is None:
        return Changed(states.previewed(before, change, values, secrets), differences)
    given = with_groups(change.values)
    if not given - set(row.settings) and not differences:
        return Changed(before, ())
    row.settings = {**row.settings, **encode(values, given)}
    for secret, text in change.secrets.items():
        seal(keys, row, secret, text)
    # Later than what was shown, of which the defaults are a part.
    row.updated_at = states.later(uow, before.updated_at)
    _audit(uow, actor, differences, values, by_operator=by_operator)
    await uow.session.flush()
    return Changed(states.record(defaults, row), differences)


async def replace_settings(
    uow: UnitOfWork,
    keys: KeyRing,
    live: LiveTrading,
    actor: Actor,
    values: TradingSettings,
    change: SettingsChange,
) -> Changed:
    """Change every one of the actor's settings to these values; see `update_settings`."""
    given = {each.name: getattr(values, each.name) for each in FIELDS}
    return await update_settings(uow, keys, live, actor, replace(change, values=given))


async def reset_settings(
    uow: UnitOfWork, keys: KeyRing, actor: Actor, expected: Expected | None, *, preview: bool
) -> Changed:
    """Forget whatever the actor has changed, secrets too, or tell what would change.

    Raises
    ------
    InvalidState
        If the settings are in another state than ``expected``.
    Forbidden
        If secrets or a chat would be forgotten without a login session.
    """
    defaults, row = await _read(uow, actor.user_id, lock=not preview)
    before, after = states.record(defaults, row), states.record(defaults, None)
    states.check_unchanged(before, expected)
    forgotten = SettingsChange(secrets=dict.fromkeys(sorted(before.secrets)))
    if check_login(actor, before.values, after.values, forgotten.secrets):
        raise Forbidden("This forgets secrets or the Telegram chat: it takes a login session, no API token.")
    differences = states.differences(before.values, after.values) + states.secret_differences(
        before, forgotten
    )
    if preview or row is None or before.is_default:
        return Changed(after, differences)
    # The row stays, empty: whoever waits for its lock must find it.
    row.settings, row.updated_at = {}, None
    for secret in Secret:
        seal(keys, row, secret, None)
    _audit(uow, actor, differences, after.values)
    await uow.session.flush()
    return Changed(after, differences)


async def update_default_settings(uow: UnitOfWork, actor: Actor, change: SettingsChange) -> Changed:
    """Change the settings of all users who have not changed them themselves.

    Defaults have no secrets, no Telegram, and never trade live.

    Raises
    ------
    DomainErrors
        Everything that is wrong; nothing is changed then.
    InvalidState
        If the defaults are in another state than ``expected``.
    """
    row = await (repository.defaults if change.preview else repository.lock_defaults)(uow.session)
    before = states.record(row, None)
    states.check_unchanged(before, change.expected)
    problems: list[DomainError] = [
        Forbidden("This is everybody's own: it has no default.", BY_NAME[name].path)
        for name in sorted(_PERSONAL & set(change.values))
    ]
    values = replace(before.values, **change.values)
    problems += check_change(change) + check_together(values, frozenset())
    if problems:
        raise DomainErrors(problems)
    differences = states.differences(before.values, values)
    if change.preview or not differences:
        return Changed(replace(before, values=values), differences)
    # Users who have changed something themselves are shown the later of two times: it has to grow for them.
    seen = [each for each in (before.updated_at, await repository.last_change(uow.session)) if each]
    now = states.later(uow, max(seen, default=None))
    stored = encode(values, [each.name for each in FIELDS if each.name not in _PERSONAL])
    if row is None:
        row = DefaultSettingsRow(id=repository.ONLY_ROW, settings=stored, updated_at=now)
        uow.session.add(row)
    else:
        row.settings, row.updated_at = stored, now
    record_event(
        uow,
        AuditAction.DEFAULT_SETTINGS_CHANGED,
        actor_id=actor.user_id,
        target_id=None,
        fields=[".".join(each.path) for each in differences],
    )
    await uow.session.flush()
    return Changed(states.record(row, None), differences)


async def _read(
    uow: UnitOfWork, user_id: UUID, *, lock: bool
) -> tuple[DefaultSettingsRow | None, UserSettingsRow | None]:
    defaults = await repository.defaults(uow.session)
    if lock:
        return defaults, await repository.lock_settings(uow.session, user_id)
    return defaults, (await repository.settings_by_users(uow.session, [user_id])).get(user_id)


def _audit(
    uow: UnitOfWork,
    actor: Actor,
    differences: Sequence[Difference],
    values: TradingSettings,
    *,
    by_operator: bool = False,
) -> None:
    def event(action: AuditAction, **metadata: list[str]) -> None:
        actor_id = None if by_operator else actor.user_id
        record_event(uow, action, actor_id=actor_id, target_id=actor.user_id, **metadata)

    if any(each.path == BY_NAME["dry_run"].path for each in differences):
        event(AuditAction.LIVE_TRADING_DISABLED if values.dry_run else AuditAction.LIVE_TRADING_ENABLED)
    secrets = [".".join(each.path) for each in differences if each.secret]
    if secrets:
        event(AuditAction.TRADING_SECRETS_CHANGED, fields=secrets)
