"""The months of snapshots: each is a table of its own, so that forgetting one costs nothing.

Workers make the months as they come, this one and the next, and drop those that are over for long enough.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from gql_trader.infra.advisory_locks import lock_name
from gql_trader.infra.unit_of_work import UnitOfWork

_PARENT = "balance_snapshots"


def partition_of(moment: datetime) -> str:
    """Return the name of the table of a month."""
    return f"{_PARENT}_{moment:%Y_%m}"


async def prepare(uow: UnitOfWork) -> list[str]:
    """Make the tables of this month and the next where they are missing; return which were made."""
    begins = _month(uow.clock.now())
    wanted = {partition_of(each): each for each in (begins, _next(begins))}
    if not (missing := wanted.keys() - await _existing(uow)):
        return []
    await _lock(uow)
    missing -= await _existing(uow)
    for name in sorted(missing):
        begin = wanted[name]
        # Names and moments are ours; a definition takes no parameters.
        await uow.session.execute(
            text(
                f"CREATE TABLE {name} PARTITION OF {_PARENT} "
                f"FOR VALUES FROM ('{begin.isoformat()}') TO ('{_next(begin).isoformat()}')"
            )
        )
    return sorted(missing)


async def drop_before(uow: UnitOfWork, age: timedelta) -> list[str]:
    """Drop the months that ended longer ago than this; return which."""
    oldest = partition_of(uow.clock.now() - age)
    # Names of months sort as the months do.
    if not any(name < oldest for name in await _existing(uow)):
        return []
    await _lock(uow)
    dropped = sorted(name for name in await _existing(uow) if name < oldest)
    for name in dropped:
        await uow.session.execute(text(f"DROP TABLE {name}"))
    return dropped


async def _lock(uow: UnitOfWork) -> None:
    # Who cannot have the locks soon fails, and tries again later, rather than make every query queue behind.
    await uow.session.execute(text("SET LOCAL lock_timeout = '5s'"))
    # Whoever comes second finds done what there was to do.
    await lock_name(uow.session, _PARENT)


async def _existing(uow: UnitOfWork) -> set[str]:
    statement = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = CAST(:parent AS regclass)"
    return set(await uow.session.scalars(text(statement), {"parent": _PARENT}))


def _month(moment: datetime) -> datetime:
    return datetime(moment.year, moment.month, 1, tzinfo=UTC)


def _next(month: datetime) -> datetime:
    return _month(month + timedelta(days=31))
