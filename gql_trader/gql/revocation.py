"""Closing the sockets and event streams of those whose credentials have ended before their time."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable
from typing import NoReturn, Protocol

import structlog

from gql_trader.gql.context import Services

_log = structlog.get_logger(__name__)

REVOCATION_SECONDS = 2.0

EndedGrants = Callable[[Services, Collection[Hashable]], Awaitable[Collection[Hashable]]]
"""Returns those of the grants that are not good any more."""


class Watched(Protocol):
    """A socket or event stream of somebody who is signed in.

    Attributes
    ----------
    grant
        What its credentials rest on; None if only judging them anew can tell.
    """

    @property
    def grant(self) -> Hashable | None: ...
    def refuse(self) -> None:
        """Close the socket: its credentials are not good any more."""

    async def judge_again(self) -> None:
        """Judge the credentials anew, and close the socket if they are not good any more."""


class RevocationWatch:
    """Look every few seconds whether the credentials of open sockets are still good.

    The database is asked, since it knows at once and for certain; a message sent round when something is
    revoked might be lost. One statement does for all sockets of the process.

    Parameters
    ----------
    ended
        Which grants are not good any more; None if credentials have none.
    seconds
        Pause between two looks.
    """

    def __init__(
        self,
        services: Callable[[], Services],
        ended: EndedGrants | None = None,
        seconds: float = REVOCATION_SECONDS,
    ) -> None:
        self._services = services
        self._ended = ended or _none_ended
        self._seconds = seconds
        self._sockets: set[Watched] = set()
        self._task: asyncio.Task[NoReturn] | None = None

    def add(self, socket: Watched) -> None:
        """Watch a socket from now on."""
        self._sockets.add(socket)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="revocation watch")

    def remove(self, socket: Watched) -> None:
        """Watch a socket no more; nothing happens if it was not watched."""
        self._sockets.discard(socket)
        if not self._sockets and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> NoReturn:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self._look()
            except Exception:
                # The database may be away. Without this task nobody would ever look again.
                _log.exception("revocations_not_looked_up", sockets=len(self._sockets))

    async def _look(self) -> None:
        sockets = list(self._sockets)
        grants = {socket.grant for socket in sockets if socket.grant is not None}
        if grants:
            ended = set(await self._ended(self._services(), grants))
            for socket in sockets:
                if socket.grant in ended:
                    socket.refuse()
        for socket in sockets:
            if socket.grant is None and socket in self._sockets:
                await socket.judge_again()


async def _none_ended(_services: Services, _grants: Collection[Hashable]) -> Collection[Hashable]:
    return ()
