"""What an execution spec may say, and its form at rest."""

from dataclasses import replace

import pytest

from gql_trader.backtests.execution import check_execution, execution_from_json, execution_to_json
from gql_trader.engine.execution import Direction, ExecutionSpec, FillModel, Sizing, SizingKind

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
    ],
)
def test_a_spec_survives_storage(spec: ExecutionSpec) -> None:
    assert execution_from_json(execution_to_json(spec)) == spec
