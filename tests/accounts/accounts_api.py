"""The account area over HTTP, as a client sees it."""

from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp

from gql_trader.accounts import service
from gql_trader.accounts.types import SignupSpec
from gql_trader.core.actor import Role
from gql_trader.runtime import Runtime
from tests.factories.clock import MovableClock
from tests.graphql_client import GraphQLClient, GraphQLSocket, InProcessTransport

PASSWORD = "Correct-Horse-7"

_ERRORS = "errors { code path message }"


@dataclass
class Accounts:
    """An application, its parts and a client that is not signed in."""

    app: ASGIApp
    runtime: Runtime
    clock: MovableClock
    client: GraphQLClient

    async def make_user(self, name: str, role: Role = Role.TRADER) -> None:
        """Create an active user with the password of all of them."""
        async with self.runtime.unit_of_work() as uow:
            spec = SignupSpec(name, f"{name}@example.com", PASSWORD)
            await service.create_user(uow, self.runtime.passwords, spec, role)

    async def mutate(
        self,
        mutation: str,
        fields: str,
        /,
        access_token: str | None = None,
        headers: dict[str, str] | None = None,
        **given: Any,
    ) -> Any:
        """Send a mutation and return its payload."""
        kind = f"{mutation[0].upper()}{mutation[1:]}Input!"
        query = f"mutation($input: {kind}) {{ {mutation}(input: $input) {{ {fields} {_ERRORS} }} }}"
        client = self.client.signed_in(access_token) if access_token else self.client
        return (await client.execute(query, {"input": given}, headers=headers)).data[mutation]

    async def log_in(self, login: str, password: str = PASSWORD, **given: Any) -> Any:
        """Log in and return the tokens, asserting that it succeeds."""
        payload = await self.try_login(login, password, **given)
        assert payload["errors"] == [], payload
        return payload

    async def try_login(
        self, login: str, password: str = PASSWORD, headers: dict[str, str] | None = None, **given: Any
    ) -> Any:
        """Log in and return the payload."""
        fields = "accessToken refreshToken tokenType expiresAt user { username }"
        return await self.mutate("login", fields, headers=headers, login=login, password=password, **given)

    async def refresh(self, refresh_token: str, headers: dict[str, str] | None = None) -> Any:
        """Exchange a refresh token and return the payload."""
        fields = "accessToken refreshToken expiresAt user { username }"
        return await self.mutate("refreshTokens", fields, headers=headers, refreshToken=refresh_token)

    async def me(self, token: str, fields: str = "username") -> Any:
        """Return what the API says of the user whom a token stands for; None if it is not good."""
        answer = await self.client.signed_in(token).execute(f"{{ me {{ {fields} }} }}")
        if answer.errors:
            assert [error["extensions"]["code"] for error in answer.errors] == ["UNAUTHENTICATED"]
            assert answer.body["data"] == {"me": None}
            return None
        return answer.data["me"]

    def socket(self, token: str | None = None) -> GraphQLSocket:
        """Return a socket, to be opened, with an access token or without."""
        transport = InProcessTransport(self.app)
        return GraphQLSocket(transport, {"authorization": f"Bearer {token}"} if token else None)


def refusals(payload: Any) -> list[tuple[str, list[str]]]:
    """Return the code and path of each error of a payload."""
    return [(error["code"], error["path"]) for error in payload["errors"]]
