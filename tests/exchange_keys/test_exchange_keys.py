"""Exchange keys from outside: kept, shown, rotated and deleted, and never given back."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from gql_trader.config import Settings
from gql_trader.core.actor import Role
from gql_trader.core.masking import mask
from gql_trader.exchange_keys import service
from gql_trader.gql.relay import parse_id
from gql_trader.infra.key_ring import add_key as add_ring_key
from gql_trader.infra.key_ring import key_number
from gql_trader.infra.reencryption import reencrypt
from gql_trader.metadata import metadata
from gql_trader.runtime import key_ring_file, open_key_ring
from tests.exchange_keys.key_desk import API_KEY, SECRET, KeyDesk, refusals
from tests.factories.exchange_simulator import Account, Hang
from tests.factories.logs import Log, captured_log
from tests.factories.statements import counted_statements

OTHER_KEY = "A" * 60 + "wxyz"
OTHER_SECRET = "another secret of sixty-four characters or so, as Binance makes."


@pytest.fixture
def log() -> Iterator[Log]:
    """What is logged, with everything on."""
    with captured_log("DEBUG") as log:
        yield log


async def test_a_key_is_kept_masked_and_verified(desk: KeyDesk) -> None:
    payload = await desk.add(label=" bots ")
    key = payload["exchangeKey"]
    assert (payload["errors"], payload["warnings"]) == ([], [])
    assert key["exchange"] == "binance"
    assert key["label"] == "bots"
    assert key["apiKeyMasked"] == "vmPU********Eh8A"
    assert (key["status"], key["permissions"]) == ("VALID", ["READ", "TRADE"])
    assert key["permissionsComplete"] is True
    assert key["verifiedAt"] == key["lastUsedAt"] is not None
    assert key["rotatedAt"] is None
    [listed] = await desk.listed()
    assert (listed["id"], listed["status"]) == (key["id"], "VALID")
    found = await desk.execute("query($id: ID!) { node(id: $id) { id __typename } }", {"id": key["id"]})
    assert found["node"] == {"id": key["id"], "__typename": "ExchangeKey"}


@pytest.mark.parametrize(
    ("api_key", "shown"), [("fifteen-letters", "********"), ("sixteen--letters", "sixt********ters")]
)
def test_nothing_of_a_short_key_is_shown(api_key: str, shown: str) -> None:
    assert mask(api_key) == shown


async def test_what_no_exchange_would_take_is_refused(desk: KeyDesk) -> None:
    for given, fields in (
        ({"exchange": "binnance"}, ["exchange"]),
        ({"exchange": "okx"}, ["passphrase"]),
        ({"passphrase": "needless"}, ["passphrase"]),
        ({"accountId": "needless"}, ["accountId"]),
        ({"apiKey": "two words"}, ["apiKey"]),
        ({"apiKey": "header\r\nX-Other: 1"}, ["apiKey"]),
        ({"apiKey": "k" * 513}, ["apiKey"]),
        ({"apiKey": " ", "secret": "\n", "passphrase": "p"}, ["apiKey", "secret", "passphrase"]),
        ({"secret": "s" * 8193}, ["secret"]),
        ({"label": "l" * 101}, ["label"]),
    ):
        payload = await desk.add(**given)
        assert refusals(payload) == [("INVALID_INPUT", [field]) for field in fields], given
        assert payload["exchangeKey"] is None
    assert await desk.listed() == []
    assert desk.simulator.received == []


async def test_a_misspelt_exchange_is_answered_with_those_like_it(desk: KeyDesk) -> None:
    payload = await desk.add(exchange="binnance")
    [error] = payload["errors"]
    assert "Did you mean binance" in error["message"]


async def test_a_user_has_one_key_to_an_exchange(desk: KeyDesk) -> None:
    first = await desk.add()
    again = await desk.add(label="again")
    assert refusals(again) == [("ALREADY_EXISTS", ["exchange"])]
    assert again["errors"][0]["__typename"] == "ConflictError"
    assert [each["id"] for each in await desk.listed()] == [first["exchangeKey"]["id"]]
    grace = await desk.other("grace")
    assert (await grace.add())["errors"] == []


async def test_a_rotated_key_stays_the_same_object(desk: KeyDesk) -> None:
    added = (await desk.add())["exchangeKey"]
    desk.simulator.add_account(Account(OTHER_KEY, OTHER_SECRET, trading=False))
    payload = await desk.rotate(added["id"], apiKey=OTHER_KEY, secret=OTHER_SECRET)
    key = payload["exchangeKey"]
    assert payload["errors"] == []
    assert (key["id"], key["createdAt"]) == (added["id"], added["createdAt"])
    assert key["rotatedAt"] is not None
    assert (key["apiKeyMasked"], key["status"], key["permissions"]) == ("AAAA********wxyz", "VALID", ["READ"])
    assert [each.api_key for each in desk.simulator.received] == [API_KEY, OTHER_KEY]


async def test_a_rotation_that_is_refused_changes_nothing(desk: KeyDesk) -> None:
    added = (await desk.add())["exchangeKey"]
    payload = await desk.rotate(added["id"], apiKey="two words")
    assert refusals(payload) == [("INVALID_INPUT", ["apiKey"])]
    assert (await desk.listed())[0]["apiKeyMasked"] == added["apiKeyMasked"]
    assert (await desk.verify(added["id"]))["exchangeKey"]["status"] == "VALID"


async def test_a_deleted_key_is_gone_with_its_secrets(desk: KeyDesk) -> None:
    key_id = (await desk.add())["exchangeKey"]["id"]
    assert (await desk.delete(key_id)) == {"deletedId": key_id, "errors": []}
    assert await desk.listed() == []
    for again in (await desk.delete(key_id), await desk.verify(key_id), await desk.rotate(key_id)):
        assert refusals(again) == [("NOT_FOUND", ["id"])]
    async with desk.runtime.database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM exchange_keys")) == 0
    assert (await desk.add())["errors"] == []


async def test_what_is_done_with_keys_is_in_the_audit_log(desk: KeyDesk) -> None:
    key_id = (await desk.add())["exchangeKey"]["id"]
    await desk.rotate(key_id)
    await desk.delete(key_id)
    async with desk.runtime.database.session() as session:
        events = (
            await session.execute(text("SELECT action, actor_id, metadata FROM audit_events ORDER BY id"))
        ).all()
    about = {"exchangeKeyId": str(parse_id(key_id)[1]), "exchange": "binance"}
    assert [tuple(event) for event in events] == [
        (f"EXCHANGE_KEY_{action}", desk.actor.user_id, about) for action in ("ADDED", "ROTATED", "DELETED")
    ]


async def test_anothers_key_does_not_exist(desk: KeyDesk) -> None:
    key_id = (await desk.add())["exchangeKey"]["id"]
    asked = len(desk.simulator.received)
    for role in (Role.TRADER, Role.ADMIN):
        mallory = await desk.other(f"mallory_{role.value.lower()}", role)
        for payload in (
            await mallory.verify(key_id),
            await mallory.rotate(key_id),
            await mallory.delete(key_id),
        ):
            assert refusals(payload) == [("NOT_FOUND", ["id"])]
        found = await mallory.execute("query($id: ID!) { node(id: $id) { id } }", {"id": key_id})
        assert found["node"] is None
        assert await mallory.listed() == []
    assert len(desk.simulator.received) == asked
    assert [each["id"] for each in await desk.listed()] == [key_id]


async def test_an_administrator_lists_everybodys_keys_in_as_many_statements_as_ones(desk: KeyDesk) -> None:
    query = "{ users { nodes { username exchangeKeys { exchange apiKeyMasked } } } }"
    root = await desk.other("root", Role.ADMIN)
    await desk.add()
    with counted_statements(desk.runtime.database.engine) as few:
        await root.execute(query)
    for name in ("grace", "hedy"):
        await (await desk.other(name)).add()
    with counted_statements(desk.runtime.database.engine) as more:
        found = await root.execute(query)
    shown = [{"exchange": "binance", "apiKeyMasked": "vmPU********Eh8A"}]
    assert {each["username"]: each["exchangeKeys"] for each in found["users"]["nodes"]} == {
        "ada": shown,
        "grace": shown,
        "hedy": shown,
        "root": [],
    }
    assert len(more) == len(few)


async def test_no_secret_ever_leaves_the_server(desk: KeyDesk, log: Log) -> None:
    account = desk.simulator.add_account(Account(OTHER_KEY, OTHER_SECRET, withdrawing=True))
    key_id = (await desk.add(secret="wrong" * 8))["exchangeKey"]["id"]
    await desk.rotate(key_id, apiKey=OTHER_KEY, secret=OTHER_SECRET)
    account.reading = False
    desk.simulator.faults.add("/sapi/v1/account/apiRestrictions", Hang(), times=3)
    await desk.verify(key_id)
    # The list of exchanges is right: only the exchange could tell that this secret is not one.
    await desk.add(exchange="kraken", secret="not base64 at all!")
    await desk.execute("{ me { exchangeKeys { id label apiKeyMasked } } exchanges { exchange } }")
    async with desk.runtime.database.session() as session:
        stored = [
            str((await session.execute(text(f"SELECT json_agg(t)::text FROM {table.name} t"))).scalar())
            for table in metadata.sorted_tables
        ]
    shown = "\n".join([*desk.answers, *stored, log.text])
    assert "exchange_asked_again" in log.text
    for secret in (API_KEY, SECRET, OTHER_KEY, OTHER_SECRET, "wrong" * 8, "not base64 at all!"):
        assert secret not in shown
    # Nor signatures, by which a request could be sent again.
    assert "signature=" not in shown


async def test_credentials_come_under_a_new_key_of_the_ring(desk: KeyDesk, settings: Settings) -> None:
    key_id = (await desk.add())["exchangeKey"]["id"]
    path = key_ring_file(settings)
    assert path is not None
    number = add_ring_key(path)
    results = await reencrypt(desk.runtime.database, open_key_ring(settings), metadata)
    assert [each.rows for each in results if each.column == "exchange_keys.credentials"] == [1]
    async with desk.runtime.unit_of_work() as uow:
        opened = await service.open_key(uow, desk.runtime.keys, desk.actor.user_id, parse_id(key_id)[1])
        sealed = await uow.session.scalar(text("SELECT credentials FROM exchange_keys"))
    assert key_number(sealed) == number
    assert (opened.credentials.api_key, opened.credentials.secret) == (API_KEY, SECRET)
    assert API_KEY not in repr(opened)
    assert SECRET not in repr(opened)


async def test_the_exchanges_that_there_are(desk: KeyDesk) -> None:
    found = await desk.execute("{ exchanges { exchange name needsPassphrase needsAccountId } }")
    exchanges = {each.pop("exchange"): each for each in found["exchanges"]}
    assert len(exchanges) > 90
    assert list(exchanges) == sorted(exchanges)
    assert exchanges["binance"] == {"name": "Binance", "needsPassphrase": False, "needsAccountId": False}
    assert exchanges["okx"] == {"name": "OKX", "needsPassphrase": True, "needsAccountId": False}
    assert exchanges["coinmate"]["needsAccountId"] is True


async def test_keys_are_not_tried_without_end(desk: KeyDesk) -> None:
    for _ in range(20):
        assert refusals(await desk.add(exchange="nowhere")) == [("INVALID_INPUT", ["exchange"])]
    query = """mutation { addExchangeKey(input: {exchange: "binance", apiKey: "k", secret: "s"}) {
        errors { code } } }"""
    refused = await desk.client.execute(query)
    assert refused.codes == ["RATE_LIMITED"]
    assert refused.errors[0]["extensions"]["retryAfterSeconds"] > 0
    assert desk.simulator.received == []
