"""What describes the engine costs nothing to import; what computes is made ready at once."""

import subprocess
import sys

import pytest

from gql_trader.engine.warmup import warm_up


@pytest.mark.parametrize(
    "module",
    [
        "bars",
        "execution",
        "signals",
        "ledger",
        "results",
        "sampling",
        "monthly",
        "trading_days",
        "version",
        "indicators",
        "rules",
        "search.honesty",
        "search.scoring",
        "search.setting",
        "search.space",
    ],
)
def test_descriptions_do_not_import_the_compiler(module: str) -> None:
    code = (
        f"import sys, gql_trader.engine.{module}; sys.exit(bool({{'numba', 'talib'}} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_warming_up_runs_the_whole_engine() -> None:
    warm_up()


def test_the_api_imports_neither_the_compiler_nor_what_only_workers_need() -> None:
    code = (
        "import sys, gql_trader.app, gql_trader.schema;"
        " sys.exit(bool({'numba', 'talib', 'optuna'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
