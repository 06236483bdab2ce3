"""What a resolver can reach: the viewer, the services of this process, and this operation's loaders."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

import strawberry

from gql_trader.config import Settings
from gql_trader.core.actor import Actor
from gql_trader.core.clock import Clock
from gql_trader.engine.plugins import PluginRegistry
from gql_trader.gql.client import Client
from gql_trader.gql.errors import ApiError, unauthenticated
from gql_trader.infra.answers import Answers
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.cost_budget import CostBudget
from gql_trader.infra.database import Database
from gql_trader.infra.event_streams import EventStreams
from gql_trader.infra.exchange.exchanges import Exchanges
from gql_trader.infra.job_queue import JobQueue
from gql_trader.infra.jwks import IdentityTokens
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.passwords import PasswordHasher
from gql_trader.infra.public_http import PublicHttp
from gql_trader.infra.rate_limits import RateLimits
from gql_trader.infra.signed_links import SignedLinks
from gql_trader.infra.tokens import AccessTokens
from gql_trader.infra.unit_of_work import UnitOfWork

L = TypeVar("L")

MOST_NUMBERS = 4_000_000
"""Numbers that the columns of one operation may have: a year of one-minute candles has 3.2 million."""


class Services(Protocol):
    """The parts of the process that resolvers use; `gql_trader.runtime.Runtime` has them."""

    @property
    def settings(self) -> Settings: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def database(self) -> Database: ...
    @property
    def queue(self) -> JobQueue: ...
    @property
    def events(self) -> EventStreams: ...
    @property
    def answers(self) -> Answers: ...
    @property
    def arrays(self) -> ArrayCache: ...
    @property
    def passwords(self) -> PasswordHasher: ...
    @property
    def tokens(self) -> AccessTokens: ...
    @property
    def links(self) -> SignedLinks: ...
    @property
    def public_http(self) -> PublicHttp: ...
    @property
    def keys(self) -> KeyRing: ...
    @property
    def rate_limits(self) -> RateLimits: ...
    @property
    def budget(self) -> CostBudget: ...
    @property
    def identity(self) -> IdentityTokens | None: ...
    @property
    def exchanges(self) -> Exchanges: ...
    @property
    def plugins(self) -> PluginRegistry: ...
    def unit_of_work(self) -> UnitOfWork: ...


@dataclass
class Context:
    """One operation's context; never shared between operations, not even on one WebSocket.

    Attributes
    ----------
    actor
        The signed-in user, or None.
    authentication_problem
        Why credentials that were sent were not accepted; shown when a field needs a user.
    client
        Who is at the other end of the connection.
    cost
        Points that the operation costs.
    """

    services: Services
    request_id: str
    actor: Actor | None = None
    authentication_problem: str | None = None
    client: Client = field(default_factory=Client)
    cost: int = 0
    _loaders: dict[Callable[..., Any], Any] = field(default_factory=dict)
    _numbers: int = 0

    @property
    def viewer(self) -> Actor:
        """The signed-in user.

        Raises
        ------
        ApiError
            UNAUTHENTICATED, if nobody is signed in.
        """
        if self.actor is None:
            raise unauthenticated(self.authentication_problem)
        return self.actor

    @property
    def payer(self) -> str:
        """Whose budget the operation is paid from: the user's, or that of the client's network."""
        return str(self.actor.user_id) if self.actor else f"anonymous:{self.client.network}"

    def uow(self) -> UnitOfWork:
        """Return a new unit of work; sibling resolvers run concurrently and never share one."""
        return self.services.unit_of_work()

    def loaders(self, kind: Callable[["Context"], L]) -> L:
        """Return this operation's instance of a domain's loaders, making it on first use."""
        if kind not in self._loaders:
            self._loaders[kind] = kind(self)
        return self._loaders[kind]  # type: ignore[no-any-return]

    def spend(self, numbers: int) -> None:
        """Count numbers that a resolver is about to return, before it makes them.

        A limit on the document cannot tell a small column from a large one; this can.

        Raises
        ------
        ApiError
            QUERY_TOO_COMPLEX, if the operation would return more than `MOST_NUMBERS`.
        """
        if self._numbers + numbers > MOST_NUMBERS:
            raise ApiError(
                f"The columns of one operation have at most {MOST_NUMBERS:,} numbers; this one would add "
                f"{numbers:,} to {self._numbers:,}. Pass maxPoints, or ask for less at a time.",
                "QUERY_TOO_COMPLEX",
                limit="numbers",
                maximum=MOST_NUMBERS,
            )
        self._numbers += numbers

    def forget_loaded(self) -> None:
        """Drop all loaders, so that the next event of a subscription sees fresh rows."""
        self._loaders.clear()
        self._numbers = 0


Info = strawberry.Info[Context, None]
