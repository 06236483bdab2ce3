"""Combinations that learn from the trials before: the tree-structured Parzen estimator, by optuna.

The sampler keeps nothing between calls. Whoever runs a chunk builds it anew from the stored trials of the
generations before, so that a search goes on anywhere after a crash, and the same seed gives the same
combinations on however many workers.
"""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gql_trader.engine.bars import Floats
from gql_trader.engine.search.space import Axis, Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

MOST_TRIALS = 10_000
"""Beyond this, choosing a combination takes longer than most runs."""

FEWEST = 8
MOST = 128
"""Trials of a generation, whose combinations are chosen knowing the generations before."""

_GENERATIONS = 20


def generation_size(trials: int) -> int:
    """Return how many trials a generation has; the first is drawn at random."""
    return max(FEWEST, min(MOST, -(-trials // _GENERATIONS)))


def choose(space: Space, seed: Sequence[int], codes: Floats, scores: Floats, count: int) -> Floats:
    """Return combinations that are likely to score high, going by trials that are done.

    Multivariate TPE (J. Bergstra et al., "Algorithms for Hyper-Parameter Optimization", 2011; S. Falkner et
    al., 2018), which models the parameters of good and of other trials, and draws where the ratio is high.

    Parameters
    ----------
    seed
        Numbers that no other call of the search has.
    codes
        float64[n, axes], the combinations that were tried.
    scores
        float64[n], the higher the better; NaN counts as worse than any.
    count
        How many to choose.

    Returns
    -------
    float64[count, axes]
    """
    # Half a second to import, which only the worker that needs it should wait.
    import optuna
    from optuna.exceptions import ExperimentalWarning
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {str(place): _distribution(axis) for place, axis in enumerate(space.axes)}
    number = int(np.random.SeedSequence(seed).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=number, multivariate=True, constant_liar=True, n_startup_trials=1
        )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials(
            [
                create_trial(
                    params=_parameters(space, combination),
                    distributions=distributions,
                    **({"state": TrialState.PRUNED} if np.isnan(score) else {"value": score}),
                )
                for combination, score in zip(codes.tolist(), scores.tolist(), strict=True)
            ]
        )
        chosen = [study.ask(distributions).params for _ in range(count)]
    return np.array(
        [[float(each[str(place)]) for place in range(len(space.axes))] for each in chosen]
    ).reshape(count, len(space.axes))


def _distribution(axis: Axis) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not axis.values:
        return FloatDistribution(axis.low, axis.high, log=axis.logarithmic)
    if _ordered(axis):
        return IntDistribution(0, len(axis.values) - 1)
    return CategoricalDistribution(range(len(axis.values)))


def _ordered(axis: Axis) -> bool:
    numbers = [each for each in axis.values if isinstance(each, int | float) and not isinstance(each, bool)]
    return len(numbers) == len(axis.values) and numbers == sorted(numbers)


def _parameters(space: Space, combination: Sequence[float]) -> dict[str, int | float]:
    return {
        str(place): int(code) if axis.values else code
        for place, (axis, code) in enumerate(zip(space.axes, combination, strict=True))
    }
