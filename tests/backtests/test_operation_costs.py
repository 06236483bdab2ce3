"""What an operation costs is bounded: numbers in columns, statements of nested lists, time on the loop."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import delete

from gql_trader.app import create_app
from gql_trader.backtests import loaders, repository
from gql_trader.backtests.jobs import run_backtest
from gql_trader.backtests.loaders import BacktestLoaders, EquityKey, LedgerKey
from gql_trader.backtests.models import BacktestRow
from gql_trader.engine.rules import Rules
from gql_trader.gql import context
from gql_trader.gql.context import Context
from gql_trader.gql.relay import encode_id
from gql_trader.strategies import service as strategies
from gql_trader.strategies.types import NewStrategy
from tests.factories.actors import make_access_token
from tests.factories.backtests import BARS, Desk
from tests.factories.statements import counted_statements
from tests.graphql_client import GraphQLClient, graphql_client


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[GraphQLClient]:
    """The trader's client of the application."""
    token = await make_access_token(desk.runtime, desk.trader)
    async with graphql_client(create_app(desk.runtime.settings, desk.runtime)) as client:
        yield client.signed_in(token)


async def _completed(desk: Desk, **changes: Any) -> str:
    row, _ = await desk.submit(**changes)
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    return encode_id("Backtest", row.id)


def test_a_year_of_minutes_fits_into_one_operation() -> None:
    assert context.MOST_NUMBERS >= 365 * 24 * 60 * 6


async def test_the_columns_of_one_operation_share_a_budget(
    desk: Desk, client: GraphQLClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "MOST_NUMBERS", 2 * 3 * BARS)
    identifier = await _completed(desk)

    async def ask(fields: str) -> Any:
        return await client.execute(
            f"query($id: ID!) {{ backtest(id: $id) {{ {fields} }} }}", {"id": identifier}
        )

    within = await ask("a: equity { time } b: equity { time equity drawdown }")
    assert within.codes == []
    assert len(within.data["backtest"]["b"]["equity"]) == BARS
    beyond = await ask(
        "a: equity { time } b: equity { time } thin: equity(maxPoints: 4) { time } daily { time }"
    )
    assert set(beyond.codes) == {"QUERY_TOO_COMPLEX"}
    assert beyond.errors[0]["extensions"]["limit"] == "numbers"
    assert beyond.errors[0]["extensions"]["maximum"] == 2 * 3 * BARS
    backtest = beyond.body["data"]["backtest"]
    assert len(backtest["a"]["time"]) == len(backtest["b"]["time"]) == BARS
    assert backtest["thin"] is None is backtest["daily"]
    trades = (await ask("metrics { trades } ledgerColumns { number }")).data["backtest"]["metrics"]["trades"]
    monkeypatch.setattr(context, "MOST_NUMBERS", 2 * 16 * trades)
    assert (await ask("a: ledgerColumns { number } b: ledgerColumns { profit }")).codes == []
    refused = await ask("a: ledgerColumns { number } b: ledgerColumns { profit } daily { time }")
    assert set(refused.codes) == {"QUERY_TOO_COMPLEX"}
    monkeypatch.setattr(context, "MOST_NUMBERS", 2 * 3 * BARS)
    thin = await ask(" ".join(f"a{n}: equity(maxPoints: 50) {{ time }}" for n in range(50)))
    assert thin.codes == []


NESTED = """
query($first: Int!) {
  backtests(first: $first) { nodes { strategy { slug
    backtests(first: 3, where: {interval: [H1]}, orderBy: [{field: CREATED_AT, direction: ASC}]) {
      totalCount pageInfo { hasNextPage }
      nodes { label strategy { backtests(last: 2) { totalCount nodes { label } } } }
    }
  } } }
}
"""


async def test_lists_below_lists_cost_as_many_statements_for_one_strategy_as_for_twenty(
    desk: Desk, client: GraphQLClient
) -> None:
    for number in range(20):
        async with desk.runtime.unit_of_work() as uow:
            new = NewStrategy(f"Own {number}", rules=Rules(entry_long="close > open"))
            strategy = await strategies.create_strategy(uow, desk.trader, new)
        for run in range(1 + number % 4):
            await desk.submit(strategy_id=strategy.id, label=f"{number}/{run}", force=True)
    counts = {}
    for first in (1, 50):
        with counted_statements(desk.engine) as seen:
            result = await client.execute(NESTED, {"first": first})
        assert result.codes == []
        counts[first] = len(seen)
    assert counts[50] == counts[1]
    lists = {
        node["strategy"]["slug"]: node["strategy"]["backtests"] for node in result.data["backtests"]["nodes"]
    }
    assert len(lists) == 20
    for slug, found in lists.items():
        number = int(slug.removeprefix("own-"))
        runs = [f"{number}/{run}" for run in range(1 + number % 4)]
        assert [node["label"] for node in found["nodes"]] == runs[:3]
        assert found["totalCount"] == len(runs)
        assert found["pageInfo"]["hasNextPage"] == (len(runs) > 3)
        for node in found["nodes"]:
            inner = node["strategy"]["backtests"]
            assert [each["label"] for each in inner["nodes"]] == runs[::-1][-2:]
            assert inner["totalCount"] == len(runs)


