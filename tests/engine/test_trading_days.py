"""Which days count: told by the candles of a run and by nothing else."""

from pathlib import Path

import numpy as np
import pyarrow.feather as feather
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gql_trader.core.ids import AssetId, uuid7
from gql_trader.core.intervals import DAY, HOUR, WEEK, Interval
from gql_trader.engine.bars import Bars
from gql_trader.engine.metrics import daily_curve
from gql_trader.engine.trading_days import (
    FRIDAY,
    SATURDAY,
    TradingDays,
    trades_at_weekends,
    trades_on_sundays_not_fridays,
    weekdays,
)
from gql_trader.market_data.trading_days import trading_days
from gql_trader.market_data.types import AssetRecord, AssetType
from tests.factories.candles import JANUARY_2024, forex_bars, random_bars, taken

MONDAY = JANUARY_2024
SHORT = [Interval.M15, Interval.H1, Interval.H4, Interval.H8, Interval.D1]
DATA = Path(__file__).parents[2] / "../shared/data"


def asset(kind: AssetType) -> AssetRecord:
    return AssetRecord(AssetId(uuid7()), "X", "X", kind, True)


def with_saturdays(bars: Bars, saturdays: Bars) -> Bars:
    """Return both in order of time."""
    order = np.argsort(np.concatenate([bars.time, saturdays.time]))
    columns = {
        name: np.concatenate([getattr(bars, name), getattr(saturdays, name)])[order]
        for name in ("time", "open", "high", "low", "close", "volume")
    }
    return Bars(**columns, interval=bars.interval)


