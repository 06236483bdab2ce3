"""Strategies over GraphQL: the contract's shapes, access, and errors where a client finds them."""

import threading
from typing import Any

import pytest

from gql_trader.core.actor import Actor, Role
from gql_trader.engine.indicators import CATALOGUE
from gql_trader.gql.api import GraphQLApi, Request, Response
from gql_trader.gql.context import Context
from gql_trader.gql.relay import encode_id
from gql_trader.runtime import Runtime
from gql_trader.schema import create_schema
from gql_trader.strategies import checking, service
from gql_trader.strategies.builtin import BUILTIN_STRATEGIES
from tests.factories.actors import make_actor

API = GraphQLApi(create_schema())

CREATE = """
mutation ($input: CreateStrategyInput!) {
  createStrategy(input: $input) {
    strategy {
      id slug version rules { entryLong exitLong plots }
      parameters { name type default min choices description }
    }
    errors { __typename code message path }
  }
}
"""
UPDATE = """
mutation ($input: UpdateStrategyInput!) {
  updateStrategy(input: $input) {
    strategy { id name version defaultParameters rules { entryLong exitLong } }
    errors { __typename code message path }
  }
}
"""
TREND = {
    "name": "Trend",
    "rules": {
        "entryLong": "close > sma(close, period)",
        "parameters": [{"name": "period", "type": "INT", "default": 20, "min": 2}],
    },
}


async def run(runtime: Runtime, actor: Actor | None, query: str, **variables: Any) -> Response:
    operation = API.prepare(Request(query, variables=variables), "request")
    assert not isinstance(operation, Response), operation.errors
    return await API.execute(operation, Context(runtime, "request", actor))


async def data(runtime: Runtime, actor: Actor, query: str, **variables: Any) -> Any:
    response = await run(runtime, actor, query, **variables)
    assert not response.errors, response.errors
    return response.data


@pytest.fixture
async def alice(runtime: Runtime) -> Actor:
    async with runtime.unit_of_work() as uow:
        await service.sync_builtin_strategies(uow)
    return await make_actor(runtime, "alice")


async def test_a_built_in_strategy_by_slug_id_and_node(runtime: Runtime, alice: Actor) -> None:
    key = encode_id("Strategy", BUILTIN_STRATEGIES["builtin:golden_cross"].id)
    fields = (
        "... on Strategy { id slug name builtin codeRef version defaultParameters "
        "rules { entryLong entryShort plots } }"
    )
    found = await data(
        runtime,
        alice,
        f'query ($id: ID!) {{ a: strategy(slug: "golden-cross") {{ {fields} }} '
        f"b: strategy(id: $id) {{ {fields} }} c: node(id: $id) {{ {fields} }} "
        'd: strategy(slug: "none") { id } }',
        id=key,
    )
    assert found["a"] == found["b"] == found["c"]
    assert found["d"] is None
    assert found["a"] == {
        "id": key,
        "slug": "golden-cross",
        "name": "Golden cross",
        "builtin": True,
        "codeRef": "builtin:golden_cross",
        "version": 1,
        "defaultParameters": {"fast": 50, "slow": 200, "source": "close"},
        "rules": {
            "entryLong": "crossover(sma(source, fast), sma(source, slow))",
            "entryShort": "crossunder(sma(source, fast), sma(source, slow))",
            "plots": ["sma(source, fast)", "sma(source, slow)"],
        },
    }


async def test_pages_of_strategies(runtime: Runtime, alice: Actor) -> None:
    query = """
    query ($after: String) {
      strategies(first: 5, after: $after, builtin: true) {
        totalCount nodes { slug } pageInfo { hasNextPage endCursor }
      }
    }
    """
    first = (await data(runtime, alice, query))["strategies"]
    assert first["totalCount"] == 8
    assert first["pageInfo"]["hasNextPage"]
    second = (await data(runtime, alice, query, after=first["pageInfo"]["endCursor"]))["strategies"]
    slugs = [node["slug"] for page in (first, second) for node in page["nodes"]]
    assert slugs == [
        "buy-and-hold",
        "donchian-breakout",
        "ema-rsi",
        "ema-cross",
        "golden-cross",
        "macd",
        "bollinger-reversion",
        "supertrend",
    ]
    assert not second["pageInfo"]["hasNextPage"]