async def test_a_refused_list_leaves_those_beside_it_alone(desk: Desk, client: GraphQLClient) -> None:
    await desk.submit(label="one")
    result = await client.execute(
        """query($id: ID!) { node(id: $id) { ... on Strategy {
            good: backtests { nodes { label } } other: backtests(where: {tag: ["x"]}) { totalCount }
            bad: backtests(after: "nonsense") { totalCount }
        } } }""",
        {"id": encode_id("Strategy", desk.strategy_id)},
    )
    assert result.codes == ["BAD_USER_INPUT"]
    assert result.errors[0]["path"][-1] == "bad"


async def test_lists_below_lists_are_bounded_in_what_they_return(
    desk: Desk, client: GraphQLClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await desk.submit(label=str(number), force=True)
    below = "nodes { strategy { backtests { nodes { id } } } }"
    query = f"{{ backtests {{ nodes {{ strategy {{ backtests {{ {below} }} }} }} }} }}"
    assert (await client.execute(query)).codes == []
    monkeypatch.setattr(context, "MOST_NUMBERS", 1_000)
    assert set((await client.execute(query)).codes) == {"QUERY_TOO_COMPLEX"}


def _loaders(desk: Desk) -> BacktestLoaders:
    return Context(desk.runtime, "test", desk.trader).loaders(BacktestLoaders)


async def test_what_was_deleted_meanwhile_has_no_ledger_and_no_curve(desk: Desk) -> None:
    await _completed(desk)
    kept, _ = await desk.submit()
    gone, _ = await desk.submit(parameters={"fast": 5})
    await run_backtest({"runtime": desk.runtime}, str(gone.id))
    async with desk.runtime.unit_of_work() as uow:
        await uow.session.execute(delete(BacktestRow).where(BacktestRow.id == gone.id))
    found = _loaders(desk)
    ledgers = await found.ledger.load_many([LedgerKey(kept.id, 0, 1), LedgerKey(gone.id, 0, 1)])
    assert ledgers[0] is not None
    assert len(ledgers[0]) > 0
    assert ledgers[1] is None
    curves = await found.equity.load_many([EquityKey(kept.id, 1e4, 10), EquityKey(gone.id, 1e4, 10)])
    assert curves[0] is not None
    assert curves[1] is None
    assert await found.daily.load(gone.id) is None


async def test_a_backtest_deleted_while_it_is_read_answers_null(
    desk: Desk, client: GraphQLClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    identifier = await _completed(desk)
    read = repository.ledger_segments

    async def deleted_before(session: Any, wanted: Any) -> Any:
        async with desk.runtime.unit_of_work() as uow:
            await uow.session.execute(delete(BacktestRow))
        return await read(session, wanted)

    monkeypatch.setattr(repository, "ledger_segments", deleted_before)
    result = await client.execute(
        "query($id: ID!) { backtest(id: $id) { status ledger { totalCount } } }", {"id": identifier}
    )
    assert result.data == {"backtest": {"status": "COMPLETED", "ledger": None}}


async def test_much_is_decoded_beside_the_event_loop_and_little_on_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _completed(desk)
    row, _ = await desk.submit()
    threads = []
    moved = asyncio.to_thread

    async def noted(work: Any, *arguments: Any) -> Any:
        threads.append(work)
        return await moved(work, *arguments)

    monkeypatch.setattr(asyncio, "to_thread", noted)
    small = await _loaders(desk).ledger.load(LedgerKey(row.id, 0, 1))
    assert threads == []
    monkeypatch.setattr(loaders, "_QUICK_BYTES", 100)
    large = await _loaders(desk).ledger.load(LedgerKey(row.id, 0, 1))
    assert len(threads) == 1
    assert small is not None
    assert large is not None
    assert small.number.tolist() == large.number.tolist()
