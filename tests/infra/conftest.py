"""A Valkey that a test may stop, kill and start again."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gql_trader.infra.embedded.data_directory import DataDirectory
from gql_trader.infra.embedded.processes import ChildRegister
from gql_trader.infra.embedded.servers import EmbeddedServers


@pytest.fixture
def own_valkey() -> Iterator[EmbeddedServers]:
    """A running Valkey with an append-only file, of this test's own."""
    with tempfile.TemporaryDirectory(prefix="gql-trader-valkey-") as directory:
        data = DataDirectory(Path(directory))
        server = EmbeddedServers(data, ChildRegister(data.register), postgres=False)
        server.start()
        try:
            yield server
        finally:
            server.stop()
