"""GraphQL inputs of the backtest domain, and how they become specs."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import strawberry

from gql_trader.backtests.models import ORDERED_METRICS
from gql_trader.backtests.schema_enums import BacktestOrderField, RunStatus
from gql_trader.backtests.schema_execution import ExecutionInput, default_object, execution_of
from gql_trader.backtests.types import (
    BacktestOrdering,
    BacktestQuery,
    BacktestRequest,
    Range,
)
from gql_trader.core.errors import InvalidInput
from gql_trader.core.ids import StrategyId
from gql_trader.core.intervals import Interval
from gql_trader.gql.relay import decode_id
from gql_trader.gql.scalars import JSON, UnstatedDecimal
from gql_trader.gql.sorting import OrderDirection
from gql_trader.settings.types import NOTHING_PREFERRED, Preferences

DEFAULT_CAPITAL = UnstatedDecimal(10_000)


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
        default=DEFAULT_CAPITAL,
        description="Starting capital in the quote currency. Where it is left out, the `defaultCapital` of "
        "your preferences goes before this default.",
    )
    parameters: JSON | None = default_object(
        {}, 'Parameters of the strategy by name, such as {"fast": 20}; the rest take their defaults.'
    )
    execution: ExecutionInput | None = default_object({}, "How signals become fills.")
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

    @property
    def states_capital(self) -> bool:
        """Whether the client has said with how much capital to begin."""
        return self.initial_capital is not None and not isinstance(self.initial_capital, UnstatedDecimal)

    def to_request(self, preferred: Preferences = NOTHING_PREFERRED) -> BacktestRequest:
        """Return the request, its parts not yet looked up.

        Parameters
        ----------
        preferred
            What to begin with where the client has not said.
        """
        stated = self.initial_capital if self.states_capital else None
        parameters: object = {} if self.parameters is None else self.parameters
        if not isinstance(parameters, Mapping):
            raise InvalidInput('parameters is an object such as {"fast": 20}.', ("parameters",))
        return BacktestRequest(
            strategy_id=StrategyId(decode_id(self.strategy_id, "Strategy", ("strategyId",))),
            market=self.market,
            interval=self.interval,
            start=self.start,
            end=self.end,
            initial_capital=preferred.default_capital if stated is None else stated,
            states_capital=stated is not None,
            parameters=parameters,
            execution=execution_of(self.execution, preferred),
            stated_execution=execution_of(self.execution),
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
