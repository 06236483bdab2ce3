"""Random runs for hypothesis: a market, signals and a spec, all at once."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import Direction, ExecutionSpec, FillModel, Sizing, SizingKind
from gql_trader.engine.signals import Signals
from tests.factories.markets import random_bars, random_signals


@dataclass(frozen=True)
class Case:
    """All that a run is given."""

    bars: Bars
    signals: Signals
    spec: ExecutionSpec
    capital: float
    start: int


sizings = st.one_of(
    st.builds(Sizing, st.just(SizingKind.EQUITY_FRACTION), st.sampled_from([1.0, 0.5, 0.95, 1 / 3])),
    st.builds(Sizing, st.just(SizingKind.CASH), st.sampled_from([1.0, 2_500.0, 9_999.99, 1e9])),
    st.builds(Sizing, st.just(SizingKind.QUANTITY), st.sampled_from([0.001, 1.0, 33.3, 1e9])),
)
rates = st.sampled_from([0.0, 0.001, 0.0025, 0.1])
distances = st.sampled_from([None, None, 0.005, 0.02, 0.05, 0.5])
specs = st.builds(
    ExecutionSpec,
    fill=st.sampled_from(FillModel),
    maker_fee=rates,
    taker_fee=rates,
    slippage=st.sampled_from([0.0, 0.0, 0.0005, 0.01, 0.1]),
    direction=st.sampled_from(Direction),
    sizing=sizings,
    stop_loss=distances,
    take_profit=distances,
    trailing_stop=distances,
)


@st.composite
def cases(draw: st.DrawFn, shortest: int = 1, longest: int = 60) -> Case:
    """Random markets, quiet and wild, on a coarse tick or none, with dense or rare signals."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bars = random_bars(
        random,
        draw(st.integers(shortest, longest)),
        volatility=draw(st.sampled_from([0.0, 0.003, 0.02, 0.2])),
        tick=draw(st.sampled_from([None, 0.5, 5.0])),
        missing=draw(st.sampled_from([0.0, 0.3])),
    )
    signals = random_signals(random, len(bars), draw(st.sampled_from([0.0, 0.03, 0.2, 0.7])))
    start = draw(st.integers(0, len(bars) - 1))
    return Case(bars, signals, draw(specs), draw(st.sampled_from([10_000.0, 0.37, 1e9])), start)


def part(signals: Signals, start: int, stop: int) -> Signals:
    return Signals(
        signals.entry_long[start:stop],
        signals.exit_long[start:stop],
        signals.entry_short[start:stop],
        signals.exit_short[start:stop],
    )
