"""Keyset pages on a real database: walking them gives the whole list, in order, once."""

import base64
import itertools
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import BigInteger, Column, DateTime, Float, Integer, MetaData, SmallInteger, Table, select
from sqlalchemy.dialects.postgresql import UUID as PostgresUUID

from gql_trader.core.errors import InvalidInput
from gql_trader.infra.keyset import PageRequest, SortKey, encode_cursor, fetch_page, fetch_pages, page_request
from gql_trader.runtime import Runtime
from tests.factories.statements import counted_statements

TABLE = Table(
    "paged",
    MetaData(),
    Column("id", PostgresUUID(as_uuid=True), primary_key=True),
    Column("score", Float),
    Column("size", Integer, nullable=False),
    Column("count", BigInteger, nullable=False, server_default="5"),
    Column("rank", SmallInteger, nullable=False, server_default="5"),
    Column("made", DateTime(timezone=True), nullable=False),
)
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def rows(runtime: Runtime) -> list[dict[str, Any]]:
    """Sixty rows with many ties and nulls, in a table of their own."""
    generator = random.Random(7)
    made = [
        {
            "id": UUID(int=generator.getrandbits(128)),
            "score": generator.choice([None, -1.5, 0.0, 0.1, 2.0]),
            "size": generator.randrange(3),
            "made": START + timedelta(microseconds=generator.randrange(4)),
        }
        for _ in range(60)
    ]
    async with runtime.database.engine.begin() as connection:
        await connection.run_sync(TABLE.create)
        await connection.execute(TABLE.insert(), made)
    return made


def _keys(*names: str) -> list[SortKey]:
    """Return keys by name; a leading minus means descending."""
    return [
        SortKey(TABLE.c[name.lstrip("-")], name.startswith("-"), name.lstrip("-") == "score")
        for name in names
    ]


def _sorted(rows: list[dict[str, Any]], names: tuple[str, ...]) -> list[UUID]:
    ordered = list(rows)
    for name in reversed(names):
        plain, descending = name.lstrip("-"), name.startswith("-")
        present = [row for row in ordered if row[plain] is not None]
        present.sort(key=lambda row: row[plain], reverse=descending)  # stable either way
        ordered = present + [row for row in ordered if row[plain] is None]
    return [row["id"] for row in ordered]


ORDERS = [
    ("id",),
    ("-id",),
    ("score", "id"),
    ("-score", "-id"),
    ("-score", "size", "-made", "id"),
    ("made", "-score", "id"),
]


async def test_walking_the_pages_gives_the_whole_list_once(
    runtime: Runtime, rows: list[dict[str, Any]]
) -> None:
    async with runtime.database.session() as session:
        for names, size, backwards in itertools.product(ORDERS, (1, 7, 60, 100), (False, True)):
            expected = _sorted(rows, names)
            walked: list[UUID] = []
            cursor = None
            for _ in range(len(rows)):
                page = PageRequest(size, backwards, **{"before" if backwards else "after": cursor})
                got = await fetch_page(session, select(TABLE), _keys(*names), page)
                ids = [row.id for row in got.rows]
                walked = ids + walked if backwards else walked + ids
                more = got.has_previous if backwards else got.has_next
                assert more == (len(walked) < len(expected))
                assert (got.has_next if backwards else got.has_previous) == (cursor is not None)
                if not more:
                    break
                cursor = got.cursors[0 if backwards else -1]
            assert walked == expected


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("limit", "backwards"), [(3, False), (4, True), (100, False)])
async def test_pages_of_several_lists_are_the_page_of_each_in_one_statement(
    runtime: Runtime, rows: list[dict[str, Any]], order: tuple[str, ...], limit: int, backwards: bool
) -> None:
    keys = _keys(*order)
    parents = [2, 0, 7, 2]
    async with runtime.database.session() as session:
        middle = await fetch_page(session, select(TABLE.c.id), keys, page_request(first=30))
        cursors = {"before": middle.cursors[25]} if backwards else {"after": middle.cursors[10]}
        page = PageRequest(limit, backwards, **cursors)
        with counted_statements(runtime.database.engine) as seen:
            found = await fetch_pages(session, select(TABLE.c.id), TABLE.c.size, parents, keys, page)
        assert len(seen) == 1
        assert set(found) == set(parents)
        for parent in parents:
            statement = select(TABLE.c.id).where(TABLE.c.size == parent)
            alone = await fetch_page(session, statement, keys, page)
            together = found[parent]
            assert [row.id for row in together.rows] == [row.id for row in alone.rows]
            assert together.cursors == alone.cursors
            assert (together.has_next, together.has_previous) == (alone.has_next, alone.has_previous)


