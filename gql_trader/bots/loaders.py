"""Batch loaders of the bots domain: one statement a batch, whatever the page size."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from sqlalchemy import Row
from strawberry.dataloader import DataLoader

from gql_trader.backtests.curves import Columns, thinned_equity
from gql_trader.bots import repository
from gql_trader.core.errors import DomainError
from gql_trader.gql.context import Context
from gql_trader.infra.keyset import PageRequest, Slice


class PageKey(NamedTuple):
    """A page of what belongs to a bot or a session."""

    owner_id: UUID
    page: PageRequest


class CurveKey(NamedTuple):
    """A session's equity at points in [low, high), Unix milliseconds; at most so many, None: all."""

    session_id: UUID
    capital: float
    low: int
    high: int
    max_points: int | None


Pages = dict[UUID, Slice[Row[Any]]]


class BotLoaders:
    """The viewer's bots, sessions, trades and orders by id, and lists of what belongs to them.

    Attributes
    ----------
    session
        With where it stands.
    unpriced_fees
        Currency and amount of an order's fees that are counted nowhere.
    positions
        A session's trades whose positions are held.
    curve
        Columns time, equity and drawdown.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.bot: DataLoader[UUID, Row[Any] | None] = DataLoader(self._by_ids(repository.bots_by_ids))
        self.session: DataLoader[UUID, Row[Any] | None] = DataLoader(self._by_ids(repository.sessions_by_ids))
        self.trade: DataLoader[UUID, Row[Any] | None] = DataLoader(self._by_ids(repository.trades_by_ids))
        self.order: DataLoader[UUID, Row[Any] | None] = DataLoader(self._by_ids(repository.orders_by_ids))
        self.unpriced_fees: DataLoader[UUID, list[Row[Any]]] = DataLoader(self._unpriced_fees)
        self.positions: DataLoader[UUID, list[Row[Any]]] = DataLoader(self._positions)
        self.sessions_of_bot: DataLoader[PageKey, Slice[Row[Any]]] = DataLoader(
            self._pages(repository.pages_of_bots_sessions)
        )
        self.trades_of_session: DataLoader[PageKey, Slice[Row[Any]]] = DataLoader(
            self._pages(repository.pages_of_trades)
        )
        self.orders_of_session: DataLoader[PageKey, Slice[Row[Any]]] = DataLoader(
            self._pages(repository.pages_of_orders)
        )
        self.decisions_of_session: DataLoader[PageKey, Slice[Row[Any]]] = DataLoader(
            self._pages(repository.pages_of_decisions)
        )
        self.decision_count: DataLoader[UUID, int] = DataLoader(self._counts(repository.counts_of_decisions))
        self.session_count: DataLoader[UUID, int] = DataLoader(
            self._counts(repository.counts_of_bots_sessions)
        )
        self.trade_count: DataLoader[UUID, int] = DataLoader(self._counts(repository.counts_of_trades))
        self.order_count: DataLoader[UUID, int] = DataLoader(self._counts(repository.counts_of_orders))
        self.curve: DataLoader[CurveKey, Columns] = DataLoader(self._curves)

    def _by_ids(
        self, read: Callable[..., Awaitable[dict[UUID, Row[Any]]]]
    ) -> Callable[[list[UUID]], Awaitable[Sequence[Row[Any] | None]]]:
        async def load(ids: list[UUID]) -> list[Row[Any] | None]:
            async with self._context.uow() as uow:
                rows = await read(uow.session, self._context.viewer.user_id, ids)
            return [rows.get(key) for key in ids]

        return load

    def _pages(
        self, read: Callable[..., Awaitable[Pages]]
    ) -> Callable[[list[PageKey]], Awaitable[Sequence[Slice[Row[Any]] | BaseException]]]:
        async def load(keys: list[PageKey]) -> list[Slice[Row[Any]] | BaseException]:
            owners: dict[PageRequest, list[UUID]] = {}
            for key in keys:
                owners.setdefault(key.page, []).append(key.owner_id)
            found: dict[PageKey, Slice[Row[Any]] | BaseException] = {}
            async with self._context.uow() as uow:
                for page, ids in owners.items():
                    try:
                        pages = await read(uow.session, self._context.viewer.user_id, ids, page)
                    except DomainError as error:
                        # Arguments are refused before they reach the database; other lists are not touched.
                        found |= {PageKey(each, page): error for each in ids}
                    else:
                        found |= {PageKey(each, page): rows for each, rows in pages.items()}
            return [found[key] for key in keys]

        return load

    def _counts(
        self, read: Callable[..., Awaitable[dict[UUID, int]]]
    ) -> Callable[[list[UUID]], Awaitable[Sequence[int]]]:
        async def load(ids: list[UUID]) -> list[int]:
            async with self._context.uow() as uow:
                counts = await read(uow.session, ids)
            return [counts.get(key, 0) for key in ids]

        return load

    async def _unpriced_fees(self, ids: list[UUID]) -> list[list[Row[Any]]]:
        async with self._context.uow() as uow:
            rows = await repository.unpriced_fees(uow.session, ids)
        return [rows.get(key, []) for key in ids]

    async def _positions(self, ids: list[UUID]) -> list[list[Row[Any]]]:
        async with self._context.uow() as uow:
            rows = await repository.open_trades(uow.session, self._context.viewer.user_id, ids)
        return [rows[key] for key in ids]

    async def _curves(self, keys: list[CurveKey]) -> list[Columns]:
        ranges: dict[tuple[int, int], set[UUID]] = {}
        for key in keys:
            ranges.setdefault((key.low, key.high), set()).add(key.session_id)
        found: dict[tuple[UUID, int, int], tuple[list[int], list[float]]] = {}
        async with self._context.uow() as uow:
            for (low, high), ids in ranges.items():
                points = await repository.equity_points(uow.session, list(ids), low, high)
                found |= {(session_id, low, high): each for session_id, each in points.items()}
        curves = []
        for key in keys:
            time, equity = found.get((key.session_id, key.low, key.high), ([], []))
            curve = {"time": np.array(time, np.int64), "equity": np.array(equity, np.float64)}
            curves.append(thinned_equity(curve, key.capital, key.max_points))
        return curves
