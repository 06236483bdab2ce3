"""Batch loaders of the optimization domain: the same number of statements, whatever the page size."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from strawberry.dataloader import DataLoader

from gql_trader.core.errors import DomainError
from gql_trader.gql.context import Context
from gql_trader.infra.keyset import PageRequest
from gql_trader.optimizations import repository
from gql_trader.optimizations.heatmaps import Cells, heatmap
from gql_trader.optimizations.paging import TrialOrdering, TrialPage, chunks_of, cut_page
from gql_trader.optimizations.trials import TrialRecord, decode_trials, follows_from_number, of_window

MOST_NUMBERS = 2**31 - 1
"""As many trials as a search can have."""


@dataclass(frozen=True, slots=True)
class SearchKey:
    """A search; its row comes along and does not count when keys are compared."""

    optimization_id: UUID
    row: Row[Any] = field(compare=False)


@dataclass(frozen=True, slots=True)
class TrialsKey:
    """A page of a search's trials."""

    search: SearchKey
    ordering: TrialOrdering
    page: PageRequest
    window: int | None = None


@dataclass(frozen=True, slots=True)
class HeatmapKey:
    """A search along two of its axes."""

    search: SearchKey
    x: str
    y: str
    window: int | None = None


@dataclass(frozen=True, slots=True)
class LoadedTrials:
    """A page with the trials on it."""

    page: TrialPage
    trials: Sequence[TrialRecord]


class OptimizationLoaders:
    """Searches of the viewer by id, their best trials, pages of their trials, heatmaps and reports."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.optimization: DataLoader[UUID, Row[Any] | None] = DataLoader(self._optimizations)
        self.best: DataLoader[SearchKey, TrialRecord | None] = DataLoader(self._best)
        self.trials: DataLoader[TrialsKey, LoadedTrials] = DataLoader(self._trials)
        self.heatmap: DataLoader[HeatmapKey, Cells] = DataLoader(self._heatmaps)
        self.report: DataLoader[UUID, Row[Any] | None] = DataLoader(self._reports)

    async def _optimizations(self, ids: Sequence[UUID]) -> list[Row[Any] | None]:
        async with self._context.uow() as uow:
            rows = await repository.optimizations_by_ids(uow.session, self._context.viewer.user_id, ids)
        return [rows.get(key) for key in ids]

    async def _reports(self, ids: Sequence[UUID]) -> list[Row[Any] | None]:
        async with self._context.uow() as uow:
            rows = await repository.reports(uow.session, ids)
        return [rows.get(key) for key in ids]

    async def _best(self, keys: Sequence[SearchKey]) -> list[TrialRecord | None]:
        async with self._context.uow() as uow:
            best = await repository.best_trials(uow.session, [key.optimization_id for key in keys])
            chunks = (
                await repository.chunks_with(uow.session, [(key, n, n) for key, n in best.items()])
                if best
                else {}
            )

        def decode() -> list[TrialRecord | None]:
            found: list[TrialRecord | None] = []
            for key in keys:
                number = best.get(key.optimization_id)
                rows = chunks.get(key.optimization_id, [])
                found.append(None if number is None else decode_trials(key.row, rows, [number]).get(number))
            return found

        return await asyncio.to_thread(decode)

    async def _trials(self, keys: Sequence[TrialsKey]) -> list[LoadedTrials | DomainError]:
        ids = list({key.search.optimization_id for key in keys})
        async with self._context.uow() as uow:
            scores = await repository.scores(uow.session, ids)

        def cut() -> list[TrialPage | DomainError]:
            pages: list[TrialPage | DomainError] = []
            for key in keys:
                try:
                    chunks = of_window(key.search.row, scores[key.search.optimization_id], key.window)
                    pages.append(cut_page(chunks, key.ordering, key.page))
                except DomainError as error:
                    # A bad cursor is refused; other lists are not touched.
                    pages.append(error)
            return pages

        pages = await asyncio.to_thread(cut)
        wanted = {
            (key.search.optimization_id, chunk.first_trial, chunk.first_trial)
            for key, page in zip(keys, pages, strict=True)
            if isinstance(page, TrialPage) and page.numbers
            for chunk in chunks_of(scores[key.search.optimization_id], page.numbers)
        }
        chunks: dict[UUID, list[Row[Any]]] = {}
        if wanted:
            async with self._context.uow() as uow:
                chunks = await repository.chunks_with(uow.session, sorted(wanted))

        def decode() -> list[LoadedTrials | DomainError]:
            found: list[LoadedTrials | DomainError] = []
            for key, page in zip(keys, pages, strict=True):
                if isinstance(page, DomainError):
                    found.append(page)
                    continue
                rows = chunks.get(key.search.optimization_id, [])
                trials = decode_trials(key.search.row, rows, page.numbers)
                # The search may have been deleted between the two statements.
                found.append(LoadedTrials(page, [trials[n] for n in page.numbers if n in trials]))
            return found

        return await asyncio.to_thread(decode)

    async def _heatmaps(self, keys: Sequence[HeatmapKey]) -> list[Cells]:
        ids = list({key.search.optimization_id for key in keys})
        async with self._context.uow() as uow:
            # Combinations that follow from their numbers need not be read.
            short = {key.search.optimization_id for key in keys if follows_from_number(key.search.row)}
            chunks = await repository.scores(uow.session, sorted(short))
            if len(short) < len(ids):
                whole = [(key, 1, MOST_NUMBERS) for key in set(ids) - short]
                chunks |= await repository.chunks_with(uow.session, whole)

        def draw() -> list[Cells]:
            return [
                heatmap(
                    key.search.row,
                    of_window(key.search.row, chunks[key.search.optimization_id], key.window),
                    key.x,
                    key.y,
                )
                for key in keys
            ]

        return await asyncio.to_thread(draw)
