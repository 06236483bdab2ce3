"""How often progress is told."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gql_trader.backtests.progress import EventBudget


@given(st.lists(st.floats(min_value=0, max_value=0.5), min_size=1, max_size=300))
def test_never_more_than_the_budget_in_any_second(pauses: list[float]) -> None:
    moments = list(itertools.accumulate(pauses))
    now = iter(moments)
    budget = EventBudget(20, lambda: next(now))
    allowed = [moment for moment in moments if budget.allows()]
    for begin in allowed:
        assert sum(begin <= moment < begin + 1.0 for moment in allowed) <= 20


def test_ten_events_in_a_fifth_of_a_second_are_fine() -> None:
    now = iter(index * 0.02 for index in range(10))
    budget = EventBudget(20, lambda: next(now))
    assert all(budget.allows() for _ in range(10))
