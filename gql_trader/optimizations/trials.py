"""Trials at rest: compressed columns a chunk, a few dozen bytes a trial."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Row

from gql_trader.engine.bars import Floats
from gql_trader.engine.search.scoring import METRICS, Goal, Objective, best_of
from gql_trader.engine.search.space import Space, Value
from gql_trader.infra.column_codec import decode_columns, encode_columns
from gql_trader.optimizations.lifecycle import Trials
from gql_trader.optimizations.ranges import axes_from_json
from gql_trader.optimizations.types import SearchMethod


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """A trial that has been run.

    Attributes
    ----------
    number
        Counted from 1 over the whole search.
    window
        Window of a walk-forward search, counted from 0; None: it is none.
    values
        What was searched, by axis name.
    score
        The objective; None where the trial has none.
    valid
        False: the combination could not be run, and there are no figures.
    metrics
        Figures by the names of `METRICS`; None where undefined.
    """

    number: int
    window: int | None
    values: Mapping[str, Value]
    score: float | None
    valid: bool
    metrics: Mapping[str, float | None]


def goal_of(search: Row[Any]) -> Goal:
    """Return the objective of a search."""
    objectives = [(Objective(each["metric"]), float(each["weight"])) for each in search.objectives]
    return Goal(objectives, search.min_trades, search.max_drawdown)


def space_of(search: Row[Any]) -> Space:
    """Return the space of a search."""
    return axes_from_json(search.axes)


def window_count(search: Row[Any]) -> int:
    """Return how many windows a search has: 1 unless it walks forward."""
    return len(search.walk_forward["windows"]) if search.walk_forward else 1


def trials_per_window(search: Row[Any]) -> int:
    """Return how many trials each window has."""
    return int(search.trials_total // window_count(search))


def window_of(search: Row[Any], number: int) -> int | None:
    """Return the window of a trial, counted from 0; None unless the search walks forward."""
    return (number - 1) // trials_per_window(search) if search.walk_forward else None


def of_window(search: Row[Any], chunks: Sequence[Row[Any]], window: int | None) -> Sequence[Row[Any]]:
    """Return those of a search's chunks that are of a window, counted from 0; None: all."""
    if window is None:
        return chunks
    # No chunk has trials of two windows.
    return [row for row in chunks if window_of(search, row.first_trial) == window]


def follows_from_number(search: Row[Any]) -> bool:
    """Return whether a combination follows from its number alone, so that it need not be stored."""
    return SearchMethod(search.method) is not SearchMethod.TPE


def numbered_codes(search: Row[Any], space: Space, first: int, count: int) -> Floats:
    """Return the combinations of trials by number, counted from 1, where they follow from it.

    Returns
    -------
    float64[count, axes]
    """
    # Every window of a walk-forward search tries the same combinations.
    place = (first - 1) % trials_per_window(search)
    if search.method == SearchMethod.GRID.value:
        return space.grid(place, count)
    return space.random(search.seed, place, count)


def codes_of(search: Row[Any], space: Space, chunk: Row[Any]) -> Floats:
    """Return the combinations of a chunk that is done, float64[trials, axes].

    The chunk's trials are needed unless the combinations follow from their numbers.
    """
    if follows_from_number(search):
        return numbered_codes(search, space, chunk.first_trial, chunk.trial_count)
    columns = decode_columns(chunk.trials)
    return np.stack([columns[_code(place)] for place in range(len(space.axes))], axis=1)


def _code(place: int) -> str:
    return f"code{place}"


def encode_trials(metrics: Mapping[str, Floats], goal: Goal, first: int, codes: Floats | None) -> Trials:
    """Return what is stored of a chunk's trials, the first of which has this number.

    Parameters
    ----------
    codes
        float64[trials, axes], the combinations; None where they follow from the numbers.
    """
    scores = goal.scores(metrics)
    best = best_of(scores)
    chosen = {} if codes is None else {_code(place): codes[:, place] for place in range(codes.shape[1])}
    return Trials(
        scores=encode_columns({"score": scores}),
        trials=encode_columns({name: metrics[name] for name in METRICS} | chosen),
        best_score=None if best is None else float(scores[best]),
        best_trial=None if best is None else first + best,
    )


def decode_scores(chunks: Sequence[Row[Any]]) -> tuple[Floats, Floats]:
    """Return the numbers and the scores of all trials of some chunks, float64 and int64, in order."""
    numbers = [np.arange(row.first_trial, row.first_trial + row.trial_count) for row in chunks]
    scores = [decode_columns(row.scores)["score"] for row in chunks]
    if not chunks:
        return np.empty(0, np.int64), np.empty(0)
    return np.concatenate(numbers), np.concatenate(scores)


def decode_trials(
    search: Row[Any], chunks: Sequence[Row[Any]], wanted: Sequence[int]
) -> dict[int, TrialRecord]:
    """Return the trials with some numbers out of the chunks that have them, by number."""
    space = space_of(search)
    asked = np.array(sorted(wanted), dtype=np.int64)
    found: dict[int, TrialRecord] = {}
    for row in chunks:
        inside = asked[(asked >= row.first_trial) & (asked < row.first_trial + row.trial_count)]
        if not len(inside):
            continue
        scores = decode_columns(row.scores)["score"]
        columns = decode_columns(row.trials)
        codes = codes_of(search, space, row)
        for number in inside.tolist():
            place = number - row.first_trial
            found[number] = TrialRecord(
                number=number,
                window=window_of(search, number),
                values=space.values(codes[place].tolist()),
                score=_defined(scores[place]),
                valid=not bool(np.isnan(columns["total_return"][place])),
                metrics={name: _defined(columns[name][place]) for name in METRICS},
            )
    return found


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