async def test_a_cursor_of_another_order_is_refused(runtime: Runtime, rows: list[dict[str, Any]]) -> None:
    async with runtime.database.session() as session:
        got = await fetch_page(session, select(TABLE), _keys("id"), PageRequest(1))
        with pytest.raises(InvalidInput, match="another order"):
            await fetch_page(session, select(TABLE), _keys("-id"), PageRequest(1, after=got.cursors[0]))


async def test_a_forged_cursor_is_refused(runtime: Runtime, rows: list[dict[str, Any]]) -> None:
    forged: list[list[Any]] = [[], ["x"], [1, 2], [None], [{}], ["\0"], [True]]
    async with runtime.database.session() as session:
        for keys, values in itertools.product(
            (_keys("id"), _keys("made", "id"), _keys("size", "id")), forged
        ):
            good = await fetch_page(session, select(TABLE), keys, PageRequest(1))
            signature = _signature_of(good.cursors[0])
            with pytest.raises(InvalidInput, match="not a cursor"):
                await fetch_page(
                    session, select(TABLE), keys, PageRequest(1, after=encode_cursor(signature, values))
                )


SOME_ID = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("key", "value", "valid"),
    [
        ("size", 2**31 - 1, True),
        ("size", -(2**31), True),
        ("size", 2**31, False),
        ("size", -(2**31) - 1, False),
        ("size", 2**40, False),
        ("count", 2**63 - 1, True),
        ("count", -(2**63), True),
        ("count", 2**63, False),
        ("rank", 2**15 - 1, True),
        ("rank", 2**15, False),
        ("made", "0001-01-01T00:00:00+00:00", True),
        ("made", "9999-12-31T23:59:59.999999+00:00", True),
        ("made", "0001-01-01T00:00:00+14:00", False),
        ("made", "9999-12-31T23:59:59-14:00", False),
    ],
)
async def test_a_cursor_has_values_that_its_columns_can_have(
    runtime: Runtime, rows: list[dict[str, Any]], key: str, value: Any, valid: bool
) -> None:
    keys = _keys(key, "id")
    async with runtime.database.session() as session:
        signature = _signature_of((await fetch_page(session, select(TABLE), keys, PageRequest(1))).cursors[0])
        page = PageRequest(100, after=encode_cursor(signature, [value, SOME_ID]))
        if valid:
            await fetch_page(session, select(TABLE), keys, page)
        else:
            with pytest.raises(InvalidInput, match="after is not a cursor"):
                await fetch_page(session, select(TABLE), keys, page)


def _signature_of(cursor: str) -> str:
    return str(json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))[0])


async def test_nonsense_is_refused(runtime: Runtime, rows: list[dict[str, Any]]) -> None:
    async with runtime.database.session() as session:
        for cursor in ("", "?", "AAAA", "é", "W10", "bnVsbA", "MQ", "a" * 10_000):
            with pytest.raises(InvalidInput, match="after is"):
                await fetch_page(session, select(TABLE), _keys("id"), PageRequest(1, after=cursor))


@pytest.mark.parametrize("arguments", [{"first": 0}, {"first": 101}, {"last": -1}, {"first": 1, "last": 1}])
def test_a_page_of_a_bad_size_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        page_request(**arguments)
