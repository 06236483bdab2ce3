"""Jobs of live bots: acting on bars that have closed, and looking at positions between them."""

from typing import Any
from uuid import UUID

from gql_trader.bots.live.bots import closes


async def live_bot(ctx: dict[str, Any], session_id: str) -> None:
    """Act on the bars of a live bot that have closed; calling it again places nothing again."""
    await closes.step(ctx["runtime"], UUID(session_id))


async def check_live_bot(ctx: dict[str, Any], session_id: str) -> None:
    """Look at the position of a live bot between closes; calling it again places nothing again."""
    await closes.check(ctx["runtime"], UUID(session_id))
