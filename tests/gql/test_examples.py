"""What GraphiQL opens with is valid against the product's schema."""

import json
import re
from pathlib import Path

import pytest
from graphql import parse, validate

from gql_trader.gql.relay import decode_id
from gql_trader.gql.schema_builder import core_schema
from gql_trader.schema import create_schema
from gql_trader.strategies.builtin import BUILTIN_STRATEGIES

EXAMPLES = Path(__file__).parents[2] / "gql_trader" / "gql" / "static" / "examples.js"
TEXT = EXAMPLES.read_text()
QUERIES = re.findall(r"query: `(.*?)`", TEXT, re.DOTALL)
VARIABLES = re.findall(r"variables: `(.*?)`", TEXT, re.DOTALL)
SCHEMA = core_schema(create_schema())


@pytest.mark.parametrize(
    "query", QUERIES, ids=lambda query: re.findall(r"^(\w+ \w+)", query, re.MULTILINE)[0]
)
def test_example_is_valid(query: str) -> None:
    assert validate(SCHEMA, parse(query)) == []


def test_there_are_queries_a_mutation_and_a_subscription() -> None:
    kinds = {re.findall(r"^(query|mutation|subscription) ", query, re.MULTILINE)[0] for query in QUERIES}
    assert kinds == {"query", "mutation", "subscription"}


def test_the_backtest_to_run_names_a_strategy_that_every_server_has() -> None:
    given = [json.loads(variables) for variables in VARIABLES]
    assert len(given) == 3
    strategy_id = decode_id(given[1]["input"]["strategyId"], "Strategy")
    assert strategy_id in {each.id for each in BUILTIN_STRATEGIES.values()}
