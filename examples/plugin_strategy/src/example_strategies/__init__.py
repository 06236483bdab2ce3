"""Example strategies for gql_trader."""
