"""Password hashing with argon2id, off the event loop and with bounded concurrency."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import argon2
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

_Costs = tuple[int, int, int]
"""Passes, KiB and lanes: what decides how long a hash takes."""

NO_PASSWORD = "!"  # noqa: S105 -- that there is none
"""What an account whose user has no password here has in place of a hash: no password matches it."""


class PasswordHasher:
    """Hash and verify passwords in a small thread pool of its own.

    argon2 takes about 0.1 s of one core by design; a pool of two threads keeps a burst of logins from
    starving the event loop and bounds the memory they take.

    Parameters
    ----------
    time_cost
        Passes over the memory.
    memory_kib
        Memory of one hash, in KiB.

    Attributes
    ----------
    knows_costs
        Whether `expect` has told of the hashes that are stored.
    """

    def __init__(self, time_cost: int, memory_kib: int, threads: int = 2) -> None:
        self._hasher = argon2.PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=1)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._decoys: dict[_Costs, Future[str]] = {}
        self._add_decoy(self._hasher)
        self.knows_costs = False

    async def hash(self, password: str) -> str:
        """Return the encoded argon2id hash of a password."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._hasher.hash, password)

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Return whether the password matches.

        With ``encoded`` None, for an account that does not exist, or `NO_PASSWORD`, the same work is done on
        a decoy, so that the time taken says nothing about which accounts exist. So it is with hashes of other
        costs: whichever it is, a hash of each of the costs that are known (`expect`) is computed.
        """
        usable = None if encoded == NO_PASSWORD else encoded
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._verify, usable, password)

    def is_outdated(self, encoded: str) -> bool:
        """Return whether a hash was made with other costs than the present ones."""
        return self._hasher.check_needs_rehash(encoded)

    def expect(self, encoded: Iterable[str]) -> None:
        """Learn of the costs with which hashes were made that may come to be verified."""
        for known in encoded:
            costs = _costs_of(known)
            if costs is not None and costs not in self._decoys:
                self._add_decoy(argon2.PasswordHasher(*costs))
        self.knows_costs = True

    def _add_decoy(self, hasher: argon2.PasswordHasher) -> None:
        # Made in the background: a process need not wait 0.1 s for it to start.
        made = self._pool.submit(hasher.hash, "no account has this password")
        self._decoys[(hasher.time_cost, hasher.memory_cost, hasher.parallelism)] = made

    def _verify(self, encoded: str | None, password: str) -> bool:
        costs = _costs_of(encoded) if encoded else None
        for known, decoy in list(self._decoys.items()):
            if known != costs:
                self._matches(decoy.result(), password)
        return encoded is not None and self._matches(encoded, password)

    def _matches(self, encoded: str, password: str) -> bool:
        try:
            return self._hasher.verify(encoded, password)
        except (VerifyMismatchError, VerificationError, InvalidHashError):
            return False

    def close(self) -> None:
        """Stop the threads after the work they have."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _costs_of(encoded: str) -> _Costs | None:
    try:
        found = argon2.extract_parameters(encoded)
    except InvalidHashError:
        return None
    return found.time_cost, found.memory_cost, found.parallelism
