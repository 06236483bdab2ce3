"""A look at every part that has to work."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from gql_trader import migrate
from gql_trader.balances.repository import overdue
from gql_trader.cli.errors import CommandError, setting_problems
from gql_trader.cli.session import connected, load_settings
from gql_trader.config import Settings
from gql_trader.core.clock import SystemClock
from gql_trader.infra.database import Database
from gql_trader.infra.job_queue import JobQueue
from gql_trader.infra.mail import SmtpTransport
from gql_trader.infra.push import ServiceAccount
from gql_trader.plugins import load_plugins
from gql_trader.runtime import mail_transport
from gql_trader.settings.repository import users_without_dry_run

_SECONDS = 5.0
_LATE = timedelta(minutes=2)

Check = Callable[[Settings], Awaitable[str]]


class _Unhealthy(Exception):
    """A part does not work; the message says what and what to do."""


def run(data_dir: Path | None) -> int:
    """Print a table of checks; return 0 if all passed, 1 otherwise."""
    table = Table("", "Check", "Finding", box=None, header_style="dim")
    healthy = True

    def add(name: str, finding: str, good: bool) -> None:
        nonlocal healthy
        healthy = healthy and good
        table.add_row("[green]✓[/]" if good else "[red]✗[/]", name, finding)

    try:
        settings = load_settings(data_dir=data_dir)
    except ValidationError as error:
        add("configuration", "; ".join(setting_problems(error)), good=False)
    else:
        add("configuration", f"ENV={settings.env.value}, data in {settings.data_dir}", good=True)
        try:
            with connected(settings, start=False) as found:
                for name, finding, good in asyncio.run(_check_all(found)):
                    add(name, finding, good)
        except CommandError as error:
            add("servers", str(error), good=False)
    Console(soft_wrap=True, highlight=False).print(table)
    return 0 if healthy else 1


async def _check_all(settings: Settings) -> list[tuple[str, str, bool]]:
    checks: dict[str, Check] = {
        "database": _database,
        "migrations": _migrations,
        "redis": _redis,
        "workers": _workers,
        "clocks": _clocks,
        "mail": _mail,
        "push": _push,
        "telegram": _telegram,
        "webhooks": _webhooks,
        "live trading": _live_trading,
        "plugins": _plugins,
    }
    return [(name, *await _outcome(check, settings)) for name, check in checks.items()]


async def _outcome(check: Check, settings: Settings) -> tuple[str, bool]:
    try:
        async with asyncio.timeout(_SECONDS):
            return await check(settings), True
    except Exception as error:
        # Whatever it is, it is what the doctor was asked to find.
        return str(error).splitlines()[0] if str(error) else type(error).__name__, False


async def _database(settings: Settings) -> str:
    database = Database(settings.database_url.get_secret_value(), pool_size=1)
    try:
        async with database.session() as session:
            return f"PostgreSQL {await session.scalar(text('SHOW server_version'))}"
    finally:
        await database.close()


async def _migrations(settings: Settings) -> str:
    url = settings.database_url.get_secret_value()
    current = await asyncio.to_thread(migrate.current_revision, url)
    head = await asyncio.to_thread(migrate.head_revision)
    if current != head:
        raise _Unhealthy(f"at {current or 'nothing'}, the newest is {head}: run `gql-trader migrate`")
    return f"at {head}, the newest"


async def _redis(settings: Settings) -> str:
    queue = JobQueue(settings.redis_url.get_secret_value())
    try:
        await queue.ping()
        return "answers"
    finally:
        await queue.close()


async def _workers(settings: Settings) -> str:
    queue = JobQueue(settings.redis_url.get_secret_value())
    try:
        heartbeats = await queue.heartbeats()
    finally:
        await queue.close()
    if not heartbeats:
        raise _Unhealthy("no worker has given a sign of life in the last 30 s: start `gql-trader worker`")
    queues = sorted({heartbeat.queue for heartbeat in heartbeats})
    processes = {(heartbeat.host, heartbeat.pid) for heartbeat in heartbeats}
    return f"{len(processes)} on {', '.join(queues)}"


async def _clocks(settings: Settings) -> str:
    # Work by the clock has no queue of jobs, and so no sign of life; what is late tells.
    database = Database(settings.database_url.get_secret_value(), pool_size=1)
    try:
        async with database.session() as session:
            count, since = await overdue(session, SystemClock().now() - _LATE)
    finally:
        await database.close()
    if since is not None:
        raise _Unhealthy(
            f"the balances of {count} user(s) are overdue, the first since {since:%Y-%m-%d %H:%M} UTC: is a "
            "worker on the queue balances?"
        )
    return "balances are noted and told in time"


async def _plugins(_settings: Settings) -> str:
    found = await asyncio.to_thread(load_plugins)
    if found.broken:
        raise _Unhealthy("; ".join(f"{each.origin} is left out: {each.reason}" for each in found.broken))
    named = [f"{plugin.code_ref} {plugin.version}" for plugin in found.plugins.values()]
    return ", ".join(named) if named else "none installed"


async def _mail(settings: Settings) -> str:
    transport = mail_transport(settings)
    if isinstance(transport, SmtpTransport):
        await transport.check()
        return f"{transport.host}:{transport.port} takes mails from {transport.sender}"
    if transport is None:
        raise _Unhealthy("no mail server is set, so that mails wait: set SMTP_HOST and MAIL_FROM")
    return "no mail server is set: mails are shown in the worker's log, and go nowhere else"


async def _push(settings: Settings) -> str:
    if settings.fcm_service_account_file is None:
        return "off: set FCM_SERVICE_ACCOUNT_FILE for push messages to devices"
    account = ServiceAccount.from_file(settings.fcm_service_account_file)
    return f"Firebase project {account.project_id}, as {account.client_email}"


async def _telegram(settings: Settings) -> str:
    return f"{settings.telegram_url}, by the bots of users' trading settings"


async def _webhooks(settings: Settings) -> str:
    where = "private addresses too" if settings.webhook_private_addresses else "public addresses only"
    return f"to {where}, over {'http or https' if settings.webhook_plain_http else 'https'}"


async def _live_trading(settings: Settings) -> str:
    database = Database(settings.database_url.get_secret_value(), pool_size=1)
    try:
        async with database.session() as session:
            asking = await users_without_dry_run(session)
    finally:
        await database.close()
    users = "1 user has" if asking == 1 else f"{asking or 'no'} users have"
    state = "on" if settings.live_trading_enabled else "off, whatever they say"
    return f"{state}; {users} dryRun: false in their settings"
