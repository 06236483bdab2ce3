"""What an execution spec may say, and its form at rest."""

import json
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from gql_trader.backtests.content import request_hash
from gql_trader.backtests.execution import (
    check_execution,
    execution_from_json,
    execution_to_json,
    on_market,
    roi_table,
)
from gql_trader.backtests.types import BacktestRequest
from gql_trader.core.errors import InvalidInput
from gql_trader.core.ids import AssetId, MarketId, StrategyId
from gql_trader.core.intervals import Interval
from gql_trader.engine.execution import Direction, ExecutionSpec, FillModel, Sizing, SizingKind
from gql_trader.market_data.types import MarketRecord

GOOD = ExecutionSpec()
NAN = float("nan")


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (replace(GOOD, maker_fee=-0.001), ("execution", "makerFee")),
        (replace(GOOD, taker_fee=0.2), ("execution", "takerFee")),
        (replace(GOOD, slippage=NAN), ("execution", "slippage")),
        (replace(GOOD, stop_loss=0.0), ("execution", "stopLoss")),
        (replace(GOOD, stop_loss=1.0), ("execution", "stopLoss")),
        (replace(GOOD, trailing_stop=-0.1), ("execution", "trailingStop")),
        (replace(GOOD, take_profit=NAN), ("execution", "takeProfit")),
        (replace(GOOD, take_profit=1.0, direction=Direction.BOTH), ("execution", "takeProfit")),
        (
            replace(GOOD, sizing=Sizing(SizingKind.EQUITY_FRACTION, 1.01)),
            ("execution", "sizing", "equityFraction"),
        ),
        (replace(GOOD, sizing=Sizing(SizingKind.CASH, 0.0)), ("execution", "sizing", "cash")),
        (
            replace(GOOD, sizing=Sizing(SizingKind.QUANTITY, float("inf"))),
            ("execution", "sizing", "quantity"),
        ),
        (
            replace(GOOD, stop_loss=0.1, sizing=Sizing(SizingKind.RISK_FRACTION, 1.5)),
            ("execution", "sizing", "riskFraction"),
        ),
        (
            replace(GOOD, sizing=Sizing(SizingKind.RISK_FRACTION, 0.01)),
            ("execution", "sizing", "riskFraction"),
        ),
        (replace(GOOD, leverage=0.5), ("execution", "leverage")),
        (replace(GOOD, leverage=126.0), ("execution", "leverage")),
        (replace(GOOD, leverage=NAN), ("execution", "leverage")),
        (replace(GOOD, maintenance_margin=-0.1), ("execution", "maintenanceMargin")),
        (replace(GOOD, leverage=10.0, maintenance_margin=0.1), ("execution", "maintenanceMargin")),
        (replace(GOOD, funding_rate_per_day=0.2), ("execution", "fundingRatePerDay")),
        (replace(GOOD, funding_rate_per_day=-0.001), ("execution", "fundingRatePerDay")),
        (replace(GOOD, trailing_activation=0.1), ("execution", "trailingActivation")),
        (
            replace(GOOD, trailing_stop=0.1, trailing_activation=1.0, direction=Direction.SHORT),
            ("execution", "trailingActivation"),
        ),
        (replace(GOOD, minimal_roi=((0, 0.1), (30, -0.1))), ("execution", "minimalRoi", "30")),
        (
            replace(GOOD, minimal_roi=((5, 1.0),), direction=Direction.BOTH),
            ("execution", "minimalRoi", "5"),
        ),
        (replace(GOOD, max_daily_loss=1.0), ("execution", "maxDailyLoss")),
        (replace(GOOD, daily_target=0.0), ("execution", "dailyTarget")),
        (replace(GOOD, max_daily_trades=0), ("execution", "maxDailyTrades")),
        (replace(GOOD, cooldown_bars=-1), ("execution", "cooldownBars")),
    ],
)
def test_a_value_out_of_range_is_named_by_its_path(spec: ExecutionSpec, path: tuple[str, ...]) -> None:
    assert [error.path for error in check_execution(spec)] == [path]


def test_a_target_of_several_hundred_percent_is_fine_for_longs_only() -> None:
    assert check_execution(replace(GOOD, take_profit=3.0)) == []


def test_all_problems_are_reported_at_once() -> None:
    spec = replace(GOOD, maker_fee=1.0, taker_fee=1.0, slippage=1.0, stop_loss=2.0)
    assert len(check_execution(spec)) == 4


