"""GraphQL inputs of the backtest domain, and how they become specs."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import strawberry

from gql_trader.backtests.models import ORDERED_METRICS
from gql_trader.backtests.schema_enums import BacktestOrderField, Direction, FillModel, RunStatus
from gql_trader.backtests.types import (
    BacktestOrdering,
    BacktestQuery,
    BacktestRequest,
    Range,
)
from gql_trader.core.errors import InvalidInput
from gql_trader.core.ids import StrategyId
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_float
from gql_trader.engine.execution import ExecutionSpec, Sizing, SizingKind
from gql_trader.gql.relay import decode_id
from gql_trader.gql.scalars import JSON
from gql_trader.gql.sorting import OrderDirection

DEFAULT_CAPITAL = Decimal(10_000)


def _default_object(value: dict[str, Any], description: str) -> Any:
    # As a plain object, so that the schema publishes what a client could have sent itself.
    return strawberry.field(default_factory=lambda: value, description=description)


@strawberry.input(one_of=True, description="Size of a new position; give exactly one.")
class SizingInput:
    """Input of Execution.sizing."""

    equity_fraction: float | None = strawberry.field(
        default=strawberry.UNSET, description="Notional and fee together, as a fraction of equity, up to 1."
    )
    cash: Decimal | None = strawberry.field(
        default=strawberry.UNSET,
        description="Notional in the quote currency; less if equity does not suffice.",
    )
    quantity: Decimal | None = strawberry.field(
        default=strawberry.UNSET,
        description="Quantity in the base currency; less if equity does not suffice.",
    )

    def to_spec(self) -> Sizing:
        """Return the engine's sizing."""
        if isinstance(self.equity_fraction, float | int):
            return Sizing(SizingKind.EQUITY_FRACTION, float(self.equity_fraction))
        if isinstance(self.cash, Decimal):
            return Sizing(SizingKind.CASH, to_float(self.cash))
        if isinstance(self.quantity, Decimal):
            return Sizing(SizingKind.QUANTITY, to_float(self.quantity))
        raise InvalidInput("Give exactly one of equityFraction, cash and quantity.", ("execution", "sizing"))


