"""What is logged, for tests to read."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import structlog

from gql_trader.infra.logging import configure_logging


class Log:
    """What was written to the log."""

    def __init__(self) -> None:
        self.output = io.StringIO()

    @property
    def text(self) -> str:
        return self.output.getvalue()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the records of an event; every line of the log is one JSON object."""
        lines = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in lines if line["event"] == name]


@contextmanager
def captured_log(level: str = "INFO") -> Iterator[Log]:
    """Collect what is logged inside the block."""
    log = Log()
    root = logging.getLogger()
    handlers, before, configure = root.handlers, root.level, structlog.configure
    config = structlog.get_config()

    def uncached(**kept: Any) -> None:
        # Loggers that keep the configuration would keep it beyond this block.
        configure(**{**kept, "cache_logger_on_first_use": False})

    with mock.patch.object(structlog, "configure", uncached):
        configure_logging(level, json=True, output=log.output)
    try:
        yield log
    finally:
        structlog.configure(**config)
        root.handlers, root.level = handlers, before
