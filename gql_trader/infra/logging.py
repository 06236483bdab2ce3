"""Structured logs: one JSON object a line, or readable text on a terminal."""

import logging
import sys
from typing import TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from gql_trader.infra import json_codec


def configure_logging(level: str = "INFO", *, json: bool | None = None, output: TextIO | None = None) -> None:
    """Send structlog's and the standard library's records through one formatter.

    Parameters
    ----------
    level
        Least severity that is written: DEBUG, INFO, WARNING, ERROR.
    json
        True: JSON lines; False: text; None: text if the output is a terminal.
    output
        Standard error unless given.
    """
    output = output or sys.stderr
    as_json = not output.isatty() if json is None else json
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers: list[structlog.typing.Processor] = (
        [
            # Without local variables: they hold what people send, passwords among it.
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(_dumps),
        ]
        if as_json
        else [
            structlog.dev.ConsoleRenderer(
                colors=output.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # They say every start of a job, every request, every part of Alembic: ours say more.
    for name in ("arq", "uvicorn.access", "alembic.runtime.plugins", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _dumps(record: object, **_: object) -> str:
    return json_codec.dumps_text(record)
