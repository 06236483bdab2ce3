"""Program: write the exchanges that ccxt knows to standard output, as JSON."""

import sys

import ccxt.async_support

from gql_trader.infra import json_codec
from gql_trader.infra.exchange.catalogue import describe

if __name__ == "__main__":
    found = describe(ccxt.async_support.exchanges, lambda each: getattr(ccxt.async_support, each))
    sys.stdout.buffer.write(json_codec.dumps(found))