@pytest.mark.parametrize(
    "spec",
    [
        GOOD,
        ExecutionSpec(
            FillModel.CLOSE, 0.0, 0.1, 0.01, Direction.BOTH, Sizing(SizingKind.QUANTITY, 0.25), 0.1, 0.2, 0.3
        ),
        ExecutionSpec(
            sizing=Sizing(SizingKind.RISK_FRACTION, 0.01),
            stop_loss=0.1,
            trailing_stop=0.1,
            trailing_activation=0.2,
            minimal_roi=((0, 0.1), (30, 0.05), (600, 0.0)),
            leverage=3.0,
            maintenance_margin=0.01,
            funding_rate_per_day=0.0003,
            max_daily_loss=0.05,
            daily_target=0.1,
            max_daily_trades=3,
            cooldown_bars=2,
            amount_precision=0,
            min_amount=0.001,
            min_notional=10.0,
        ),
    ],
)
def test_a_spec_survives_storage(spec: ExecutionSpec) -> None:
    assert execution_from_json(json.loads(json.dumps(execution_to_json(spec)))) == spec


VERSION_1 = {
    "fill": "CLOSE",
    "makerFee": 0.001,
    "takerFee": 0.002,
    "slippage": 0.0,
    "direction": "BOTH",
    "sizing": {"cash": 100.0},
    "stopLoss": 0.1,
    "takeProfit": None,
    "trailingStop": None,
}


def test_a_spec_of_the_first_engine_is_still_read_and_still_has_the_form_it_had() -> None:
    spec = execution_from_json(VERSION_1)
    assert spec == ExecutionSpec(
        FillModel.CLOSE, 0.001, 0.002, 0.0, Direction.BOTH, Sizing(SizingKind.CASH, 100.0), 0.1
    )
    assert execution_to_json(spec) == VERSION_1


def test_an_idempotency_key_of_an_earlier_release_is_still_known() -> None:
    # The hash that the release without leverage and guards stored for this request.
    request = BacktestRequest(StrategyId(UUID(int=7)), "test:BTC/USD", Interval.H1)
    assert request_hash(request) == "f9b32787332aeb7cdf0a409506e93f29b910808048ca2d49d771b36cf3c5b9f3"


def test_what_is_new_in_a_spec_changes_the_hash() -> None:
    request = BacktestRequest(StrategyId(UUID(int=7)), "test:BTC/USD", Interval.H1)
    changed = [
        {"leverage": 2.0},
        {"minimal_roi": ((0, 0.1),)},
        {"max_daily_trades": 1},
        {"cooldown_bars": 1},
        {"funding_rate_per_day": 0.001},
    ]
    specs = [ExecutionSpec(), *(ExecutionSpec(**each) for each in changed)]  # type: ignore[arg-type]
    assert len({request_hash(replace(request, execution=spec)) for spec in specs}) == len(specs)


def test_a_table_of_returns_is_read_by_ascending_minutes() -> None:
    assert roi_table({"60": 0, "0": 0.04, "30": 0.02}) == ((0, 0.04), (30, 0.02), (60, 0.0))
    assert roi_table({}) == ()


@pytest.mark.parametrize(
    ("table", "path"),
    [
        ([0.1], ("execution", "minimalRoi")),
        ({str(minutes): 0.1 for minutes in range(101)}, ("execution", "minimalRoi")),
        ({"soon": 0.1}, ("execution", "minimalRoi", "soon")),
        ({"-1": 0.1}, ("execution", "minimalRoi", "-1")),
        ({"007": 0.1}, ("execution", "minimalRoi", "007")),
        ({"99999999": 0.1}, ("execution", "minimalRoi", "99999999")),
        ({"0": "much"}, ("execution", "minimalRoi", "0")),
        ({"0": True}, ("execution", "minimalRoi", "0")),
    ],
)
def test_a_table_of_returns_that_is_none_is_refused(table: object, path: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput) as caught:
        roi_table(table)
    assert caught.value.path == path


def test_the_market_gives_the_steps_and_the_minimum_of_quantities() -> None:
    ids = (AssetId(UUID(int=1)), AssetId(UUID(int=2)))
    market = MarketRecord(
        MarketId(UUID(int=3)), "test", "BTC/USD", *ids, True, 2, 5, Decimal("0.0001"), Decimal(10)
    )
    spec = on_market(ExecutionSpec(leverage=2.0), market)
    assert spec == ExecutionSpec(leverage=2.0, amount_precision=5, min_amount=0.0001, min_notional=10.0)
    unknown = on_market(ExecutionSpec(), replace(market, min_amount=None, min_notional=None))
    assert unknown == ExecutionSpec(amount_precision=5)
