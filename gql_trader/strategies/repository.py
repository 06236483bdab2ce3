"""Reads of strategies, always together with a version of their definition."""

from collections.abc import Iterable, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Row, Select, and_, false, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.core.ids import StrategyId, UserId
from gql_trader.engine.rules import Parameter, ParameterType
from gql_trader.infra.keyset import PageRequest, Slice, SortKey, fetch_page
from gql_trader.strategies.models import StrategyRow, StrategyVersionRow
from gql_trader.strategies.types import StrategyDefinition, StrategyRecord, rules_from_json

_ESCAPE = "\\"


Statement = Select[StrategyRow, StrategyVersionRow]


def _with_version(version: Any) -> Statement:
    return select(StrategyRow, StrategyVersionRow).join(
        StrategyVersionRow,
        and_(StrategyVersionRow.strategy_id == StrategyRow.id, StrategyVersionRow.version == version),
    )


def _visible(viewer: UserId) -> Statement:
    return _with_version(StrategyRow.version).where(
        StrategyRow.deleted_at.is_(None), or_(StrategyRow.owner_id.is_(None), StrategyRow.owner_id == viewer)
    )


def select_strategies(viewer: UserId, search: str | None, builtin: bool | None) -> Statement:
    """Return the statement for strategies a user sees whose name, slug or description contains a text."""
    statement = _visible(viewer)
    if search:
        escaped = search.replace(_ESCAPE, _ESCAPE * 2).replace("%", r"\%").replace("_", r"\_")
        columns = (StrategyRow.name, StrategyRow.slug, StrategyRow.description)
        # PostgreSQL has no text with a NUL, so none contains one.
        found = (column.ilike(f"%{escaped}%", escape=_ESCAPE) for column in columns)
        statement = statement.where(false() if "\0" in search else or_(*found))
    if builtin is not None:
        owner = StrategyRow.owner_id
        statement = statement.where(owner.is_(None) if builtin else owner.is_not(None))
    return statement


async def strategy_page(session: AsyncSession, statement: Statement, page: PageRequest) -> Slice[Row[Any]]:
    """Return a page of strategies in the order of their names."""
    columns = StrategyRow.__table__.c
    return await fetch_page(
        session, cast("Select[Any]", statement), [SortKey(columns.name), SortKey(columns.id)], page
    )


async def count(session: AsyncSession, statement: Statement) -> int:
    """Return how many rows a statement would give."""
    ids = statement.with_only_columns(StrategyRow.id).subquery()
    return await session.scalar(select(func.count()).select_from(ids)) or 0


async def visible_by_id(session: AsyncSession, viewer: UserId, key: UUID) -> StrategyRecord | None:
    """Return a strategy that a user sees and that was not deleted."""
    row = (await session.execute(_visible(viewer).where(StrategyRow.id == key))).one_or_none()
    return record(row) if row else None


async def visible_by_slug(session: AsyncSession, viewer: UserId, slug: str) -> StrategyRecord | None:
    """Return the strategy with a slug: the user's own before a built-in one."""
    if "\0" in slug:
        return None
    statement = _visible(viewer).where(StrategyRow.slug == slug)
    row = (await session.execute(statement.order_by(StrategyRow.owner_id.is_(None)).limit(1))).one_or_none()
    return record(row) if row else None


async def by_ids(
    session: AsyncSession, viewer: UserId, ids: Iterable[UUID], *, deleted: bool
) -> dict[UUID, StrategyRecord]:
    """Return built-in and own strategies by id, and deleted ones if asked for."""
    statement = _with_version(StrategyRow.version).where(
        StrategyRow.id.in_(list(ids)), or_(StrategyRow.owner_id.is_(None), StrategyRow.owner_id == viewer)
    )
    if not deleted:
        statement = statement.where(StrategyRow.deleted_at.is_(None))
    records = map(record, await session.execute(statement))
    return {each.id: each for each in records}


async def version_of(session: AsyncSession, key: UUID, version: int) -> StrategyDefinition | None:
    """Return a version of a strategy, deleted or not."""
    row = (await session.execute(_with_version(version).where(StrategyRow.id == key))).one_or_none()
    return definition(*row) if row else None


async def versions_of(
    session: AsyncSession, wanted: Sequence[tuple[UUID, int]]
) -> dict[tuple[UUID, int], StrategyDefinition]:
    """Return versions of strategies, deleted or not, in one statement."""
    statement = (
        select(StrategyRow, StrategyVersionRow)
        .join(StrategyVersionRow, StrategyVersionRow.strategy_id == StrategyRow.id)
        .where(tuple_(StrategyVersionRow.strategy_id, StrategyVersionRow.version).in_(wanted))
    )
    found = (definition(*row) for row in await session.execute(statement))
    return {(each.strategy_id, each.version): each for each in found}


async def own_for_update(session: AsyncSession, owner: UserId, key: UUID) -> StrategyRow | None:
    """Return a user's strategy, locked against other changes until the transaction ends."""
    statement = select(StrategyRow).where(
        StrategyRow.id == key, StrategyRow.owner_id == owner, StrategyRow.deleted_at.is_(None)
    )
    return await session.scalar(statement.with_for_update())


async def own_slugs(session: AsyncSession, owner: UserId) -> list[str]:
    """Return the slugs of a user's strategies."""
    statement = select(StrategyRow.slug).where(
        StrategyRow.owner_id == owner, StrategyRow.deleted_at.is_(None)
    )
    return list(await session.scalars(statement))


def record(row: Sequence[Any]) -> StrategyRecord:
    """Return the record of a row of a strategy and its version."""
    strategy, version = row[0], row[1]
    return StrategyRecord(
        id=StrategyId(strategy.id),
        owner_id=UserId(strategy.owner_id) if strategy.owner_id else None,
        slug=strategy.slug,
        name=strategy.name,
        description=strategy.description,
        definition=definition(strategy, version),
        created_at=strategy.created_at,
        updated_at=strategy.updated_at,
    )


def definition(strategy: StrategyRow, version: StrategyVersionRow) -> StrategyDefinition:
    """Return the definition in a version of a strategy."""
    return StrategyDefinition(
        strategy_id=StrategyId(strategy.id),
        version=version.version,
        rules=rules_from_json(version.rules),
        parameters=tuple(map(_parameter, version.parameters)),
        code_ref=strategy.code_ref,
    )


def _parameter(stored: dict[str, Any]) -> Parameter:
    # JSONB writes 2.0 as 2; only the type says that a default is a float.
    kind = ParameterType(stored["type"])
    default = stored["default"]
    return Parameter(
        name=stored["name"],
        type=kind,
        default=float(default) if kind is ParameterType.FLOAT else default,
        minimum=stored["min"],
        maximum=stored["max"],
        step=stored["step"],
        choices=tuple(stored["choices"]),
        description=stored["description"],
    )
