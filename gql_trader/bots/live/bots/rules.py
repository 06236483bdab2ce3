"""The engine's rules on a position that an exchange has filled. Pure.

The engine itself simulates fills; here they have happened. What it does with signals, levels and guards is
done here in the same order, on the prices and the equity that there are.
"""

from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal

import numpy as np

from gql_trader.core.money import to_exact
from gql_trader.core.zones import UTC_ZONE, day_of
from gql_trader.engine.bars import Flags
from gql_trader.engine.execution import Direction, ExecutionSpec, ExitReason, Side, SizingKind
from gql_trader.engine.results import GuardFigures
from gql_trader.engine.signals import Signals

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
    best
        Best price of the bars that have closed since, the entry price at least: the highest of a long
        position, the lowest of a short one.
    """

    side: Side
    entry_price: float
    entered_at: int
    best: float

    @property
    def sign(self) -> float:
        """1 if it gains from rising prices, −1 if from falling ones."""
        return 1.0 if self.side is Side.LONG else -1.0

    def away(self, distance: float) -> float:
        """Return the price at a distance from the entry price, in favour of the position."""
        return self.entry_price * (1.0 + self.sign * distance)

    def improved(self, low: float, high: float) -> "Holding":
        """Return it after prices between low and high."""
        better = max(self.best, high) if self.side is Side.LONG else min(self.best, low)
        return replace(self, best=better)

    def is_behind(self, price: float, level: float) -> bool:
        """Whether a price is at a level, or beyond it to the position's loss."""
        return price <= level if self.side is Side.LONG else price >= level

    def is_ahead(self, price: float, level: float) -> bool:
        """Whether a price is at a level, or beyond it to the position's gain."""
        return price >= level if self.side is Side.LONG else price <= level


def problem_of(spec: ExecutionSpec, *, contracts: bool) -> tuple[str, str] | None:
    """Return the field, and a sentence, of what a live bot cannot do of a spec; None if it can all.

    Parameters
    ----------
    contracts
        Whether it trades contracts in place of the currencies.
    """
    if spec.direction is not Direction.LONG and not contracts:
        return (
            "direction",
            "Only contracts can be sold short: with direction SHORT or BOTH a live bot needs a leverage "
            "above 1, or contracts: true.",
        )
    if not spec.leverage.is_integer():
        return "leverage", "Exchanges take whole numbers as leverage."
    if spec.funding_rate_per_day:
        return (
            "fundingRatePerDay",
            "What live bots pay is the exchange's to say; fundingRatePerDay must be 0.",
        )
    return None


@dataclass(frozen=True, slots=True)
class Wishes:
    """What signals ask for, bar by bar, after the rules about contradicting ones.

    An exit beats an entry of the same side, entries of both sides cancel, and a side that the direction does
    not allow says nothing.
    """

    enter_long: Flags
    exit_long: Flags
    enter_short: Flags
    exit_short: Flags

    @classmethod
    def of(cls, signals: Signals, direction: Direction) -> "Wishes":
        """Return what signals ask for."""
        long = signals.entry_long & ~signals.exit_long
        short = signals.entry_short & ~signals.exit_short
        if direction is Direction.LONG:
            short = np.zeros_like(short)
        if direction is Direction.SHORT:
            long = np.zeros_like(long)
        both = long & short
        return cls(long & ~both, signals.exit_long, short & ~both, signals.exit_short)

    def exits(self, side: Side) -> Flags:
        """Return on which bars a position is to be closed: an entry of the other side closes it, too."""
        if side is Side.LONG:
            return self.exit_long | self.enter_short
        return self.exit_short | self.enter_long

    def entry(self, at: int) -> Side | None:
        """Return which side is to be entered after a bar; None: none."""
        if self.enter_long[at]:
            return Side.LONG
        return Side.SHORT if self.enter_short[at] else None


def stop_of(spec: ExecutionSpec, held: Holding) -> tuple[float, ExitReason] | None:
    """Return the nearer of stop-loss and trailing stop; None without either."""
    # Of equal levels the stop-loss, as in the engine.
    return min(_stops(spec, held), key=lambda each: -held.sign * each[0], default=None)


