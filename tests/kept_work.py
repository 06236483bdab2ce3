"""What every test would have to do anew, kept for as long as the process runs.

A test opens a runtime of its own, and an application, whose caches are empty. Compiling the same statements
and reading the same GraphQL documents again would be a fifth of what the tests compute.
"""

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from graphql import ASTValidationRule, DocumentNode, GraphQLError, GraphQLSchema, parse, validate
from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import Mapper

from gql_trader.gql import documents


class _StatementsOfAnyDatabase(dict[Any, Any]):
    """Compiled statements, whichever engine they were compiled for: those of tests are all alike."""

    def get(self, key: Any, default: Any = None) -> Any:
        _dialect, *rest = key
        return super().get(tuple(rest), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        _dialect, *rest = key
        super().__setitem__(tuple(rest), compiled)


def keep_compiled_statements() -> None:
    """Let all engines of this process share what they have compiled."""
    compiled = _StatementsOfAnyDatabase()

    @event.listens_for(Engine, "engine_connect")
    def share(connection: Connection) -> None:
        connection.execution_options(compiled_cache=compiled)

    # Rows that a session writes have a cache of their own.
    Mapper._compiled_cache = compiled  # type: ignore[assignment]


def keep_read_documents() -> None:
    """Parse and validate a text once against each schema."""
    parsed: dict[Any, DocumentNode] = {}
    # The schema and the document are kept too, lest another gets the same identity.
    valid: dict[Any, tuple[GraphQLSchema, DocumentNode]] = {}

    def parse_once(text: str, **limits: Any) -> DocumentNode:
        key = (text, *sorted(limits.items()))
        if key not in parsed:
            parsed[key] = parse(text, **limits)
        return parsed[key]

    def validate_once(
        schema: GraphQLSchema,
        document: DocumentNode,
        rules: Sequence[type[ASTValidationRule]],
        **options: Any,
    ) -> list[GraphQLError]:
        key = (id(schema), id(document), *rules, *sorted(options.items()))
        if key in valid:
            return []
        errors = validate(schema, document, rules, **options)
        if not errors:
            valid[key] = (schema, document)
        return errors

    patch.object(documents, "parse", parse_once).start()
    patch.object(documents, "validate", validate_once).start()
