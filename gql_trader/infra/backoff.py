"""Pauses between attempts."""

from collections.abc import Callable
from random import SystemRandom

LEAST_SECONDS = 1.0

_uniform = SystemRandom().uniform


def full_jitter(ceiling: float, uniform: Callable[[float, float], float] = _uniform) -> float:
    """Return a pause in seconds, drawn evenly up to a ceiling.

    Many that failed together do not come back together. See "Exponential Backoff And Jitter", AWS
    Architecture Blog, 2015.

    Parameters
    ----------
    ceiling
        Longest pause; the caller lets it grow with each attempt.
    """
    return uniform(min(LEAST_SECONDS, ceiling), ceiling)
