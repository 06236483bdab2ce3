"""What may be searched: rules that a request is held against before anything is queued."""

from dataclasses import dataclass
from math import isfinite

from gql_trader.backtests.history import History, check_basics
from gql_trader.core.errors import DomainError, InvalidInput
from gql_trader.engine.search.scoring import LESS_IS_BETTER, Goal
from gql_trader.engine.search.space import Space
from gql_trader.optimizations import sampling
from gql_trader.optimizations.types import DEFAULT_TRIALS, OptimizationRequest, SearchMethod
from gql_trader.optimizations.windows import MOST_WINDOWS, Window, plan_windows

MAXIMUM_OBJECTIVES = 8
LARGEST_SEED = 2**31 - 1
MOST_DAYS = 20_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What one user may ask for.

    Attributes
    ----------
    active
        Queued and running searches at a time.
    hourly
        Searches queued within any hour.
    bars
        Bars of one trial.
    trials
        Trials of one search.
    work
        Bars times trials of one search.
    """

    active: int
    hourly: int
    bars: int
    trials: int
    work: int


def check_request(request: OptimizationRequest) -> list[DomainError]:
    """Return what is wrong with a request by itself, its parameters, execution and ranges apart."""
    texts = [("label", request.label), ("idempotencyKey", request.idempotency_key)]
    problems = check_basics(request.initial_capital, request.start, request.end, texts)
    problems += _check_goal(request.goal)
    if request.walk_forward is not None:
        for name, days in (
            ("trainDays", request.walk_forward.train_days),
            ("testDays", request.walk_forward.test_days),
        ):
            if not 1 <= days <= MOST_DAYS:
                problems.append(
                    InvalidInput(f"{name} is between 1 and {MOST_DAYS}; got {days}.", ("walkForward", name))
                )
    if not 0 <= request.seed <= LARGEST_SEED:
        problems.append(InvalidInput(f"seed is between 0 and {LARGEST_SEED}.", ("seed",)))
    return problems


def _check_goal(goal: Goal) -> list[DomainError]:
    problems: list[DomainError] = []
    if not 1 <= len(goal.objectives) <= MAXIMUM_OBJECTIVES:
        problems.append(InvalidInput(f"Give 1 to {MAXIMUM_OBJECTIVES} objectives.", ("objectives",)))
    if len({metric for metric, _ in goal.objectives}) < len(goal.objectives):
        problems.append(InvalidInput("Each metric is among the objectives once.", ("objectives",)))
    if len(goal.objectives) == 1:
        [(metric, weight)] = goal.objectives
        if metric in LESS_IS_BETTER and weight > 0.0:
            message = (
                f"Less {metric.value} is better: look for little of it with "
                f"objectives: [{{metric: {metric.value}, weight: -1}}]."
            )
            problems.append(InvalidInput(message, ("objectives",)))
    for index, (_, weight) in enumerate(goal.objectives):
        if not (isfinite(weight) and weight != 0.0 and abs(weight) <= 1e9):
            message = f"A weight is a number other than 0, at most 1e9; got {weight:g}."
            problems.append(InvalidInput(message, ("objectives", str(index), "weight")))
    if goal.min_trades < 0:
        problems.append(InvalidInput("minTrades is not negative.", ("minTrades",)))
    if goal.max_drawdown is not None and not 0 < goal.max_drawdown <= 1:
        message = f"maxDrawdown is a fraction above 0 and up to 1; got {goal.max_drawdown:g}."
        problems.append(InvalidInput(message, ("maxDrawdown",)))
    return problems


def count_trials(request: OptimizationRequest, space: Space, limits: Limits) -> int:
    """Return how many trials a search has, in each window.

    Raises
    ------
    InvalidInput
        If there are too few or too many.
    """
    size = space.size
    if request.method is SearchMethod.GRID:
        assert size is not None, "a grid has listed values only"
        if request.trials is not None and request.trials < size:
            message = f"The grid has {size} combinations and tries all; leave trials out, or use RANDOM."
            raise InvalidInput(message, ("trials",))
        trials, path = size, "ranges"
    else:
        trials, path = DEFAULT_TRIALS if request.trials is None else request.trials, "trials"
        if trials < 1:
            raise InvalidInput(f"trials is at least 1; got {trials}.", ("trials",))
        if size is not None and trials >= size:
            message = f"There are {size} combinations; GRID tries each of them once."
            raise InvalidInput(message, ("trials",))
    if request.method is SearchMethod.TPE and trials > sampling.MOST_TRIALS:
        raise InvalidInput(f"TPE has at most {sampling.MOST_TRIALS} trials; got {trials}.", ("trials",))
    if trials > limits.trials:
        raise InvalidInput(f"A search has at most {limits.trials} trials; this would be {trials}.", (path,))
    return trials


def windows_for(request: OptimizationRequest, history: History) -> list[Window]:
    """Return the windows of a walk-forward search; none if it is none.

    Raises
    ------
    InvalidInput
        If none fits into the history, or too many do.
    """
    if request.walk_forward is None:
        return []
    time = history.loaded.bars.time[history.loaded.warmup :]
    windows = plan_windows(time, history.start, history.end, request.walk_forward)
    if not windows:
        message = (
            f"There are no candles behind the first {request.walk_forward.train_days} days to test on; "
            "take a longer range or fewer trainDays."
        )
        raise InvalidInput(message, ("walkForward", "trainDays"))
    if len(windows) > MOST_WINDOWS:
        message = f"At most {MOST_WINDOWS} windows; this would be {len(windows)}. Take more testDays."
        raise InvalidInput(message, ("walkForward", "testDays"))
    return windows