def on(bars: Bars, weekday: int) -> Bars:
    return taken(bars, np.flatnonzero(weekdays(bars.time // DAY) == weekday))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SHORT), st.integers(1, 1500), st.integers(0, 7 * 24), st.integers(0, 1000))
def test_no_part_of_a_week_that_ends_on_friday_evening_trades_at_weekends(
    interval: Interval, n: int, hours: int, seed: int
) -> None:
    bars = forex_bars(n, interval, seed=seed, start=MONDAY + hours * HOUR)
    assert not trades_at_weekends(bars)
    for kind in (AssetType.FIAT, AssetType.FOREX):
        assert trading_days(asset(kind), bars).per_year == 252
    assert trading_days(asset(AssetType.CRYPTO), bars) is TradingDays.EVERY_DAY


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SHORT), st.integers(1, 1500), st.integers(0, 7 * 24), st.integers(0, 1000))
def test_a_market_that_never_closes_shows_it_whenever_it_is_seen_on_a_saturday(
    interval: Interval, n: int, hours: int, seed: int
) -> None:
    bars = random_bars(n, interval, seed=seed, start=MONDAY + hours * HOUR)
    seen = len(on(bars, SATURDAY)) > 0
    assert trades_at_weekends(bars) is seen
    expected = TradingDays.EVERY_DAY if seen else TradingDays.WEEKDAYS
    friday_or_no_sunday = len(on(bars, FRIDAY)) > 0 or not np.any(weekdays(bars.time // DAY) == 6)
    if friday_or_no_sunday:
        assert trading_days(asset(AssetType.FOREX), bars) is expected


def test_stray_rows_on_saturdays_do_not_open_a_market_that_is_closed() -> None:
    bars = forex_bars(10 * 120)
    saturdays = on(random_bars(10 * 168, seed=1), SATURDAY)
    for weeks, expected in ((1, False), (4, False), (5, True), (10, True)):
        some = taken(saturdays, np.arange(0, 24 * weeks, 24))
        assert trades_at_weekends(with_saturdays(bars, some)) is expected


def test_flat_rows_without_volume_are_no_trading() -> None:
    bars = forex_bars(4 * 120)
    real = on(random_bars(4 * 168, seed=1), SATURDAY)
    flat = Bars(real.time, real.close, real.close, real.close, real.close, 0.0 * real.volume, real.interval)
    assert trades_at_weekends(with_saturdays(bars, real))
    assert not trades_at_weekends(with_saturdays(bars, flat))
    # A price that moved without a volume, as most sources of foreign exchange have it, is trading.
    moved = Bars(real.time, real.open, real.high, real.low, real.close, 0.0 * real.volume, real.interval)
    assert trades_at_weekends(with_saturdays(bars, moved))


def test_weekly_bars_and_no_bars_tell_nothing() -> None:
    weekly = random_bars(50, Interval.W1)
    assert not trades_at_weekends(weekly)
    assert trading_days(asset(AssetType.FOREX), weekly) is TradingDays.WEEKDAYS
    assert not trades_at_weekends(weekly.slice(0, 0))


def test_a_week_from_sunday_to_thursday_is_one() -> None:
    bars = random_bars(100, Interval.D1)
    riyadh = taken(bars, np.flatnonzero(~np.isin(weekdays(bars.time // DAY), (FRIDAY, SATURDAY))))
    assert trades_on_sundays_not_fridays(riyadh)
    assert trading_days(asset(AssetType.STOCK), riyadh) is TradingDays.WITH_BARS
    assert trading_days(asset(AssetType.COMMODITY), forex_bars(500)) is TradingDays.WEEKDAYS
    assert trading_days(asset(AssetType.STOCK), bars) is TradingDays.WEEKDAYS


def test_version_1_asked_for_the_asset_only() -> None:
    bars = forex_bars(500)
    found = {kind: trading_days(asset(kind), bars, 1) for kind in AssetType}
    assert found == {
        AssetType.CRYPTO: TradingDays.EVERY_DAY,
        AssetType.FIAT: TradingDays.EVERY_DAY,
        AssetType.FOREX: TradingDays.EVERY_DAY,
        AssetType.STOCK: TradingDays.WITH_BARS,
        AssetType.INDEX: TradingDays.WITH_BARS,
        AssetType.COMMODITY: TradingDays.WITH_BARS,
    }


@pytest.mark.parametrize("pair", ["ETHBTC-5m", "LTCBTC-5m", "UNITTESTBTC-1m-gaps"])
def test_real_candles_of_a_market_that_never_closes_show_it(pair: str) -> None:
    path = DATA / f"binance-{pair}.feather"
    if not path.exists():
        pytest.skip("the real candles are not beside the project")
    table = feather.read_table(path)
    time = table["date"].to_numpy().astype("datetime64[ms]").astype(np.int64)
    prices = {name: table[name].to_numpy() for name in ("open", "high", "low", "close", "volume")}
    bars = Bars(time=time, **prices, interval=int(np.diff(time).min()))
    assert trading_days(asset(AssetType.FIAT), bars) is TradingDays.EVERY_DAY


def test_what_closes_on_sunday_evening_belongs_to_monday() -> None:
    bars = forex_bars(118 + 120 + 120)  # the first week begins on Monday
    curve = daily_curve(bars.time, bars.close, bars.interval, 1_000.0, TradingDays.WEEKDAYS)
    assert len(curve) == 15
    assert set(weekdays(curve.time // DAY).tolist()) == {0, 1, 2, 3, 4}
    sunday = int(np.searchsorted(bars.time, MONDAY + 6 * DAY + 22 * HOUR))
    assert bars.time[sunday] == MONDAY + 6 * DAY + 22 * HOUR
    friday, monday = bars.close[sunday - 1], bars.close[sunday + 25]
    assert curve.value[4] == friday
    assert curve.returns[5] == monday / friday - 1.0


def test_a_run_that_ends_on_sunday_has_it_as_its_last_day() -> None:
    bars = forex_bars(120)  # 118 hours of the first week, and the first two of the next
    curve = daily_curve(bars.time, bars.close, bars.interval, 1_000.0, TradingDays.WEEKDAYS)
    assert len(curve) == 6
    assert curve.time[-1] == MONDAY + 6 * DAY
    assert curve.value[-1] == bars.close[-1]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([Interval.M15, Interval.H1, Interval.D1]), st.integers(1, 900), st.integers(0, 1000))
def test_without_bars_at_weekends_days_are_those_with_bars(interval: Interval, n: int, seed: int) -> None:
    bars = random_bars(2 * n, interval, seed=seed, gaps=0.2)
    weekday = weekdays(bars.time // DAY)
    bars = taken(bars, np.flatnonzero(weekday <= FRIDAY))
    if not len(bars):
        return
    curves = [
        daily_curve(bars.time, bars.close, bars.interval, 1_000.0, counted)
        for counted in (TradingDays.WEEKDAYS, TradingDays.WITH_BARS)
    ]
    for name in ("time", "value", "returns"):
        first, second = (getattr(curve, name) for curve in curves)
        assert first.tobytes() == second.tobytes()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SHORT), st.integers(1, 900), st.integers(0, 7 * 24), st.integers(0, 1000))
def test_a_year_of_weekdays_has_five_in_seven_whatever_the_hours(
    interval: Interval, n: int, hours: int, seed: int
) -> None:
    bars = forex_bars(n, interval, seed=seed, start=MONDAY + hours * HOUR)
    curve = daily_curve(bars.time, bars.close, bars.interval, 1_000.0, TradingDays.WEEKDAYS)
    weeks = (int(bars.time[-1]) + bars.interval - int(bars.time[0])) / WEEK
    assert abs(len(curve) - 5 * weeks) <= 3
    assert np.prod(1.0 + curve.returns) == pytest.approx(bars.close[-1] / 1_000.0, rel=1e-12)
