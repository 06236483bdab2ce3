"""A ledger as it is asked for: a page of trades, or all of it as columns."""

from typing import Annotated

import strawberry

from gql_trader.backtests.ledger import LedgerRows
from gql_trader.backtests.schema_enums import ExitReason, Side
from gql_trader.backtests.schema_types import OWNER, LedgerEntry
from gql_trader.engine.ledger import EXIT_REASONS
from gql_trader.gql.pagination import Connection
from gql_trader.gql.permissions import visible
from gql_trader.gql.scalars import EpochSeries, FloatSeries, IntSeries
from gql_trader.infra.exact_columns import money_floats, price_floats

OnlySide = Annotated[Side | None, strawberry.argument(description="Only trades on this side.")]
OnlyReason = Annotated[
    ExitReason | None, strawberry.argument(description="Only trades closed for this reason.")
]


@visible(OWNER)
@strawberry.type(name="LedgerConnection", description="One page of a ledger, oldest trade first.")
class LedgerConnection(Connection[LedgerEntry]):
    """Trades of a run."""


@visible(OWNER)
@strawberry.type(
    description="Trades as columns of equal length, oldest first: the fields of `LedgerEntry`. Amounts are "
    "the numbers nearest to its exact decimals."
)
class LedgerColumns:
    """The ledger, a column a field."""

    number: IntSeries = strawberry.field(description="1 for the first trade of the run.")
    side: list[Side] = strawberry.field(description="Direction of each position.")
    quantity: FloatSeries = strawberry.field(description="Quantity in the base currency.")
    entry_time: EpochSeries = strawberry.field(description="When each position was opened.")
    entry_price: FloatSeries = strawberry.field(description="Price of the entry fill, slippage included.")
    exit_time: EpochSeries = strawberry.field(description="When each position was closed.")
    exit_price: FloatSeries = strawberry.field(description="Price of the exit fill, slippage included.")
    profit: FloatSeries = strawberry.field(
        description="Net of all fees, slippage and funding, in the quote currency."
    )
    profit_fraction: FloatSeries = strawberry.field(
        description="Profit over what was put in: margin and entry fee, which is all that can be lost."
    )
    fees: FloatSeries = strawberry.field(
        description="Fees of both fills, in the quote currency; a liquidation takes the rest of the margin."
    )
    funding: FloatSeries = strawberry.field(
        description="Funding and borrow cost of holding the position, in the quote currency."
    )
    bars: IntSeries = strawberry.field(description="Bars during which the position was open.")
    exit_reason: list[ExitReason] = strawberry.field(description="Why each position was closed.")
    max_favorable: FloatSeries = strawberry.field(
        description="Largest move in favour while open, as a fraction of the entry price; not negative."
    )
    max_adverse: FloatSeries = strawberry.field(
        description="Largest move against while open, as a fraction of the entry price; not negative."
    )
    equity_after: FloatSeries = strawberry.field(description="Equity after the exit, in the quote currency.")

    @classmethod
    def from_rows(cls, rows: LedgerRows) -> "LedgerColumns":
        """Return the GraphQL object of ledger rows."""
        columns = rows.columns
        return cls(
            number=IntSeries(rows.number),
            side=[Side.LONG if side > 0 else Side.SHORT for side in columns["side"].tolist()],
            quantity=FloatSeries(price_floats(columns["quantity"])),
            entry_time=EpochSeries(columns["entry_time"]),
            entry_price=FloatSeries(price_floats(columns["entry_price"])),
            exit_time=EpochSeries(columns["exit_time"]),
            exit_price=FloatSeries(price_floats(columns["exit_price"])),
            profit=FloatSeries(money_floats(columns["profit"])),
            profit_fraction=FloatSeries(columns["profit_fraction"]),
            fees=FloatSeries(money_floats(columns["fees"])),
            funding=FloatSeries(money_floats(columns["funding"])),
            bars=IntSeries(columns["bars"]),
            exit_reason=list(map(EXIT_REASONS.__getitem__, columns["exit_reason"].tolist())),
            max_favorable=FloatSeries(columns["max_favorable"]),
            max_adverse=FloatSeries(columns["max_adverse"]),
            equity_after=FloatSeries(money_floats(columns["equity_after"])),
        )


LEDGER_COLUMNS = len(LedgerColumns.__annotations__)
