"""Settings: where they come from, and which are refused."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from gql_trader.config import LogLevel, Settings

GOOD: dict[str, Any] = {
    "env": "production",
    "database_url": "postgresql+asyncpg://u:p@host/db",
    "redis_url": "redis://host:6379/0",
    "jwt_secret": "0123456789abcdef" * 2,
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
        ({"jwt_secret": "abcdefg" * 10}, "JWT_SECRET must be random"),
        ({"jwt_secret": "x" * 64}, "JWT_SECRET must be random"),
        ({"password_reset_url": "http://app.example/new"}, "PASSWORD_RESET_URL must begin with https://"),
        ({"signup_approval": "auto"}, "SIGNUP_APPROVAL=auto is refused"),
        ({"allowed_origins": "*"}, "ALLOWED_ORIGINS"),
        ({"argon2_memory_kib": 1024}, "OWASP"),
        ({"port": 70000}, "port"),
        ({"env": "nowhere"}, "env"),
        ({"log_level": "loud"}, "'DEBUG', 'INFO', 'WARNING'"),
        ({"database_url": "mysql://u:p@host/db"}, "must begin with .*postgresql://.* it has mysql://"),
        ({"database_url": "host/db"}, "it has no scheme"),
        ({"database_url": "postgresql://u:p@host:port/db"}, "port is not a number"),
        (
            {"database_url": "postgres://h/d?sslmode=require&channel_binding=require"},
            "here: channel_binding;",
        ),
        ({"redis_url": "http://host"}, "must begin with redis://, rediss://, unix://.* it has http://"),
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


@pytest.mark.parametrize(
    ("text", "hours"), [("8", (8,)), ("20, 8,14,8", (8, 14, 20)), ("NEVER", ()), ("", (2, 8, 14, 20))]
)
def test_the_hours_of_heartbeats_are_a_list(text: str, hours: tuple[int, ...]) -> None:
    assert Settings.model_validate({"heartbeat_hours": text}).heartbeat_hours == hours


@pytest.mark.parametrize("text", ["24", "-1", "8;14", "8,NEVER"])
def test_hours_that_no_day_has_are_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="heartbeat_hours"):
        Settings.model_validate({"heartbeat_hours": text})


def test_what_is_empty_is_not_set_and_an_empty_variable_unsets_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    example = (Path(__file__).parents[1] / ".env.example").read_text()
    defaults = Settings()
    # As if somebody had taken out the mark of every comment that is a setting.
    settings = re.findall(r"^#?([A-Z_0-9]+)=", example, re.MULTILINE)
    assert len(settings) > 40
    Path(".env").write_text("".join(f"{name}=\n" for name in settings))
    assert Settings() == defaults
    Path(".env").write_text("PORT=1111\nWORKERS=3\nDATABASE_URL=postgresql://u:p@host/db\n")
    for name in ("PORT", "DATABASE_URL"):
        monkeypatch.setenv(name, "")
    found = Settings()
    assert (found.port, found.workers) == (defaults.port, 3)
    assert found.database_url == defaults.database_url


@pytest.mark.parametrize(
    ("env", "chosen", "sockets"),
    [("local", None, None), ("local", 5, 5), ("production", None, 200), ("production", 900, 900)],
)
def test_sockets_of_an_address_are_limited_outside_local(
    env: str, chosen: int | None, sockets: int | None
) -> None:
    settings = Settings(**GOOD | {"env": env, "max_sockets_per_network": chosen})
    assert settings.sockets_per_network == sockets


def test_the_data_directory_has_an_environment_variable_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GQL_TRADER_DATA_DIR", str(tmp_path))
    assert Settings().data_dir == tmp_path


def test_secrets_are_not_shown() -> None:
    assert "0123456789abcdef" not in repr(Settings(**GOOD))
    assert "u:p" not in repr(Settings(**GOOD))


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("postgresql://u:p@host/db", "postgresql+asyncpg://u:p@host/db"),
        ("postgres://u:p@host:5433/db?sslmode=require", "postgresql+asyncpg://u:p@host:5433/db?ssl=require"),
        (" postgresql+asyncpg:///db?host=/run/pg ", "postgresql+asyncpg:///db?host=/run/pg"),
        ("", ""),
    ],
)
def test_the_database_is_named_as_everybody_names_it(written: str, kept: str) -> None:
    assert Settings(database_url=SecretStr(written)).database_url.get_secret_value() == kept


@pytest.mark.parametrize("url", ["redis://h:6379/0", "rediss://h/0", "unix:///run/valkey.sock?db=0"])
def test_every_way_to_reach_redis_is_accepted(url: str) -> None:
    assert Settings(redis_url=SecretStr(url)).redis_url.get_secret_value() == url


def test_the_case_of_the_log_level_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "debug")
    assert Settings().log_level is LogLevel.DEBUG


def test_a_refused_address_does_not_show_its_password() -> None:
    with pytest.raises(ValidationError) as refusal:
        Settings(database_url=SecretStr("mysql://u:hunter2@host/db"))
    assert "hunter2" not in str(refusal.value)
    with pytest.raises(ValidationError) as refusal:
        Settings.model_validate({"database_url": "postgresql://u:hunter2@host:port/db"})
    assert "hunter2" not in str(refusal.value)
