"""The strategies that come with the program, written in the rule language like anybody's."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID, uuid5

from gql_trader.core.ids import StrategyId
from gql_trader.engine.plugins import Plugin
from gql_trader.engine.rules import Parameter, ParameterType, Rules
from gql_trader.strategies.types import BUILTIN_PREFIX

_NAMESPACE = UUID("6f1d8c52-43a5-5b0e-9b6e-8f5f0c6a7d11")


@dataclass(frozen=True, slots=True)
class BuiltinStrategy:
    """A strategy of the program, or of a plugin; a change of what it does is stored as a new version."""

    code_ref: str
    name: str
    description: str
    rules: Rules
    parameters: tuple[Parameter, ...] = ()

    @property
    def id(self) -> StrategyId:
        """The same key on every server, so that ids in scripts and documents keep their meaning."""
        return StrategyId(uuid5(_NAMESPACE, self.code_ref))

    @property
    def slug(self) -> str:
        """The reference with hyphens; two of them set off a plugin's package, which no other slug has."""
        package, _, name = self.code_ref.replace("_", "-").partition(":")
        return name if self.code_ref.startswith(BUILTIN_PREFIX) else f"{package}--{name}"


def of_plugin(plugin: Plugin) -> BuiltinStrategy:
    """Return the strategy that everybody sees of a plugin; its rules are empty."""
    return BuiltinStrategy(plugin.code_ref, plugin.name, plugin.description, Rules(), plugin.parameters)


def _period(name: str, default: int, description: str, minimum: int = 2, maximum: int = 1000) -> Parameter:
    return Parameter(name, ParameterType.INT, default, minimum, maximum, 1, description=description)


def _number(
    name: str, default: float, minimum: float, maximum: float, step: float, description: str
) -> Parameter:
    return Parameter(name, ParameterType.FLOAT, default, minimum, maximum, step, description=description)


_SOURCE = Parameter("source", ParameterType.SOURCE, "close", description="Price that is averaged.")


def _crossing(fast: str, slow: str, plots: tuple[str, ...] | None = None) -> Rules:
    over, under = f"crossover({fast}, {slow})", f"crossunder({fast}, {slow})"
    return Rules(over, under, under, over, (fast, slow) if plots is None else plots)


_EMA_FAST, _EMA_SLOW = "ema(source, fast)", "ema(source, slow)"
_BANDS = "bbands(source, period, deviations, deviations)"
_MACD = "macd(source, fast, slow, signal)"
_SUPERTREND = "supertrend(period, multiplier)"

