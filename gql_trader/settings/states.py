"""What settings are, were and would be: put together from defaults and changes, compared, dated."""

from dataclasses import replace
from datetime import datetime, timedelta

from gql_trader.core.errors import InvalidState
from gql_trader.core.masking import mask
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.settings.fields import FIELDS, decode
from gql_trader.settings.models import DefaultSettingsRow, UserSettingsRow
from gql_trader.settings.rules import SECRET_PATHS
from gql_trader.settings.sealing import kept
from gql_trader.settings.types import (
    Difference,
    Expected,
    Secret,
    SettingsChange,
    SettingsRecord,
    TradingSettings,
)

_MILLISECOND = timedelta(milliseconds=1)


def record(defaults: DefaultSettingsRow | None, row: UserSettingsRow | None) -> SettingsRecord:
    """Return a user's settings: the defaults, and over them what the user has changed."""
    base = decode(TradingSettings(), defaults.settings) if defaults else TradingSettings()
    changed = [each.updated_at for each in (defaults, row) if each and each.updated_at]
    return SettingsRecord(
        values=decode(base, row.settings) if row else base,
        secrets=kept(row),
        key_masked=row.exchange_key_masked if row else None,
        is_default=row is None or row.updated_at is None,
        updated_at=max(changed, default=None),
    )


def check_unchanged(record: SettingsRecord, expected: Expected | None) -> None:
    """Raise InvalidState if settings were not last changed when somebody expects; None expects nothing."""
    if expected is not None and record.updated_at != expected.updated_at:
        last = "never" if record.updated_at is None else f"at {record.updated_at.isoformat()}"
        raise InvalidState(
            f"The settings were last changed {last}, not when was expected; read them again first.",
            ("expectedUpdatedAt",),
        )


def secrets_after(before: SettingsRecord, change: SettingsChange) -> frozenset[Secret]:
    """Return which secrets there will be after a change."""
    given = {secret for secret, text in change.secrets.items() if text is not None}
    return (before.secrets - set(change.secrets)) | given


def previewed(
    before: SettingsRecord, change: SettingsChange, values: TradingSettings, secrets: frozenset[Secret]
) -> SettingsRecord:
    """Return what settings would be after a change that comes to these values and secrets."""
    key_masked = before.key_masked
    if Secret.EXCHANGE_KEY in change.secrets:
        key = change.secrets[Secret.EXCHANGE_KEY]
        key_masked = None if key is None else mask(key)
    return replace(
        before,
        values=values,
        secrets=secrets,
        key_masked=key_masked,
        is_default=before.is_default and not change.values and not change.secrets,
    )


def differences(old: TradingSettings, new: TradingSettings) -> tuple[Difference, ...]:
    """Return every value that differs."""
    return tuple(
        Difference(each.path, each.encode(getattr(old, each.name)), each.encode(getattr(new, each.name)))
        for each in FIELDS
        if getattr(old, each.name) != getattr(new, each.name)
    )


def secret_differences(before: SettingsRecord, change: SettingsChange) -> tuple[Difference, ...]:
    """Return the secrets that a change gives or forgets."""
    # Whether a new secret equals the old one is not told: a secret that is given is a change.
    return tuple(
        Difference(SECRET_PATHS[secret], secret=True)
        for secret, text in change.secrets.items()
        if text is not None or secret in before.secrets
    )


def later(uow: UnitOfWork, before: datetime | None) -> datetime:
    """Return the present moment as one of a change: whole milliseconds, later than the change before."""
    # Milliseconds are what clients see of it, and send back to say what they have seen.
    now = uow.clock.now()
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    return now if before is None or now > before else before + _MILLISECOND
