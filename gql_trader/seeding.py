"""What a fresh database holds: the built-in strategies, and, if wanted, a demo user and demo data."""

import secrets
import string
from contextlib import suppress
from pathlib import Path

from gql_trader.accounts import service as accounts
from gql_trader.config import Settings
from gql_trader.core.errors import DomainError
from gql_trader.infra.tokens import load_or_create_secret
from gql_trader.market_data.demo import seed_demo
from gql_trader.runtime import open_runtime
from gql_trader.strategies import service as strategies

_PASSWORD_CHARACTERS = "".join(c for c in string.ascii_letters + string.digits if c not in "0O1lIoi")


async def seed(settings: Settings, *, demo: bool) -> None:
    """Bring the seeds up to date; a second time changes nothing.

    Parameters
    ----------
    demo
        Create the demo user, whose random password is in the data directory, and demo data too.
    """
    async with open_runtime(settings) as runtime:
        async with runtime.unit_of_work() as uow:
            await strategies.sync_builtin_strategies(uow, runtime.plugins)
        if not demo:
            return
        async with runtime.unit_of_work() as uow:
            await accounts.ensure_demo_user(uow, runtime.passwords, demo_password(settings.data_dir))
        async with runtime.unit_of_work() as uow:
            await seed_demo(uow)


def demo_password(data_dir: Path) -> str:
    """Return the demo user's password, made at the first call and kept in a file of its owner's."""
    return load_or_create_secret(data_dir / "demo_password", _random_password)


def _random_password() -> str:
    # Four groups of four are easily read and typed: 16 of 55 characters are 92 bits. Rarely one of the
    # kinds that the rules for passwords ask for is missing; then another one is drawn.
    while True:
        groups = ("".join(secrets.choice(_PASSWORD_CHARACTERS) for _ in range(4)) for _ in range(4))
        password = "-".join(groups)
        with suppress(DomainError):
            accounts.check_password(password)
            return password
