"""The whole schema: what each domain contributes, side by side."""

import strawberry

from gql_trader.accounts.schema import AccountMutation, AccountQuery, resolve_user_nodes
from gql_trader.gql.schema_builder import build_schema

QUERIES = [AccountQuery]
MUTATIONS = [AccountMutation]
SUBSCRIPTIONS: list[type] = []
NODE_RESOLVERS = {"User": resolve_user_nodes}


def create_schema() -> strawberry.Schema:
    """Return the schema of all domains."""
    return build_schema(QUERIES, MUTATIONS, SUBSCRIPTIONS, NODE_RESOLVERS)
