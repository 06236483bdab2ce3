"""The functions that this engine computes itself: hot indicators, logic over time, plain mathematics."""
# ruff: noqa: E501 -- one function a line reads as the table it is
# fmt: off

from gql_trader.engine.indicators.catalogue import Function, Values, Yields, average_lookback
from gql_trader.engine.indicators.notation import function
from gql_trader.engine.indicators.talib_table import keltner_lookback

_TRANSFORMS = (
    ("abs", "Magnitude."),
    ("sign", "−1, 0 or 1."),
    ("sqrt", "Square root; undefined below 0."),
    ("exp", "e to the power of x."),
    ("log", "Natural logarithm; undefined for 0 and below."),
    ("ln", "Natural logarithm; the same as log."),
    ("log10", "Decimal logarithm; undefined for 0 and below."),
    ("floor", "Greatest whole number not above x."),
    ("ceil", "Least whole number not below x."),
    ("sin", "Sine of x in radians."),
    ("cos", "Cosine of x in radians."),
    ("tan", "Tangent of x in radians."),
    ("asin", "Arc sine, in radians; undefined outside −1 to 1."),
    ("acos", "Arc cosine, in radians; undefined outside −1 to 1."),
    ("atan", "Arc tangent, in radians."),
    ("sinh", "Hyperbolic sine."),
    ("cosh", "Hyperbolic cosine."),
    ("tanh", "Hyperbolic tangent."),
)

_PAIRS = (
    ("max", "The greater of two values on each bar; for the highest of a period see highest()."),
    ("min", "The lesser of two values on each bar; for the lowest of a period see lowest()."),
    ("add", "x + y."),
    ("sub", "x − y."),
    ("mult", "x × y."),
    ("div", "x / y; undefined where y is 0."),
)


def _period(given: Values) -> int:
    return int(given["period"])


def _period_less_one(given: Values) -> int:
    return int(given["period"]) - 1


def _macd(given: Values) -> int:
    return max(int(given["fast"]), int(given["slow"])) - 1 + int(given["signal"]) - 1


def _bands(given: Values) -> int:
    return average_lookback(given["matype"], given["period"])


def _ichimoku(given: Values) -> int:
    return max(int(given["tenkan"]), int(given["kijun"]), int(given["senkou"])) - 1 + int(given["kijun"])


def _hot() -> list[Function]:
    overlap, momentum, volatility = "Overlap Studies", "Momentum Indicators", "Volatility Indicators"
    bands = "upper/upperband middle/middleband lower/lowerband"
    return [
        function("sma", overlap, "Simple moving average.", "source period=30[1,10000]", _period_less_one),
        function("ema", overlap, "Exponential moving average, factor 2 / (period + 1), seeded with the simple average.", "source period=30[1,10000]", _period_less_one),
        function("wma", overlap, "Linearly weighted moving average; the newest bar weighs most.", "source period=30[1,10000]", _period_less_one),
        function("rma", overlap, "Wilder's moving average, factor 1 / period, seeded with the simple average.", "source period=30[1,10000]", _period_less_one),
        function("bbands", overlap, "Bollinger bands: a moving average ± multiples of the standard deviation.", "source period=20 nbdevup=2.0 nbdevdn=2.0 matype=sma", _bands, outputs=bands),
        function("rsi", momentum, "Relative strength index by Wilder, 0 to 100.", "source period=14", _period),
        function("macd", momentum, "Fast less slow exponential average, its signal line and their difference.", "source fast=12 slow=26 signal=9[1,10000]", _macd, outputs="macd signal/macdsignal hist/macdhist"),
        function("atr", volatility, "Average true range by Wilder, in price units.", "period=14[1,10000]", _period, columns="high low close"),
        function("stdev", volatility, "Standard deviation (ddof 0) over a period; TA-Lib's stddev.", "source period=5", _period_less_one),
        function("stddev", volatility, "Standard deviation (ddof 0) over a period, times nbdev.", "source period=5 nbdev=1.0", _period_less_one),
        function("highest", overlap, "Highest value over a period, this bar included; TA-Lib's MAX.", "source period=30[1,10000]", _period_less_one),
        function("lowest", overlap, "Lowest value over a period, this bar included; TA-Lib's MIN.", "source period=30[1,10000]", _period_less_one),
        function("donchian", overlap, "Donchian channel: highest high, lowest low and their middle, this bar included.", "period=20", _period_less_one, columns="high low", outputs=bands),
        function("highestbars", overlap, "Bars since the highest value of a period, 0: this bar; the latest of equal ones.", "source period=30[1,10000]", _period_less_one),
        function("lowestbars", overlap, "Bars since the lowest value of a period, 0: this bar; the latest of equal ones.", "source period=30[1,10000]", _period_less_one),
    ]


