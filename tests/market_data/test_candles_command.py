"""`gql-trader candles`: what a person at a terminal sees, and the exit code a script sees."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gql_trader.cli.candles import app
from gql_trader.config import Settings
from gql_trader.core.errors import DomainError
from gql_trader.market_data.incoming.files import write_candles
from tests.factories.candles import random_bars

Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("REDIS_URL", settings.redis_url.get_secret_value())
    monkeypatch.setenv("GQL_TRADER_DATA_DIR", str(settings.data_dir))

    def invoke(command: str, file: Path, *options: str) -> Result:
        named = ("--market", "BTC/USD", "--exchange", "coinbase")
        return CliRunner().invoke(app, [command, str(file), *named, *options])

    return invoke


def test_a_file_goes_in_and_comes_out(run: Run, tmp_path: Path) -> None:
    write_candles(tmp_path / "in.csv", random_bars(100))
    first = run("import", tmp_path / "in.csv", "--interval", "H1")
    assert first.exit_code == 0, first.output
    assert (
        "coinbase:BTC/USD H1: 100 candles read, 100 added, 0 updated; 100 in all, 0 missing" in first.output
    )
    again = run("import", tmp_path / "in.csv", "--interval", "h1")
    assert "100 candles read, 0 added, 0 updated" in again.output
    out = run(
        "export", tmp_path / "out.csv", "--interval", "H4", "--start", "2024-01-02", "--end", "2024-01-03"
    )
    assert out.exit_code == 0, out.output
    assert "6 candles written" in out.output
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0].replace('"', "") == "time,open,high,low,close,volume"
    assert [line.split(",")[0] for line in lines[1:]] == [
        f"2024-01-02T{hour:02d}:00:00.000Z" for hour in range(0, 24, 4)
    ]


def test_bad_rows_are_listed_and_can_be_repaired(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("time,open,high,low,close,volume\n2024-01-01,1,1,1,1,1\n2024-01-02,1,1,1,2,1\n")
    refused = run("import", file, "--interval", "D1")
    assert refused.exit_code == 1
    assert "nothing was imported, 1 row is refused:\n" in refused.stderr
    assert "  row 3: high 1.0 is below 2.0, the highest of open, low and close\n" in refused.stderr
    repaired = run("import", file, "--interval", "D1", "--repair")
    assert repaired.exit_code == 0, repaired.output
    assert "1 × high raised to the highest price" in repaired.output


def test_what_cannot_be_done_is_said_in_a_sentence(run: Run, tmp_path: Path) -> None:
    unknown = run("import", tmp_path / "in.csv", "--interval", "H5")
    assert unknown.exit_code == 2
    assert "'H5' is not one of M1, M3, M5" in unknown.stderr
    # `main` prints a domain error's message and exits with 1.
    missing = run("import", tmp_path / "none.csv", "--interval", "H1")
    assert isinstance(missing.exception, DomainError)
    assert "There is no file" in str(missing.exception)
    nothing = run("export", tmp_path / "out.csv", "--interval", "H1")
    assert isinstance(nothing.exception, DomainError)
    assert "There is no market 'coinbase:BTC/USD'." in str(nothing.exception)
