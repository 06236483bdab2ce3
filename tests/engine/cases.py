"""Random runs for hypothesis: a market, signals and a spec, all at once."""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import Direction, ExecutionSpec, FillModel, Sizing, SizingKind
from gql_trader.engine.signals import Signals
from tests.factories.markets import HOUR, random_bars, random_signals


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
risks = st.builds(Sizing, st.just(SizingKind.RISK_FRACTION), st.sampled_from([0.01, 0.1, 1.0]))
rates = st.sampled_from([0.0, 0.001, 0.0025, 0.1])
distances = st.sampled_from([None, None, 0.005, 0.02, 0.05, 0.5])
tables = st.sampled_from(
    [(), ((0, 0.05),), ((0, 0.04), (120, 0.02), (600, 0.0)), ((60, 0.01),), ((0, 0.5), (1_440, 0.001))]
)


@st.composite
def specs(draw: st.DrawFn) -> ExecutionSpec:
    """Specs of all kinds; half of them with nothing that needs every bar, as most specs are."""
    stop_loss = draw(distances)
    spec = ExecutionSpec(
        fill=draw(st.sampled_from(FillModel)),
        maker_fee=draw(rates),
        taker_fee=draw(rates),
        slippage=draw(st.sampled_from([0.0, 0.0, 0.0005, 0.01, 0.1])),
        direction=draw(st.sampled_from(Direction)),
        sizing=draw(sizings if stop_loss is None else st.one_of(sizings, risks)),
        stop_loss=stop_loss,
        take_profit=draw(distances),
        trailing_stop=draw(distances),
    )
    if draw(st.booleans()):
        spec = replace(
            spec,
            leverage=draw(st.sampled_from([1.0, 1.5, 2.0, 10.0, 50.0])),
            maintenance_margin=draw(st.sampled_from([0.0, 0.005, 0.019])),
            trailing_activation=None
            if spec.trailing_stop is None
            else draw(st.sampled_from([None, 0.01, 0.03])),
            max_daily_trades=draw(st.sampled_from([None, 1, 3])),
            cooldown_bars=draw(st.sampled_from([0, 1, 4])),
            amount_precision=draw(st.sampled_from([None, 0, 2, 8, 18])),
            min_amount=draw(st.sampled_from([0.0, 0.01, 40.0])),
            min_notional=draw(st.sampled_from([0.0, 10.0, 5_000.0])),
        )
    if draw(st.booleans()):
        spec = replace(
            spec,
            minimal_roi=draw(tables),
            funding_rate_per_day=draw(st.sampled_from([0.0, 0.0003, 0.1])),
            max_daily_loss=draw(st.sampled_from([None, 0.01, 0.1])),
            daily_target=draw(st.sampled_from([None, 0.01, 0.1])),
            max_drawdown=draw(st.sampled_from([None, None, 0.02, 0.2])),
            timezone=draw(st.sampled_from([None, "America/New_York", "Asia/Kolkata", "America/St_Johns"])),
        )
    return spec


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
        interval=draw(st.sampled_from([HOUR, 8 * HOUR, 7 * 24 * HOUR])),
    )
    signals = random_signals(random, len(bars), draw(st.sampled_from([0.0, 0.03, 0.2, 0.7])))
    start = draw(st.integers(0, len(bars) - 1))
    return Case(bars, signals, draw(specs()), draw(st.sampled_from([10_000.0, 0.37, 1e9])), start)


def part(signals: Signals, start: int, stop: int) -> Signals:
    return Signals(
        signals.entry_long[start:stop],
        signals.exit_long[start:stop],
        signals.entry_short[start:stop],
        signals.exit_short[start:stop],
    )
