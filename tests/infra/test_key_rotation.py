"""`gql-trader keys`: a new key, and every secret at rest under it."""

import base64
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import Column as TableColumn
from sqlalchemy import LargeBinary, MetaData, Table, column, insert, select, text
from sqlalchemy.dialects.postgresql import UUID as PostgresUUID

from gql_trader.cli import keys
from gql_trader.config import Settings
from gql_trader.core.ids import uuid7
from gql_trader.infra.database import Database
from gql_trader.infra.key_ring import KeyRing, encrypted, key_number, new_key, parse_keys
from gql_trader.infra.reencryption import encrypted_columns, reencrypt
from gql_trader.metadata import metadata
from gql_trader.runtime import Runtime, key_ring_file

PURPOSE = "vault.secret"
TABLES = MetaData()
VAULT = Table(
    "vault",
    TABLES,
    TableColumn("id", PostgresUUID(as_uuid=True), primary_key=True),
    TableColumn("secret", LargeBinary, info=encrypted(PURPOSE)),
    TableColumn("note", LargeBinary),
)


@pytest.fixture
async def database(runtime: Runtime) -> Database:
    async with runtime.database.engine.begin() as connection:
        await connection.run_sync(TABLES.create_all)
    return runtime.database


async def _add(database: Database, ring: KeyRing, secrets: list[bytes | None]) -> list[UUID]:
    ids = [uuid7() for _ in secrets]
    rows = [
        {"id": key, "secret": secret and ring.encrypt(PURPOSE, key, secret), "note": b"plain"}
        for key, secret in zip(ids, secrets, strict=True)
    ]
    async with database.session() as session, session.begin():
        await session.execute(insert(VAULT), rows)
    return ids


async def _sealed(database: Database) -> dict[UUID, bytes | None]:
    async with database.session() as session:
        return {row.id: row.secret for row in await session.execute(select(VAULT))}


async def test_every_secret_comes_under_the_newest_key(database: Database) -> None:
    old = KeyRing({1: bytes(32)})
    ids = await _add(database, old, [b"%d" % number for number in range(23)] + [None])
    ring = KeyRing({1: bytes(32), 2: new_key()})
    [result] = await reencrypt(database, ring, TABLES, batch=5)
    assert (result.column, result.rows, result.unreadable) == ("vault.secret", 23, [])
    sealed = await _sealed(database)
    assert sealed.pop(ids[-1]) is None
    assert {key_number(value) for value in sealed.values() if value} == {2}
    assert [ring.decrypt(PURPOSE, key, sealed[key] or b"") for key in ids[:-1]] == [
        b"%d" % number for number in range(23)
    ]
    async with database.session() as session:
        assert set(await session.scalars(select(column("note")).select_from(VAULT))) == {b"plain"}
    [again] = await reencrypt(database, ring, TABLES, batch=5)
    assert again.rows == 0
    assert await _sealed(database) == {**sealed, ids[-1]: None}


async def test_a_value_that_does_not_open_is_reported_and_left(database: Database) -> None:
    old = KeyRing({1: bytes(32)})
    good, moved = await _add(database, old, [b"good", b"moved"])
    async with database.session() as session, session.begin():
        await session.execute(
            text("UPDATE vault SET secret = (SELECT secret FROM vault WHERE id = :good) WHERE id = :moved"),
            {"good": good, "moved": moved},
        )
    before = await _sealed(database)
    [result] = await reencrypt(database, KeyRing({1: bytes(32), 2: new_key()}), TABLES)
    assert (result.rows, result.unreadable) == (1, [moved])
    assert (await _sealed(database))[moved] == before[moved]


def test_what_holds_secrets_is_registered() -> None:
    assert sorted(each.name for each in encrypted_columns(metadata)) == [
        "devices.token",
        "exchange_keys.credentials",
        "totp_secrets.secret",
        "user_settings.exchange_key",
        "user_settings.exchange_password",
        "user_settings.exchange_secret",
        "user_settings.telegram_token",
        "webhooks.secret",
    ]


def test_a_generated_ring_gets_a_new_key(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    path = key_ring_file(settings)
    assert path is not None
    assert keys.rotate(settings) == 0
    assert "added key 2 to" in capsys.readouterr().out
    assert sorted(parse_keys(path.read_text())) == [1, 2]
    assert keys.rotate(settings) == 0
    output = capsys.readouterr().out
    assert "No secret is under keys 1, 2 any more" in output
    assert not any(key in output for key in path.read_text().replace(",", ":").split(":") if len(key) > 2)


def test_a_ring_of_the_operator_is_left_alone(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    text = f"1:{base64.b64encode(bytes(32)).decode()}"
    chosen = settings.model_copy(update={"encryption_keys": SecretStr(text)})
    assert keys.rotate(chosen) == 0
    assert "added" not in capsys.readouterr().out
    assert not (settings.data_dir / "encryption_keys").exists()
    keys.new(chosen)
    [number] = parse_keys(capsys.readouterr().out.strip())
    assert number == 2