def _composed() -> list[Function]:
    overlap = "Overlap Studies"
    return [
        function("keltner", overlap, "Keltner channel: exponential average of the typical price ± a multiple of ATR; TA-Lib's kc.", "period=20 atrperiod=10[1,10000] nbdev=2.0", keltner_lookback, columns="high low close", outputs="upper/upperband middle/middleband lower/lowerband"),
        function("ichimoku", overlap, "Ichimoku lines as they stand on the chart at this bar: the spans were computed kijun bars ago. The lagging line is left out, as it would read later bars.", "tenkan=9[1,10000] kijun=26[1,10000] senkou=52[1,10000]", _ichimoku, columns="high low", outputs="tenkan kijun senkou_a senkou_b"),
        function("vwap", "Volume Indicators", "Average price weighted by volume since the start of the UTC day, or of the data.", "anchor=day{day|start}", 0, columns="time high low close volume"),
        function("zscore", "Statistics", "Distance from the mean in standard deviations (ddof 0); undefined when those are 0.", "source period=20", _period_less_one),
        function("sum", "Math Operators", "Sum over a period.", "source period=30[1,10000]", _period_less_one),
    ]


def _logic() -> list[Function]:
    group = "Conditions"
    condition = Yields.CONDITION
    pair = "x:operand y:operand"
    return [
        function("crossover", group, "x rises above y: x > y now, and x ≤ y one bar ago.", pair, 1, yields=condition),
        function("crossunder", group, "x falls below y: x < y now, and x ≥ y one bar ago.", pair, 1, yields=condition),
        function("cross", group, "x crosses y in either direction.", pair, 1, yields=condition),
        function("rising", group, "The value rose on each of the last period bars.", "source period=1[1,10000]", _period, yields=condition),
        function("falling", group, "The value fell on each of the last period bars.", "source period=1[1,10000]", _period, yields=condition),
        function("count", group, "On how many of the last period bars the condition held.", "condition:condition period=10[1,10000]", _period_less_one),
        function("barssince", group, "Bars since the condition last held, 0: now; undefined before the first time.", "condition:condition", 0),
        function("valuewhen", group, "Value of source when the condition last held, or that many times earlier.", "condition:condition source:series occurrence=0[0,1000]", 0),
        function("since", group, "The event has happened at or after the last time reset held; false before the first reset.", "event:condition reset:condition", 0, yields=condition),
    ]


def _pointwise() -> list[Function]:
    transforms = [
        function(name, "Mathematics", text, "x:operand", 0, pointwise=True) for name, text in _TRANSFORMS
    ]
    pairs = [
        function(name, "Mathematics", text, "x:operand y:operand", 0, pointwise=True) for name, text in _PAIRS
    ]
    nz = function("nz", "Mathematics", "The value, or the replacement where it is undefined.", "x:operand replacement=0.0", 0, pointwise=True)
    return [*transforms, *pairs, nz]


def own_functions() -> list[Function]:
    """Return every function that this engine computes itself."""
    return [*_hot(), *_composed(), *_logic(), *_pointwise()]
