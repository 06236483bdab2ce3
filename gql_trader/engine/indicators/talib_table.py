"""TA-Lib's indicators as functions of the rule language.

Names are TA-Lib's in lower case. Prices that an indicator always reads (high, low, close, volume) come
from the bars; a free input is an argument, ``source``. A test compares every line with TA-Lib itself.
"""
# ruff: noqa: E501 -- one function a line reads as the table it is
# fmt: off

from dataclasses import replace

from gql_trader.engine.indicators.catalogue import Function, Values, average_lookback
from gql_trader.engine.indicators.notation import Lookback, function

_HL, _HLC, _OC, _OHLC, _HLCV, _CV = (
    "high low",
    "high low close",
    "open close",
    "open high low close",
    "high low close volume",
    "close volume",
)
_BANDS = "upper/upperband middle/middleband lower/lowerband"
_MACD = "macd signal/macdsignal hist/macdhist"


def _sum(names: str, constant: int) -> Lookback:
    # Most look-backs are sums of periods less a constant.
    keys = names.split()
    return lambda given: sum(int(given[key]) for key in keys) + constant


def _longest(names: str, constant: int) -> Lookback:
    keys = names.split()
    return lambda given: max(int(given[key]) for key in keys) + constant


def _average(period: str, kind: str = "matype") -> Lookback:
    return lambda given: average_lookback(given[kind], given[period])


def _oscillator(given: Values) -> int:
    return average_lookback(given["matype"], max(int(given["fast"]), int(given["slow"])))


def _macdext(given: Values) -> int:
    lines = max(
        average_lookback(given["fastmatype"], given["fast"]),
        average_lookback(given["slowmatype"], given["slow"]),
    )
    return lines + average_lookback(given["signalmatype"], given["signal"])


def _stochastic(given: Values) -> int:
    smoothing = average_lookback(given["slowk_matype"], given["slowk_period"])
    return int(given["fastk_period"]) - 1 + smoothing + average_lookback(
        given["slowd_matype"], given["slowd_period"]
    )


def _fast_stochastic(given: Values) -> int:
    return int(given["fastk_period"]) - 1 + average_lookback(given["fastd_matype"], given["fastd_period"])


def keltner_lookback(given: Values) -> int:
    """Return the bars before a Keltner channel: its average needs period − 1, its true range atrperiod."""
    return max(int(given["period"]) - 1, int(given["atrperiod"]))


def _chaikin_volatility(given: Values) -> int:
    return int(given["period"]) - 1 + int(given["rocperiod"])


_P = _sum("period", 0)
_P1 = _sum("period", -1)

