"""How signals become fills, in GraphQL: as asked for and as stored."""

from decimal import Decimal
from typing import Any, cast

import strawberry

from gql_trader.backtests.execution import execution_from_json, roi_table
from gql_trader.backtests.schema_enums import Direction, FillModel
from gql_trader.backtests.schema_types import OWNER
from gql_trader.core.errors import InvalidInput
from gql_trader.core.money import to_exact, to_float
from gql_trader.engine import execution as engine
from gql_trader.engine.execution import ExecutionSpec, SizingKind
from gql_trader.gql.permissions import visible
from gql_trader.gql.scalars import JSON, UnstatedFloat
from gql_trader.settings.types import Preferences


def default_object(value: dict[str, Any], description: str) -> Any:
    """Return a field of an input object whose default is an object."""
    # As a plain object, so that the schema publishes what a client could have sent itself.
    return strawberry.field(default_factory=lambda: value, description=description)


@strawberry.input(one_of=True, description="Size of a new position; give exactly one.")
class SizingInput:
    """Input of Execution.sizing."""

    equity_fraction: float | None = strawberry.field(
        default=strawberry.UNSET,
        description="Notional and fee together, as a fraction of equity × leverage, up to 1.",
    )
    cash: Decimal | None = strawberry.field(
        default=strawberry.UNSET,
        description="Notional in the quote currency; less if equity does not suffice.",
    )
    quantity: Decimal | None = strawberry.field(
        default=strawberry.UNSET,
        description="Quantity in the base currency; less if equity does not suffice.",
    )
    risk_fraction: float | None = strawberry.field(
        default=strawberry.UNSET,
        description="Loss at the stop-loss, fees and slippage included, as a fraction of equity, up to 1; "
        "needs a stopLoss. Less if equity does not suffice.",
    )

    @property
    def is_stated(self) -> bool:
        """Whether the client has said so, and it is not the default."""
        return not isinstance(self.equity_fraction, UnstatedFloat)

    def to_spec(self) -> engine.Sizing:
        """Return the engine's sizing."""
        if isinstance(self.equity_fraction, float | int):
            return engine.Sizing(SizingKind.EQUITY_FRACTION, float(self.equity_fraction))
        if isinstance(self.cash, Decimal):
            return engine.Sizing(SizingKind.CASH, to_float(self.cash))
        if isinstance(self.quantity, Decimal):
            return engine.Sizing(SizingKind.QUANTITY, to_float(self.quantity))
        if isinstance(self.risk_fraction, float | int):
            return engine.Sizing(SizingKind.RISK_FRACTION, float(self.risk_fraction))
        raise InvalidInput(
            "Give exactly one of equityFraction, cash, quantity and riskFraction.", ("execution", "sizing")
        )


