"""The ledger: every closed trade of a run, as columns."""

from dataclasses import dataclass, fields

from gql_trader.engine.bars import Floats, Integers
from gql_trader.engine.execution import ExitReason, Side

EXIT_REASONS = tuple(ExitReason)
"""Exit reasons by the number that the ledger's column holds."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """k closed trades in the order of their exits.

    Attributes
    ----------
    side
        int64[k], 1 long, −1 short.
    exit_reason
        int64[k], index into `EXIT_REASONS`.
    entry_index, exit_index
        int64[k], bar of the fill, counted from the first bar of the series.
    entry_time, exit_time
        int64[k], Unix milliseconds: a fill at the open has its bar's opening time; one inside the bar or
        at the close has its bar's closing time, when it is known.
    bars
        int64[k], bars during which the position was open.
    quantity
        float64[k], base currency, positive.
    entry_price, exit_price
        float64[k], quote currency, slippage included.
    profit
        float64[k], account currency, net of fees, slippage and funding.
    profit_fraction
        float64[k], profit over what was put in: margin plus entry fee. At least −1.
    fees
        float64[k], account currency, entry and exit. A liquidation's includes all that was left of the
        margin.
    max_favorable, max_adverse
        float64[k], largest moves for and against the position as fractions of the entry price, never
        negative. Seen at the fills and over bars held to their close: within the bar of an exit only the
        exit's own price is known to have been met.
    equity_after
        float64[k], account currency, once the position is closed.
    funding
        float64[k], account currency, funding and borrow cost of holding the position.
    """

    side: Integers
    exit_reason: Integers
    entry_index: Integers
    exit_index: Integers
    entry_time: Integers
    exit_time: Integers
    bars: Integers
    quantity: Floats
    entry_price: Floats
    exit_price: Floats
    profit: Floats
    profit_fraction: Floats
    fees: Floats
    max_favorable: Floats
    max_adverse: Floats
    equity_after: Floats
    funding: Floats

    def __len__(self) -> int:
        return len(self.side)

    def side_of(self, trade: int) -> Side:
        """Return the side of a trade, counted from 0."""
        return Side.LONG if self.side[trade] > 0 else Side.SHORT

    def exit_reason_of(self, trade: int) -> ExitReason:
        """Return why a trade, counted from 0, was closed."""
        return EXIT_REASONS[int(self.exit_reason[trade])]


LEDGER_INTEGERS = tuple(field.name for field in fields(Ledger))[:7]
LEDGER_FLOATS = tuple(field.name for field in fields(Ledger))[7:]


def ledger_of(integers: Integers, floats: Floats, trades: int) -> Ledger:
    """Return the ledger that the simulation has written, as views.

    Parameters
    ----------
    integers
        int64[7, m], columns as in `LEDGER_INTEGERS`, C-contiguous.
    floats
        float64[10, m], columns as in `LEDGER_FLOATS`, C-contiguous.
    trades
        How many of the m places are taken.
    """
    return Ledger(*integers[:, :trades], *floats[:, :trades])
