"""Execution specs: their rules, and their form at rest."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

from gql_trader.core.errors import DomainError, InvalidInput
from gql_trader.core.money import to_float
from gql_trader.core.zones import UTC_ZONE, time_zones
from gql_trader.engine.execution import Direction, ExecutionSpec, FillModel, Sizing, SizingKind
from gql_trader.market_data.types import MarketRecord

MAXIMUM_RATE = 0.1
MAXIMUM_LEVERAGE = 125.0
MAXIMUM_GAIN = 100.0
MAXIMUM_STEPS = 100
MAXIMUM_MINUTES = 10_000_000
MAXIMUM_BARS = 1_000_000

_MINUTES = re.compile("0|[1-9][0-9]{0,7}", re.ASCII)

_LATER = {
    "trailingActivation": "trailing_activation",
    "leverage": "leverage",
    "maintenanceMargin": "maintenance_margin",
    "fundingRatePerDay": "funding_rate_per_day",
    "maxDailyLoss": "max_daily_loss",
    "dailyTarget": "daily_target",
    "maxDailyTrades": "max_daily_trades",
    "maxDrawdown": "max_drawdown",
    "cooldownBars": "cooldown_bars",
    "timezone": "timezone",
    "amountPrecision": "amount_precision",
    "minAmount": "min_amount",
    "minNotional": "min_notional",
}
"""Fields that specs of engine version 1 do not have. At rest they are left out where they are as they were
then, so that whatever is said as before also has the form and the hash that it had before."""

_OF_MARKET = frozenset(["amountPrecision", "minAmount", "minNotional"])

_SIZING_NAMES = {
    SizingKind.EQUITY_FRACTION: "equityFraction",
    SizingKind.CASH: "cash",
    SizingKind.QUANTITY: "quantity",
    SizingKind.RISK_FRACTION: "riskFraction",
}


def check_execution(spec: ExecutionSpec) -> list[DomainError]:
    """Return everything that is wrong with a spec, with paths in the API's spelling."""
    return [InvalidInput(message, ("execution", *path)) for path, message in _problems(spec)]


def _problems(spec: ExecutionSpec) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, rate in (
        ("makerFee", spec.maker_fee),
        ("takerFee", spec.taker_fee),
        ("slippage", spec.slippage),
        ("fundingRatePerDay", spec.funding_rate_per_day),
    ):
        if not 0 <= rate <= MAXIMUM_RATE:
            yield (name,), f"{name} is a fraction between 0 and {MAXIMUM_RATE}; got {rate:g}."
    for name, distance in (
        ("stopLoss", spec.stop_loss),
        ("trailingStop", spec.trailing_stop),
        ("maxDailyLoss", spec.max_daily_loss),
        ("maxDrawdown", spec.max_drawdown),
    ):
        if distance is not None and not 0 < distance < 1:
            yield (name,), f"{name} is a fraction between 0 and 1, such as 0.02 for 2 %; got {distance:g}."
    # A price falls by less than all of it, and rises by as much as it likes.
    highest = MAXIMUM_GAIN if spec.direction is Direction.LONG else 1.0
    for name, distance, limit in (
        ("takeProfit", spec.take_profit, highest),
        ("trailingActivation", spec.trailing_activation, highest),
        ("dailyTarget", spec.daily_target, MAXIMUM_GAIN),
    ):
        if distance is not None and not 0 < distance < limit:
            yield (
                (name,),
                f"{name} is a fraction between 0 and {limit:g}, such as 0.04 for 4 %; got {distance:g}.",
            )
    if spec.trailing_activation is not None and spec.trailing_stop is None:
        yield ("trailingActivation",), "trailingActivation needs a trailingStop."
    for minutes, distance in spec.minimal_roi:
        if not 0 <= distance < highest:
            yield (
                ("minimalRoi", str(minutes)),
                f"A step of minimalRoi is a fraction of at least 0 and below {highest:g}; got {distance:g}.",
            )
    yield from _leverage_problems(spec)
    if spec.max_daily_trades is not None and spec.max_daily_trades < 1:
        yield ("maxDailyTrades",), f"maxDailyTrades is at least 1; got {spec.max_daily_trades}."
    if not 0 <= spec.cooldown_bars <= MAXIMUM_BARS:
        yield ("cooldownBars",), f"cooldownBars is between 0 and {MAXIMUM_BARS}; got {spec.cooldown_bars}."
    if spec.timezone is not None and spec.timezone not in time_zones():
        yield ("timezone",), "This is no time zone of the IANA database, such as Europe/Berlin."
    yield from _sizing_problems(spec)


def _leverage_problems(spec: ExecutionSpec) -> Iterator[tuple[tuple[str, ...], str]]:
    leverage, maintenance = spec.leverage, spec.maintenance_margin
    if not 1 <= leverage <= MAXIMUM_LEVERAGE:
        yield ("leverage",), f"leverage is between 1 and {MAXIMUM_LEVERAGE:g}; got {leverage:g}."
    elif not (0 <= maintenance < 1 and maintenance * leverage < 1):
        yield (
            ("maintenanceMargin",),
            f"maintenanceMargin is at least 0 and below 1 / leverage, which is {1 / leverage:g}, since a "
            f"position would be liquidated at once; got {maintenance:g}.",
        )