async def test_creating_changing_and_deleting(runtime: Runtime, alice: Actor) -> None:
    made = (await data(runtime, alice, CREATE, input=TREND))["createStrategy"]
    assert made["errors"] == []
    strategy = made["strategy"]
    assert {key: strategy[key] for key in ("slug", "version", "parameters", "rules")} == {
        "slug": "trend",
        "version": 1,
        "parameters": [
            {"name": "period", "type": "INT", "default": 20, "min": 2.0, "choices": None, "description": None}
        ],
        "rules": {"entryLong": "close > sma(close, period)", "exitLong": None, "plots": []},
    }
    change = {
        "id": strategy["id"],
        "rules": {"entryLong": "close > ema(close, period)", "exitLong": "close < ema(close, period)"},
        "defaultParameters": {"period": 9},
        "expectedVersion": 1,
    }
    changed = (await data(runtime, alice, UPDATE, input=change))["updateStrategy"]
    assert changed == {
        "strategy": {
            "id": strategy["id"],
            "name": "Trend",
            "version": 2,
            "defaultParameters": {"period": 9},
            "rules": {"entryLong": "close > ema(close, period)", "exitLong": "close < ema(close, period)"},
        },
        "errors": [],
    }
    stale = (await data(runtime, alice, UPDATE, input=change))["updateStrategy"]
    assert stale["strategy"] is None
    assert [(e["__typename"], e["code"], e["path"]) for e in stale["errors"]] == [
        ("StateError", "INVALID_STATE", ["expectedVersion"])
    ]
    delete = "mutation ($id: ID!) { deleteStrategy(input: {id: $id}) { deletedId errors { code } } }"
    assert (await data(runtime, alice, delete, id=strategy["id"]))["deleteStrategy"] == {
        "deletedId": strategy["id"],
        "errors": [],
    }
    assert (await data(runtime, alice, delete, id=strategy["id"]))["deleteStrategy"] == {
        "deletedId": None,
        "errors": [{"code": "NOT_FOUND"}],
    }
    gone = await data(runtime, alice, "query ($id: ID!) { node(id: $id) { id } }", id=strategy["id"])
    assert gone == {"node": None}


async def test_mistakes_in_rules_are_payload_errors(runtime: Runtime, alice: Actor) -> None:
    bad = {"name": "Bad", "rules": {"entryLong": "close >", "exitLong": "ema(close, 1, 2) > 1"}}
    answer = (await data(runtime, alice, CREATE, input=bad))["createStrategy"]
    assert answer == {
        "strategy": None,
        "errors": [
            {
                "__typename": "ValidationError",
                "code": "RULE_SYNTAX",
                "message": "Line 1, column 8: The rule ends where a value is expected.",
                "path": ["rules", "entryLong"],
            },
            {
                "__typename": "ValidationError",
                "code": "RULE_TYPE",
                "message": "Line 1, column 1: ema() takes (source, period); got 3 arguments.",
                "path": ["rules", "exitLong"],
            },
        ],
    }


async def test_parameters_given_twice_are_refused(runtime: Runtime, alice: Actor) -> None:
    twice = {**TREND, "parameters": [{"name": "n", "type": "INT", "default": 1}]}
    (error,) = (await data(runtime, alice, CREATE, input=twice))["createStrategy"]["errors"]
    assert (error["path"], error["code"]) == (["rules", "parameters"], "INVALID_INPUT")


async def test_odd_json_in_parameters_is_a_payload_error(runtime: Runtime, alice: Actor) -> None:
    for default, choices in (([], [[]]), ({"a": 1}, [{}]), ("x" * 200, ["x" * 200])):
        odd = {**TREND, "rules": {"entryLong": "true", "parameters": [
            {"name": "n", "type": "CHOICE", "default": default, "choices": choices}
        ]}}  # fmt: skip
        (error,) = (await data(runtime, alice, CREATE, input=odd))["createStrategy"]["errors"]
        assert error["path"][:3] == ["rules", "parameters", "0"]


async def test_checking_rules_stores_nothing(runtime: Runtime, alice: Actor) -> None:
    query = """
    query ($input: StrategyRulesInput!) {
      checkStrategy(input: $input) { valid warmupBars indicators issues { path line column message } }
    }
    """
    valid = {"entryLong": "crossover(ema(close, fast), ema(close, 26))", "parameters": [
        {"name": "fast", "type": "INT", "default": 12}
    ]}  # fmt: skip
    assert (await data(runtime, alice, query, input=valid))["checkStrategy"] == {
        "valid": True,
        "warmupBars": 26,
        "indicators": ["crossover", "ema"],
        "issues": [],
    }
    wrong = {"entryLong": "close >\n  opne", "plots": ["close", "sma(close"]}
    assert (await data(runtime, alice, query, input=wrong))["checkStrategy"] == {
        "valid": False,
        "warmupBars": None,
        "indicators": [],
        "issues": [
            {
                "path": ["entryLong"],
                "line": 2,
                "column": 3,
                "message": "Unknown name 'opne'; 'open' looks like it.",
            },
            {"path": ["plots", "1"], "line": 1, "column": 4, "message": "The bracket '(' is never closed."},
        ],
    }
    for given, path in (
        ({}, []),
        ({"entryLong": "true", "parameters": [{"name": "close", "type": "INT", "default": 1}]},
         ["parameters", "0", "name"]),
    ):  # fmt: skip
        checked = (await data(runtime, alice, query, input=given))["checkStrategy"]
        assert not checked["valid"]
        assert [issue["path"] for issue in checked["issues"]] == [path]


