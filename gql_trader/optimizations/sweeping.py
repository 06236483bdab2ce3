"""Chunks that dead workers were at."""

from sqlalchemy import select

from gql_trader.core.ids import OptimizationId
from gql_trader.infra.runs import gave_up
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.optimizations.lifecycle import CHUNKS, fail, hand_back, of_active
from gql_trader.optimizations.models import OptimizationChunkRow
from gql_trader.optimizations.types import Claim

_CHUNK = OptimizationChunkRow


async def expired(uow: UnitOfWork) -> list[tuple[Claim, int]]:
    """Return the chunks whose workers have died, with how many had died before."""
    statement = select(_CHUNK.optimization_id, _CHUNK.number, _CHUNK.attempt, _CHUNK.crashes).where(
        CHUNKS.is_expired(), of_active()
    )
    return [
        (Claim(OptimizationId(key), number, attempt), crashes)
        for key, number, attempt, crashes in (await uow.session.execute(statement)).all()
    ]


async def take_over(uow: UnitOfWork, held: Claim, crashes: int) -> bool:
    """Queue a dead worker's chunk again, or fail a search that keeps killing workers."""
    if reason := gave_up(crashes, "one part"):
        return await fail(uow, held, reason, expired=True)
    return await hand_back(uow, held, crashed=True, expired=True)
