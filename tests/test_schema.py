"""The schema as a whole: described, guarded, exported."""

from pathlib import Path
from typing import cast

import pytest
import strawberry
from graphql import IntrospectionQuery, build_client_schema, get_introspection_query, graphql_sync

from gql_trader.gql.audit import audit_schema
from gql_trader.gql.schema_builder import core_schema
from gql_trader.schema import create_schema

_EXPORTED = Path(__file__).parents[1] / "schema.graphql"


@pytest.fixture(scope="module")
def schema() -> strawberry.Schema:
    """The schema of all domains."""
    return create_schema()


def test_everything_is_described_and_declares_its_access(schema: strawberry.Schema) -> None:
    assert audit_schema(schema) == []


def test_the_exported_schema_is_up_to_date(schema: strawberry.Schema) -> None:
    assert _EXPORTED.read_text().strip() == schema.as_str().strip()


def test_introspection_tells_the_whole_schema(schema: strawberry.Schema) -> None:
    core = core_schema(schema)
    result = graphql_sync(core, get_introspection_query(input_value_deprecation=True))
    assert result.errors is None
    assert result.data is not None
    told = build_client_schema(cast("IntrospectionQuery", result.data))
    assert set(told.type_map) == set(core.type_map)
