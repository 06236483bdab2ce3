"""``python -m gql_trader`` is ``gql-trader``."""

from gql_trader.cli.main import main

main()
