"""Settings: where they come from, and which are refused."""

import base64
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gql_trader.config import Settings

GOOD = {
    "env": "production",
    "database_url": "postgresql+asyncpg://u:p@host/db",
    "redis_url": "redis://host:6379/0",
    "jwt_secret": "x" * 32,
    "encryption_keys": "1:" + base64.b64encode(bytes(32)).decode(),
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*Settings.model_fields, "GQL_TRADER_DATA_DIR"):
        monkeypatch.delenv(name.upper(), raising=False)


def test_production_with_all_it_needs_is_accepted() -> None:
    settings = Settings(**GOOD)
    assert not settings.serves_graphiql
    assert not settings.allows_introspection


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"database_url": ""}, "DATABASE_URL must be set"),
        ({"redis_url": ""}, "REDIS_URL must be set"),
        ({"jwt_secret": ""}, "JWT_SECRET must be set"),
        ({"encryption_keys": ""}, "ENCRYPTION_KEYS must be set"),
        ({"jwt_secret": "short"}, "at least 32 characters"),
        ({"signup_approval": "auto"}, "SIGNUP_APPROVAL=auto is refused"),
        ({"allowed_origins": "*"}, "ALLOWED_ORIGINS"),
        ({"argon2_memory_kib": 1024}, "OWASP"),
        ({"port": 70000}, "port"),
        ({"env": "nowhere"}, "env"),
    ],
)
def test_insecure_or_impossible_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings(**GOOD | changes)


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("PORT=1111\nWORKERS=3\nALLOWED_ORIGINS=https://a.example, https://b.example\n")
    monkeypatch.setenv("PORT", "2222")
    settings = Settings()
    assert (settings.port, settings.workers) == (2222, 3)
    assert settings.allowed_origins == ("https://a.example", "https://b.example")


def test_the_data_directory_has_an_environment_variable_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GQL_TRADER_DATA_DIR", str(tmp_path))
    assert Settings().data_dir == tmp_path


def test_secrets_are_not_shown() -> None:
    assert "x" * 32 not in repr(Settings(**GOOD))
    assert "u:p" not in repr(Settings(**GOOD))