async def test_the_catalogue_of_indicators(runtime: Runtime, alice: Actor) -> None:
    found = await data(runtime, alice, "{ indicators { name group signature description outputs } }")
    by_name = {each["name"]: each for each in found["indicators"]}
    assert list(by_name) == sorted([*CATALOGUE, "on"])
    assert by_name["macd"] == {
        "name": "macd",
        "group": "Momentum Indicators",
        "signature": "macd(source, fast=12, slow=26, signal=9)",
        "description": "Fast less slow exponential average, its signal line and their difference.",
        "outputs": ["macd", "signal", "hist"],
    }


async def test_viewers_read_and_do_not_write(runtime: Runtime, alice: Actor) -> None:
    viewer = await make_actor(runtime, "viewer", Role.VIEWER)
    assert (await data(runtime, viewer, "{ strategies { nodes { slug } } }"))["strategies"]["nodes"]
    refused = await run(runtime, viewer, CREATE, input=TREND)
    assert refused.errors[0]["extensions"]["code"] == "FORBIDDEN"
    for query in (
        "{ strategies { nodes { slug } } }",
        "{ indicators { name } }",
        '{ strategy(slug: "macd") { id } }',
    ):
        response = await run(runtime, None, query)
        assert response.errors[0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_another_users_strategy_is_null_even_to_an_administrator(
    runtime: Runtime, alice: Actor
) -> None:
    made = (await data(runtime, alice, CREATE, input=TREND))["createStrategy"]["strategy"]
    query = "query ($id: ID!) { strategy(id: $id) { id } node(id: $id) { id } }"
    for name, role in (("bob", Role.TRADER), ("root", Role.ADMIN)):
        other = await make_actor(runtime, name, role)
        assert await data(runtime, other, query, id=made["id"]) == {"strategy": None, "node": None}
        refused = (await data(runtime, other, UPDATE, input={"id": made["id"], "name": "Mine"}))[
            "updateStrategy"
        ]
        assert [error["code"] for error in refused["errors"]] == ["NOT_FOUND"]
    assert (await data(runtime, alice, query, id=made["id"]))["node"] == {"id": made["id"]}


HOSTILE = " or ".join(["aeio()"] * 80)
HOSTILE_INPUT = dict.fromkeys(["entryLong", "exitLong", "entryShort", "exitShort"], HOSTILE) | {
    "plots": [HOSTILE] * 20
}


async def test_checking_the_longest_rules_leaves_the_event_loop_to_others(
    runtime: Runtime, alice: Actor
) -> None:
    check = "query ($i: StrategyRulesInput!) { checkStrategy(input: $i) { valid issues { message } } }"
    threads: set[int] = set()
    real = checking.check_strategy

    def traced(*arguments: Any) -> Any:
        threads.add(threading.get_ident())
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gql_trader.strategies.loaders.check_strategy", traced)
        found = await data(runtime, alice, check, i=HOSTILE_INPUT)
    assert len(found["checkStrategy"]["issues"]) == 480
    assert threads
    assert threading.get_ident() not in threads


async def test_checks_under_many_names_are_bounded_together(runtime: Runtime, alice: Actor) -> None:
    aliases = " ".join(f"a{i}: checkStrategy(input: $i) {{ valid }}" for i in range(30))
    response = await run(runtime, alice, f"query ($i: StrategyRulesInput!) {{ {aliases} }}", i=HOSTILE_INPUT)
    assert response.data is not None
    assert [each for each in response.data.values() if each is not None] == [{"valid": False}]
    assert {error["message"] for error in response.errors} == {
        "One request checks rules of at most 20000 characters in all."
    }
    assert {error["extensions"]["code"] for error in response.errors} == {"BAD_USER_INPUT"}


async def test_rules_longer_than_any_strategy_are_an_issue(runtime: Runtime, alice: Actor) -> None:
    check = "query ($i: StrategyRulesInput!) { checkStrategy(input: $i) { valid issues { message path } } }"
    found = await data(runtime, alice, check, i={"entryLong": "close > open", "plots": ["close" * 800] * 6})
    assert found["checkStrategy"] == {
        "valid": False,
        "issues": [
            {
                "message": "All rules and plots have at most 20000 characters together; got 24012.",
                "path": [],
            }
        ],
    }
