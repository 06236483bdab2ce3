"""PostgreSQL and Valkey as child processes, so that one command gives a working server.

Only the binaries come from elsewhere; starting, watching, recovering and stopping them is done here.
"""

from gql_trader.infra.embedded.data_directory import DataDirectory, DataDirectoryInUseError
from gql_trader.infra.embedded.errors import EmbeddedServerError
from gql_trader.infra.embedded.processes import Child, spawn
from gql_trader.infra.embedded.servers import EmbeddedServers

__all__ = [
    "Child",
    "DataDirectory",
    "DataDirectoryInUseError",
    "EmbeddedServerError",
    "EmbeddedServers",
    "spawn",
]
