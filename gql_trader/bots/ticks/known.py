"""What never changes of the sessions that trade, kept in the process: a tick reads only what does change."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Text, cast, select

from gql_trader.bots.models import TradingSessionRow
from gql_trader.bots.ticks.running import terms_of
from gql_trader.bots.ticks.stepping import Terms
from gql_trader.infra import json_codec
from gql_trader.infra.bulk import rows_of
from gql_trader.infra.unit_of_work import UnitOfWork

_SESSIONS = TradingSessionRow.__table__.c
_MOST = 30_000

Version = tuple[UUID, int]

_COLUMNS = (
    _SESSIONS.id,
    _SESSIONS.user_id,
    _SESSIONS.bot_id,
    _SESSIONS.strategy_id,
    _SESSIONS.strategy_version,
    # As texts: most are the same, and are read once.
    cast(_SESSIONS.parameters, Text).label("parameters"),
    cast(_SESSIONS.execution, Text).label("execution"),
    _SESSIONS.capital,
    _SESSIONS.equity_every,
    _SESSIONS.check_seconds,
    _SESSIONS.trade_from,
)


@dataclass(frozen=True, eq=False, slots=True)
class Program:
    """A version of a strategy with the values of its parameters: one object for all sessions that run it."""

    strategy_id: UUID
    strategy_version: int
    parameters: dict[str, Any]

    @property
    def version(self) -> Version:
        """What the definition is found by."""
        return self.strategy_id, self.strategy_version


@dataclass(frozen=True, slots=True)
class KnownSession:
    """What a session was started with; all of it stays as it is."""

    terms: Terms
    program: Program
    check_seconds: int
    trade_from: datetime


_known: dict[UUID, KnownSession] = {}


async def known_sessions(uow: UnitOfWork, session_ids: Iterable[UUID]) -> dict[UUID, KnownSession]:
    """Return what sessions were started with; only those that were not met lately are read.

    The caller has read that they trade.
    """
    found: dict[UUID, KnownSession] = {}
    missing: list[UUID] = []
    for key in session_ids:
        session = _known.get(key)
        if session is None:
            missing.append(key)
        else:
            found[key] = session
    if missing:
        given = rows_of([_SESSIONS.id], [(key,) for key in missing])
        statement = select(*_COLUMNS).join(given, given.c.id == _SESSIONS.id)
        fresh = {row.id: _session(row) for row in await uow.session.execute(statement)}
        found |= fresh
        _known.update(fresh)
        while len(_known) > _MOST:
            del _known[next(iter(_known))]
    return found


def _session(row: Row[Any]) -> KnownSession:
    program = _program(row.strategy_id, row.strategy_version, row.parameters)
    return KnownSession(terms_of(row), program, row.check_seconds, row.trade_from)


@lru_cache(maxsize=10_000)
def _program(strategy_id: UUID, strategy_version: int, parameters: str) -> Program:
    return Program(strategy_id, strategy_version, json_codec.loads(parameters))
