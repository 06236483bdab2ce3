"""Settings, parsed once from the environment and `.env`, frozen, and passed down."""

import base64
import binascii
import json
import re
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import parse_qsl, urlsplit

from platformdirs import user_data_path
from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
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


class LogLevel(StrEnum):
    """Least severity that is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


_DATABASE_DRIVER: Final = "postgresql+asyncpg"
_DATABASE_SCHEMES: Final = (_DATABASE_DRIVER, "postgresql", "postgres")
# What asyncpg takes in an address.
_DATABASE_OPTIONS: Final = frozenset(
    [
        "database",
        "gsslib",
        "host",
        "krbsrvname",
        "passfile",
        "password",
        "port",
        "prepared_statement_cache_size",
        "ssl",
        "target_session_attrs",
        "user",
    ]
)
# Of 32 random hexadecimal digits, fewer are different once in ten million times.
_DISTINCT_CHARACTERS: Final = 8
_REDIS_SCHEMES: Final = ("redis", "rediss", "unix")


class Settings(BaseSettings):
    """Every setting of the server; each is also an environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        # Passwords are among the inputs.
        hide_input_in_errors=True,
    )

    env: Environment = Environment.LOCAL
    data_dir: Annotated[
        Path, Field(validation_alias=AliasChoices("GQL_TRADER_DATA_DIR", "data_dir"), validate_default=True)
    ] = Field(default_factory=lambda: user_data_path("gql-trader"))

    database_url: SecretStr = SecretStr("")
    """PostgreSQL, as ``postgresql://user:password@host/name``; empty: embedded server.

    Kept as ``postgresql+asyncpg://``, however it was written.
    """
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
    log_level: LogLevel = LogLevel.INFO

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
    export_link_minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 10
    """For how long a link to a file, such as a ledger as CSV, is good; whoever has it needs no login."""
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
    notification_retention_days: Annotated[int, Field(ge=1, le=3650)] = 90
    """Notifications older than this are deleted, read or not."""
    fcm_service_account_file: Path | None = None
    """Key file of a service account of Firebase, for push messages; empty: none are sent."""
    fcm_url: str = "https://fcm.googleapis.com"
    """Firebase Cloud Messaging."""
    telegram_url: str = "https://api.telegram.org"
    """Telegram's Bot API, or a server of yours that speaks it."""
    webhook_private_addresses: bool = False
    """Let users send webhooks to private, loopback and link-local addresses."""
    webhook_plain_http: bool = False
    """Let users send webhooks over http besides https."""
    webhook_concurrency: Annotated[int, Field(ge=1, le=64)] = 8
    """Webhooks that one worker process sends at a time."""
    argon2_time_cost: Annotated[int, Field(ge=1)] = 3
    argon2_memory_kib: Annotated[int, Field(ge=8)] = 65536

    page: bool = True
    """Serve the page at /; without it, / leads to /graphql."""
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
    max_sockets_per_network: Annotated[int | None, Field(ge=1)] = None
    """WebSockets that one address may have open at an API process; by default 200, any number where env is
    local."""
    request_timeout_seconds: Annotated[float, Field(gt=0)] = 30.0

    max_active_backtests_per_user: Annotated[int, Field(ge=1)] = 100
    """Queued and running backtests of one user at a time."""
    max_backtests_per_hour_per_user: Annotated[int, Field(ge=1, le=100_000)] = 5000
    """Backtests that one user may queue within any hour."""
    max_backtest_bars: Annotated[int, Field(ge=1)] = 10_000_000
    max_bots_per_user: Annotated[int, Field(ge=1)] = 200
    """Bots that one user may have."""
    max_running_bots_per_user: Annotated[int, Field(ge=1)] = 100
    """Bots of one user that may be at work at a time."""
    max_trading_sessions_per_user: Annotated[int, Field(ge=1)] = 20
    """Sessions that one user may trade by hand at a time."""
    live_order_poll_seconds: Annotated[float, Field(ge=0.5, le=300)] = 5.0
    """How often an exchange is asked about a live order that waits there."""
    live_order_unknown_minutes: Annotated[int, Field(ge=1, le=1440)] = 5
    """A user is told of a live order of which it is not known for so long whether the exchange has it."""
    bot_equity_minutes: Annotated[int, Field(ge=1, le=10_080)] = 60
    """A session on the live market keeps a point of its equity at least this often."""
    balance_snapshot_minutes: Annotated[int, Field(ge=1, le=1440)] = 10
    """How often the balance of a user whose sessions trade is noted, in minutes."""
    heartbeat_hours: Annotated[tuple[Annotated[int, Field(ge=0, le=23)], ...], NoDecode] = (2, 8, 14, 20)
    """Hours of the day, in each user's time zone, at which balances are told; NEVER: at none."""
    balance_retention_days: Annotated[int, Field(ge=31, le=36_500)] = 400
    """How long noted balances are kept; whole months are forgotten at a time."""
    bot_decision_days: Annotated[int, Field(ge=1, le=3650)] = 7
    """How long what strategies said at every bar of a live market is kept."""
    max_active_optimizations_per_user: Annotated[int, Field(ge=1)] = 5
    """Queued and running parameter searches of one user at a time."""
    max_optimizations_per_hour_per_user: Annotated[int, Field(ge=1, le=100_000)] = 200
    """Parameter searches that one user may queue within any hour."""
    max_optimization_trials: Annotated[int, Field(ge=1, le=10_000_000)] = 1_000_000
    """Trials of one parameter search."""
    max_optimization_work: Annotated[int, Field(ge=1)] = 10**12
    """Bars times trials of one parameter search."""
    max_alerts_per_user: Annotated[int, Field(ge=1)] = 200
    max_automations_per_user: Annotated[int, Field(ge=1)] = 50
    min_automation_seconds: Annotated[int, Field(ge=60)] = 300
    """Least time between two runs of an automation by the clock."""
    automation_run_days: Annotated[int, Field(ge=1, le=36_500)] = 400
    """How long the runs of automations that are over are kept."""
    worker_concurrency: Annotated[int, Field(ge=1, le=64)] = 2
    """Backtests that one worker process runs at a time."""
    job_lease_seconds: Annotated[float, Field(gt=0)] = 8.0
    """A running job whose worker has not renewed its lease for this long is taken over."""
    sweep_seconds: Annotated[float, Field(ge=0.1)] = 2.0
    """How often it is looked for jobs that a crash left behind."""
    exchange_urls: Annotated[dict[str, str], NoDecode] = {}
    """Where to send requests to an exchange instead of its own address, by its id, as JSON: for test nets
    and simulators. The path of each request stays."""
    exchange_proxy: SecretStr = SecretStr("")
    """HTTP proxy for all requests to exchanges, as ``http://user:password@host:port``."""
    exchange_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 10.0
    """How long one request to an exchange may take."""
    max_active_syncs_per_user: Annotated[int, Field(ge=1)] = 10
    """Queued and running syncs of candles of one user at a time."""
    max_syncs_per_hour_per_user: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Syncs of candles that one user may ask for within any hour."""
    max_sync_candles: Annotated[int, Field(ge=1)] = 10_000_000
    """Candles of one sync."""
    market_data_concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    """Syncs and feeds that one worker process fetches candles for at a time."""
    candle_streams: Annotated[int, Field(ge=0, le=1000)] = 50
    """Streams of candles that one worker process follows besides asking the exchanges; 0: none."""
    simulated_feed: bool | None = None
    """Let the simulated prices of the venue `demo` go on; by default only where env is local."""
    live_trading_enabled: bool = False
    """Whether anybody may trade with real money on this server."""
    live_trading_login_minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 15
    """Enabling live trading takes a login that is not older, besides a code of the second factor."""
    candle_cache_bytes: Annotated[int, Field(ge=0)] = 4 * 1024**3
    """Disk space for the worker's cache of candles."""

    @property
    def is_local(self) -> bool:
        """Whether this is somebody's own machine, where generated secrets will do."""
        return self.env is Environment.LOCAL

    @property
    def public_address(self) -> str:
        """Where people reach this server, without a slash at the end."""
        return (self.public_url or local_address(self.host, self.port)).rstrip("/")

    @property
    def password_reset_page(self) -> str:
        """Address of the page for choosing another password."""
        return self.password_reset_url or f"{self.public_address}/reset-password"

    @property
    def serves_graphiql(self) -> bool:
        """Whether GraphiQL is on."""
        return self.is_local if self.graphiql is None else self.graphiql

    @property
    def sockets_per_network(self) -> int | None:
        """WebSockets that one address may have open at this process; None: any number."""
        default = None if self.is_local else 200
        return default if self.max_sockets_per_network is None else self.max_sockets_per_network

    @property
    def simulates_feed(self) -> bool:
        """Whether simulated prices go on."""
        return self.is_local if self.simulated_feed is None else self.simulated_feed

    @property
    def allows_introspection(self) -> bool:
        """Whether introspection is on."""
        return self.is_local if self.introspection is None else self.introspection

    @field_validator("fcm_service_account_file", mode="before")
    @classmethod
    def _no_file(cls, value: object) -> object:
        # A variable that is set to nothing names no file, least of all the present directory.
        return None if value == "" else value

    @field_validator("heartbeat_hours", mode="before")
    @classmethod
    def _never(cls, value: object) -> object:
        # An empty variable counts as not set, so that none needs a word.
        return () if value in (("NEVER",), ("never",)) else value

    @field_validator("heartbeat_hours")
    @classmethod
    def _sort_hours(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(value)))

    @field_validator("log_level", mode="before")
    @classmethod
    def _ignore_case(cls, value: object) -> object:
        return value.strip().upper() if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _name_the_driver(cls, value: SecretStr) -> SecretStr:
        url = _address(value, _DATABASE_SCHEMES, "postgresql://user:password@host:5432/name")
        if not url:
            return SecretStr("")
        _, _, rest = url.partition("://")
        # What libpq calls sslmode is ssl to asyncpg; managed databases hand out libpq's.
        rest = re.sub(r"(?<=[?&])sslmode=", "ssl=", rest)
        given = {name for name, _ in parse_qsl(urlsplit(f"//{rest}").query, keep_blank_values=True)}
        if unknown := given - _DATABASE_OPTIONS:
            raise ValueError(
                f"has options that are not known here: {', '.join(sorted(unknown))}; leave them out "
                f"(known are {', '.join(sorted(_DATABASE_OPTIONS | {'sslmode'}))})"
            )
        return SecretStr(f"{_DATABASE_DRIVER}://{rest}")

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, value: SecretStr) -> SecretStr:
        return SecretStr(_address(value, _REDIS_SCHEMES, "redis://host:6379/0"))

    @field_validator("exchange_urls", mode="before")
    @classmethod
    def _read_json(cls, value: object) -> object:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError as error:
            raise ValueError('must be JSON such as {"binance": "https://testnet.example.com"}') from error

    @field_validator("exchange_urls")
    @classmethod
    def _check_exchange_urls(cls, value: dict[str, str]) -> dict[str, str]:
        for exchange, url in value.items():
            parts = urlsplit(url)
            if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"}:
                raise ValueError(f"for {exchange} must be like https://testnet.example.com, without a path")
        return value

    @field_validator("exchange_proxy")
    @classmethod
    def _check_exchange_proxy(cls, value: SecretStr) -> SecretStr:
        return SecretStr(_address(value, ("http", "https"), "http://proxy.example.com:3128"))

    @model_validator(mode="before")
    @classmethod
    def _take_empty_as_unset(cls, values: dict[str, object]) -> dict[str, object]:
        # Not env_ignore_empty: an empty variable still goes before the file, so that it unsets what is there.
        return {key: value for key, value in values.items() if value != ""}

    @model_validator(mode="before")
    @classmethod
    def _split_lists(cls, values: dict[str, object]) -> dict[str, object]:
        for key in ("allowed_origins", "ALLOWED_ORIGINS", "heartbeat_hours", "HEARTBEAT_HOURS"):
            text = values.get(key)
            if isinstance(text, str) and text:
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
            if len(set(secret)) < _DISTINCT_CHARACTERS:
                raise ValueError("JWT_SECRET must be random; this one has hardly any different characters")
            if self.password_reset_url and not self.password_reset_url.startswith("https://"):
                raise ValueError("PASSWORD_RESET_URL must begin with https://: it gets a token to read")
            if self.smtp_tls is SmtpSecurity.NONE:
                if self.smtp_username:
                    raise ValueError("SMTP_TLS=none would show SMTP_PASSWORD to the network")
                if self.smtp_host and not _is_loopback(self.smtp_host):
                    raise ValueError("SMTP_TLS=none would show links in mails to the network")
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


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def local_address(host: str, port: int) -> str:
    """Return the address of a server for browsers on its machine, given what it listens on."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 -- recognised
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _is_webhook_secret(text: str) -> bool:
    try:
        return text.startswith("whsec_") and len(base64.b64decode(text[6:], validate=True)) >= 16
    except binascii.Error:
        return False


def _address(value: SecretStr, schemes: tuple[str, ...], example: str) -> str:
    """Return an address without spaces around it; refuse another scheme without showing the password."""
    url = value.get_secret_value().strip()
    scheme, separator, _ = url.partition("://")
    if url and (not separator or scheme not in schemes):
        found = f"{scheme[:20]}://" if separator else "no scheme"
        known = ", ".join(f"{each}://" for each in schemes)
        raise ValueError(f"must begin with {known}, such as {example}; it has {found}")
    try:
        urlsplit(url).port  # noqa: B018 -- raises if it is not a port
    except ValueError as error:
        raise ValueError(
            f"is not an address such as {example}: its port is not a number up to 65535"
        ) from error
    return url