@strawberry.input(
    description="How signals become fills. Fractions are fractions, not percent: 0.02 means 2 %."
)
class ExecutionInput:
    """Input of Backtest.execution."""

    fill: FillModel | None = strawberry.field(default=FillModel.NEXT_OPEN, description="When a signal fills.")
    maker_fee: float | None = strawberry.field(
        default=0.001,
        description="Fee of limit fills (take-profit, ROI), as a fraction of notional, up to 0.1.",
    )
    taker_fee: float | None = strawberry.field(
        default=0.001,
        description="Fee of market fills (signals, stops), as a fraction of notional, up to 0.1.",
    )
    slippage: float | None = strawberry.field(
        default=0.0, description="Price paid away by market fills, as a fraction of the price, up to 0.1."
    )
    direction: Direction | None = strawberry.field(
        default=Direction.LONG, description="Which positions may be opened."
    )
    sizing: SizingInput | None = default_object(
        {"equityFraction": UnstatedFloat(1.0)},
        "Size of a new position. Where it is left out and there is a stopLoss, the `riskPerTrade` that you "
        "have said in your preferences, as a riskFraction, goes before this default.",
    )
    leverage: float | None = strawberry.field(
        default=1.0,
        description="Notional over margin, 1 to 125. Above 1 the margin is isolated: a position can be "
        "liquidated, and loses its margin then, never more.",
    )
    maintenance_margin: float | None = strawberry.field(
        default=0.005,
        description="With leverage, a position is liquidated when only this fraction of its notional is left "
        "of the margin; below 1 / leverage.",
    )
    stop_loss: float | None = strawberry.field(
        default=None, description="Distance of the stop from the entry price, such as 0.02; none: no stop."
    )
    take_profit: float | None = strawberry.field(
        default=None,
        description="Distance of the target from the entry price, such as 0.04; none: no target.",
    )
    trailing_stop: float | None = strawberry.field(
        default=None,
        description="Distance of the stop from the best price since entry, moved at closes; none: no stop.",
    )
    trailing_activation: float | None = strawberry.field(
        default=None,
        description="Gain over the entry price, such as 0.03, from which the trailing stop follows; none: "
        "from the entry. Needs a trailingStop.",
    )
    minimal_roi: JSON | None = strawberry.field(
        default=None,
        description='Targets by age, from minutes to the distance from the entry price: {"0": 0.04, '
        '"30": 0.02, "60": 0} closes at 4 %, after half an hour at 2 %, after an hour at break-even.',
    )
    max_daily_loss: float | None = strawberry.field(
        default=None,
        description="Loss of equity since the beginning of the day, such as 0.05, that closes the "
        "position and lets none be opened until the next day.",
    )
    daily_target: float | None = strawberry.field(
        default=None,
        description="Gain of equity since the beginning of the day, such as 0.05, that closes the "
        "position and lets none be opened until the next day.",
    )
    max_daily_trades: int | None = strawberry.field(
        default=None, description="Positions opened on one day at most; none: any number."
    )
    max_drawdown: float | None = strawberry.field(
        default=strawberry.UNSET,
        description="Fall of equity from its highest close so far, such as 0.2, that closes the position and "
        "lets none be opened again. Left out: the `maxDrawdown` that you have said in your preferences, if "
        "any; null: none.",
    )
    cooldown_bars: int | None = strawberry.field(
        default=None,
        description="Bars after the bar of an exit on which no position is opened, a reversal included.",
    )
    timezone: str | None = strawberry.field(
        default=None,
        description="Time zone whose days maxDailyLoss, dailyTarget and maxDailyTrades count, such as "
        "Europe/Berlin; none: UTC in backtests, and in bots that of your preferences when they are started.",
    )
    funding_rate_per_day: float | None = strawberry.field(
        default=0.0,
        description="Funding and borrow cost of holding a position of either side, as a fraction of its "
        "notional a day, up to 0.1.",
    )

    def to_spec(self, preferred: Preferences | None = None) -> ExecutionSpec:
        """Return the engine's spec, not yet checked.

        Parameters
        ----------
        preferred
            What to take from where the client has said nothing.
        """
        usual = ExecutionSpec()
        given = self.sizing if isinstance(self.sizing, SizingInput) and self.sizing.is_stated else None
        return ExecutionSpec(
            fill=self.fill or usual.fill,
            maker_fee=usual.maker_fee if self.maker_fee is None else self.maker_fee,
            taker_fee=usual.taker_fee if self.taker_fee is None else self.taker_fee,
            slippage=usual.slippage if self.slippage is None else self.slippage,
            direction=self.direction or usual.direction,
            sizing=given.to_spec() if given else _preferred_sizing(preferred, self.stop_loss) or usual.sizing,
            stop_loss=self.stop_loss,
            take_profit=self.take_profit,
            trailing_stop=self.trailing_stop,
            trailing_activation=self.trailing_activation,
            minimal_roi=() if self.minimal_roi is None else roi_table(self.minimal_roi),
            leverage=usual.leverage if self.leverage is None else self.leverage,
            maintenance_margin=usual.maintenance_margin
            if self.maintenance_margin is None
            else self.maintenance_margin,
            funding_rate_per_day=self.funding_rate_per_day or usual.funding_rate_per_day,
            max_daily_loss=self.max_daily_loss,
            daily_target=self.daily_target,
            max_daily_trades=self.max_daily_trades,
            max_drawdown=_preferred_drawdown(preferred)
            if self.max_drawdown is strawberry.UNSET
            else self.max_drawdown,
            cooldown_bars=self.cooldown_bars or usual.cooldown_bars,
            timezone=self.timezone,
        )


def execution_of(
    given: ExecutionInput | object | None, preferred: Preferences | None = None
) -> ExecutionSpec:
    """Return the engine's spec of an input's field, which may have been left out.

    Parameters
    ----------
    given
        What is no `ExecutionInput` is the published default, `{}`, or null.
    preferred
        What to take from where the client has said nothing.
    """
    return (given if isinstance(given, ExecutionInput) else ExecutionInput()).to_spec(preferred)


def _preferred_sizing(preferred: Preferences | None, stop_loss: float | None) -> engine.Sizing | None:
    if preferred is None or preferred.risk_per_trade is None or stop_loss is None:
        return None
    return engine.Sizing(SizingKind.RISK_FRACTION, preferred.risk_per_trade)


def _preferred_drawdown(preferred: Preferences | None) -> float | None:
    # A preference of all that there is limits nothing.
    drawdown = preferred.max_drawdown if preferred else None
    return drawdown if drawdown is not None and drawdown < 1 else None


