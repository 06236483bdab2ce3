"""Bring every sealed value of the database under the newest key of the ring."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Column, MetaData, Table, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.infra.database import Database
from gql_trader.infra.key_ring import DecryptionError, KeyRing, purpose_of

BATCH = 500


@dataclass(slots=True)
class Reencrypted:
    """What became of one column.

    Attributes
    ----------
    column
        As ``table.column``.
    rows
        How many values were sealed anew.
    unreadable
        Rows whose value does not open; they are left as they are.
    """

    column: str
    rows: int = 0
    unreadable: list[UUID] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class EncryptedColumn:
    """A column of sealed values; see `gql_trader.infra.key_ring.encrypted`."""

    table: Table
    key: "Column[UUID]"
    value: "Column[bytes]"
    purpose: str

    @property
    def name(self) -> str:
        """As ``table.column``."""
        return f"{self.table.name}.{self.value.name}"


def encrypted_columns(metadata: MetaData) -> Iterator[EncryptedColumn]:
    """Yield the columns that are registered as holding sealed values."""
    for table in metadata.sorted_tables:
        for column in table.columns:
            purpose = purpose_of(column.info)
            if purpose is not None:
                [key] = table.primary_key.columns
                yield EncryptedColumn(table, key, column, purpose)


async def reencrypt(
    database: Database, ring: KeyRing, metadata: MetaData, batch: int = BATCH
) -> list[Reencrypted]:
    """Seal anew whatever is not under the newest key; in short transactions, and safe to interrupt.

    Rows that somebody else changes meanwhile wait for the batch that they are in; what is written with an
    older key behind it is found by running this again.
    """
    return [await _reencrypt(database, ring, column, batch) for column in encrypted_columns(metadata)]


async def _reencrypt(database: Database, ring: KeyRing, column: EncryptedColumn, batch: int) -> Reencrypted:
    result = Reencrypted(column.name)
    last: UUID | None = None
    while True:
        async with database.session() as session, session.begin():
            last = await _next_batch(session, ring, column, result, last, batch)
        if last is None:
            return result


async def _next_batch(
    session: AsyncSession,
    ring: KeyRing,
    column: EncryptedColumn,
    result: Reencrypted,
    after: UUID | None,
    batch: int,
) -> UUID | None:
    newest = ring.newest.to_bytes(4, "big")
    # The key's number stands behind the first byte of a sealed value.
    wanted = select(column.key, column.value).where(func.substring(column.value, 2, 4) != newest)
    if after is not None:
        wanted = wanted.where(column.key > after)
    rows = (await session.execute(wanted.order_by(column.key).limit(batch).with_for_update())).all()
    for key, value in rows:
        try:
            plain = ring.decrypt(column.purpose, key, value)
        except DecryptionError:
            result.unreadable.append(key)
            continue
        sealed = ring.encrypt(column.purpose, key, plain)
        await session.execute(
            update(column.table).where(column.key == key).values({column.value.name: sealed})
        )
        result.rows += 1
    return rows[-1][0] if rows else None
