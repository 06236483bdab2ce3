"""Somebody who may trade live: a trader with a password, a second factor and a fresh login."""

import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import text

from gql_trader.core.actor import Actor, Role
from gql_trader.infra.one_time_passwords import code_at, time_step
from tests.accounts.accounts_api import PASSWORD, Accounts
from tests.settings.settings_api import Member


class Trader:
    """Somebody with a password and a second factor."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        self.secret = b""
        self.recovery: list[str] = []
        self.member: Member

    @classmethod
    async def make(cls, accounts: Accounts, name: str = "tess") -> "Trader":
        """Return a trader who has enrolled and logged in since."""
        trader = cls(accounts)
        await accounts.make_user(name)
        token = (await accounts.log_in(name))["accessToken"]
        begun = await accounts.mutate(
            "beginTotpEnrollment", "otpauthUri recoveryCodes", token, password=PASSWORD
        )
        [encoded] = parse_qs(urlsplit(begun["otpauthUri"]).query)["secret"]
        trader.secret = base64.b32decode(encoded)
        trader.recovery = begun["recoveryCodes"]
        confirmed = await accounts.mutate("confirmTotp", "user { id }", token, code=trader.code())
        assert confirmed["errors"] == []
        accounts.clock.move(seconds=60)
        await trader.log_in(name)
        return trader

    def code(self) -> str:
        """Return what the authenticator app shows."""
        return code_at(self.secret, time_step(self.accounts.clock.now()))

    async def log_in(self, name: str = "tess") -> None:
        """Begin a login session, and wait for the next code."""
        token = (await self.accounts.log_in(name, totpCode=self.code()))["accessToken"]
        self.accounts.clock.move(seconds=30)
        async with self.accounts.runtime.database.session() as session:
            found = await session.execute(text("SELECT id FROM users WHERE username = :name"), {"name": name})
        self.member = Member(self.accounts, Actor(found.scalar_one(), Role.TRADER), token)

    async def go_live(self, **given: Any) -> Any:
        """Ask for live trading and return the payload."""
        return await self.member.change("settings { dryRun isDefault }", dryRun=False, **given)