@visible(OWNER)
@strawberry.type(description="Size of a new position: exactly one field is set.")
class Sizing:
    """Sizing as stored."""

    equity_fraction: float | None = strawberry.field(
        description="Notional and fee together, as a fraction of equity × leverage."
    )
    cash: Decimal | None = strawberry.field(description="Notional in the quote currency.")
    quantity: Decimal | None = strawberry.field(description="Quantity in the base currency.")
    risk_fraction: float | None = strawberry.field(
        description="Loss at the stop-loss, fees and slippage included, as a fraction of equity."
    )


@visible(OWNER)
@strawberry.type(
    description="How signals become fills. Fractions are fractions, not percent: 0.02 means 2 %."
)
class Execution:
    """Execution spec as stored."""

    fill: FillModel = strawberry.field(description="When a signal fills.")
    maker_fee: float = strawberry.field(
        description="Fee of limit fills (take-profit, ROI), as a fraction of notional."
    )
    taker_fee: float = strawberry.field(
        description="Fee of market fills (signals, stops), as a fraction of notional."
    )
    slippage: float = strawberry.field(
        description="Price paid away by market fills, as a fraction of the price."
    )
    direction: Direction = strawberry.field(description="Which positions may be opened.")
    sizing: Sizing = strawberry.field(description="Size of a new position.")
    stop_loss: float | None = strawberry.field(description="Distance of the stop from the entry price.")
    take_profit: float | None = strawberry.field(description="Distance of the target from the entry price.")
    trailing_stop: float | None = strawberry.field(
        description="Distance of the stop from the best price since entry; it moves at a bar's close."
    )
    trailing_activation: float | None = strawberry.field(
        description="Gain over the entry price from which the trailing stop follows; null: from the entry."
    )
    minimal_roi: JSON | None = strawberry.field(
        description="Targets by age, from minutes to the distance from the entry price."
    )
    leverage: float = strawberry.field(description="Notional over margin; above 1 the margin is isolated.")
    maintenance_margin: float = strawberry.field(
        description="With leverage, a position is liquidated when only this fraction of its notional is left "
        "of the margin."
    )
    funding_rate_per_day: float = strawberry.field(
        description="Cost of holding a position of either side, as a fraction of its notional a day."
    )
    max_daily_loss: float | None = strawberry.field(
        description="Loss of equity since the beginning of the day that ends its trading."
    )
    daily_target: float | None = strawberry.field(
        description="Gain of equity since the beginning of the day that ends its trading."
    )
    max_daily_trades: int | None = strawberry.field(
        description="Positions opened on one day at most; null: any number."
    )
    max_drawdown: float | None = strawberry.field(
        description="Fall of equity from its highest close that ends all trading; null: none."
    )
    cooldown_bars: int = strawberry.field(
        description="Bars after the bar of an exit on which no position is opened."
    )
    timezone: str | None = strawberry.field(
        description="Time zone whose days the daily guards count; null: UTC in backtests, and in bots that "
        "of their owner's preferences when they are started."
    )
    amount_precision: int | None = strawberry.field(
        description="Decimals that quantities were rounded down to: the market's when the run was requested; "
        "null: not rounded."
    )
    min_amount: Decimal | None = strawberry.field(
        description="Smallest quantity of the market when the run was requested; null: none known."
    )
    min_notional: Decimal | None = strawberry.field(
        description="Smallest notional of the market when the run was requested; null: none known."
    )

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Execution":
        """Return the GraphQL object of a stored spec."""
        sizing = data["sizing"]
        spec = execution_from_json(data)
        return cls(
            fill=FillModel(spec.fill),
            maker_fee=spec.maker_fee,
            taker_fee=spec.taker_fee,
            slippage=spec.slippage,
            direction=Direction(spec.direction),
            sizing=Sizing(
                equity_fraction=sizing.get("equityFraction"),
                cash=to_exact(sizing["cash"]) if "cash" in sizing else None,
                quantity=to_exact(sizing["quantity"]) if "quantity" in sizing else None,
                risk_fraction=sizing.get("riskFraction"),
            ),
            stop_loss=spec.stop_loss,
            take_profit=spec.take_profit,
            trailing_stop=spec.trailing_stop,
            trailing_activation=spec.trailing_activation,
            minimal_roi=cast("JSON", {str(minutes): share for minutes, share in spec.minimal_roi} or None),
            leverage=spec.leverage,
            maintenance_margin=spec.maintenance_margin,
            funding_rate_per_day=spec.funding_rate_per_day,
            max_daily_loss=spec.max_daily_loss,
            daily_target=spec.daily_target,
            max_daily_trades=spec.max_daily_trades,
            max_drawdown=spec.max_drawdown,
            cooldown_bars=spec.cooldown_bars,
            timezone=spec.timezone,
            amount_precision=spec.amount_precision,
            min_amount=to_exact(spec.min_amount) if spec.min_amount else None,
            min_notional=to_exact(spec.min_notional) if spec.min_notional else None,
        )
