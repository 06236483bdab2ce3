"""Administration from outside: who may use the server, and the audit log of it, over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from gql_trader.accounts.types import UserStatus
from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.core.actor import Role
from gql_trader.infra.outbox import OutboxRow
from gql_trader.runtime import Runtime
from tests.factories.people import PASSWORD, make_person, stored_person
from tests.factories.statements import counted_statements
from tests.graphql_client import GraphQLClient, graphql_client

ACT = """mutation($input: %sInput!) { act: %s(input: $input) {
    user { id username role status } errors { __typename code message path } } }"""
AUDIT_LOG = """query($actorId: ID, $targetId: ID, $action: [String!], $first: Int, $after: String) {
    auditLog(actorId: $actorId, targetId: $targetId, action: $action, first: $first, after: $after) {
        nodes { id action metadata actor { username } target { username } }
        totalCount pageInfo { hasNextPage endCursor } } }"""
USERS = """query($status: [UserStatus!], $search: String) {
    users(status: $status, search: $search) { nodes { username status } totalCount } }"""
ME = "{ me { username } }"


async def act(client: GraphQLClient, mutation: str, user_id: str, **values: Any) -> dict[str, Any]:
    """Call one of the mutations and return its payload."""
    document = ACT % (mutation[0].upper() + mutation[1:], mutation)
    result = await client.execute(document, {"input": {"id": user_id, **values}})
    return result.data["act"]  # type: ignore[no-any-return]


async def audit_log(client: GraphQLClient, **variables: Any) -> list[tuple[str, str | None, str | None]]:
    """Return the action, actor and target of each event, newest first."""
    nodes = (await client.execute(AUDIT_LOG, variables)).data["auditLog"]["nodes"]
    return [
        (node["action"], *((node[key] or {}).get("username") for key in ("actor", "target")))
        for node in nodes
    ]


async def mails(runtime: Runtime) -> list[tuple[str, str]]:
    """Return the kind and recipient of the mails that wait to be sent."""
    async with runtime.unit_of_work() as uow:
        rows = await uow.session.scalars(select(OutboxRow).where(OutboxRow.lane == "mail"))
        return [(row.kind, row.payload["email"]) for row in rows]


@pytest.fixture
async def anonymous(settings: Settings, runtime: Runtime) -> AsyncIterator[GraphQLClient]:
    async with graphql_client(create_app(settings, runtime)) as client:
        yield client


@pytest.fixture
async def root_id(runtime: Runtime) -> str:
    return await make_person(runtime, "root", Role.ADMIN)


@pytest.fixture
async def root(anonymous: GraphQLClient, root_id: str) -> GraphQLClient:
    return await anonymous.log_in("root", PASSWORD)


async def test_a_pending_user_can_log_in_once_approved(
    runtime: Runtime, anonymous: GraphQLClient, root: GraphQLClient
) -> None:
    ada = await make_person(runtime, "ada", status=UserStatus.PENDING)
    waiting = await root.execute(USERS, {"status": ["PENDING"]})
    assert waiting.data["users"] == {"nodes": [{"username": "ada", "status": "PENDING"}], "totalCount": 1}
    payload = await act(root, "approveUser", ada)
    assert payload["errors"] == []
    assert payload["user"] == {"id": ada, "username": "ada", "role": "TRADER", "status": "ACTIVE"}
    signed_in = await anonymous.log_in("ada", PASSWORD)
    assert (await signed_in.execute(ME)).data == {"me": {"username": "ada"}}
    assert await audit_log(root) == [("USER_APPROVED", "root", "ada")]
    assert await mails(runtime) == [("account.approved", "ada@example.com")]
    # A second time there is nothing to do, and nothing to record.
    assert (await act(root, "approveUser", ada))["errors"] == []
    assert len(await audit_log(root)) == 1
    assert len(await mails(runtime)) == 1


async def test_a_disabled_user_is_out_at_once_and_stays_out_of_old_tokens_when_enabled(
    runtime: Runtime, anonymous: GraphQLClient, root: GraphQLClient
) -> None:
    ada = await make_person(runtime, "ada")
    old = await anonymous.log_in("ada", PASSWORD)
    assert (await act(root, "disableUser", ada))["user"]["status"] == "DISABLED"
    assert (await old.execute("{ markets { totalCount } }")).codes == ["UNAUTHENTICATED"]
    assert (await act(root, "enableUser", ada))["user"]["status"] == "ACTIVE"
    assert (await old.execute("{ markets { totalCount } }")).codes == ["UNAUTHENTICATED"]
    new = await anonymous.log_in("ada", PASSWORD)
    assert (await new.execute(ME)).data == {"me": {"username": "ada"}}
    assert await audit_log(root) == [("USER_ENABLED", "root", "ada"), ("USER_DISABLED", "root", "ada")]


async def test_a_new_role_ends_the_tokens_of_the_old_one(
    runtime: Runtime, anonymous: GraphQLClient, root: GraphQLClient
) -> None:
    ada = await make_person(runtime, "ada")
    old = await anonymous.log_in("ada", PASSWORD)
    assert (await act(root, "changeUserRole", ada, role="TRADER"))["errors"] == []
    assert (await old.execute(ME)).data == {"me": {"username": "ada"}}
    assert (await act(root, "changeUserRole", ada, role="VIEWER"))["user"]["role"] == "VIEWER"
    assert (await old.execute("{ markets { totalCount } }")).codes == ["UNAUTHENTICATED"]
    [event] = (await root.execute(AUDIT_LOG)).data["auditLog"]["nodes"]
    assert event["action"] == "USER_ROLE_CHANGED"
    assert event["metadata"] == {"from": "TRADER", "to": "VIEWER"}


@pytest.mark.parametrize(
    ("mutation", "values"),
    [("approveUser", {}), ("disableUser", {}), ("enableUser", {}), ("changeUserRole", {"role": "VIEWER"})],
)
async def test_nobody_changes_their_own_rights(
    root: GraphQLClient, root_id: str, mutation: str, values: dict[str, Any]
) -> None:
    [error] = (await act(root, mutation, root_id, **values))["errors"]
    assert (error["__typename"], error["code"], error["path"]) == ("ForbiddenError", "FORBIDDEN", ["id"])
    assert await audit_log(root) == []
    assert (await root.execute("{ me { role status } }")).data["me"] == {"role": "ADMIN", "status": "ACTIVE"}


@pytest.mark.parametrize(
    ("status", "mutation"), [(UserStatus.DISABLED, "approveUser"), (UserStatus.PENDING, "enableUser")]
)
async def test_a_disabled_user_is_not_approved_nor_a_pending_one_enabled(
    runtime: Runtime, root: GraphQLClient, status: UserStatus, mutation: str
) -> None:
    ada = await make_person(runtime, "ada", status=status)
    [error] = (await act(root, mutation, ada))["errors"]
    assert error["code"] == "INVALID_STATE"
    assert (await stored_person(runtime, "ada")).status == status


async def test_a_user_that_does_not_exist_is_not_found(root: GraphQLClient) -> None:
    unknown = "VXNlcjowMTg5MDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDE="
    [error] = (await act(root, "disableUser", unknown))["errors"]
    assert (error["code"], error["path"]) == ("NOT_FOUND", ["id"])
    [error] = (await act(root, "disableUser", "QXNzZXQ6MQ=="))["errors"]
    assert error["code"] == "INVALID_INPUT"


@pytest.mark.parametrize(
    ("mutation", "values"), [("disableUser", {}), ("changeUserRole", {"role": "TRADER"})]
)
async def test_of_two_administrators_who_shut_each_other_out_one_remains(
    runtime: Runtime, anonymous: GraphQLClient, mutation: str, values: dict[str, Any]
) -> None:
    ids = {name: await make_person(runtime, name, Role.ADMIN) for name in ("ada", "bob")}
    clients = {name: await anonymous.log_in(name, PASSWORD) for name in ids}
    async with runtime.unit_of_work() as holding:
        await holding.session.execute(text("SELECT 1 FROM users FOR UPDATE"))
        both = asyncio.gather(
            act(clients["ada"], mutation, ids["bob"], **values),
            act(clients["bob"], mutation, ids["ada"], **values),
        )
        # Both have been authenticated as administrators, and wait for the same rows.
        waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        async with asyncio.timeout(60), runtime.unit_of_work() as watching:
            while await watching.session.scalar(waiting) != 2:
                await watching.session.rollback()
    payloads = await both
    assert sorted(len(payload["errors"]) for payload in payloads) == [0, 1]
    [error] = [error for payload in payloads for error in payload["errors"]]
    assert error["code"] == "FORBIDDEN"
    rows = [await stored_person(runtime, name) for name in ids]
    assert [row.status == "ACTIVE" and row.role == "ADMIN" for row in rows].count(True) == 1


async def test_the_audit_log_is_filtered_and_paged(
    runtime: Runtime, root: GraphQLClient, root_id: str
) -> None:
    people = [await make_person(runtime, name, status=UserStatus.PENDING) for name in ("ada", "bob", "eve")]
    for each in people:
        await act(root, "approveUser", each)
    await act(root, "disableUser", people[0])
    assert await audit_log(root, targetId=people[0]) == [
        ("USER_DISABLED", "root", "ada"),
        ("USER_APPROVED", "root", "ada"),
    ]
    assert await audit_log(root, action=["USER_DISABLED"]) == [("USER_DISABLED", "root", "ada")]
    assert await audit_log(root, action=[]) == []
    assert await audit_log(root, actorId=people[0]) == []
    assert len(await audit_log(root, actorId=root_id)) == 4
    seen: list[str] = []
    after = None
    while True:
        page = (await root.execute(AUDIT_LOG, {"first": 3, "after": after})).data["auditLog"]
        assert page["totalCount"] == 4
        seen += [node["id"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert len(seen) == len(set(seen)) == 4
    fetched = await root.execute("query($id: ID!) { node(id: $id) { id } }", {"id": seen[0]})
    assert fetched.data == {"node": {"id": seen[0]}}


async def test_an_audit_event_is_not_there_for_others(
    runtime: Runtime, anonymous: GraphQLClient, root: GraphQLClient
) -> None:
    ada = await make_person(runtime, "ada", status=UserStatus.PENDING)
    await act(root, "approveUser", ada)
    event = (await root.execute(AUDIT_LOG)).data["auditLog"]["nodes"][0]["id"]
    trader = await anonymous.log_in("ada", PASSWORD)
    assert (await trader.execute(AUDIT_LOG)).codes == ["FORBIDDEN"]
    assert (await trader.execute(f'{{ node(id: "{event}") {{ id }} }}')).data == {"node": None}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET action = 'NOTHING'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "UPDATE audit_events SET action = 'NOTHING' WHERE false",
        "SET LOCAL session_replication_role = replica; DELETE FROM audit_events",
    ],
)
async def test_the_database_refuses_to_change_the_audit_log(
    runtime: Runtime, root: GraphQLClient, statement: str
) -> None:
    ada = await make_person(runtime, "ada", status=UserStatus.PENDING)
    await act(root, "approveUser", ada)
    *before, last = statement.split("; ")
    async with runtime.database.session() as session:
        for each in before:
            await session.execute(text(each))
        with pytest.raises(DBAPIError, match="append-only"):
            await session.execute(text(last))
    assert await audit_log(root) == [("USER_APPROVED", "root", "ada")]


async def test_an_action_that_fails_leaves_no_event(
    runtime: Runtime, root: GraphQLClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await make_person(runtime, "ada", status=UserStatus.PENDING)
    async with runtime.database.session() as session:
        await session.execute(text("ALTER TABLE users ADD CHECK (status <> 'ACTIVE' OR username = 'root')"))
        await session.commit()
    document = ACT % ("ApproveUser", "approveUser")
    assert (await root.execute(document, {"input": {"id": ada}})).codes == ["INTERNAL"]
    assert await audit_log(root) == []
    assert (await stored_person(runtime, "ada")).status == "PENDING"


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("AD", ["adam", "ada"]),
        ("adam@", ["adam"]),
        ("%", []),
        ("_", ["x_y"]),
        ("\\", []),
        ("example.com", ["x_y", "adam", "ada", "root"]),
    ],
)
async def test_users_are_searched_by_name_and_address(
    runtime: Runtime, root: GraphQLClient, search: str, found: list[str]
) -> None:
    for name in ("ada", "adam", "x_y"):
        await make_person(runtime, name)
    users = (await root.execute(USERS, {"search": search})).data["users"]
    assert [node["username"] for node in users["nodes"]] == found
    assert users["totalCount"] == len(found)


async def test_lists_cost_as_many_statements_for_many_rows_as_for_few(
    runtime: Runtime, root: GraphQLClient
) -> None:
    query = """{
        users(first: 100) { totalCount nodes { username apiTokens { id } loginSessions { id } } }
        auditLog(first: 100) { totalCount nodes { actor { username } target { username } } } }"""
    counts = []
    for batch in range(2):
        for number in range(4):
            name = f"user_{batch}_{number}"
            await act(root, "approveUser", await make_person(runtime, name, status=UserStatus.PENDING))
        with counted_statements(runtime.database.engine) as statements:
            data = (await root.execute(query)).data
        counts.append(len(statements))
        assert len(data["users"]["nodes"]) == data["users"]["totalCount"] == 5 + 4 * batch
        assert len(data["auditLog"]["nodes"]) == data["auditLog"]["totalCount"] == 4 + 4 * batch
    assert counts[0] == counts[1]
