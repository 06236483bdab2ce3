"""Accounts from the command line, which leave their traces in the audit log."""

import asyncio

import pytest
from sqlalchemy import CursorResult, text

from gql_trader.cli import users
from gql_trader.config import Settings
from gql_trader.core.actor import Role
from gql_trader.core.errors import InvalidState, NotFound
from gql_trader.infra.database import Database


def run(settings: Settings, statement: str) -> list[tuple[object, ...]]:
    """Run a statement and return its rows, if it has any."""

    async def execute() -> list[tuple[object, ...]]:
        database = Database(settings.database_url.get_secret_value(), pool_size=1)
        async with database.session() as session:
            result = await session.execute(text(statement))
            assert isinstance(result, CursorResult)
            rows = [tuple(row) for row in result] if result.returns_rows else []
            await session.commit()
        await database.close()
        return rows

    return asyncio.run(execute())


def test_a_user_is_created_and_approved_by_the_operator(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    users.create(settings, "Ada", "ada@example.com", "Correct-horse-9-battery", Role.ADMIN)
    run(settings, "UPDATE users SET status = 'PENDING'")
    for login in ("ada", "ADA@example.com"):
        users.approve(settings, login)
    assert capsys.readouterr().out == "created Ada (ADMIN)\napproved Ada\napproved Ada\n"
    assert run(settings, "SELECT username, role, status FROM users") == [("Ada", "ADMIN", "ACTIVE")]
    # Nobody is named as who did it, and the second approval changed nothing.
    assert run(
        settings,
        "SELECT action, actor_id, target_id = (SELECT id FROM users), metadata FROM audit_events ORDER BY id",
    ) == [("USER_CREATED", None, True, {"role": "ADMIN"}), ("USER_APPROVED", None, True, {})]


def test_who_does_not_exist_or_is_disabled_is_not_approved(settings: Settings) -> None:
    with pytest.raises(NotFound):
        users.approve(settings, "nobody")
    users.create(settings, "ada", "ada@example.com", "Correct-horse-9-battery", Role.TRADER)
    run(settings, "UPDATE users SET status = 'DISABLED'")
    with pytest.raises(InvalidState):
        users.approve(settings, "ada")
    assert run(settings, "SELECT status FROM users") == [("DISABLED",)]
