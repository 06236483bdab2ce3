"""The secrets among trading settings: sealed, bound to their user, masked, and opened for who needs them."""

from gql_trader.core.masking import mask
from gql_trader.infra.key_ring import KeyRing
from gql_trader.settings.models import (
    EXCHANGE_KEY,
    EXCHANGE_PASSWORD,
    EXCHANGE_SECRET,
    TELEGRAM_TOKEN,
    UserSettingsRow,
)
from gql_trader.settings.types import Secret

_PURPOSES = {
    Secret.EXCHANGE_KEY: EXCHANGE_KEY,
    Secret.EXCHANGE_SECRET: EXCHANGE_SECRET,
    Secret.EXCHANGE_PASSWORD: EXCHANGE_PASSWORD,
    Secret.TELEGRAM_TOKEN: TELEGRAM_TOKEN,
}


def kept(row: UserSettingsRow | None) -> frozenset[Secret]:
    """Return which secrets a user has left here."""
    return frozenset(each for each in Secret if row is not None and getattr(row, each.value) is not None)


def seal(keys: KeyRing, row: UserSettingsRow, secret: Secret, text: str | None) -> None:
    """Put a secret into a user's row; None forgets it."""
    sealed = None if text is None else keys.encrypt(_PURPOSES[secret], row.user_id, text.encode())
    setattr(row, secret.value, sealed)
    if secret is Secret.EXCHANGE_KEY:
        row.exchange_key_masked = None if text is None else mask(text)


def unseal(keys: KeyRing, row: UserSettingsRow, secret: Secret) -> str | None:
    """Return a secret of a user's row; None if there is none.

    Raises
    ------
    DecryptionError
        If it was damaged or is another row's.
    """
    sealed: bytes | None = getattr(row, secret.value)
    return None if sealed is None else keys.decrypt(_PURPOSES[secret], row.user_id, sealed).decode()
