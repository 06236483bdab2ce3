"""Settings, parsed once from the environment and `.env`, frozen, and passed down."""

import base64
import binascii
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from platformdirs import user_data_path
from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gql_trader.core.smtp import SmtpSecurity


class Environment(StrEnum):
    """Where the server runs; everything but LOCAL refuses insecure settings."""

    LOCAL = "local"
    STAGING = "staging"
    PRODUCTION = "production"


class SignupApproval(StrEnum):
    """What happens to a new account."""

    AUTO = "auto"
    REQUIRED = "required"
    CLOSED = "closed"


class Settings(BaseSettings):
    """Every setting of the server; each is also an environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, populate_by_name=True
    )

    env: Environment = Environment.LOCAL
    data_dir: Annotated[
        Path, Field(validation_alias=AliasChoices("GQL_TRADER_DATA_DIR", "data_dir"), validate_default=True)
    ] = Field(default_factory=lambda: user_data_path("gql-trader"))

    database_url: SecretStr = SecretStr("")
    """PostgreSQL, as ``postgresql+asyncpg://user:password@host/name``; empty: embedded server."""
    database_pool_size: Annotated[int, Field(ge=1, le=200)] = 10
    redis_url: SecretStr = SecretStr("")
    """Redis or Valkey, as ``redis://host:6379/0``; empty: embedded server."""

    postgres_bin_dir: Path | None = None
    """Directory of the programs for the embedded PostgreSQL; empty: those of the package."""
    valkey_bin: Path | None = None
    """Program for the embedded Valkey or Redis; empty: that of the package."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    workers: Annotated[int, Field(ge=0, le=256)] = 1
    log_level: str = "INFO"

    jwt_secret: SecretStr = SecretStr("")
    """Signs access tokens; at least 32 characters. Generated in the data directory for local use."""
    encryption_keys: SecretStr = SecretStr("")
    """Keys for secrets at rest, as ``1:<base64 of 32 bytes>,2:…``; the highest number encrypts. Generated
    in the data directory for local use."""
    access_token_minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 15
    refresh_token_days: Annotated[int, Field(ge=1, le=365)] = 7
    """A login ends when it has not been refreshed for this long."""
    remember_me_days: Annotated[int, Field(ge=1, le=365)] = 30
    """The same for a login that asked to be remembered."""
    signup_approval: SignupApproval = SignupApproval.REQUIRED
    auth_jwks_url: str | None = None
    """Public keys of an identity provider (OpenID Connect), whose tokens are accepted too."""
    auth_issuer: str | None = None
    """The ``iss`` of its tokens, exactly."""
    auth_audience: str | None = None
    """The ``aud`` of its tokens that are meant for this server."""
    auth_webhook_secret: SecretStr = SecretStr("")
    """Signs its messages to /webhooks/identity, as ``whsec_<base64>``; empty: none are accepted."""
    public_url: str = ""
    """Where people reach this server, as ``https://trader.example.com``; empty: host and port."""
    password_reset_url: str = ""
    """Page for choosing another password; mails append ``#token=…``. Empty: the server's own."""
    smtp_host: str = ""
    """Mail server; empty: mails are shown in the log where env is local, else they wait."""
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 587
    smtp_tls: SmtpSecurity = SmtpSecurity.STARTTLS
    smtp_username: str = ""
    smtp_password: SecretStr = SecretStr("")
    mail_from: str = ""
    """Sender of mails, as ``gql_trader <trader@example.com>``; needed with smtp_host."""
    argon2_time_cost: Annotated[int, Field(ge=1)] = 3
    argon2_memory_kib: Annotated[int, Field(ge=8)] = 65536

    graphiql: bool | None = None
    """Serve GraphiQL; by default only where env is local."""
    introspection: bool | None = None
    """Answer introspection; by default only where env is local."""
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Web origins that may use the API from a browser, comma-separated; the server's own always may."""
    max_query_depth: Annotated[int, Field(ge=1)] = 15
    max_query_aliases: Annotated[int, Field(ge=1)] = 60
    max_query_tokens: Annotated[int, Field(ge=1)] = 4000
    max_query_cost: Annotated[int, Field(ge=1)] = 20_000
    """Points that one operation may cost: about one for each object that it may return."""
    cost_per_minute: Annotated[int, Field(ge=1000)] = 10_000_000
    """Points that one user, or one address that is not signed in, may spend in a minute."""
    trusted_proxies: Annotated[int, Field(ge=0, le=10)] = 0
    """Proxies of yours that every request passes through; X-Forwarded-For counts for that many."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 1_048_576
    max_operations_per_socket: Annotated[int, Field(ge=1)] = 100
    request_timeout_seconds: Annotated[float, Field(gt=0)] = 30.0

    max_active_backtests_per_user: Annotated[int, Field(ge=1)] = 100
    """Queued and running backtests of one user at a time."""
    max_backtests_per_hour_per_user: Annotated[int, Field(ge=1, le=100_000)] = 5000
    """Backtests that one user may queue within any hour."""
    max_backtest_bars: Annotated[int, Field(ge=1)] = 10_000_000
    worker_concurrency: Annotated[int, Field(ge=1, le=64)] = 2
    """Backtests that one worker process runs at a time."""
    job_lease_seconds: Annotated[float, Field(gt=0)] = 8.0
    """A running job whose worker has not renewed its lease for this long is taken over."""
    sweep_seconds: Annotated[float, Field(gt=0)] = 2.0
    """How often a worker looks for jobs that a crash left behind."""
    candle_cache_bytes: Annotated[int, Field(ge=0)] = 4 * 1024**3
    """Disk space for the worker's cache of candles."""

    @property
    def is_local(self) -> bool:
        """Whether this is somebody's own machine, where generated secrets will do."""
        return self.env is Environment.LOCAL

    @property
    def public_address(self) -> str:
        """Where people reach this server, without a slash at the end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def password_reset_page(self) -> str:
        """Address of the page for choosing another password."""
        return self.password_reset_url or f"{self.public_address}/reset-password"

    @property
    def serves_graphiql(self) -> bool:
        """Whether GraphiQL is on."""
        return self.is_local if self.graphiql is None else self.graphiql

    @property
    def allows_introspection(self) -> bool:
        """Whether introspection is on."""
        return self.is_local if self.introspection is None else self.introspection

    @model_validator(mode="before")
    @classmethod
    def _split_lists(cls, values: dict[str, object]) -> dict[str, object]:
        for key in ("allowed_origins", "ALLOWED_ORIGINS"):
            text = values.get(key)
            if isinstance(text, str):
                values[key] = tuple(part.strip() for part in text.split(",") if part.strip())
        return values

    @model_validator(mode="after")
    def _refuse_insecure(self) -> Self:
        secret = self.jwt_secret.get_secret_value()
        if secret and len(secret) < 32:
            raise ValueError("JWT_SECRET must have at least 32 characters")
        self._check_identity_provider()
        if self.smtp_host and "@" not in self.mail_from:
            raise ValueError("MAIL_FROM must be an address where SMTP_HOST is set")
        if self.env is not Environment.LOCAL:
            missing = [
                name
                for name, value in (
                    ("DATABASE_URL", self.database_url),
                    ("REDIS_URL", self.redis_url),
                    ("JWT_SECRET", self.jwt_secret),
                    ("ENCRYPTION_KEYS", self.encryption_keys),
                )
                if not value.get_secret_value()
            ]
            if missing:
                raise ValueError(f"{', '.join(missing)} must be set where ENV={self.env.value}")
            if self.smtp_host and not self.public_url.startswith("https://"):
                raise ValueError(
                    "PUBLIC_URL must begin with https:// where SMTP_HOST is set: mails have links"
                )
            if self.smtp_username and self.smtp_tls is SmtpSecurity.NONE:
                raise ValueError("SMTP_TLS=none would show SMTP_PASSWORD to the network")
            if "*" in self.allowed_origins:
                raise ValueError(f"ALLOWED_ORIGINS=* is refused where ENV={self.env.value}")
            if self.signup_approval is SignupApproval.AUTO:
                raise ValueError(f"SIGNUP_APPROVAL=auto is refused where ENV={self.env.value}")
            if self.argon2_time_cost < 2 or self.argon2_memory_kib < 19456:
                raise ValueError("argon2 parameters below OWASP's minimum are refused outside ENV=local")
        return self

    def _check_identity_provider(self) -> None:
        provider = (self.auth_jwks_url, self.auth_issuer, self.auth_audience)
        if any(provider) and not all(provider):
            raise ValueError("AUTH_JWKS_URL, AUTH_ISSUER and AUTH_AUDIENCE must be set together")
        if self.auth_webhook_secret.get_secret_value():
            if not self.auth_issuer:
                raise ValueError("AUTH_WEBHOOK_SECRET needs AUTH_ISSUER, whose users the messages are about")
            if not _is_webhook_secret(self.auth_webhook_secret.get_secret_value()):
                raise ValueError("AUTH_WEBHOOK_SECRET must be whsec_ and at least 16 bytes in base64")
        if self.auth_issuer == "gql_trader":
            raise ValueError("AUTH_ISSUER is the name of this server's own tokens")
        if self.auth_jwks_url:
            schemes = ("https://", "http://") if self.is_local else ("https://",)
            if not self.auth_jwks_url.startswith(schemes):
                raise ValueError(f"AUTH_JWKS_URL must begin with {' or '.join(schemes)}")


def _is_webhook_secret(text: str) -> bool:
    try:
        return text.startswith("whsec_") and len(base64.b64decode(text[6:], validate=True)) >= 16
    except binascii.Error:
        return False
