"""The engine's rules on a long position that an exchange has filled. Pure.

The engine itself simulates fills; here they have happened. What it does with levels and guards is done here
in the same order, on the prices and the equity that there are.
"""

from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal

from gql_trader.core.money import to_exact
from gql_trader.core.zones import UTC_ZONE, day_of
from gql_trader.engine.execution import Direction, ExecutionSpec, ExitReason, SizingKind
from gql_trader.engine.results import GuardFigures

_MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class Holding:
    """A position.

    Attributes
    ----------
    entry_price
        Mean price of the fills that opened it.
    entered_at
        Unix milliseconds.
    highest
        Highest price of the bars that have closed since, the entry price at least.
    """

    entry_price: float
    entered_at: int
    highest: float


def problem_of(spec: ExecutionSpec) -> tuple[str, str] | None:
    """Return the field, and a sentence, of what a live bot cannot do of a spec; None if it can all."""
    if spec.direction is not Direction.LONG:
        return "direction", "Live bots hold long positions only; direction must be LONG."
    if not spec.leverage.is_integer():
        return "leverage", "Exchanges take whole numbers as leverage."
    if spec.funding_rate_per_day:
        return (
            "fundingRatePerDay",
            "What live bots pay is the exchange's to say; fundingRatePerDay must be 0.",
        )
    return None


def stop_of(spec: ExecutionSpec, held: Holding) -> tuple[float, ExitReason] | None:
    """Return the nearer of stop-loss and trailing stop; None without either."""
    found: list[tuple[float, ExitReason]] = []
    if spec.stop_loss is not None:
        found.append((held.entry_price * (1.0 - spec.stop_loss), ExitReason.STOP_LOSS))
    if spec.trailing_stop is not None:
        follows_from = held.entry_price * (1.0 + (spec.trailing_activation or 0.0))
        if held.highest >= follows_from:
            found.append((held.highest * (1.0 - spec.trailing_stop), ExitReason.TRAILING_STOP))
    # Of equal levels the stop-loss, as in the engine.
    return max(found, key=lambda each: each[0], default=None)


def exit_due(spec: ExecutionSpec, held: Holding, low: float, high: float, moment: int) -> ExitReason | None:
    """Return why a position is to be closed at once, after prices between low and high; None: it is not.

    Of a stop and a target that were both met the stop is taken.

    Parameters
    ----------
    moment
        Unix milliseconds; the position's age decides on the table of returns.
    """
    stop = stop_of(spec, held)
    if stop is not None and low <= stop[0]:
        return stop[1]
    if spec.take_profit is not None and high >= held.entry_price * (1.0 + spec.take_profit):
        return ExitReason.TAKE_PROFIT
    age = moment - held.entered_at
    reached = [distance for minutes, distance in spec.minimal_roi if minutes * _MINUTE <= age]
    if reached and high >= held.entry_price * (1.0 + reached[-1]):
        return ExitReason.ROI
    return None


def begin_day(spec: ExecutionSpec, figures: GuardFigures, equity: float, moment: int) -> GuardFigures:
    """Begin the day of a moment (Unix milliseconds), unless it has begun; equity is the last mark."""
    if spec.max_daily_loss is None and spec.daily_target is None and spec.max_daily_trades is None:
        return figures
    day = day_of(spec.timezone or UTC_ZONE, moment)
    if day <= figures.day:
        return figures
    return replace(figures, day=day, day_start_equity=equity, day_entries=0, halted=figures.drawn_down)


def guard(
    spec: ExecutionSpec, figures: GuardFigures, equity: float
) -> tuple[GuardFigures, ExitReason | None]:
    """Let the guards look at the equity of a close; return why a position is to be closed, if it is."""
    if spec.max_drawdown is not None:
        figures = replace(figures, peak_equity=max(figures.peak_equity, equity))
        if not figures.drawn_down and equity <= figures.peak_equity * (1.0 - spec.max_drawdown):
            return replace(figures, drawn_down=True, halted=True), ExitReason.MAX_DRAWDOWN
    if not figures.halted:
        start = figures.day_start_equity
        lost = spec.max_daily_loss is not None and equity <= start * (1.0 - spec.max_daily_loss)
        won = spec.daily_target is not None and equity >= start * (1.0 + spec.daily_target)
        if lost or won:
            return replace(figures, halted=True), ExitReason.DAILY_LIMIT
    return figures, None


def may_enter(spec: ExecutionSpec, figures: GuardFigures) -> bool:
    """Whether the guards let a position be opened."""
    most = spec.max_daily_trades
    return not (
        figures.halted
        or figures.drawn_down
        or figures.resting_bars > 0
        or (most is not None and figures.day_entries >= most)
    )


def quantity_to_buy(spec: ExecutionSpec, cash: Decimal, price: float, precision: int) -> Decimal:
    """Return how much to buy at about a price: what the sizing says and the cash allows, whole steps.

    Parameters
    ----------
    precision
        Decimals of the market's quantities.
    """
    owned = float(cash)
    power = owned * spec.leverage
    if power <= 0:
        return Decimal(0)
    paid = price * (1.0 + spec.slippage)
    affordable = power / (paid * (1.0 + spec.taker_fee))
    size = spec.sizing.value
    match spec.sizing.kind:
        case SizingKind.EQUITY_FRACTION:
            wanted = size * affordable
        case SizingKind.CASH:
            wanted = size / paid
        case SizingKind.RISK_FRACTION:
            assert spec.stop_loss is not None, "was checked"
            sold = paid * (1.0 - spec.stop_loss) * (1.0 - spec.slippage)
            wanted = size * owned / (paid - sold + (paid + sold) * spec.taker_fee)
        case _:
            wanted = size
    quantity = to_exact(min(wanted, affordable))
    return quantity.quantize(Decimal(1).scaleb(-precision), rounding=ROUND_FLOOR)
