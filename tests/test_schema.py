"""The schema as a whole: described, guarded, exported."""

from pathlib import Path

import pytest
import strawberry

from gql_trader.gql.audit import audit_schema
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