def _stops(spec: ExecutionSpec, held: Holding) -> list[tuple[float, ExitReason]]:
    found: list[tuple[float, ExitReason]] = []
    if spec.stop_loss is not None:
        found.append((held.away(-spec.stop_loss), ExitReason.STOP_LOSS))
    if spec.trailing_stop is not None:
        activation = spec.trailing_activation
        if activation is None or held.is_ahead(held.best, held.away(activation)):
            level = held.best * (1.0 - held.sign * spec.trailing_stop)
            found.append((level, ExitReason.TRAILING_STOP))
    return found


def _targets(spec: ExecutionSpec, held: Holding, moment: int) -> list[tuple[float, ExitReason]]:
    found: list[tuple[float, ExitReason]] = []
    if spec.take_profit is not None:
        found.append((held.away(spec.take_profit), ExitReason.TAKE_PROFIT))
    age = moment - held.entered_at
    reached = [distance for minutes, distance in spec.minimal_roi if minutes * _MINUTE <= age]
    if reached:
        found.append((held.away(reached[-1]), ExitReason.ROI))
    return found


def exit_inside(
    spec: ExecutionSpec, held: Holding, low: float, high: float, opening: int, *, stops: bool = True
) -> ExitReason | None:
    """Return why a bar closes a position, by its prices; None: it does not.

    Of a stop and a target that were both met the stop is taken, of two targets the nearer one. The trailing
    stop follows a bar only from the next one on, and the age that the table of returns asks for is that at
    the bar's opening.

    Parameters
    ----------
    opening
        When the bar opened, Unix milliseconds.
    stops
        False: the exchange holds the stop, and has not been met by these prices.
    """
    worst, best = (low, high) if held.side is Side.LONG else (high, low)
    stop = stop_of(spec, held) if stops else None
    if stop is not None and held.is_behind(worst, stop[0]):
        return stop[1]
    target = min(_targets(spec, held, opening), key=lambda each: held.sign * each[0], default=None)
    return target[1] if target is not None and held.is_ahead(best, target[0]) else None


def exit_at(spec: ExecutionSpec, held: Holding, price: float, moment: int) -> ExitReason | None:
    """Return why a position is to be closed at a price, between two bars; None: it is not to.

    As the engine does at an open: stop-loss, trailing stop, target, table of returns.

    Parameters
    ----------
    moment
        Unix milliseconds; the position's age decides on the table of returns.
    """
    for level, reason in _stops(spec, held):
        if held.is_behind(price, level):
            return reason
    for level, reason in _targets(spec, held, moment):
        if held.is_ahead(price, level):
            return reason
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


def may_reverse(spec: ExecutionSpec) -> bool:
    """Whether a position may be opened at the close that asks for another one's exit."""
    return spec.cooldown_bars == 0


def quantity_to_enter(
    spec: ExecutionSpec, side: Side, cash: Decimal, price: float, precision: int
) -> Decimal:
    """Return how much to trade at about a price: what the sizing says and the cash allows, whole steps.

    Parameters
    ----------
    precision
        Decimals of the market's quantities.
    """
    owned = float(cash)
    power = owned * spec.leverage
    if power <= 0:
        return Decimal(0)
    against = spec.slippage if side is Side.LONG else -spec.slippage
    paid = price * (1.0 + against)
    affordable = power / (paid * (1.0 + spec.taker_fee))
    size = spec.sizing.value
    match spec.sizing.kind:
        case SizingKind.EQUITY_FRACTION:
            wanted = size * affordable
        case SizingKind.CASH:
            wanted = size / paid
        case SizingKind.RISK_FRACTION:
            assert spec.stop_loss is not None, "was checked"
            distance = -spec.stop_loss if side is Side.LONG else spec.stop_loss
            out = paid * (1.0 + distance) * (1.0 - against)
            wanted = size * owned / (abs(paid - out) + (paid + out) * spec.taker_fee)
        case _:
            wanted = size
    quantity = to_exact(min(wanted, affordable))
    return quantity.quantize(Decimal(1).scaleb(-precision), rounding=ROUND_FLOOR)
