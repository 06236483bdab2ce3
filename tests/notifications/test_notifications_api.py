"""Notifications and devices over GraphQL: told, listed, read, forgotten; devices registered and moved."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, text

from gql_trader.core.actor import Role
from gql_trader.core.ids import global_id
from gql_trader.infra.outbox import OutboxRow
from gql_trader.notifications import devices
from gql_trader.notifications.jobs import forget_old_notifications
from gql_trader.notifications.models import DEVICE_TOKEN, DeviceRow
from gql_trader.notifications.types import MAXIMUM_DEVICES, DevicePlatform
from tests.factories.actors import make_actor
from tests.factories.people import PASSWORD, make_person
from tests.factories.statements import counted_statements
from tests.notifications.notices import EVENTS, LIST, Person, Scene, approve, sign_up, work


async def test_a_sign_up_is_told_to_every_active_administrator_and_its_approval_to_the_user(
    scene: Scene,
) -> None:
    boss = await make_actor(scene.runtime, "boss", Role.ADMIN)
    former = await make_actor(scene.runtime, "former", Role.ADMIN)
    async with scene.runtime.unit_of_work() as uow:
        await uow.session.execute(text("UPDATE users SET status = 'DISABLED' WHERE username = 'former'"))
    async with scene.root.socket as socket:
        events = socket.results(EVENTS)
        first = asyncio.ensure_future(anext(events))
        await sign_up(scene, "newcomer", "newcomer@example.com")
        await work(scene.runtime)
        event = (await first)["data"]["notifications"]
    assert (event["kind"], event["title"]) == ("SIGNUP_PENDING", "A new sign-up waits for approval")
    assert "newcomer has signed up" in event["body"]
    [listed] = (await scene.root.listed())["nodes"]
    assert listed["id"] == event["id"]
    async with scene.runtime.unit_of_work() as uow:
        told = set(await uow.session.scalars(text("SELECT user_id FROM notifications")))
    assert told == {scene.root.actor.user_id, boss.user_id}
    assert former.user_id not in told

    approved = await scene.root.act("approveUser", "user { username }", id=event["payload"]["userId"])
    assert approved == {"user": {"username": "newcomer"}, "errors": []}
    await work(scene.runtime)
    newcomer = await scene.anonymous.log_in("newcomer", PASSWORD)
    [node] = (await newcomer.execute(LIST)).data["notifications"]["nodes"]
    assert (node["kind"], node["title"]) == ("ACCOUNT_APPROVED", "Your account was approved")


async def test_signing_up_with_a_registered_address_writes_as_much_and_tells_nobody(scene: Scene) -> None:
    await sign_up(scene, "newcomer", "newcomer@example.com")
    with counted_statements(scene.runtime.database.engine) as new:
        await sign_up(scene, "other", "other@example.com")
    with counted_statements(scene.runtime.database.engine) as registered:
        await sign_up(scene, "another", "newcomer@example.com")
    assert new == registered
    async with scene.runtime.unit_of_work() as uow:
        lanes = list(await uow.session.scalars(select(OutboxRow.lane).order_by(OutboxRow.id)))
    assert sorted(lanes) == ["mail"] * 3 + ["notices"] * 3
    await work(scene.runtime)
    bodies = [node["body"].split()[0] for node in (await scene.root.listed())["nodes"]]
    assert bodies == ["other", "newcomer"]


async def test_a_notice_that_two_workers_hold_is_told_once(scene: Scene) -> None:
    await sign_up(scene, "newcomer", "newcomer@example.com")
    async with scene.runtime.unit_of_work() as uow:
        await uow.session.execute(text("UPDATE outbox_messages SET next_attempt_at = now()"))
    await asyncio.gather(*(work(scene.runtime) for _ in range(4)))
    assert (await scene.root.listed())["totalCount"] == 1


async def test_pages_filters_and_marks(scene: Scene) -> None:
    for number in range(5):
        await approve(scene.runtime, scene.ada.actor, str(number))
    ada = scene.ada
    page = await ada.listed(first=2)
    assert [node["body"][9] for node in page["nodes"]] == ["4", "3"]
    assert page["totalCount"] == 5
    assert [node["body"][9] for node in (await ada.listed(after=page["pageInfo"]["endCursor"]))["nodes"]] == [
        "2",
        "1",
        "0",
    ]
    ids = [node["id"] for node in page["nodes"]]
    marked = await ada.act("markNotificationsRead", "notifications { id readAt }", ids=[ids[0]])
    assert [each["id"] for each in marked["notifications"]] == [ids[0]]
    read_at = marked["notifications"][0]["readAt"]
    assert read_at is not None
    assert (await ada.listed(unread=True))["totalCount"] == 4
    assert [node["id"] for node in (await ada.listed(unread=False))["nodes"]] == [ids[0]]
    assert (await ada.listed(kind=["SIGNUP_PENDING"]))["totalCount"] == 0
    # Once more: it stays read since then. The others up to the second newest are marked together.
    again = await ada.act("markNotificationsRead", "notifications { readAt }", ids=ids)
    assert again["notifications"][0]["readAt"] == read_at
    await approve(scene.runtime, ada.actor, "5")
    assert (await ada.act("markAllNotificationsRead", "count", upTo=ids[0]))["count"] == 3
    assert [node["body"][9] for node in (await ada.listed(unread=True))["nodes"]] == ["5"]


async def test_anothers_notification_is_not_found_and_none_is_marked(scene: Scene) -> None:
    await approve(scene.runtime, scene.ada.actor, "mine")
    await approve(scene.runtime, scene.root.actor, "theirs")
    [mine] = (await scene.ada.listed())["nodes"]
    [theirs] = (await scene.root.listed())["nodes"]
    refused = await scene.ada.act(
        "markNotificationsRead", "notifications { id }", ids=[mine["id"], theirs["id"]]
    )
    assert refused == {"notifications": None, "errors": [{"code": "NOT_FOUND", "path": ["ids", "1"]}]}
    assert (await scene.ada.listed(unread=True))["totalCount"] == 1
    nodes = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    found = await scene.ada.client.execute(nodes, {"ids": [mine["id"], theirs["id"]]})
    assert found.data["nodes"] == [{"id": mine["id"]}, None]


async def test_a_page_costs_as_many_statements_whatever_its_size(scene: Scene) -> None:
    counts = []
    for size in (1, 30):
        for number in range(size):
            await approve(scene.runtime, scene.ada.actor, str(number))
        with counted_statements(scene.runtime.database.engine) as executed:
            await scene.ada.listed(first=100)
        counts.append(len(executed))
    assert counts[0] == counts[1]


async def test_old_notifications_are_forgotten_and_cursors_go_on(scene: Scene) -> None:
    await approve(scene.runtime, scene.ada.actor, "old")
    async with scene.runtime.unit_of_work() as uow:
        await uow.session.execute(text("UPDATE notifications SET created_at = now() - interval '91 days'"))
    await approve(scene.runtime, scene.ada.actor, "new")
    await forget_old_notifications(scene.runtime)
    assert [node["body"][9:12] for node in (await scene.ada.listed())["nodes"]] == ["new"]
    async with scene.ada.socket as socket:
        event = await anext(socket.results(EVENTS, {"after": "1"}))
        assert event["data"]["notifications"]["cursor"] == "2"


DEVICES = "devices { id platform createdAt }"


async def register(person: Person, token: str = "token-1", **given: str | None) -> Any:
    payload = await person.act("registerDevice", "device { id platform }", token=token, **given)
    assert payload["errors"] == []
    return payload["device"]


async def owned(person: Person) -> list[Any]:
    return (await person.client.execute(f"{{ me {{ {DEVICES} }} }}")).data["me"]["devices"]  # type: ignore[no-any-return]


async def test_registering_a_device_again_keeps_it(scene: Scene) -> None:
    first = await register(scene.ada)
    assert first["platform"] == "IOS"
    assert (await register(scene.ada, platform=None))["platform"] == "IOS"
    second = await register(scene.ada, platform="ANDROID")
    assert second == {"id": first["id"], "platform": "ANDROID"}
    [device] = await owned(scene.ada)
    assert (device["id"], device["platform"]) == (first["id"], "ANDROID")


async def test_a_token_moves_to_its_newest_owner_as_another_device(scene: Scene) -> None:
    first = await register(scene.ada)
    second = await register(scene.root)
    assert second["id"] != first["id"]
    assert await owned(scene.ada) == []
    assert [each["id"] for each in await owned(scene.root)] == [second["id"]]
    # What ada's device was is nobody's, so that what waits for it reaches nobody.
    gone = await scene.ada.act("unregisterDevice", "deletedId", id=first["id"])
    assert gone == {"deletedId": None, "errors": [{"code": "NOT_FOUND", "path": ["id"]}]}


async def test_one_token_registered_by_many_at_once_is_one_persons(scene: Scene) -> None:
    people = [scene.ada, scene.root] * 5
    await asyncio.gather(*(register(person) for person in people))
    assert len(await owned(scene.ada)) + len(await owned(scene.root)) == 1


async def test_an_unregistered_device_is_gone_and_another_users_is_not_found(scene: Scene) -> None:
    device = await register(scene.ada)
    refused = await scene.root.act("unregisterDevice", "deletedId", id=device["id"])
    assert refused["errors"] == [{"code": "NOT_FOUND", "path": ["id"]}]
    node = "query($id: ID!) { node(id: $id) { id } }"
    assert (await scene.root.client.execute(node, {"id": device["id"]})).data["node"] is None
    assert (await scene.ada.client.execute(node, {"id": device["id"]})).data["node"] == {"id": device["id"]}
    done = await scene.ada.act("unregisterDevice", "deletedId", id=device["id"])
    assert done == {"deletedId": device["id"], "errors": []}
    assert await owned(scene.ada) == []


async def test_tokens_are_sealed_and_bound_to_their_device(scene: Scene) -> None:
    await register(scene.ada, "a-secret-token")
    async with scene.runtime.unit_of_work() as uow:
        row = (await uow.session.scalars(select(DeviceRow))).one()
    assert b"a-secret-token" not in row.token
    assert scene.runtime.keys.decrypt(DEVICE_TOKEN, row.id, row.token) == b"a-secret-token"


@pytest.mark.parametrize("token", ["", "two words", "tab\t", "ünicode", "x" * 4097])
async def test_what_cannot_be_a_token_is_refused(scene: Scene, token: str) -> None:
    payload = await scene.ada.act("registerDevice", "device { id }", token=token)
    assert payload == {"device": None, "errors": [{"code": "INVALID_INPUT", "path": ["token"]}]}


async def test_the_device_registered_longest_ago_makes_room(scene: Scene) -> None:
    ada = scene.ada.actor
    for number in range(MAXIMUM_DEVICES):
        async with scene.runtime.unit_of_work() as uow:
            await devices.register(uow, scene.runtime.keys, ada, str(number), DevicePlatform.WEB)
    kept = await register(scene.ada, "0", platform="WEB")
    await register(scene.ada, "one-more")
    ids = [each["id"] for each in await owned(scene.ada)]
    assert len(ids) == MAXIMUM_DEVICES
    assert kept["id"] in ids


async def test_the_administrators_list_reads_everybodys_devices_at_once(scene: Scene) -> None:
    counts: list[int] = []
    for number in (0, 8):
        for each in range(number):
            await make_person(scene.runtime, f"user{each}")
        await register(scene.ada, str(number))
        with counted_statements(scene.runtime.database.engine) as executed:
            result = await scene.root.client.execute(f"{{ users {{ nodes {{ id {DEVICES} }} }} }}")
        ada_id = global_id("User", scene.ada.actor.user_id)
        found = {node["id"]: len(node["devices"]) for node in result.data["users"]["nodes"]}
        assert found[ada_id] == len(counts) + 1
        counts.append(len(executed))
    assert counts[0] == counts[1]
