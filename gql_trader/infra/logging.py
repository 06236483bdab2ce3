"""Structured logs: one JSON object a line, or readable text on a terminal."""

import logging
import re
import sys
import traceback
from typing import Any, TextIO

import structlog
from structlog.typing import ExcInfo

from gql_trader.infra import json_codec

_MAXIMUM_FRAMES = 30
_MAXIMUM_ERRORS = 10
_MAXIMUM_MESSAGE = 2_000
_MAXIMUM_LINE = 500

# Where errors of PostgreSQL and asyncpg begin to repeat the values of rows and arguments, people's addresses
# among them. What follows can be of any form, so that all of it goes. Lines of a group have a margin.
_VALUES = re.compile(
    r"(\n[ |]*DETAIL: |invalid input for query argument \$\d+: |invalid input syntax for ).*", re.DOTALL
)

# Without the frames' locals: passwords, tokens and the database's address are among them.
_as_objects = structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=_MAXIMUM_FRAMES)


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
        [structlog.processors.ExceptionRenderer(_exception), structlog.processors.JSONRenderer(_dumps)]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=output.isatty(), exception_formatter=_write_traceback)]
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


def _exception(exc_info: ExcInfo) -> list[dict[str, Any]]:
    return _bounded(_as_objects(exc_info))


def _bounded(stacks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # The first is the error itself; the last is where the chain of causes began.
    kept = _ends(stacks)
    for stack in kept:
        stack["exc_value"] = _shortened(stack["exc_value"])
        stack["exc_notes"] = [_shortened(note) for note in stack["exc_notes"][:_MAXIMUM_ERRORS]]
        stack["exceptions"] = [_bounded(each) for each in stack["exceptions"][:_MAXIMUM_ERRORS]]
    return kept


def _ends(parts: list[Any]) -> list[Any]:
    half = _MAXIMUM_ERRORS // 2
    return parts if len(parts) <= _MAXIMUM_ERRORS else [*parts[:half], *parts[-half:]]


def _shortened(text: str) -> str:
    text = without_values(text)
    return text if len(text) <= _MAXIMUM_MESSAGE else f"{text[:_MAXIMUM_MESSAGE]}… ({len(text)} characters)"


def without_values(text: str) -> str:
    """Return what an error says, up to where a database's begins to tell of values."""
    return _VALUES.sub(r"\1…", text)


def _write_traceback(output: TextIO, error: ExcInfo) -> None:
    # As Python writes it, which is without locals, but the middle of a long one is left out.
    # Each part is one frame or one message, whole.
    parts = traceback.format_exception(*error, limit=-_MAXIMUM_FRAMES)
    lines = "\n".join(without_values(part.rstrip("\n")) for part in parts).splitlines()
    limit = _MAXIMUM_FRAMES * _MAXIMUM_ERRORS
    if len(lines) > limit:
        lines = [*lines[: limit // 2], f"… {len(lines) - limit} lines …", *lines[-limit // 2 :]]
    output.write("\n" + "\n".join(line[:_MAXIMUM_LINE] for line in lines))
