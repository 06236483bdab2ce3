"""Strategies written in Python: what an installed package gives, and how the engine runs it.

This is the interface for authors of plugins, and it is kept stable. A package names each of its strategies
as an entry point of the group ``gql_trader.strategies``; the entry point is a `Plugin`. Its module is
imported by the process that serves the API too, so that heavy imports belong into the functions.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gql_trader.engine.bars import Bars, Flags, Floats
from gql_trader.engine.rules import (
    CompiledRules,
    Parameter,
    ParameterType,
    ParameterValue,
    ParameterValues,
    PlotLine,
    check_parameters,
    is_plain_text,
    resolve_parameters,
)
from gql_trader.engine.rules.plan import MAXIMUM_HISTORY
from gql_trader.engine.signals import Signals

__all__ = [
    "ENTRY_POINT_GROUP",
    "NO_PLUGINS",
    "Bars",
    "BrokenPlugin",
    "Flags",
    "Floats",
    "Parameter",
    "ParameterType",
    "ParameterValue",
    "ParameterValues",
    "Plugin",
    "PluginError",
    "PluginRegistry",
    "PluginStrategy",
    "Signals",
    "StrategyCode",
    "plugin_problems",
]

ENTRY_POINT_GROUP = "gql_trader.strategies"

MAXIMUM_LINES = 40

_NAME = r"(?=[a-z0-9_]{1,50}(?:[:]|$))[a-z][a-z0-9]*(?:_[a-z0-9]+)*"
_CODE_REF = re.compile(f"{_NAME}:{_NAME}", re.ASCII)
_RESERVED = "builtin"
_COLUMNS = ("entry_long", "exit_long", "entry_short", "exit_short")


@dataclass(frozen=True)
class Plugin:
    """A strategy in Python.

    Attributes
    ----------
    code_ref
        Names it for ever, as ``package:strategy``: lower-case letters, digits and single underscores between
        them. ``builtin:`` is the program's own.
    version
        Changes whenever the same bars and parameters may give other signals: results are told apart by it.
    signals
        From bars and a value for every parameter to the signals, bool[n] each. Element i may depend on bars 0
        to i only, and on nothing else: no clock, no files, no random numbers. The arrays of the bars cannot
        be written to. Bars may be missing between others; their times tell.
    warmup
        Bars before the first that `signals` can judge, or a function of the parameters that returns it. A run
        reads so many before its start, and signals on the first so many bars of all do not count.
    lines
        From bars and parameters to lines of a chart by label, float64[n] each with NaN where undefined.
    """

    code_ref: str
    name: str
    version: str
    signals: Callable[[Bars, ParameterValues], Signals]
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    warmup: int | Callable[[ParameterValues], int] = 0
    lines: Callable[[Bars, ParameterValues], Mapping[str, Floats]] | None = None


class PluginError(Exception):
    """A plugin has failed or broken its promise; the message is meant for the one who runs it."""


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """An entry point that is not a usable strategy.

    Attributes
    ----------
    origin
        The entry point, and the distribution that has it.
    """

    origin: str
    reason: str


@dataclass(frozen=True)
class PluginRegistry:
    """The strategies in Python that are installed, by reference, and those that are broken."""

    plugins: Mapping[str, Plugin] = field(default_factory=dict)
    broken: tuple[BrokenPlugin, ...] = ()


NO_PLUGINS = PluginRegistry()


def plugin_problems(plugin: Plugin) -> list[str]:
    """Return what is wrong with the description of a plugin; its functions are not called."""
    found: list[str] = []
    if not (isinstance(plugin.code_ref, str) and _CODE_REF.fullmatch(plugin.code_ref)):
        found.append(f"code_ref must be package:strategy in lower case; got {plugin.code_ref!r}")
    elif plugin.code_ref.partition(":")[0] == _RESERVED:
        found.append(f"{_RESERVED}: is reserved for the strategies of the program")
    for name, text, longest in (
        ("name", plugin.name, 100),
        ("version", plugin.version, 50),
        ("description", plugin.description, 2_000),
    ):
        if not (isinstance(text, str) and is_plain_text(text, longest)):
            found.append(f"{name} must be a text of at most {longest} characters")
        elif not text.strip() and name != "description":
            found.append(f"{name} must not be empty")
    functions = (
        (callable(plugin.signals), "signals must be a function"),
        (plugin.lines is None or callable(plugin.lines), "lines must be a function or None"),
        (
            callable(plugin.warmup) or _is_warmup(plugin.warmup),
            f"warmup must be a function, or a whole number from 0 to {MAXIMUM_HISTORY}",
        ),
    )
    found.extend(problem for good, problem in functions if not good)
    if not _are_parameters(plugin.parameters):
        found.append("parameters must be a tuple of Parameter")
    else:
        found.extend(str(error) for error in check_parameters(plugin.parameters))
    return found


class PluginStrategy:
    """A plugin as the engine runs it: with the same methods as compiled rules.

    Attributes
    ----------
    indicators
        Empty: what a plugin uses is not known.
    """

    indicators: tuple[str, ...] = ()
    uses_intervals = False

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin
        self.parameters = plugin.parameters

    def warmup(self, values: ParameterValues | None, interval: int) -> int:
        """Return how many bars the plugin wants before the first that it can judge.

        Raises
        ------
        PluginError
            If it fails to say, or names no sensible number.
        """
        plugin = self.plugin
        if not callable(plugin.warmup):
            return plugin.warmup
        given = self._values(values)
        found = self._call("warmup", lambda: plugin.warmup(given))  # type: ignore[operator]
        if not _is_warmup(found):
            raise PluginError(
                f"{plugin.code_ref}: warmup must be a whole number from 0 to {MAXIMUM_HISTORY}; got "
                f"{found!r}."
            )
        return int(found)  # type: ignore[call-overload, no-any-return]

    def signals(
        self,
        bars: Bars,
        values: ParameterValues | None = None,
        on_progress: Callable[[float], None] | None = None,
        shared: object = None,
    ) -> Signals:
        """Return the four signals of every bar; all false during the warm-up.

        Parameters
        ----------
        shared
            As of compiled rules; what a plugin computes cannot be shared.

        Raises
        ------
        PluginError
            If it fails, or returns anything but four columns of flags as long as the bars.
        """
        given, n = self._values(values), len(bars)
        if on_progress is not None:
            on_progress(0.0)
        found = self._call("signals", lambda: self.plugin.signals(bars, given))
        if not isinstance(found, Signals):
            raise PluginError(
                f"{self.plugin.code_ref}: signals returned {type(found).__name__}, not Signals."
            )
        warmup = self.warmup(values, bars.interval)
        columns = []
        for name in _COLUMNS:
            column = getattr(found, name)
            if not (isinstance(column, np.ndarray) and column.dtype == np.bool_ and column.shape == (n,)):
                raise PluginError(f"{self.plugin.code_ref}: {name} of its signals must be bool[{n}].")
            # A copy: the plugin may keep its own.
            flags = np.array(column, dtype=np.bool_, order="C")
            flags[:warmup] = False
            columns.append(flags)
        if on_progress is not None:
            on_progress(1.0)
        return Signals(*columns)

    def lines(
        self,
        bars: Bars,
        values: ParameterValues | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> tuple[PlotLine, ...]:
        """Return what the plugin wants to see on a chart, at most `MAXIMUM_LINES` lines.

        Raises
        ------
        PluginError
            If it fails, or returns anything but numbers by label as long as the bars.
        """
        draw = self.plugin.lines
        if draw is None:
            return ()
        given = self._values(values)
        if on_progress is not None:
            on_progress(0.0)
        found = self._call("lines", lambda: draw(bars, given))
        if not isinstance(found, Mapping) or len(found) > MAXIMUM_LINES:
            raise PluginError(
                f"{self.plugin.code_ref}: lines returned no mapping of at most {MAXIMUM_LINES}."
            )
        drawn: list[PlotLine] = []
        for label, column in found.items():
            shown = np.asarray(column)
            if not (
                shown.shape == (len(bars),) and shown.dtype.kind in "fiu" and is_plain_text(str(label), 100)
            ):
                raise PluginError(
                    f"{self.plugin.code_ref}: lines must be float64[{len(bars)}] by a short label."
                )
            drawn.append(PlotLine(str(label), np.array(shown, dtype=np.float64)))
        return tuple(drawn)

    def check(self, values: ParameterValues | None = None, interval: int | None = None) -> None:
        """Raise PluginError unless the plugin says how long it warms up with these values."""
        self.warmup(values, interval or 0)

    def _values(self, values: ParameterValues | None) -> ParameterValues:
        return resolve_parameters(self.parameters, None) if values is None else dict(values)

    def _call(self, name: str, function: Callable[[], object]) -> object:
        try:
            return function()
        except Exception as error:
            message = f"{self.plugin.code_ref}: {name} failed with {type(error).__name__}: {str(error)[:300]}"
            raise PluginError(message) from error


StrategyCode = CompiledRules | PluginStrategy
"""What gives signals: rules or a plugin; both have the same methods."""


def same_parameters(plugin: Plugin, parameters: Sequence[Parameter]) -> bool:
    """Return whether a plugin takes the parameters that a strategy was stored with; defaults may differ."""
    return {each.name: each.type for each in plugin.parameters} == {
        each.name: each.type for each in parameters
    }


def _are_parameters(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(each, Parameter) for each in value)


def _is_warmup(value: object) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and 0 <= int(value) <= MAXIMUM_HISTORY  # type: ignore[call-overload]
