"""The API process: uvicorn on uvloop and httptools."""

import asyncio
import socket

import uvicorn
import uvloop

from gql_trader import seeding
from gql_trader.app import create_app
from gql_trader.cli.listener import open_listener
from gql_trader.cli.start_signal import await_start
from gql_trader.config import Settings
from gql_trader.gql.uvicorn_protocol import AbortableWebSocketProtocol
from gql_trader.infra.logging import configure_logging

_GRACEFUL_SECONDS = 3
_PING_SECONDS = 20.0


def run(
    settings: Settings,
    *,
    seed: bool = False,
    demo: bool = False,
    listen_fd: int | None = None,
    start_fd: int | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests that run.

    Parameters
    ----------
    seed, demo
        Bring the seeds up to date first. A process of its own would spend two seconds importing what is
        imported here anyway.
    listen_fd
        A bound, listening socket to use; a launcher keeps it over the API's restarts, so that no
        connection is refused meanwhile.
    start_fd
        Prepare everything, but begin only when this says so; see `await_start`.
    """
    configure_logging(settings.log_level)
    config = uvicorn.Config(
        create_app(settings),
        http="httptools",
        ws=AbortableWebSocketProtocol,
        # Small frames at a high rate: compressing costs more than it saves, and memory for each socket.
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        # The client's address is ours to find (TRUSTED_PROXIES): uvicorn would believe any local peer.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        timeout_keep_alive=75,
        ws_ping_interval=_PING_SECONDS,
        ws_ping_timeout=_PING_SECONDS,
        ws_max_size=settings.max_body_bytes,
    )
    listener = (
        open_listener(settings.host, settings.port) if listen_fd is None else socket.socket(fileno=listen_fd)
    )
    await_start(start_fd)
    if seed:
        asyncio.run(seeding.seed(settings, demo=demo))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve(sockets=[listener]))
