"""Candle files: every form of time and name of column, bad rows named exactly, repairs counted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gql_trader.core.errors import InvalidInput
from gql_trader.core.intervals import DAY, HOUR, Interval
from gql_trader.engine.bars import Bars
from gql_trader.market_data.incoming.files import read_candles, write_candles
from gql_trader.market_data.incoming.raw_candles import UNREADABLE
from gql_trader.market_data.incoming.timestamps import times_of_column
from gql_trader.market_data.incoming.validation import RefusedRows, check, repair
from tests.factories.candles import assert_same_bars, random_bars

# 2019-10-17 09:00 UTC
NINE = 1_571_302_800_000


def read_csv(tmp_path: Path, text: str, base: str = "BTC", interval: Interval = Interval.H1) -> Bars:
    path = tmp_path / "candles.csv"
    path.write_text(text)
    return check(read_candles(path, base), interval)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1571302800", NINE),
        ("1571302800.0", NINE),
        ("1571302800000", NINE),
        ("1571302800000000", NINE),
        ("1571302800000000000", NINE),
        ("2019-10-17 09:00", NINE),
        ("2019-10-17 09:00:00", NINE),
        ("2019-10-17T09:00:00Z", NINE),
        ("2019-10-17T09:00:00.000Z", NINE),
        ("2019-10-17 09:00:00+00:00", NINE),
        ("2019-10-17T11:00:00+02:00", NINE),
        ("2019-10-17 03:30:00-05:30", NINE),
        ("2019-10-17 09:00:00 UTC", NINE),
        ("2019-10-17 09-AM", NINE),
        ("2019-10-17 09 AM", NINE),
        ("2019-10-17 9:00 am", NINE),
        ("2019-10-17 09:00:00 PM", NINE + 12 * HOUR),
        ("2019-10-17 12-AM", NINE - 9 * HOUR),
        ("2019-10-17 12-PM", NINE + 3 * HOUR),
        ("2019/10/17 09:00", NINE),
        ("2019-10-17", NINE - 9 * HOUR),
        ("2019-10-17 09:00:00.250", NINE + 250),
        ("2024-02-29", 1_709_164_800_000),
    ],
)
def test_every_usual_form_of_time_is_read_in_utc(text: str, milliseconds: int) -> None:
    assert times_of_column(pa.array([text])).tolist() == [milliseconds]


@pytest.mark.parametrize(
    "text",
    [
        "2019-02-29",
        "2019-13-01",
        "2019-00-10",
        "2019-10-17 24:00",
        "2019-10-17 13-PM",
        "2019-10-17 00-AM",
        "2019-10-17 09:60",
        "17.10.2019",
        "10/17/2019",
        "yesterday",
        "",
    ],
)
def test_what_names_no_moment_is_unreadable(text: str) -> None:
    # A readable row before it, so that the column's form is known.
    assert times_of_column(pa.array(["2019-10-17 09-AM", text])).tolist() == [NINE, UNREADABLE]


def test_a_unit_that_changes_midway_is_understood() -> None:
    found = times_of_column(pa.array(["1571302800", "1571302800000", "1571302800000000"]))
    assert found.tolist() == [NINE] * 3


@pytest.mark.parametrize(
    "column",
    [
        pa.array([NINE // 1000]),
        pa.array([NINE]),
        pa.array([NINE * 1_000_000]),
        pa.array([NINE / 1000]),
        pa.array([NINE], pa.timestamp("ms")),
        pa.array([NINE * 1_000_000], pa.timestamp("ns", "UTC")),
        pa.array([NINE * 1000], pa.timestamp("us", "Europe/Zurich")),
        pa.array(["2019-10-17T09:00"]),
    ],
)
def test_columns_of_every_type_are_read(column: Any) -> None:
    assert times_of_column(column).tolist() == [NINE]


@pytest.mark.parametrize(
    "header",
    [
        "time,open,high,low,close,volume",
        "Date,Open,High,Low,Close,Volume",
        "timestamp,open,high,low,close,volume",
        "Open time,Open,High,Low,Close,Volume",
        "unix,o,h,l,c,v",
        "DateTime,open,high,low,close,Volume BTC",
        "date,Open_Price,High Price,LOW,close,volume_btc",
        "Unix Timestamp,open,high,low,close,Volume (BTC)",
    ],
)
def test_columns_are_found_by_name(tmp_path: Path, header: str) -> None:
    bars = read_csv(tmp_path, f"{header}\n{NINE},1,4,0.5,2,7\n")
    assert bars.time.tolist() == [NINE]
    assert [getattr(bars, name)[0] for name in ("open", "high", "low", "close", "volume")] == [
        1,
        4,
        0.5,
        2,
        7,
    ]


def test_cryptodatadownload_files_are_read_as_they_are(tmp_path: Path) -> None:
    text = (
        "Timestamps are UTC timezone,https://www.CryptoDataDownload.com\n"
        "date,symbol,open,high,low,close,volume_btc,volume\n"
        "2019-10-17 09-AM,BTCUSD,8051,8056.83,8021.23,8035.88,61.25,492394.56\n"
        "2019-10-17 08-AM,BTCUSD,7975.89,8070,7975.89,8051,370.45,2971610.86\n"
    )
    bars = read_csv(tmp_path, text)
    assert bars.time.tolist() == [NINE - HOUR, NINE]
    assert bars.close.tolist() == [8051.0, 8035.88]
    assert bars.volume.tolist() == [370.45, 61.25]  # of the base currency


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters_marks_and_line_ends_are_understood(tmp_path: Path, delimiter: str) -> None:
    rows = ["time,open,high,low,close,volume", f"{NINE},1,1,1,1,1"]
    text = "\ufeff" + "\r\n".join(row.replace(",", delimiter) for row in rows) + "\r\n"
    assert len(read_csv(tmp_path, text)) == 1


def test_bad_rows_are_refused_by_their_number_in_the_file(tmp_path: Path) -> None:
    lines = [
        "a comment",
        "time,open,high,low,close,volume",
        "2024-01-01 00:00,10,12,9,11,1",
        "2024-01-01 01:00,10,10.5,9,11,1",
        "",
        "2024-01-01 02:00,10,12,10.5,11,1",
        "2024-01-01 03:00,10,12,9,x,1",
        "2024-01-01 04:00,10,12,9",
        "2024-01-01 05:00,10,12,9,11,-1",
        "2024-01-01 06:00,0,12,0,11,1",
        "2024-01-01 07:30,10,12,9,11,1",
        "2024-01-01 00:00,10,12,9,11,1",
        "soon,10,12,9,11,1",
        "2024-01-01 08:00,10,inf,9,11,1",
        "2024-01-01 09:00,10,12,9,11,",
    ]
    with pytest.raises(RefusedRows) as refusal:
        read_csv(tmp_path, "\n".join(lines))
    assert refusal.value.count == 11
    assert [str(problem) for problem in refusal.value.problems] == [
        "row 4: high 10.5 is below 11.0, the highest of open, low and close",
        "row 6: low 10.5 is above 10.0, the lowest of open, high and close",
        "row 7: close is missing or not a finite number",
        "row 8: 4 fields, 6 in the header",
        "row 9: volume -1.0 is negative",
        "row 10: open 0.0 is not positive",
        "row 11: 2024-01-01 07:30:00 is not the opening of a candle of H1",
        "row 12: 2024-01-01 00:00:00 is already the time of row 3",
        "row 13: the time 'soon' cannot be read; taken are Unix epochs in s, ms, µs or ns, and ISO 8601 such "
        "as 2019-10-17 09:00",
        "row 14: high is missing or not a finite number",
        "row 15: volume is missing or not a finite number",
    ]


@pytest.mark.parametrize("written", ["n/a", "", "2024-01-01T00:00:00Z"])
@pytest.mark.parametrize("position", [0, 1, 3])
def test_one_unreadable_time_among_numbers_is_the_only_row_refused(
    tmp_path: Path, written: str, position: int
) -> None:
    times = [str(NINE + n * HOUR) for n in range(3)]
    times.insert(position, written)
    path = tmp_path / "candles.csv"
    path.write_text("time,open,high,low,close,volume\n" + "".join(f"{time},1,1,1,1,1\n" for time in times))
    reason = f"the time {written!r} cannot be read; taken are " if written else "the time is missing"
    with pytest.raises(RefusedRows, match=f"^1 row is refused: row {position + 2}: {reason}"):
        check(read_candles(path, "BTC"), Interval.H1)
    bars, done = repair(read_candles(path, "BTC"), Interval.H1)
    assert bars.time.tolist() == [NINE, NINE + HOUR, NINE + 2 * HOUR]
    assert done == (("dropped: time unreadable", 1),)


@pytest.mark.parametrize("position", [0, 1, 3])
@pytest.mark.parametrize("written", ["n/a", "1571302800"])
def test_one_unreadable_time_among_moments_is_the_only_row_refused(written: str, position: int) -> None:
    times = [f"2019-10-17T{hour:02d}:00:00Z" for hour in (9, 10, 11)]
    times.insert(position, written)
    expected = [NINE, NINE + HOUR, NINE + 2 * HOUR]
    expected.insert(position, UNREADABLE)
    assert times_of_column(pa.array(times)).tolist() == expected


def test_times_in_columns_of_numbers_are_shown_as_they_are(tmp_path: Path) -> None:
    times = pa.array([float(NINE), None, 1e19])
    prices = {name: pa.array([1.0] * 3) for name in ("open", "high", "low", "close", "volume")}
    pyarrow.parquet.write_table(pa.table({"time": times, **prices}), tmp_path / "c.parquet")
    with pytest.raises(RefusedRows) as refusal:
        check(read_candles(tmp_path / "c.parquet", "BTC"), Interval.H1)
    assert [str(problem).partition(";")[0] for problem in refusal.value.problems] == [
        "row 2: the time is missing",
        "row 3: the time 1e+19 cannot be read",
    ]


def test_candles_that_cannot_be_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "candles.csv"
    path.write_text(
        "time,open,high,low,close,volume\n"
        "2019-10-17 09:00,10,12,9,11,1\n"
        "2019-10-17 10:00,10,12,9,11,1\n"
        "1969-12-31 23:00,10,12,9,11,1\n"
        "2019-10-17 07:00,10,12,1e-13,11,1\n"
        "2019-10-17 06:00,10,1e16,9,11,1\n"
        "2019-10-17 05:00,1e-12,1e15,1e-12,1e15,1e18\n"
        "2019-10-17 04:00,10,12,9,11,1e19\n"
    )
    raw = read_candles(path, "BTC")
    # A minute before ten o'clock's candle closes.
    now = NINE + 2 * HOUR - 60_000
    with pytest.raises(RefusedRows) as refusal:
        check(raw, Interval.H1, now)
    assert [str(problem) for problem in refusal.value.problems] == [
        "row 3: the candle of 2019-10-17 10:00:00 is not over yet: it is 2019-10-17 10:59:00 (UTC)",
        "row 4: 1969-12-31 23:00:00 is before 1970",
        "row 5: low 1e-13 is not between 1e-12 and 1e+15",
        "row 6: high 1e+16 is not between 1e-12 and 1e+15",
        "row 8: volume 1e+19 is above 1e+18",
    ]
    bars, done = repair(raw, Interval.H1, now)
    assert [(time - NINE) // HOUR for time in bars.time] == [-5, -4, 0]
    assert bars.volume.tolist() == [0.0, 1e18, 1.0]
    assert dict(done) == {
        "dropped: time before 1970": 1,
        "dropped: candle not over yet": 1,
        "dropped: price not between 1e-12 and 1e+15": 2,
        "volume set to 0": 1,
    }
    bars, _ = repair(raw, Interval.H1, now + 60_000)
    assert bars.time[-1] == NINE + HOUR


@pytest.mark.parametrize(
    ("real", "named", "message"),
    [
        (
            Interval.H1,
            Interval.M15,
            "The file's candles are H1 apart, not M15: import them with interval H1.",
        ),
        (Interval.H1, Interval.M5, "The file's candles are H1 apart, not M5: import them with interval H1."),
        (Interval.M5, Interval.H1, "The file's candles are M5 apart, not H1: import them with interval M5."),
    ],
)
def test_candles_of_another_interval_are_refused(
    tmp_path: Path, real: Interval, named: Interval, message: str
) -> None:
    path = tmp_path / "candles.parquet"
    write_candles(path, random_bars(200, real, gaps=0.1))
    with pytest.raises(InvalidInput) as refusal:
        check(read_candles(path, "BTC"), named)
    assert str(refusal.value) == message
    if real.milliseconds > named.milliseconds:
        assert len(repair(read_candles(path, "BTC"), named)[0]) == 200
    else:
        with pytest.raises(InvalidInput, match="are M5 apart"):
            repair(read_candles(path, "BTC"), named)


def test_sparse_candles_and_single_ones_are_of_the_interval_they_are_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "candles.parquet"
    for n, gaps in ((300, 0.8), (3, 0.9), (1, 0.0)):
        write_candles(path, random_bars(n, Interval.M1, gaps=gaps))
        assert len(check(read_candles(path, "BTC"), Interval.M1)) == n


def test_two_columns_for_one_thing_are_refused_or_the_one_that_is_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "candles.csv"
    path.write_text("time,open,high,low,Close,close,volume\n")
    with pytest.raises(InvalidInput, match=r"candles\.csv has 2 columns 'Close': leave one for close\."):
        read_candles(path, "BTC")
    path.write_text("time,open,high,low,close,close,volume\n")
    with pytest.raises(InvalidInput, match=r"has 2 columns 'close': leave one for close\."):
        read_candles(path, "BTC")
    path.write_text(
        f"unix,date,open,high,low,close,Volume USD,Volume BTC,volume\n{NINE},2019-10-17,1,1,1,1,7,8,9\n"
    )
    raw = read_candles(path, "BTC")
    assert raw.notes == [
        "time is read from 'unix', not from 'date'",
        "volume is read from 'Volume BTC', not from 'volume'",
    ]
    assert (raw.time.tolist(), raw.volume.tolist()) == ([NINE], [8.0])


def test_of_many_bad_rows_the_first_twenty_are_listed_and_all_are_counted(tmp_path: Path) -> None:
    rows = "\n".join(f"{NINE + n * HOUR + 1},1,1,1,1,1" for n in range(50))
    with pytest.raises(RefusedRows, match=r"50 rows are refused: row 2: .* and 30 more") as refusal:
        read_csv(tmp_path, f"time,open,high,low,close,volume\n{rows}\n")
    assert [problem.row for problem in refusal.value.problems] == list(range(2, 22))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no header line"),
        ("1,2,3,4,5,6\n", "no header line"),
        ("time,open,high,low,close\n1,1,1,1,1\n", r"no column for volume \(such as 'volume'\)"),
        ("open,high,low,close,volume\n1,1,1,1,1\n", "no column for time"),
        ("time,open,high,low,close,volume\n", "no candles"),
    ],
)
def test_a_file_without_what_is_needed_is_refused_in_words(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_csv(tmp_path, text)


def test_missing_broken_and_unknown_files_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="There is no file"):
        read_candles(tmp_path / "none.csv", "BTC")
    with pytest.raises(InvalidInput, match=r"\.xlsx: candles are read from \.csv"):
        read_candles(tmp_path / "candles.xlsx", "BTC")
    (tmp_path / "broken.parquet").write_bytes(b"not parquet")
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_candles(tmp_path / "broken.parquet", "BTC")


def test_repair_keeps_what_can_be_kept_and_counts_what_it_did(tmp_path: Path) -> None:
    path = tmp_path / "candles.csv"
    path.write_text(
        "time,open,high,low,close,volume\n"
        "2024-01-01 03:00,10,12,9,11,1\n"
        "2024-01-01 00:00,10,10.5,9,11,1\n"
        "2024-01-01 01:00,10,12,10.5,11,-5\n"
        "2024-01-01 02:00,10,12,9,x,1\n"
        "2024-01-01 02:30,10,12,9,11,1\n"
        "2024-01-01 03:00,20,22,19,21,2\n"
        "never,10,12,9,11,1\n"
        "2024-01-01 04:00,10,12\n"
    )
    bars, done = repair(read_candles(path, "BTC"), Interval.H1)
    assert [(time - bars.time[0]) // HOUR for time in bars.time] == [0, 1, 3]
    assert bars.high.tolist() == [11.0, 12.0, 22.0]
    assert bars.low.tolist() == [9.0, 10.0, 19.0]
    assert bars.volume.tolist() == [1.0, 0.0, 2.0]
    assert dict(done) == {
        "dropped: malformed row": 1,
        "dropped: time unreadable": 1,
        "dropped: price missing or not positive": 1,
        "dropped: time not the opening of a candle": 1,
        "dropped: another row of the same time further down": 1,
        "volume set to 0": 1,
        "high raised to the highest price": 1,
        "low lowered to the lowest price": 1,
    }


def test_repair_of_good_rows_changes_nothing(tmp_path: Path) -> None:
    bars = random_bars(200, gaps=0.1)
    write_candles(tmp_path / "c.csv", bars)
    repaired, done = repair(read_candles(tmp_path / "c.csv", "BTC"), Interval.H1)
    assert_same_bars(repaired, bars)
    assert done == ()


@pytest.mark.parametrize("ending", ["csv", "parquet", "feather"])
@given(st.integers(1, 80), st.integers(0, 2**32), st.sampled_from([1.0, np.pi]))
@settings(max_examples=20, deadline=None)
def test_what_is_written_is_read_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, ending: str, n: int, seed: int, factor: float
) -> None:
    bars = random_bars(n, seed=seed, gaps=0.2)
    prices = {name: getattr(bars, name) * factor for name in ("open", "high", "low", "close")}
    bars = Bars(time=bars.time, **prices, volume=bars.volume, interval=bars.interval)
    path = tmp_path_factory.mktemp("files") / f"candles.{ending}"
    write_candles(path, bars)
    assert_same_bars(check(read_candles(path, "BTC"), Interval.H1), bars)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@given(st.permutations(list(range(24))))
@settings(max_examples=25, deadline=None)
def test_the_order_of_the_rows_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, order: Sequence[int]
) -> None:
    bars = random_bars(24)
    table = pa.table(
        {name: getattr(bars, name) for name in ("time", "open", "high", "low", "close", "volume")}
    )
    path = tmp_path_factory.mktemp("files") / "candles.parquet"
    pyarrow.parquet.write_table(table.take(pa.array(order)), path)
    assert_same_bars(check(read_candles(path, "BTC"), Interval.H1), bars)


def test_a_frame_with_its_index_is_read(tmp_path: Path) -> None:
    time = pa.array([0, DAY * 1_000_000], pa.timestamp("ns"))
    table = pa.table({name: pa.array([1, 2]) for name in ("Open", "High", "Low", "Close", "Volume")})
    pyarrow.feather.write_feather(table.append_column("__index_level_0__", time), str(tmp_path / "c.feather"))
    bars = check(read_candles(tmp_path / "c.feather", "BTC"), Interval.D1)
    assert bars.time.tolist() == [0, DAY]
    assert bars.close.tolist() == [1.0, 2.0]
