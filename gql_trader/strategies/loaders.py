"""What one operation shares in the strategy domain: batch loaders, and a bound on checks of rules."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from strawberry.dataloader import DataLoader

from gql_trader.core.errors import InvalidInput
from gql_trader.core.intervals import Interval
from gql_trader.engine.rules import MAXIMUM_TOTAL_LENGTH, Parameter, Rules
from gql_trader.gql.context import Context
from gql_trader.strategies import repository
from gql_trader.strategies.checking import Check, check_strategy
from gql_trader.strategies.types import StrategyRecord


class StrategyLoaders:
    """Strategies that the viewer sees, by id, one statement a batch.

    Attributes
    ----------
    strategy
        Deleted ones too: a backtest still shows what it ran.
    present
        Without deleted ones.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.strategy: DataLoader[UUID, StrategyRecord | None] = DataLoader(self._with_deleted)
        self.present: DataLoader[UUID, StrategyRecord | None] = DataLoader(self._without_deleted)

    async def _with_deleted(self, ids: Sequence[UUID]) -> list[StrategyRecord | None]:
        return await self._load(ids, deleted=True)

    async def _without_deleted(self, ids: Sequence[UUID]) -> list[StrategyRecord | None]:
        return await self._load(ids, deleted=False)

    async def _load(self, ids: Sequence[UUID], *, deleted: bool) -> list[StrategyRecord | None]:
        viewer = self._context.viewer.user_id
        async with self._context.uow() as uow:
            found = await repository.by_ids(uow.session, viewer, ids, deleted=deleted)
        return [found.get(key) for key in ids]


class RuleChecks:
    """Checks of rules, off the event loop, one at a time, and together no longer than one strategy.

    A field may be repeated under many names, so that a bound on each check alone would bound nothing.
    """

    def __init__(self, _context: Context) -> None:
        self._left = MAXIMUM_TOTAL_LENGTH
        self._turn = asyncio.Lock()

    async def check(
        self, rules: Rules, parameters: Sequence[Parameter], interval: Interval | None = None
    ) -> Check:
        """Return what `check_strategy` does.

        Raises
        ------
        InvalidInput
            If the operation's checks exceed the length in all.
        """
        length = rules.total_length
        # A strategy that is too long by itself is an issue like others, and costs nothing.
        if length <= MAXIMUM_TOTAL_LENGTH:
            if length > self._left:
                message = f"One request checks rules of at most {MAXIMUM_TOTAL_LENGTH} characters in all."
                raise InvalidInput(message, ("input",))
            self._left -= length
        async with self._turn:
            return await asyncio.to_thread(check_strategy, rules, parameters, interval)
