"""The example of a configuration is complete and true."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from gql_trader.config import Settings

_TEXT = (Path(__file__).parents[2] / ".env.example").read_text()


def _lines() -> dict[str, str | None]:
    """Return each variable's value in the example; None for those that are commented out."""
    lines: dict[str, str | None] = {}
    for line in _TEXT.splitlines():
        name, equals, value = line.removeprefix("#").partition("=")
        if equals and name.isupper():
            lines[name] = None if line.startswith("#") else value
    return lines


def test_every_setting_is_in_the_example_and_nothing_else() -> None:
    names = {name.upper() for name in Settings.model_fields} - {"DATA_DIR"} | {"GQL_TRADER_DATA_DIR"}
    assert set(_lines()) == names


def test_the_example_says_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in _lines():
        monkeypatch.delenv(name, raising=False)
    defaults = Settings()
    (tmp_path / ".env").write_text(_TEXT)
    assert Settings() == defaults
    for name, value in _lines().items():
        if value is None and name != "GQL_TRADER_DATA_DIR":
            assert getattr(defaults, name.lower()) in (None, SecretStr(""))
