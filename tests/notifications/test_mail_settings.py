"""Settings of mail that are refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from gql_trader.config import Settings

PRODUCTION: dict[str, Any] = {
    "env": "production",
    "database_url": "postgresql+asyncpg://db/x",
    "redis_url": "redis://redis",
    "jwt_secret": "0123456789abcdef" * 3,
    "encryption_keys": "1:" + "A" * 43 + "=",
}
MAIL = {
    "smtp_host": "mail.example",
    "mail_from": "trader@example.com",
    "public_url": "https://trader.example",
}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mail_from": ""}, "MAIL_FROM"),
        ({"public_url": ""}, "PUBLIC_URL"),
        ({"public_url": "http://trader.example"}, "PUBLIC_URL"),
        ({"smtp_username": "me", "smtp_tls": "none"}, "SMTP_TLS=none would show SMTP_PASSWORD"),
        ({"smtp_tls": "none"}, "SMTP_TLS=none would show links"),
        ({"smtp_tls": "none", "smtp_host": "10.0.0.1"}, "SMTP_TLS=none would show links"),
    ],
)
def test_mail_that_would_be_unsafe_is_refused_outside_local(changes: dict[str, str], says: str) -> None:
    assert Settings.model_validate({**PRODUCTION, **MAIL}).smtp_host == "mail.example"
    with pytest.raises(ValidationError, match=says):
        Settings.model_validate({**PRODUCTION, **MAIL, **changes})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_a_mail_server_on_the_same_machine_needs_no_encryption(host: str) -> None:
    given = {**PRODUCTION, **MAIL, "smtp_host": host, "smtp_tls": "none"}
    assert Settings.model_validate(given).smtp_host == host


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0.0.0.0", "http://127.0.0.1:8123"),
        ("::", "http://[::1]:8123"),
        ("::1", "http://[::1]:8123"),
        ("192.168.1.7", "http://192.168.1.7:8123"),
    ],
)
def test_without_a_public_address_links_lead_to_what_is_listened_on(host: str, address: str) -> None:
    settings = Settings.model_validate({"host": host, "port": 8123})
    assert settings.password_reset_page == f"{address}/reset-password"


def test_links_begin_with_what_is_set() -> None:
    local = Settings.model_validate({"host": "127.0.0.1", "port": 8000, "env": "local"})
    assert local.password_reset_page == "http://127.0.0.1:8000/reset-password"
    public = local.model_copy(update={"public_url": "https://trader.example/"})
    assert public.password_reset_page == "https://trader.example/reset-password"
    page = public.model_copy(update={"password_reset_url": "https://app.example/new"})
    assert page.password_reset_page == "https://app.example/new"
