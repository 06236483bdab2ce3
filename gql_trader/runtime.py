"""What a process needs, built once at its start and passed down."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gql_trader.config import Settings
from gql_trader.core.clock import Clock, SystemClock
from gql_trader.engine.plugins import PluginRegistry
from gql_trader.infra.answers import Answers
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.cost_budget import CostBudget
from gql_trader.infra.database import Database
from gql_trader.infra.event_streams import EventStreams
from gql_trader.infra.exchange.exchanges import Exchanges
from gql_trader.infra.exchange.pacing import Waits
from gql_trader.infra.job_queue import JobQueue
from gql_trader.infra.jwks import IdentityTokens, KeySet
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.mail import LoggedMail, MailTransport, SmtpTransport
from gql_trader.infra.passwords import PasswordHasher
from gql_trader.infra.public_http import PublicHttp
from gql_trader.infra.push import PushTransport
from gql_trader.infra.rate_limits import RateLimits
from gql_trader.infra.signed_links import SignedLinks
from gql_trader.infra.telegram import Telegram
from gql_trader.infra.tokens import AccessTokens, load_or_create_secret
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.plugins import load_plugins


@dataclass(frozen=True)
class Runtime:
    """The parts of a running process."""

    settings: Settings
    clock: Clock
    started_at: datetime
    database: Database
    queue: JobQueue
    events: EventStreams
    answers: Answers
    arrays: ArrayCache
    passwords: PasswordHasher
    tokens: AccessTokens
    links: SignedLinks
    mail: MailTransport | None
    """None: no mail server is set, so that mails wait."""
    push: PushTransport | None
    """None: no push messages are sent."""
    telegram: Telegram
    public_http: PublicHttp
    keys: KeyRing
    rate_limits: RateLimits
    budget: CostBudget
    identity: IdentityTokens | None
    plugins: PluginRegistry
    exchanges: Exchanges

    def unit_of_work(self) -> UnitOfWork:
        """Return a new unit of work; enter it to open its transaction."""
        return UnitOfWork(self.database, self.clock, self.queue, self.events)


@asynccontextmanager
async def open_runtime(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Runtime]:
    """Build the parts, yield them, and close them in reverse order."""
    clock = clock or SystemClock()
    plugins = load_plugins()
    database = Database(settings.database_url.get_secret_value(), settings.database_pool_size)
    redis_url = settings.redis_url.get_secret_value()
    queue = JobQueue(redis_url)
    events = EventStreams(redis_url)
    answers = Answers(redis_url, queue)
    arrays = ArrayCache(settings.data_dir / "cache" / "arrays", settings.candle_cache_bytes)
    rate_limits = RateLimits(redis_url, clock)
    budget = CostBudget(redis_url, clock, settings.cost_per_minute)
    identity = _identity_tokens(settings, clock)
    exchanges = open_exchanges(settings)
    passwords = PasswordHasher(settings.argon2_time_cost, settings.argon2_memory_kib)
    push = push_transport(settings, clock)
    telegram = Telegram(settings.telegram_url)
    public_http = PublicHttp(
        allow_private=settings.webhook_private_addresses, allow_plain=settings.webhook_plain_http
    )
    secret = _jwt_secret(settings)
    try:
        yield Runtime(
            settings=settings,
            clock=clock,
            started_at=clock.now(),
            database=database,
            queue=queue,
            events=events,
            answers=answers,
            arrays=arrays,
            passwords=passwords,
            mail=mail_transport(settings),
            push=push,
            telegram=telegram,
            public_http=public_http,
            tokens=AccessTokens(secret, settings.access_token_minutes, clock),
            links=SignedLinks(secret, settings.export_link_minutes, clock),
            keys=open_key_ring(settings),
            rate_limits=rate_limits,
            budget=budget,
            identity=identity,
            plugins=plugins,
            exchanges=exchanges,
        )
    finally:
        await public_http.close()
        await telegram.close()
        if push is not None:
            await push.close()
        passwords.close()
        arrays.close()
        await exchanges.close()
        if identity is not None:
            await identity.close()
        await budget.close()
        await rate_limits.close()
        await answers.close()
        await events.close()
        await queue.close()
        await database.close()


def key_ring_file(settings: Settings) -> Path | None:
    """Return the file of a generated key ring; None if the settings carry the ring."""
    return None if settings.encryption_keys.get_secret_value() else settings.data_dir / "encryption_keys"


def open_key_ring(settings: Settings) -> KeyRing:
    """Return the ring of the settings, or the generated one.

    Raises
    ------
    KeyRingError
        If it is malformed.
    """
    path = key_ring_file(settings)
    return KeyRing.from_file(path) if path else KeyRing.from_text(settings.encryption_keys.get_secret_value())


def open_exchanges(settings: Settings, waits: Waits | None = None) -> Exchanges:
    """Return the way to the exchanges; nothing is loaded or opened yet."""
    return Exchanges(
        urls=settings.exchange_urls,
        proxy=settings.exchange_proxy.get_secret_value() or None,
        timeout=settings.exchange_timeout_seconds,
        directory=settings.data_dir / "cache",
        waits=waits,
    )


def _identity_tokens(settings: Settings, clock: Clock) -> IdentityTokens | None:
    # The settings have all three or none.
    if not (settings.auth_jwks_url and settings.auth_issuer and settings.auth_audience):
        return None
    keys = KeySet(settings.auth_jwks_url, clock)
    return IdentityTokens(keys, settings.auth_issuer, settings.auth_audience, clock)


def mail_transport(settings: Settings) -> MailTransport | None:
    """Return how mails leave; None if they cannot."""
    if settings.smtp_host:
        return SmtpTransport(
            host=settings.smtp_host,
            port=settings.smtp_port,
            sender=settings.mail_from,
            security=settings.smtp_tls,
            username=settings.smtp_username or None,
            password=settings.smtp_password.get_secret_value() or None,
        )
    return LoggedMail() if settings.is_local else None


def push_transport(settings: Settings, clock: Clock) -> PushTransport | None:
    """Return how push messages leave; None if they cannot."""
    if settings.fcm_service_account_file is None:
        return None
    return PushTransport(settings.fcm_service_account_file, settings.fcm_url, clock)


def _jwt_secret(settings: Settings) -> str:
    # Settings outside ENV=local always carry a secret, so no file is written there.
    return settings.jwt_secret.get_secret_value() or load_or_create_secret(settings.data_dir / "jwt_secret")