def _sizing_problems(spec: ExecutionSpec) -> Iterator[tuple[tuple[str, ...], str]]:
    value = spec.sizing.value
    name = _SIZING_NAMES[spec.sizing.kind]
    if spec.sizing.kind in (SizingKind.EQUITY_FRACTION, SizingKind.RISK_FRACTION):
        if not 0 < value <= 1:
            yield ("sizing", name), f"{name} is above 0 and at most 1; got {value:g}."
        if spec.sizing.kind is SizingKind.RISK_FRACTION and spec.stop_loss is None:
            yield ("sizing", name), "riskFraction needs a stopLoss: what is at risk is what is lost there."
    elif not (isfinite(value) and 0 < value <= 1e15):
        yield ("sizing", name), f"{name} must be above 0; got {value:g}."


def roi_table(table: object) -> tuple[tuple[int, float], ...]:
    """Return a table of returns as the engine takes it, from an object such as ``{"0": 0.04, "30": 0.02}``.

    Raises
    ------
    InvalidInput
        If it is no such object.
    """
    path = ("execution", "minimalRoi")
    if not isinstance(table, Mapping):
        raise InvalidInput('minimalRoi is an object such as {"0": 0.04, "30": 0.02}.', path)
    if len(table) > MAXIMUM_STEPS:
        raise InvalidInput(f"minimalRoi has at most {MAXIMUM_STEPS} steps.", path)
    steps: list[tuple[int, float]] = []
    for key, fraction in table.items():
        at = (*path, str(key)[:20])
        if not (isinstance(key, str) and _MINUTES.fullmatch(key) and int(key) <= MAXIMUM_MINUTES):
            raise InvalidInput(
                f"A step of minimalRoi begins after whole minutes, 0 to {MAXIMUM_MINUTES}; "
                f"got {str(key)[:20]!r}.",
                at,
            )
        if isinstance(fraction, bool) or not isinstance(fraction, int | float):
            raise InvalidInput("A step of minimalRoi is a fraction such as 0.02.", at)
        steps.append((int(key), float(fraction)))
    return tuple(sorted(steps))


def on_market(spec: ExecutionSpec, market: MarketRecord) -> ExecutionSpec:
    """Return a spec with the market's steps and minimum of quantities, as it is kept and hashed."""
    return replace(
        spec,
        # Not said, it means the same.
        timezone=None if spec.timezone == UTC_ZONE else spec.timezone,
        amount_precision=market.amount_precision,
        min_amount=to_float(market.min_amount) if market.min_amount is not None else 0.0,
        min_notional=to_float(market.min_notional) if market.min_notional is not None else 0.0,
    )


def execution_to_json(spec: ExecutionSpec) -> dict[str, Any]:
    """Return a spec as the JSON object kept in the database and hashed."""
    usual = ExecutionSpec()
    later: dict[str, Any] = {
        name: _positive_zero(getattr(spec, field))
        for name, field in _LATER.items()
        if getattr(spec, field) != getattr(usual, field)
    }
    if spec.minimal_roi:
        later["minimalRoi"] = {str(minutes): _positive_zero(share) for minutes, share in spec.minimal_roi}
    return {
        "fill": spec.fill.value,
        "makerFee": _positive_zero(spec.maker_fee),
        "takerFee": _positive_zero(spec.taker_fee),
        "slippage": _positive_zero(spec.slippage),
        "direction": spec.direction.value,
        "sizing": {_SIZING_NAMES[spec.sizing.kind]: spec.sizing.value},
        "stopLoss": spec.stop_loss,
        "takeProfit": spec.take_profit,
        "trailingStop": spec.trailing_stop,
    } | later


def searchable_fields(spec: ExecutionSpec) -> dict[str, Any]:
    """Return a spec with the fields that may differ from run to run, as JSON, whatever their values.

    What a market prescribes is left out; `execution_from_json` reads it all the same.
    """
    every = {name: getattr(spec, field) for name, field in _LATER.items() if name not in _OF_MARKET}
    return execution_to_json(spec) | every


def _positive_zero(value: float | None) -> float | None:
    # + 0.0 makes −0.0 positive, as PostgreSQL would: what is hashed is what is read again.
    return value + 0.0 if isinstance(value, float) else value


def execution_from_json(data: Mapping[str, Any]) -> ExecutionSpec:
    """Return the spec that `execution_to_json` wrote, in this release or an earlier one."""
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
        minimal_roi=tuple(sorted((int(key), share) for key, share in data.get("minimalRoi", {}).items())),
        **{field: data[name] for name, field in _LATER.items() if name in data},
    )
