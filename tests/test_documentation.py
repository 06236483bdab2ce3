"""What the documentation shows is true: its GraphQL is valid, its links lead somewhere."""

import re
from pathlib import Path

import pytest
from graphql import parse, validate

from gql_trader.gql.schema_builder import core_schema
from gql_trader.schema import create_schema

_ROOT = Path(__file__).parents[1]
_PAGES = [
    _ROOT / "README.md",
    *sorted((_ROOT / "docs").glob("*.md")),
    *sorted((_ROOT / "examples").glob("*/README.md")),
]


def _name(page: Path) -> str:
    return str(page.relative_to(_ROOT))


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_graphql_in_the_documentation_is_valid(page: Path) -> None:
    schema = core_schema(create_schema())
    for block in re.findall(r"```graphql\n(.*?)```", page.read_text(), re.DOTALL):
        assert validate(schema, parse(block)) == [], block


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_the_readme_shows_the_two_commands() -> None:
    text = (_ROOT / "README.md").read_text()
    assert "uv run gql-trader up" in text
    assert "uv run pytest" in text
