"""Which exchanges there are and what their keys consist of, found out without loading ccxt here.

Reading a hundred exchanges takes ccxt whole, 0.5 s and 96 MB: another process does it, once for each version
of ccxt, and leaves what it found in a file.
"""

import asyncio
import importlib.metadata
import os
import secrets
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import structlog

from gql_trader.infra import json_codec
from gql_trader.infra.exchange.records import KnownExchange

_log = structlog.get_logger(__name__)

# What can be made of a key, a secret, a passphrase and an account's id.
_POSSIBLE = frozenset({"apiKey", "secret", "password", "uid", "accountId", "walletAddress", "privateKey"})
_SECONDS = 60.0


class CatalogueError(RuntimeError):
    """The process that lists ccxt's exchanges failed."""


class Catalogue:
    """The exchanges whose keys we can hold, read once.

    Parameters
    ----------
    directory
        Where to keep the list between processes.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = asyncio.Lock()
        self._known: Mapping[str, KnownExchange] | None = None

    async def exchanges(self) -> Mapping[str, KnownExchange]:
        """Return them by id, in the order of their ids.

        Raises
        ------
        CatalogueError
            If they cannot be listed.
        """
        if self._known is None:
            async with self._lock:
                if self._known is None:
                    self._known = await self._read()
        return self._known

    async def _read(self) -> Mapping[str, KnownExchange]:
        path = self._directory / f"exchanges-{importlib.metadata.version('ccxt')}.json"
        try:
            return await asyncio.to_thread(_stored, path)
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError) as error:
            _log.warning("exchange_list_unreadable", reason=str(error))
        text = await _listed()
        try:
            await asyncio.to_thread(_store, path, text)
        except OSError as error:
            _log.warning("exchange_list_not_kept", reason=str(error))
        return _parse(text)


def describe(ids: Iterable[str], load: Any) -> list[dict[str, Any]]:
    """Return what the list has of each exchange; ``load`` returns ccxt's class of an id."""
    found = []
    for each in sorted(ids):
        exchange = load(each)()
        needs = sorted(name for name, needed in exchange.requiredCredentials.items() if needed)
        found.append({"id": each, "name": exchange.name, "needs": needs})
    return found


async def _listed() -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gql_trader.infra.exchange.listing",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            output, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            # Nobody waits for it any more.
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise CatalogueError(f"listing the exchanges failed: {complaint.decode(errors='replace')[-500:]}")
    return output


def _stored(path: Path) -> Mapping[str, KnownExchange]:
    return _parse(path.read_bytes())


def _store(path: Path, text: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    temporary.write_bytes(text)
    temporary.replace(path)


def _parse(text: bytes) -> Mapping[str, KnownExchange]:
    entries = [
        KnownExchange(entry["id"], entry["name"], frozenset(entry["needs"]))
        for entry in json_codec.loads(text)
    ]
    if not entries:
        raise ValueError("the list is empty")
    return MappingProxyType({each.id: each for each in entries if each.needs and each.needs <= _POSSIBLE})
