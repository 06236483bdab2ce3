"""Execution specs: their rules, and their form at rest."""

from collections.abc import Iterator
from math import isfinite
from typing import Any

from gql_trader.core.errors import DomainError, InvalidInput
from gql_trader.engine.execution import Direction, ExecutionSpec, FillModel, Sizing, SizingKind

MAXIMUM_RATE = 0.1

_SIZING_NAMES = {
    SizingKind.EQUITY_FRACTION: "equityFraction",
    SizingKind.CASH: "cash",
    SizingKind.QUANTITY: "quantity",
}


def check_execution(spec: ExecutionSpec) -> list[DomainError]:
    """Return everything that is wrong with a spec, with paths in the API's spelling."""
    return [InvalidInput(message, ("execution", *path)) for path, message in _problems(spec)]


def _problems(spec: ExecutionSpec) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, rate in (
        ("makerFee", spec.maker_fee),
        ("takerFee", spec.taker_fee),
        ("slippage", spec.slippage),
    ):
        if not 0 <= rate <= MAXIMUM_RATE:
            yield (name,), f"{name} is a fraction between 0 and {MAXIMUM_RATE}; got {rate:g}."
    for name, distance in (("stopLoss", spec.stop_loss), ("trailingStop", spec.trailing_stop)):
        if distance is not None and not 0 < distance < 1:
            yield (name,), f"{name} is a fraction between 0 and 1, such as 0.02 for 2 %; got {distance:g}."
    if spec.take_profit is not None:
        highest = 100.0 if spec.direction is Direction.LONG else 1.0
        if not (0 < spec.take_profit < highest):
            yield (
                ("takeProfit",),
                f"takeProfit is a fraction between 0 and {highest:g}, such as 0.04 for 4 %; "
                f"got {spec.take_profit:g}.",
            )
    value = spec.sizing.value
    name = _SIZING_NAMES[spec.sizing.kind]
    if spec.sizing.kind is SizingKind.EQUITY_FRACTION:
        if not 0 < value <= 1:
            yield ("sizing", name), f"equityFraction is above 0 and at most 1; got {value:g}."
    elif not (isfinite(value) and 0 < value <= 1e15):
        yield ("sizing", name), f"{name} must be above 0; got {value:g}."


def execution_to_json(spec: ExecutionSpec) -> dict[str, Any]:
    """Return a spec as the JSON object kept in the database and hashed."""
    # + 0.0 makes −0.0 positive, as PostgreSQL would: what is hashed is what is read again.
    return {
        "fill": spec.fill.value,
        "makerFee": spec.maker_fee + 0.0,
        "takerFee": spec.taker_fee + 0.0,
        "slippage": spec.slippage + 0.0,
        "direction": spec.direction.value,
        "sizing": {_SIZING_NAMES[spec.sizing.kind]: spec.sizing.value},
        "stopLoss": spec.stop_loss,
        "takeProfit": spec.take_profit,
        "trailingStop": spec.trailing_stop,
    }


def execution_from_json(data: dict[str, Any]) -> ExecutionSpec:
    """Return the spec that `execution_to_json` wrote."""
    [(name, value)] = data["sizing"].items()
    kinds = {name: kind for kind, name in _SIZING_NAMES.items()}
    return ExecutionSpec(
        fill=FillModel(data["fill"]),
        maker_fee=data["makerFee"],
        taker_fee=data["takerFee"],
        slippage=data["slippage"],
        direction=Direction(data["direction"]),
        sizing=Sizing(kinds[name], value),
        stop_loss=data["stopLoss"],
        take_profit=data["takeProfit"],
        trailing_stop=data["trailingStop"],
    )
