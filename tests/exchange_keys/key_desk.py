"""Exchange keys over HTTP, as their user sees them."""

from dataclasses import dataclass, field
from typing import Any

from gql_trader.core.actor import Actor, Role
from gql_trader.runtime import Runtime
from tests.factories.actors import make_access_token, make_actor
from tests.factories.exchange_simulator import Account, ExchangeSimulator
from tests.factories.waits import VirtualWaits
from tests.graphql_client import GraphQLClient

API_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
RESTRICTIONS = "/sapi/v1/account/apiRestrictions"

FIELDS = """exchangeKey { id exchange label apiKeyMasked status permissions permissionsComplete
    lastUsedAt verifiedAt createdAt rotatedAt } warnings"""


@dataclass
class KeyDesk:
    """A trader, and the exchange where the trader has an account.

    Attributes
    ----------
    answers
        Every answer of the API, as it came.
    """

    client: GraphQLClient
    runtime: Runtime
    actor: Actor
    simulator: ExchangeSimulator
    account: Account
    waits: VirtualWaits
    answers: list[str] = field(default_factory=list)

    async def execute(self, query: str, variables: dict[str, Any] | None = None) -> Any:
        """Send an operation and return its result."""
        result = await self.client.execute(query, variables)
        self.answers.append(f"{result.body}")
        return result.data

    async def mutate(self, name: str, fields: str, **given: Any) -> Any:
        """Send a mutation and return its payload."""
        kind = f"{name[0].upper()}{name[1:]}Input!"
        query = f"""mutation($input: {kind}) {{ {name}(input: $input) {{
            {fields} errors {{ __typename code path message }} }} }}"""
        return (await self.execute(query, {"input": given}))[name]

    async def add(self, **given: Any) -> Any:
        """Add a key, the account's unless said otherwise; return the payload."""
        values = {"exchange": "binance", "apiKey": API_KEY, "secret": SECRET, **given}
        return await self.mutate("addExchangeKey", FIELDS, **values)

    async def rotate(self, key_id: str, **given: Any) -> Any:
        """Rotate a key to the account's credentials unless said otherwise; return the payload."""
        values = {"id": key_id, "apiKey": API_KEY, "secret": SECRET, **given}
        return await self.mutate("rotateExchangeKey", FIELDS, **values)

    async def verify(self, key_id: str) -> Any:
        """Verify a key and return the payload."""
        return await self.mutate("verifyExchangeKey", FIELDS, id=key_id)

    async def delete(self, key_id: str) -> Any:
        """Delete a key and return the payload."""
        return await self.mutate("deleteExchangeKey", "deletedId", id=key_id)

    async def listed(self) -> list[dict[str, Any]]:
        """Return the keys that the user sees."""
        found = await self.execute(
            "{ me { exchangeKeys { id exchange status permissions apiKeyMasked verifiedAt } } }"
        )
        return found["me"]["exchangeKeys"]  # type: ignore[no-any-return]

    async def other(self, name: str, role: Role = Role.TRADER) -> "KeyDesk":
        """Return the desk of another user."""
        actor = await make_actor(self.runtime, name, role)
        token = await make_access_token(self.runtime, actor)
        client = self.client.signed_in(token)
        return KeyDesk(client, self.runtime, actor, self.simulator, self.account, self.waits)


def refusals(payload: Any) -> list[tuple[str, list[str]]]:
    """Return the code and path of each error of a payload."""
    return [(error["code"], error["path"]) for error in payload["errors"]]
