"""Open WebSockets end within seconds of what their access token rests on, and nobody else's do."""

from time import monotonic

import pytest

from gql_trader.accounts import repository
from tests.accounts.accounts_api import PASSWORD, Accounts
from tests.graphql_client import GraphQLSocket, InProcessTransport, SocketClosedError

WITHIN_SECONDS = 5.0
LOGIN = "mutation($input: LoginInput!) { login(input: $input) { accessToken } }"
HEARTBEAT = "{ me { username } }"


async def closing_code(socket: GraphQLSocket) -> int:
    """Return the code with which the server closes a socket."""
    return (await socket.closed()).code


async def test_sockets_close_within_seconds_of_every_kind_of_revocation(accounts: Accounts) -> None:
    users = ("left", "left_everywhere", "revoked", "reused", "disabled", "demoted", "stays")
    tokens = {}
    for name in users:
        await accounts.make_user(name)
        tokens[name] = await accounts.log_in(name)
    sockets = {name: accounts.socket(tokens[name]["accessToken"]) for name in users}
    anonymous = accounts.socket()
    async with (
        anonymous,
        sockets["left"],
        sockets["left_everywhere"],
        sockets["revoked"],
        sockets["reused"],
        sockets["disabled"],
        sockets["demoted"],
        sockets["stays"],
    ):
        started = monotonic()
        await accounts.mutate("logout", "endedSessions", tokens["left"]["accessToken"])
        other = await accounts.log_in("left_everywhere")
        await accounts.mutate("logout", "endedSessions", other["accessToken"], everywhere=True)
        other = await accounts.log_in("revoked")
        listed = await accounts.me(other["accessToken"], "loginSessions { id current }")
        for each in listed["loginSessions"]:
            if not each["current"]:
                token = other["accessToken"]
                await accounts.mutate("revokeLoginSession", "loginSession { id }", token, id=each["id"])
        for _ in range(2):
            await accounts.refresh(tokens["reused"]["refreshToken"])
        async with accounts.runtime.unit_of_work() as uow:
            for name, column, value in (("disabled", "status", "DISABLED"), ("demoted", "token_version", 2)):
                user = await repository.user_by_login(uow.session, name)
                setattr(user, column, value)
        for name in users[:-1]:
            assert await closing_code(sockets[name]) == 4403, name
        assert monotonic() - started < WITHIN_SECONDS
        assert await sockets["stays"].execute(HEARTBEAT) == {"data": {"me": {"username": "stays"}}}
        # A socket of nobody is not closed, gets nothing, and may log in.
        assert await anonymous.execute(HEARTBEAT) == {"data": {"me": None}}
        payload = await anonymous.execute(LOGIN, {"input": {"login": "left", "password": PASSWORD}})
        assert await accounts.me(payload["data"]["login"]["accessToken"]) == {"username": "left"}


@pytest.mark.parametrize("header", ["Bearer x", "Basic abc"])
async def test_a_socket_with_bad_credentials_is_not_opened(accounts: Accounts, header: str) -> None:
    with pytest.raises(SocketClosedError) as closed:
        async with GraphQLSocket(InProcessTransport(accounts.app), {"authorization": header}):
            pass
    assert closed.value.code == 4403
