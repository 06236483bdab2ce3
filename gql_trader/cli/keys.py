"""The keys of secrets at rest, from the command line."""

import asyncio

from gql_trader.config import Settings
from gql_trader.infra.database import Database
from gql_trader.infra.key_ring import add_key, format_keys, new_key, parse_keys
from gql_trader.infra.reencryption import Reencrypted, reencrypt
from gql_trader.metadata import metadata
from gql_trader.runtime import key_ring_file, open_key_ring


def new(settings: Settings) -> None:
    """Print an entry for ENCRYPTION_KEYS with a new key and the next free number."""
    text = settings.encryption_keys.get_secret_value()
    number = max(parse_keys(text)) + 1 if text else 1
    print(format_keys({number: new_key()}))


def rotate(settings: Settings) -> int:
    """Bring every secret at rest under the newest key; return the exit code.

    A ring that was generated gets a new key first. One in ENCRYPTION_KEYS is the operator's to extend.
    """
    path = key_ring_file(settings)
    if path is not None:
        open_key_ring(settings)
        print(f"added key {add_key(path)} to {path}")
    ring = open_key_ring(settings)
    results = asyncio.run(_reencrypt(settings))
    for result in results:
        print(f"{result.column}: {result.rows} under key {ring.newest} now")
        for key in result.unreadable:
            print(f"{result.column}: the value of row {key} cannot be read, and was left as it is")
    if any(result.unreadable for result in results):
        return 1
    older = [str(number) for number in ring.numbers if number != ring.newest]
    if older:
        print(
            f"No secret is under {'key' if len(older) == 1 else 'keys'} {', '.join(older)} any more; keep "
            "them for as long as you keep backups of the database from before."
        )
    return 0


async def _reencrypt(settings: Settings) -> list[Reencrypted]:
    database = Database(settings.database_url.get_secret_value(), pool_size=1)
    try:
        return await reencrypt(database, open_key_ring(settings), metadata)
    finally:
        await database.close()