@strawberry.input(
    description="How signals become fills. Fractions are fractions, not percent: 0.02 means 2 %."
)
class ExecutionInput:
    """Input of Backtest.execution."""

    fill: FillModel | None = strawberry.field(default=FillModel.NEXT_OPEN, description="When a signal fills.")
    maker_fee: float | None = strawberry.field(
        default=0.001, description="Fee of limit fills (take-profit), as a fraction of notional, up to 0.1."
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
    sizing: SizingInput | None = _default_object(
        {"equityFraction": 1.0}, "Size of a new position; all of the equity unless given."
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

    def to_spec(self) -> ExecutionSpec:
        """Return the engine's spec, not yet checked."""
        usual = ExecutionSpec()
        return ExecutionSpec(
            fill=self.fill or usual.fill,
            maker_fee=usual.maker_fee if self.maker_fee is None else self.maker_fee,
            taker_fee=usual.taker_fee if self.taker_fee is None else self.taker_fee,
            slippage=usual.slippage if self.slippage is None else self.slippage,
            direction=self.direction or usual.direction,
            # Left out, it is the plain object that the schema publishes as its default.
            sizing=self.sizing.to_spec() if isinstance(self.sizing, SizingInput) else usual.sizing,
            stop_loss=self.stop_loss,
            take_profit=self.take_profit,
            trailing_stop=self.trailing_stop,
        )


@strawberry.input(description="A backtest to run.")
class RunBacktestInput:
    """Input of runBacktest."""

    strategy_id: strawberry.ID = strawberry.field(description="The strategy, in its current version.")
    market: str = strawberry.field(
        description='"BTC/USD", or "coinbase:BTC/USD" where several exchanges have candles of the pair.'
    )
    interval: Interval = strawberry.field(description="Length of a bar.")
    start: datetime | None = strawberry.field(
        default=None, description="Bars that open at or after this moment; none: from the first candle."
    )
    end: datetime | None = strawberry.field(
        default=None, description="Bars that open before this moment; none: to the last candle."
    )
    initial_capital: Decimal | None = strawberry.field(
        default=DEFAULT_CAPITAL, description="Starting capital in the quote currency."
    )
    parameters: JSON | None = _default_object(
        {}, 'Parameters of the strategy by name, such as {"fast": 20}; the rest take their defaults.'
    )
    execution: ExecutionInput | None = _default_object({}, "How signals become fills.")
    label: str | None = strawberry.field(default=None, description="A name for people, up to 200 characters.")
    tags: list[str] | None = strawberry.field(
        default_factory=list, description="Up to 20 words to find it by."
    )
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="Sending the same key and input again returns the same backtest instead of another one.",
    )
    force: bool | None = strawberry.field(
        default=False, description="Run even if a backtest with the same content has completed."
    )

    def to_request(self) -> BacktestRequest:
        """Return the request, its parts not yet looked up."""
        parameters: object = {} if self.parameters is None else self.parameters
        if not isinstance(parameters, Mapping):
            raise InvalidInput('parameters is an object such as {"fast": 20}.', ("parameters",))
        return BacktestRequest(
            strategy_id=StrategyId(decode_id(self.strategy_id, "Strategy", ("strategyId",))),
            market=self.market,
            interval=self.interval,
            start=self.start,
            end=self.end,
            initial_capital=DEFAULT_CAPITAL if self.initial_capital is None else self.initial_capital,
            parameters=parameters,
            execution=self.execution.to_spec()
            if isinstance(self.execution, ExecutionInput)
            else ExecutionSpec(),
            label=self.label,
            tags=tuple(dict.fromkeys(self.tags or ())),
            idempotency_key=self.idempotency_key,
            force=bool(self.force),
        )


def _bound(description: str) -> Any:
    return strawberry.field(default=None, description=description)


@strawberry.input(
    description="Bounds of a number; all that are given must hold. An undefined figure never matches."
)
class FloatRange:
    """Bounds of a float column."""

    gt: float | None = _bound("Greater than.")
    gte: float | None = _bound("Greater than or equal to.")
    lt: float | None = _bound("Less than.")
    lte: float | None = _bound("Less than or equal to.")


@strawberry.input(description="Bounds of a whole number; all that are given must hold.")
class IntRange:
    """Bounds of an integer column."""

    gt: int | None = _bound("Greater than.")
    gte: int | None = _bound("Greater than or equal to.")
    lt: int | None = _bound("Less than.")
    lte: int | None = _bound("Less than or equal to.")


@strawberry.input(description="Bounds of a moment; all that are given must hold.")
class DateTimeRange:
    """Bounds of a time column."""

    gt: datetime | None = _bound("After.")
    gte: datetime | None = _bound("At or after.")
    lt: datetime | None = _bound("Before.")
    lte: datetime | None = _bound("At or before.")


def _part(description: str, name: str | None = None) -> Any:
    return strawberry.field(default=None, description=description, name=name)


_BOUNDED = ("created_at", *ORDERED_METRICS)


@strawberry.input(
    description="Which backtests to list; every part that is given must hold. At most 50 filters in one "
    "another, counted together, and 1,000 values in all their lists."
)
class BacktestFilter:
    """Input of Query.backtests."""

    and_: list["BacktestFilter"] | None = _part("All of these must hold.", "and")
    or_: list["BacktestFilter"] | None = _part("At least one of these must hold.", "or")
    not_: "BacktestFilter | None" = _part("This must not hold.", "not")
    status: list[RunStatus] | None = _part("In one of these states.")
    asset: list[str] | None = _part('The market\'s base asset is one of these, such as "BTC", in any case.')
    market: list[str] | None = _part(
        'The market is one of these: "BTC/USD", or "coinbase:BTC/USD", in any case.'
    )
    strategy_id: list[strawberry.ID] | None = _part("Of one of these strategies.")
    interval: list[Interval] | None = _part("With bars of one of these lengths.")
    tag: list[str] | None = _part("With at least one of these tags.")
    created_at: DateTimeRange | None = _part("Requested within these bounds.")
    total_return: FloatRange | None = _part("Total return within these bounds.")
    cagr: FloatRange | None = _part("Compound annual growth rate within these bounds.")
    sharpe_ratio: FloatRange | None = _part("Sharpe ratio within these bounds.")
    sortino_ratio: FloatRange | None = _part("Sortino ratio within these bounds.")
    calmar_ratio: FloatRange | None = _part("Calmar ratio within these bounds.")
    max_drawdown: FloatRange | None = _part("Maximum drawdown within these bounds, 0 to 1.")
    win_rate: FloatRange | None = _part("Win rate within these bounds, 0 to 1.")
    profit_factor: FloatRange | None = _part("Profit factor within these bounds.")
    trades: IntRange | None = _part("Number of closed trades within these bounds.")

    def to_query(self) -> BacktestQuery:
        """Return the domain's filter."""
        bounds = {name: getattr(self, name) for name in _BOUNDED}
        return BacktestQuery(
            all_of=[part.to_query() for part in self.and_ or ()],
            any_of=None if self.or_ is None else [part.to_query() for part in self.or_],
            none_of=self.not_.to_query() if self.not_ else None,
            status=self.status,
            asset=self.asset,
            market=self.market,
            strategy_ids=None
            if self.strategy_id is None
            else [decode_id(each, "Strategy", ("where", "strategyId")) for each in self.strategy_id],
            interval=self.interval,
            tags=self.tag,
            ranges={
                name: Range(each.gt, each.gte, each.lt, each.lte)
                for name, each in bounds.items()
                if each is not None
            },
        )


@strawberry.input(description="One key of an ordering.")
class BacktestOrder:
    """Input of Query.backtests."""

    field: BacktestOrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.DESC, description="Largest or newest first, or the other way."
    )

    def to_ordering(self) -> BacktestOrdering:
        """Return the domain's ordering."""
        return BacktestOrdering(self.field, self.direction is OrderDirection.DESC)