_MOMENTUM = (
    ("ac", "Accelerator/decelerator oscillator: the awesome oscillator less its average.", "fast=5 slow=34 signal=5", lambda v: max(int(v["fast"]), int(v["slow"])) + int(v["signal"]) - 2, _HL, ""),
    ("adx", "Average directional movement index: strength of a trend, 0 to 100.", "period=14", lambda v: 2 * int(v["period"]) - 1, _HLC, ""),
    ("adxr", "Mean of ADX now and a period ago.", "period=14", lambda v: 3 * int(v["period"]) - 2, _HLC, ""),
    ("ao", "Awesome oscillator: difference of two averages of the median price.", "fast=5 slow=34", _longest("fast slow", -1), _HL, ""),
    ("apo", "Absolute price oscillator: fast less slow average.", "source fast=12 slow=26 matype=ema", _oscillator, "", ""),
    ("aroon", "Time since the lowest low and the highest high, 0 to 100.", "period=14", _P, _HL, "down/aroondown up/aroonup"),
    ("aroonosc", "Aroon up less Aroon down.", "period=14", _P, _HL, ""),
    ("bop", "Balance of power: (close − open) / (high − low).", "", 0, _OHLC, ""),
    ("cci", "Commodity channel index.", "period=14", _P1, _HLC, ""),
    ("cmo", "Chande momentum oscillator, Wilder-smoothed, −100 to 100.", "source period=14", _P, "", ""),
    ("cmou", "Chande momentum oscillator without smoothing, −100 to 100.", "source period=14", _P, "", ""),
    ("coppock", "Coppock curve: weighted average of two rates of change.", "source wmaperiod=10[1,10000] roc1period=11[1,10000] roc2period=14[1,10000]", lambda v: max(int(v["roc1period"]), int(v["roc2period"])) + int(v["wmaperiod"]) - 1, "", ""),
    ("dpo", "Detrended price oscillator: an earlier price less the average; reads no later bar.", "source period=20", lambda v: max(int(v["period"]) - 1, int(v["period"]) // 2 + 1), "", ""),
    ("dx", "Directional movement index, 0 to 100.", "period=14", _P, _HLC, ""),
    ("er", "Kaufman's efficiency ratio: net change over path length, 0 to 1.", "source period=10", _P, "", ""),
    ("eri", "Elder ray: high and low against the exponential average.", "period=13[1,10000]", _P1, _HLC, "bull/bullpower bear/bearpower"),
    ("fosc", "Forecast oscillator: percent between price and its linear forecast.", "source period=5", _P, "", ""),
    ("fractal", "Williams fractal, reported when confirmed: 100 on the bar that completes it, else 0.", "leftbars=2[1,1000] rightbars=2[1,1000]", _sum("leftbars rightbars", 0), _HL, "high/swinghigh low/swinglow"),
    ("imi", "Intraday momentum index, 0 to 100.", "period=14", _P1, _OC, ""),
    ("kdj", "KDJ stochastic.", "fastk_period=9[1,10000] slowk_period=3[1,10000] slowk_matype=rma slowd_period=3[1,10000] slowd_matype=rma", _stochastic, _HLC, "k d j"),
    ("macdext", "MACD with any moving averages.", "source fast=12 fastmatype=sma slow=26 slowmatype=sma signal=9[1,10000] signalmatype=sma", _macdext, "", _MACD),
    ("macdfix", "MACD of 12 and 26 bars with fixed smoothing factors 0.15 and 0.075.", "source signal=9[1,10000]", _sum("signal", 24), "", _MACD),
    ("mfi", "Money flow index: RSI weighted by volume, 0 to 100.", "period=14", _P, _HLCV, ""),
    ("minus_di", "Minus directional indicator.", "period=14[1,10000]", _P, _HLC, ""),
    ("minus_dm", "Minus directional movement.", "period=14[1,10000]", lambda v: max(int(v["period"]) - 1, 1), _HL, ""),
    ("mom", "Momentum: change over a period.", "source period=10[1,10000]", _P, "", ""),
    ("plus_di", "Plus directional indicator.", "period=14[1,10000]", _P, _HLC, ""),
    ("plus_dm", "Plus directional movement.", "period=14[1,10000]", lambda v: max(int(v["period"]) - 1, 1), _HL, ""),
    ("ppo", "Percentage price oscillator: fast less slow average, in percent.", "source fast=12 slow=26 matype=ema", _oscillator, "", ""),
    ("qstick", "Average of close − open.", "period=10[1,10000]", _P1, _OC, ""),
    ("roc", "Rate of change in percent.", "source period=10[1,10000]", _P, "", ""),
    ("rocp", "Rate of change as a fraction.", "source period=10[1,10000]", _P, "", ""),
    ("rocr", "Ratio of the value to the one a period ago.", "source period=10[1,10000]", _P, "", ""),
    ("rocr100", "Ratio of the value to the one a period ago, times 100.", "source period=10[1,10000]", _P, "", ""),
    ("smi", "Stochastic momentum index.", "period=13 fast=2 slow=25 signal=9", _sum("period fast slow signal", -4), _HLC, "smi signal/smisignal"),
    ("stoch", "Stochastic oscillator, 0 to 100.", "fastk_period=5[1,10000] slowk_period=3[1,10000] slowk_matype=sma slowd_period=3[1,10000] slowd_matype=sma", _stochastic, _HLC, "k/slowk d/slowd"),
    ("stochf", "Fast stochastic oscillator, 0 to 100.", "fastk_period=5[1,10000] fastd_period=3[1,10000] fastd_matype=sma", _fast_stochastic, _HLC, "k/fastk d/fastd"),
    ("stochrsi", "Fast stochastic of the relative strength index.", "source period=14 fastk_period=5[1,10000] fastd_period=3[1,10000] fastd_matype=sma", lambda v: int(v["period"]) + _fast_stochastic(v), "", "k/fastk d/fastd"),
    ("trix", "One-bar rate of change of a triple exponential average, in percent.", "source period=30[1,10000]", lambda v: 3 * int(v["period"]) - 2, "", ""),
    ("tsi", "True strength index.", "source firstperiod=25 secondperiod=13", _sum("firstperiod secondperiod", -1), "", ""),
    ("ultosc", "Ultimate oscillator over three periods, 0 to 100.", "timeperiod1=7[1,10000] timeperiod2=14[1,10000] timeperiod3=28[1,10000]", _longest("timeperiod1 timeperiod2 timeperiod3", 0), _HLC, ""),
    ("vhf", "Vertical horizontal filter: trending or ranging.", "source period=28", _P, "", ""),
    ("vortex", "Vortex indicator.", "period=14[1,10000]", _P, _HLC, "plus/plusvi minus/minusvi"),
    ("wad", "Williams' accumulation/distribution; its level depends on where the data start.", "", 0, _HLC, ""),
    ("willr", "Williams' %R, −100 to 0.", "period=14", _P1, _HLC, ""),
)

_OVERLAP = (
    ("accbands", "Acceleration bands.", "period=20", _P1, _HLC, _BANDS),
    ("dema", "Double exponential moving average.", "source period=30[1,10000]", lambda v: average_lookback("dema", v["period"]), "", ""),
    ("hma", "Hull moving average.", "source period=20[1,10000]", lambda v: average_lookback("hma", v["period"]), "", ""),
    ("ht_trendline", "Hilbert transform: instantaneous trend line.", "source", 63, "", ""),
    ("kama", "Kaufman's adaptive moving average.", "source period=30[1,10000]", lambda v: average_lookback("kama", v["period"]), "", ""),
    ("kc", "Keltner channel: exponential average of the typical price ± a multiple of ATR.", "period=20 atrperiod=10[1,10000] nbdev=2.0", keltner_lookback, _HLC, _BANDS),
    ("ma", "Moving average of the kind named.", "source period=30[1,10000] matype=sma", _average("period"), "", ""),
    ("mama", "MESA adaptive moving average.", "source fastlimit=0.5[0.01,0.99] slowlimit=0.05[0.01,0.99]", 32, "", "mama fama"),
    ("mavp", "Moving average whose period is a series.", "source periods minperiod=2[1,1000] maxperiod=30[1,1000] matype=sma", _average("maxperiod"), "", ""),
    ("midpoint", "Middle of the highest and the lowest value.", "source period=14", _P1, "", ""),
    ("midprice", "Middle of the highest high and the lowest low.", "period=14", _P1, _HL, ""),
    ("sar", "Parabolic SAR.", "acceleration=0.02[0,1e6] maximum=0.2[0,1e6]", 1, _HL, ""),
    ("sarext", "Parabolic SAR with separate settings for both sides; negative while short.", "startvalue=0.0 offsetonreverse=0.0[0,1e6] accelerationinitlong=0.02[0,1e6] accelerationlong=0.02[0,1e6] accelerationmaxlong=0.2[0,1e6] accelerationinitshort=0.02[0,1e6] accelerationshort=0.02[0,1e6] accelerationmaxshort=0.2[0,1e6]", 1, _HL, ""),
    ("supertrend", "SuperTrend line, and its direction: 1 up, −1 down.", "period=10 multiplier=3.0[0,1e6]", _P, _HLC, "line/supertrend trend"),
    ("t3", "Tillson's triple exponential moving average.", "source period=5[1,10000] vfactor=0.7[0,1]", lambda v: average_lookback("t3", v["period"]), "", ""),
    ("tema", "Triple exponential moving average.", "source period=30[1,10000]", lambda v: average_lookback("tema", v["period"]), "", ""),
    ("trima", "Triangular moving average.", "source period=30[1,10000]", _P1, "", ""),
    ("vwma", "Moving average weighted by volume.", "source period=30[1,10000]", _P1, "volume", ""),
    ("zlema", "Zero-lag exponential moving average.", "source period=30[1,10000]", lambda v: average_lookback("zlema", v["period"]), "", ""),
)

_OTHERS = (
    ("Cycle Indicators", "ht_dcperiod", "Hilbert transform: period of the dominant cycle, in bars.", "source", 32, "", ""),
    ("Cycle Indicators", "ht_dcphase", "Hilbert transform: phase of the dominant cycle, in degrees.", "source", 63, "", ""),
    ("Cycle Indicators", "ht_phasor", "Hilbert transform: phasor components.", "source", 32, "", "inphase quadrature"),
    ("Cycle Indicators", "ht_sine", "Hilbert transform: sine wave and its lead.", "source", 63, "", "sine lead/leadsine"),
    ("Cycle Indicators", "ht_trendmode", "Hilbert transform: 1 in a trend, 0 in a cycle.", "source", 63, "", ""),
    ("Math Operators", "cumsum", "Sum since the data start.", "source", 0, "", ""),
    ("Math Operators", "minmax", "Lowest and highest value over a period.", "source period=30", _P1, "", "min max"),
    ("Price Transform", "avgdev", "Average deviation from the mean.", "source period=14", _P1, "", ""),
    ("Price Transform", "avgprice", "(open + high + low + close) / 4.", "", 0, _OHLC, ""),
    ("Price Transform", "ha", "Heikin-Ashi candle.", "", 0, _OHLC, "open/haopen high/hahigh low/halow close/haclose"),
    ("Price Transform", "medprice", "(high + low) / 2.", "", 0, _HL, ""),
    ("Price Transform", "typprice", "(high + low + close) / 3.", "", 0, _HLC, ""),
    ("Price Transform", "wclprice", "(high + low + 2 close) / 4.", "", 0, _HLC, ""),
    ("Statistics", "beta", "Beta of the returns of x on those of y, as TA-Lib has it.", "x y period=5[1,10000]", _P, "", ""),
    ("Statistics", "correl", "Pearson's correlation, −1 to 1.", "x y period=30[1,10000]", _P1, "", ""),
    ("Statistics", "linearreg", "End of the least-squares line over a period.", "source period=14", _P1, "", ""),
    ("Statistics", "linearreg_angle", "Angle of the least-squares line, in degrees.", "source period=14", _P1, "", ""),
    ("Statistics", "linearreg_intercept", "Start of the least-squares line.", "source period=14", _P1, "", ""),
    ("Statistics", "linearreg_slope", "Slope of the least-squares line, per bar.", "source period=14", _P1, "", ""),
    ("Statistics", "percentile", "Percentile by nearest rank.", "source period=30 percentile=50.0[0,100]", _P1, "", ""),
    ("Statistics", "percentrank", "Percent of the earlier values that are below the present one.", "source period=100", _P, "", ""),
    ("Statistics", "tsf", "Least-squares forecast of the next bar from past bars.", "source period=14", _P1, "", ""),
    ("Statistics", "var", "Variance (ddof 0) times nbdev.", "source period=5[1,10000] nbdev=1.0", _P1, "", ""),
    ("Volatility Indicators", "adr", "Average of high − low.", "period=14[1,10000]", _P1, _HL, ""),
    ("Volatility Indicators", "cvi", "Chaikin's volatility: rate of change of the averaged range, in percent.", "period=10 rocperiod=10[1,10000]", _chaikin_volatility, _HL, ""),
    ("Volatility Indicators", "massi", "Mass index.", "fast=9 slow=25", lambda v: 2 * (int(v["fast"]) - 1) + int(v["slow"]) - 1, _HL, ""),
    ("Volatility Indicators", "natr", "Average true range in percent of the close.", "period=14[1,10000]", _P, _HLC, ""),
    ("Volatility Indicators", "rvi", "Relative volatility index, 0 to 100.", "source period=14[1,10000] stddevperiod=10", _sum("period stddevperiod", -2), "", ""),
    ("Volatility Indicators", "trange", "True range.", "", 1, _HLC, ""),
    ("Volume Indicators", "ad", "Chaikin's accumulation/distribution line; its level depends on where the data start.", "", 0, _HLCV, ""),
    ("Volume Indicators", "adosc", "Chaikin's accumulation/distribution oscillator.", "fast=3 slow=10", _longest("fast slow", -1), _HLCV, ""),
    ("Volume Indicators", "cmf", "Chaikin money flow, −1 to 1.", "period=20", _P1, _HLCV, ""),
    ("Volume Indicators", "efi", "Elder's force index.", "period=13[1,10000]", _P, _CV, ""),
    ("Volume Indicators", "marketfi", "Market facilitation index: (high − low) / volume.", "", 0, "high low volume", ""),
    ("Volume Indicators", "nvi", "Negative volume index; its level depends on where the data start.", "", 0, _CV, ""),
    ("Volume Indicators", "obv", "On-balance volume; its level depends on where the data start.", "", 0, _CV, ""),
    ("Volume Indicators", "pvi", "Positive volume index; its level depends on where the data start.", "", 0, _CV, ""),
    ("Volume Indicators", "pvo", "Percentage volume oscillator.", "fast=12 slow=26 matype=ema", _oscillator, "volume", ""),
    ("Volume Indicators", "pvt", "Price volume trend; its level depends on where the data start.", "", 0, _CV, ""),
    ("Volume Indicators", "rvol", "Volume relative to the average of the bars before.", "period=20[1,10000]", _P, "volume", ""),
)

# Name, what TA-Lib calls it, bars before the first value, and the default penetration where it has one.
_PATTERNS: tuple[tuple[str, str, int] | tuple[str, str, int, float], ...] = (
    ("cdl2crows", "Two Crows", 12),
    ("cdl3blackcrows", "Three Black Crows", 13),
    ("cdl3inside", "Three Inside Up/Down", 12),
    ("cdl3linestrike", "Three-Line Strike", 8),
    ("cdl3outside", "Three Outside Up/Down", 3),
    ("cdl3starsinsouth", "Three Stars In The South", 12),
    ("cdl3whitesoldiers", "Three Advancing White Soldiers", 12),
    ("cdlabandonedbaby", "Abandoned Baby", 12, 0.3),
    ("cdladvanceblock", "Advance Block", 12),
    ("cdlbelthold", "Belt-hold", 10),
    ("cdlbreakaway", "Breakaway", 14),
    ("cdlclosingmarubozu", "Closing Marubozu", 10),
    ("cdlconcealbabyswall", "Concealing Baby Swallow", 13),
    ("cdlcounterattack", "Counterattack", 11),
    ("cdldarkcloudcover", "Dark Cloud Cover", 11, 0.5),
    ("cdldoji", "Doji", 10),
    ("cdldojistar", "Doji Star", 11),
    ("cdldragonflydoji", "Dragonfly Doji", 10),
    ("cdlengulfing", "Engulfing Pattern", 2),
    ("cdleveningdojistar", "Evening Doji Star", 12, 0.3),
    ("cdleveningstar", "Evening Star", 12, 0.3),
    ("cdlgapsidesidewhite", "Up/Down-gap side-by-side white lines", 7),
    ("cdlgravestonedoji", "Gravestone Doji", 10),
    ("cdlhammer", "Hammer", 11),
    ("cdlhangingman", "Hanging Man", 11),
    ("cdlharami", "Harami Pattern", 11),
    ("cdlharamicross", "Harami Cross Pattern", 11),
    ("cdlhighwave", "High-Wave Candle", 10),
    ("cdlhikkake", "Hikkake Pattern", 5),
    ("cdlhikkakemod", "Modified Hikkake Pattern", 10),
    ("cdlhomingpigeon", "Homing Pigeon", 11),
    ("cdlidentical3crows", "Identical Three Crows", 12),
    ("cdlinneck", "In-Neck Pattern", 11),
    ("cdlinvertedhammer", "Inverted Hammer", 11),
    ("cdlkicking", "Kicking", 11),
    ("cdlkickingbylength", "Kicking - bull/bear determined by the longer marubozu", 11),
    ("cdlladderbottom", "Ladder Bottom", 14),
    ("cdllongleggeddoji", "Long Legged Doji", 10),
    ("cdllongline", "Long Line Candle", 10),
    ("cdlmarubozu", "Marubozu", 10),
    ("cdlmatchinglow", "Matching Low", 6),
    ("cdlmathold", "Mat Hold", 14, 0.5),
    ("cdlmorningdojistar", "Morning Doji Star", 12, 0.3),
    ("cdlmorningstar", "Morning Star", 12, 0.3),
    ("cdlonneck", "On-Neck Pattern", 11),
    ("cdlpiercing", "Piercing Pattern", 11),
    ("cdlrickshawman", "Rickshaw Man", 10),
    ("cdlrisefall3methods", "Rising/Falling Three Methods", 14),
    ("cdlseparatinglines", "Separating Lines", 11),
    ("cdlshootingstar", "Shooting Star", 11),
    ("cdlshortline", "Short Line Candle", 10),
    ("cdlspinningtop", "Spinning Top", 10),
    ("cdlstalledpattern", "Stalled Pattern", 12),
    ("cdlsticksandwich", "Stick Sandwich", 7),
    ("cdltakuri", "Takuri (Dragonfly Doji with very long lower shadow)", 10),
    ("cdltasukigap", "Tasuki Gap", 7),
    ("cdlthrusting", "Thrusting Pattern", 11),
    ("cdltristar", "Tristar Pattern", 12),
    ("cdlunique3river", "Unique 3 River", 12),
    ("cdlupsidegap2crows", "Upside Gap Two Crows", 12),
    ("cdlxsidegap3methods", "Upside/Downside Gap Three Methods", 2),
)


def _patterns() -> list[Function]:
    return [
        function(
            name,
            "Pattern Recognition",
            f"Candlestick pattern {title}: 100 bullish, −100 bearish, 0 none, on the bar that completes it.",
            f"penetration={rest[0]}[0,1e6]" if rest else "",
            lookback,
            columns=_OHLC,
        )
        for name, title, lookback, *rest in _PATTERNS
    ]


def _ordered_periods(given: Values) -> str | None:
    if int(given["minperiod"]) <= int(given["maxperiod"]):
        return None
    return f"minperiod must not be above maxperiod; got {given['minperiod']} and {given['maxperiod']}"


def talib_functions() -> list[Function]:
    """Return every function that TA-Lib computes."""
    rows = [
        *(("Momentum Indicators", *row) for row in _MOMENTUM),
        *(("Overlap Studies", *row) for row in _OVERLAP),
        *_OTHERS,
    ]
    functions = [
        function(name, group, text, arguments, lookback, columns=columns, outputs=outputs)
        for group, name, text, arguments, lookback, columns, outputs in rows
    ]
    return [
        replace(each, constraint=_ordered_periods) if each.name == "mavp" else each
        for each in (*functions, *_patterns())
    ]
