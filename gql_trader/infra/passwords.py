"""Password hashing with argon2id, off the event loop and with bounded concurrency."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import argon2
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

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
    """

    def __init__(self, time_cost: int, memory_kib: int, threads: int = 2) -> None:
        self._hasher = argon2.PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=1)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        # Made in the background: a process need not wait 0.1 s for it to start.
        self._decoy = self._pool.submit(self._hasher.hash, "no account has this password")

    async def hash(self, password: str) -> str:
        """Return the encoded argon2id hash of a password."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._hasher.hash, password)

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Return whether the password matches.

        With ``encoded`` None, for an account that does not exist, or `NO_PASSWORD`, the same work is done on
        a decoy, so that the time taken says nothing about which accounts exist. A hash that was made with
        other costs takes the time of those.
        """
        usable = None if encoded == NO_PASSWORD else encoded
        matches = await asyncio.get_running_loop().run_in_executor(self._pool, self._verify, usable, password)
        return matches and usable is not None

    def is_outdated(self, encoded: str) -> bool:
        """Return whether a hash was made with other costs than the present ones."""
        return self._hasher.check_needs_rehash(encoded)

    def _verify(self, encoded: str | None, password: str) -> bool:
        try:
            return self._hasher.verify(encoded or self._decoy.result(), password)
        except (VerifyMismatchError, VerificationError, InvalidHashError):
            return False

    def close(self) -> None:
        """Stop the threads after the work they have."""
        self._pool.shutdown(wait=True, cancel_futures=True)
