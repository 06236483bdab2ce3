"""Locks on things that have no row yet."""

import hashlib

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession


async def lock_name(session: AsyncSession, name: str) -> None:
    """Wait until no other transaction holds the lock of this name, and hold it to the end of this one."""
    await session.execute(select(func.pg_advisory_xact_lock(_number(name))))


async def share_lock_name(session: AsyncSession, name: str) -> None:
    """Wait until no other transaction holds the lock of this name alone, and share it to the end of this."""
    await session.execute(select(func.pg_advisory_xact_lock_shared(_number(name))))


async def try_lock_name(session: AsyncSession, name: str) -> bool:
    """Hold the lock of this name to the end of this transaction; return False if another one does."""
    return bool(await session.scalar(select(func.pg_try_advisory_xact_lock(_number(name)))))


def _number(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)
