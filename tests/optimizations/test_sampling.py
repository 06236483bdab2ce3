"""TPE: generations that learn from those before, the same ones whoever runs them."""

import asyncio
from typing import Any

import numpy as np
import pytest

from gql_trader.backtests.types import RunStatus
from gql_trader.core.errors import DomainError
from gql_trader.engine.bars import Floats
from gql_trader.engine.search.space import Axis, Space
from gql_trader.optimizations import jobs, planning, sampling
from gql_trader.optimizations.types import ParameterRange, SearchMethod
from tests.factories.optimizations import Searches, assert_same

SPACE = Space(
    (
        Axis("period", tuple(range(2, 102))),
        Axis("stop", (), 0.001, 1.0, logarithmic=True),
        Axis("source", ("open", "close", "hl2")),
    )
)


def _score(codes: Floats) -> Floats:
    distance = (codes[:, 0] - 30) ** 2 / 1000 + (np.log10(codes[:, 1]) + 1) ** 2
    return np.asarray((codes[:, 2] == 1) - distance, np.float64)


def test_it_draws_where_trials_did_well() -> None:
    codes = SPACE.random(3, 0, 200)
    scores = _score(codes)
    chosen = sampling.choose(SPACE, (3, 201), codes, scores, 50)
    assert chosen.shape == (50, 3)
    assert np.median(_score(chosen)) > np.quantile(scores, 0.9)
    assert np.array_equal(chosen[:, [0, 2]], np.round(chosen[:, [0, 2]]))
    assert ((chosen[:, 1] >= 0.001) & (chosen[:, 1] <= 1.0)).all()


def test_the_seed_decides_and_trials_without_a_score_are_avoided() -> None:
    codes = SPACE.random(3, 0, 60)
    scores = np.where(codes[:, 0] < 50, np.nan, 1.0 + codes[:, 0] / 100)
    chosen = sampling.choose(SPACE, (1, 61), codes, scores, 20)
    assert np.array_equal(chosen, sampling.choose(SPACE, (1, 61), codes, scores, 20))
    assert not np.array_equal(chosen, sampling.choose(SPACE, (1, 62), codes, scores, 20))
    assert np.mean(chosen[:, 0] < 50) < 0.2


TPE: dict[str, Any] = {
    "method": SearchMethod.TPE,
    "trials": 24,
    "ranges": (
        ParameterRange("fast", 2, 20),
        ParameterRange("slow", 21, 120),
        ParameterRange("execution.stopLoss", 0.002, 0.2, logarithmic=True),
    ),
}


async def test_later_generations_wait_for_earlier_ones_and_two_workers_find_the_same(
    searches: Searches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "LEAST_WORK", 1)
    alone, _ = await searches.submit(**TPE)
    first = await searches.queued(alone.id)
    assert sum([(await searches.chunk(alone.id, number)).trial_count for number in first]) == 8
    assert len(first) > 1
    await searches.run(alone.id)
    both, _ = await searches.submit(**TPE, force=True)
    # Whoever finds nothing to do while the other ends a generation looks again.
    while not RunStatus((await searches.row(both.id)).status).is_final:
        await asyncio.gather(searches.run(both.id), searches.run(both.id))
    row = await searches.row(both.id)
    assert (row.status, row.trials_done) == ("COMPLETED", 24)
    assert_same(await searches.figures(both.id), await searches.figures(alone.id))


async def test_a_search_goes_on_from_what_is_stored_and_chooses_the_same(
    searches: Searches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "LEAST_WORK", 1)
    whole = await searches.complete(**TPE)
    again, _ = await searches.submit(**TPE, force=True)
    # In another order, and each chunk as by another process, which knows nothing but what is stored.
    while numbers := await searches.queued(again.id):
        await jobs.run_chunk({"runtime": searches.desk.runtime}, str(again.id), numbers[-1])
    assert_same(await searches.figures(again.id), await searches.figures(whole.id))


async def test_more_trials_than_it_can_learn_from_are_refused(searches: Searches) -> None:
    with pytest.raises(DomainError, match="at most 10000 trials"):
        await searches.submit(**{**TPE, "trials": 10_001})
