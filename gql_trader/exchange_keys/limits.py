"""How often keys may be presented to exchanges: a guess at somebody's key is made with our address."""

from gql_trader.gql.limiting import Limited, by_viewer
from gql_trader.infra.rate_limits import Policy

EXCHANGE_KEY = Limited(by_viewer(Policy("exchange_key", 20, 15 * 60)))
"""For everything that verifies a key."""