_STRATEGIES = (
    BuiltinStrategy(
        "builtin:golden_cross",
        "Golden cross",
        "Follows the long trend: buys when a fast simple moving average rises above a slow one, "
        "and sells when it falls below.",
        _crossing("sma(source, fast)", "sma(source, slow)"),
        (
            _period("fast", 50, "Bars of the fast average."),
            _period("slow", 200, "Bars of the slow average."),
            _SOURCE,
        ),
    ),
    BuiltinStrategy(
        "builtin:ema_cross",
        "EMA cross",
        "Buys when a fast exponential moving average rises above a slow one, and sells when it falls below.",
        _crossing(_EMA_FAST, _EMA_SLOW),
        (
            _period("fast", 12, "Bars of the fast average."),
            _period("slow", 26, "Bars of the slow average."),
            _SOURCE,
        ),
    ),
    BuiltinStrategy(
        "builtin:ema_rsi",
        "EMA and RSI",
        "The bot strategy: enters on a cross of two exponential moving averages unless the relative strength "
        "index says that the move is exhausted, and leaves on the opposite cross or on exhaustion.",
        Rules(
            entry_long=f"crossover({_EMA_FAST}, {_EMA_SLOW}) and rsi(source, rsi_period) < overbought",
            exit_long=f"crossunder({_EMA_FAST}, {_EMA_SLOW}) or rsi(source, rsi_period) > overbought",
            entry_short=f"crossunder({_EMA_FAST}, {_EMA_SLOW}) and rsi(source, rsi_period) > oversold",
            exit_short=f"crossover({_EMA_FAST}, {_EMA_SLOW}) or rsi(source, rsi_period) < oversold",
            plots=(_EMA_FAST, _EMA_SLOW, "rsi(source, rsi_period)"),
        ),
        (
            _period("fast", 9, "Bars of the fast average."),
            _period("slow", 21, "Bars of the slow average."),
            _period("rsi_period", 14, "Bars of the relative strength index."),
            _number("overbought", 70.0, 50.0, 100.0, 1.0, "Above this a rise counts as exhausted."),
            _number("oversold", 30.0, 0.0, 50.0, 1.0, "Below this a fall counts as exhausted."),
            _SOURCE,
        ),
    ),
    BuiltinStrategy(
        "builtin:bollinger_reversion",
        "Mean reversion with Bollinger bands",
        "Expects prices to return to their mean: buys when the price falls below the lower band, and sells "
        "when it is back above the middle.",
        Rules(
            entry_long=f"crossunder(source, {_BANDS}.lower)",
            exit_long=f"crossover(source, {_BANDS}.middle)",
            entry_short=f"crossover(source, {_BANDS}.upper)",
            exit_short=f"crossunder(source, {_BANDS}.middle)",
            plots=(f"{_BANDS}.upper", f"{_BANDS}.middle", f"{_BANDS}.lower"),
        ),
        (
            _period("period", 20, "Bars of the mean and the standard deviation."),
            _number("deviations", 2.0, 0.1, 10.0, 0.1, "Standard deviations from the mean to each band."),
            _SOURCE,
        ),
    ),
    BuiltinStrategy(
        "builtin:macd",
        "MACD",
        "Buys when the MACD line rises above its signal line, and sells when it falls below.",
        _crossing(f"{_MACD}.macd", f"{_MACD}.signal"),
        (
            _period("fast", 12, "Bars of the fast average."),
            _period("slow", 26, "Bars of the slow average."),
            _period("signal", 9, "Bars of the signal line.", minimum=1),
            _SOURCE,
        ),
    ),
    BuiltinStrategy(
        "builtin:donchian_breakout",
        "Donchian breakout",
        "The turtles' rule: buys a close above the highest high of the bars before, and sells a close below "
        "the lowest low of a shorter time.",
        Rules(
            entry_long="close > highest(high, entry_period)[1]",
            exit_long="close < lowest(low, exit_period)[1]",
            entry_short="close < lowest(low, entry_period)[1]",
            exit_short="close > highest(high, exit_period)[1]",
            plots=("highest(high, entry_period)", "lowest(low, exit_period)"),
        ),
        (
            _period("entry_period", 20, "Bars whose range has to be left to enter."),
            _period("exit_period", 10, "Bars whose range has to be left to exit."),
        ),
    ),
    BuiltinStrategy(
        "builtin:supertrend",
        "SuperTrend",
        "Follows the SuperTrend line, a multiple of the average true range away from the price: buys when "
        "its direction turns up, and sells when it turns down.",
        _crossing(f"{_SUPERTREND}.trend", "0", (f"{_SUPERTREND}.line",)),
        (
            _period("period", 10, "Bars of the average true range."),
            _number("multiplier", 3.0, 0.1, 20.0, 0.1, "Average true ranges from the price to the line."),
        ),
    ),
    BuiltinStrategy(
        "builtin:buy_and_hold",
        "Buy and hold",
        "Buys on the first bar and keeps the position: what every other strategy has to beat.",
        Rules(entry_long="true"),
    ),
)

BUILTIN_STRATEGIES: Mapping[str, BuiltinStrategy] = MappingProxyType(
    {each.code_ref: each for each in _STRATEGIES}
)
"""The registered strategies by reference."""
