"""Settings over HTTP, as a client sees them, and what the tests want to know besides."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from gql_trader.core.actor import Actor, Role
from gql_trader.settings import service
from gql_trader.settings.types import SettingsRecord
from tests.accounts.accounts_api import Accounts
from tests.factories.actors import make_access_token, make_actor

STAKE = "stakeAmount { __typename ... on FixedStake { amount } ... on UnlimitedStake { unlimited } }"
SETTINGS = f"""
    maxOpenTrades stakeCurrency {STAKE} tradableBalanceRatio tradingMode marginMode dryRun dryRunWallet
    timeframe minimalRoi stoploss trailingStop trailingStopPositive trailingStopPositiveOffset
    trailingOnlyOffsetIsReached fiatDisplayCurrency botName
    exchange {{ name keyMasked secretSet passwordSet pairWhitelist pairBlacklist }}
    telegram {{ enabled tokenSet chatId }} isDefault updatedAt
"""
CHANGED = f"settings {{ {SETTINGS} }} changes {{ field old new secret }}"


@dataclass
class Member:
    """Somebody with a login session."""

    accounts: Accounts
    actor: Actor
    token: str

    async def change(self, fields: str = CHANGED, **given: Any) -> Any:
        """Send updateSettings and return its payload."""
        return await self.accounts.mutate("updateSettings", fields, self.token, **given)

    async def send(self, mutation: str, fields: str, /, **given: Any) -> Any:
        """Send another mutation and return its payload."""
        return await self.accounts.mutate(mutation, fields, self.token, **given)

    async def settings(self, fields: str = SETTINGS) -> Any:
        """Return the settings as the API shows them."""
        return (await self.accounts.me(self.token, f"settings {{ {fields} }}"))["settings"]

    async def preferences(self) -> Any:
        """Return the preferences as the API shows them."""
        fields = "defaultMode defaultCapital riskPerTrade maxDrawdown notifications theme timezone"
        return (await self.accounts.me(self.token, f"preferences {{ {fields} }}"))["preferences"]

    async def record(self) -> SettingsRecord:
        """Return the settings as the domain has them."""
        async with self.accounts.runtime.unit_of_work() as uow:
            return await service.settings_of(uow, self.actor.user_id)


async def make_member(accounts: Accounts, name: str = "ada", role: Role = Role.TRADER) -> Member:
    """Return a new user with a login session."""
    actor = await make_actor(accounts.runtime, name, role)
    return Member(accounts, actor, await make_access_token(accounts.runtime, actor))


async def audited(accounts: Accounts) -> list[tuple[str, Any]]:
    """Return the action and metadata of every event of the audit log, the oldest first."""
    async with accounts.runtime.database.session() as session:
        rows = await session.execute(text("SELECT action, metadata FROM audit_events ORDER BY id"))
        return [(row.action, row.metadata) for row in rows]
