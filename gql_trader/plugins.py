"""Finding the strategies in Python that are installed, once at the start of a process."""

from importlib.metadata import EntryPoint, entry_points

import structlog

from gql_trader.engine.plugins import (
    ENTRY_POINT_GROUP,
    BrokenPlugin,
    Plugin,
    PluginRegistry,
    plugin_problems,
)

_log = structlog.get_logger(__name__)


def load_plugins() -> PluginRegistry:
    """Import every entry point of the group ``gql_trader.strategies``.

    What is broken is logged and left out: one package must not keep the server from starting.
    """
    plugins: dict[str, Plugin] = {}
    broken: list[BrokenPlugin] = []
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=_origin):
        try:
            plugin = _load(entry)
            if plugin.code_ref in plugins:
                raise _UnusableError(f"{plugin.code_ref} is there already, from another entry point")
        except _UnusableError as error:
            broken.append(BrokenPlugin(_origin(entry), str(error)))
            _log.error("plugin_broken", plugin=_origin(entry), reason=str(error), exc_info=error.__cause__)
        else:
            plugins[plugin.code_ref] = plugin
            _log.info("plugin_loaded", code_ref=plugin.code_ref, version=plugin.version)
    return PluginRegistry(plugins, tuple(broken))


class _UnusableError(Exception):
    """The entry point is no usable strategy; the message says why."""


def _load(entry: EntryPoint) -> Plugin:
    try:
        found = entry.load()
    except (Exception, SystemExit) as error:
        # Whatever a package does when it is imported is its own affair, but not the server's end.
        raise _UnusableError(f"{type(error).__name__}: {str(error)[:300]}") from error
    if not isinstance(found, Plugin):
        raise _UnusableError(
            f"{entry.value} is no gql_trader.engine.plugins.Plugin but {type(found).__name__}"
        )
    problems = plugin_problems(found)
    if problems:
        raise _UnusableError("; ".join(problems))
    return found


def _origin(entry: EntryPoint) -> str:
    return f"{entry.name} of {entry.dist.name if entry.dist is not None else entry.value}"
