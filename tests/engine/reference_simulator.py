"""The simulation once more: slow, obvious, one bar after another, in the order of the design document.

Plain Python floats and no tricks. The compiled kernel must equal it exactly, so where the order of float
operations matters it is the same: formulas are written as the document's sentences read.
"""

import math
from dataclasses import dataclass, field

from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import Direction, ExecutionSpec, ExitReason, FillModel, Side, SizingKind
from gql_trader.engine.signals import Signals

SMALLEST_AMOUNT = 1e-8


@dataclass
class Position:
    """An open position and what has been seen since its entry."""

    side: Side
    quantity: float
    entry_price: float
    notional: float
    entry_fee: float
    entry_index: int
    entry_time: int
    highest: float
    lowest: float
    stop: float | None = None
    trailing: float | None = None
    target: float | None = None
    ruin: float | None = None
    bars: int = 0

    @property
    def stake(self) -> float:
        """What was put in, and the most that can be lost."""
        return self.notional + self.entry_fee

    def gain_at(self, price: float) -> float:
        """Profit before fees if the position were closed at this price."""
        if self.side is Side.LONG:
            return self.quantity * (price - self.entry_price)
        return -self.quantity * (price - self.entry_price)


@dataclass(frozen=True)
class Trade:
    """One line of the ledger; the fields are the ledger's columns."""

    side: int
    exit_reason: ExitReason
    entry_index: int
    exit_index: int
    entry_time: int
    exit_time: int
    bars: int
    quantity: float
    entry_price: float
    exit_price: float
    profit: float
    profit_fraction: float
    fees: float
    max_favorable: float
    max_adverse: float
    equity_after: float


@dataclass(frozen=True)
class Flags:
    """The signals of one bar, after the rules about contradicting ones."""

    enter_long: bool
    exit_long: bool
    enter_short: bool
    exit_short: bool


@dataclass
class ReferenceSimulator:
    """An account that trades one market."""

    spec: ExecutionSpec
    initial_capital: float
    cash: float = 0.0
    position: Position | None = None
    trades: list[Trade] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)
    free_cash: list[float] = field(default_factory=list)
    bars_in_position: int = 0
    fees_paid: float = 0.0
    traded_notional: float = 0.0

    def run(self, bars: Bars, signals: Signals, start: int = 0) -> "ReferenceSimulator":
        """Simulate every bar from `start` and close what is open at the end."""
        self.cash = self.initial_capital
        for i in range(start, len(bars)):
            opening, closing = int(bars.time[i]), int(bars.time[i]) + bars.interval
            open_, high, low, close = (
                float(column[i]) for column in (bars.open, bars.high, bars.low, bars.close)
            )

            # 2. At the open.
            reason = self.reason_at_open(open_)
            if reason is not None:
                self.exit(open_, reason, i, opening)
            elif self.spec.fill is FillModel.NEXT_OPEN and i > 0:
                self.fill(self.flags(signals, i - 1), open_, i, opening)

            # 3. Inside the bar.
            if self.position is not None:
                self.bars_in_position += 1
                self.position.bars += 1
                found = self.reason_inside(open_, high, low)
                if found is not None:
                    self.exit(found[1], found[0], i, closing)

            # 4. At the close.
            if self.position is not None:
                self.position.highest = max(self.position.highest, high)
                self.position.lowest = min(self.position.lowest, low)
                self.move_trailing_level(self.position)
            if self.spec.fill is FillModel.CLOSE:
                self.fill(self.flags(signals, i), close, i, closing)
            self.equity.append(self.marked(close))
            self.free_cash.append(self.cash - (self.position.stake if self.position else 0.0))

        # 5. After the last bar.
        if self.position is not None:
            last = len(bars) - 1
            self.exit(
                float(bars.close[last]), ExitReason.END_OF_DATA, last, int(bars.time[last]) + bars.interval
            )
            self.equity[-1] = self.cash
        return self

    def flags(self, signals: Signals, i: int) -> Flags:
        """Exit beats entry of the same side; entries of both sides cancel; forbidden sides say nothing."""
        exit_long, exit_short = bool(signals.exit_long[i]), bool(signals.exit_short[i])
        enter_long = bool(signals.entry_long[i]) and not exit_long
        enter_short = bool(signals.entry_short[i]) and not exit_short
        if self.spec.direction is Direction.LONG:
            enter_short = False
        if self.spec.direction is Direction.SHORT:
            enter_long = False
        if enter_long and enter_short:
            enter_long = enter_short = False
        return Flags(enter_long, exit_long, enter_short, exit_short)

    def fill(self, flags: Flags, price: float, index: int, time: int) -> None:
        """A signal exit, then a signal entry. An opposite entry is an exit."""
        if self.position is not None:
            if self.position.side is Side.LONG:
                leave = flags.exit_long or flags.enter_short
            else:
                leave = flags.exit_short or flags.enter_long
            if leave:
                self.exit(price, ExitReason.SIGNAL, index, time)
        if self.position is None:
            if flags.enter_long:
                self.enter(Side.LONG, price, index, time)
            elif flags.enter_short:
                self.enter(Side.SHORT, price, index, time)

    def reason_at_open(self, open_: float) -> ExitReason | None:
        """The protective level that the open is beyond: liquidation, stop, trailing stop, then target."""
        held = self.position
        if held is None:
            return None

        def against(level: float | None) -> bool:
            if level is None:
                return False
            return open_ <= level if held.side is Side.LONG else open_ >= level

        def in_favour(level: float | None) -> bool:
            if level is None:
                return False
            return open_ >= level if held.side is Side.LONG else open_ <= level

        if against(held.ruin):
            return ExitReason.LIQUIDATION
        if against(held.stop):
            return ExitReason.STOP_LOSS
        if against(held.trailing):
            return ExitReason.TRAILING_STOP
        if in_favour(held.target):
            return ExitReason.TAKE_PROFIT
        return None

    def reason_inside(self, open_: float, high: float, low: float) -> tuple[ExitReason, float] | None:
        """The level met inside the bar and its price: liquidation, the nearer stop, then the target."""
        held = self.position
        assert held is not None
        if held.side is Side.LONG:
            stops = [(held.stop, ExitReason.STOP_LOSS), (held.trailing, ExitReason.TRAILING_STOP)]
            set_ = [(level, reason) for level, reason in stops if level is not None]
            if set_:
                level, reason = max(set_, key=lambda stop: stop[0])  # the first of equal levels
                if low <= level:
                    return reason, min(open_, level)
            if held.target is not None and high >= held.target:
                return ExitReason.TAKE_PROFIT, held.target
            return None
        if held.ruin is not None and high >= held.ruin:
            return ExitReason.LIQUIDATION, held.ruin
        stops = [(held.stop, ExitReason.STOP_LOSS), (held.trailing, ExitReason.TRAILING_STOP)]
        set_ = [(level, reason) for level, reason in stops if level is not None]
        if set_:
            level, reason = min(set_, key=lambda stop: stop[0])
            if high >= level:
                return reason, max(open_, level)
        if held.target is not None and low <= held.target:
            return ExitReason.TAKE_PROFIT, held.target
        return None

    def move_trailing_level(self, held: Position) -> None:
        """Follow the best price since entry at its distance."""
        if self.spec.trailing_stop is None:
            return
        if held.side is Side.LONG:
            held.trailing = held.highest * (1.0 - self.spec.trailing_stop)
        else:
            held.trailing = held.lowest * (1.0 + self.spec.trailing_stop)

    def enter(self, side: Side, market: float, index: int, time: int) -> None:
        """Buy or sell short at the market, as much as the sizing says and the cash covers."""
        spec = self.spec
        worse = 1.0 + spec.slippage if side is Side.LONG else 1.0 - spec.slippage
        price = market * worse
        affordable = self.cash / (price * (1.0 + spec.taker_fee))
        if spec.sizing.kind is SizingKind.EQUITY_FRACTION:
            quantity = spec.sizing.value * self.cash / (price * (1.0 + spec.taker_fee))
        elif spec.sizing.kind is SizingKind.CASH:
            quantity = spec.sizing.value / price
        else:
            quantity = spec.sizing.value
        quantity = min(quantity, affordable)
        while quantity * price + quantity * price * spec.taker_fee > self.cash:
            quantity = math.nextafter(quantity, 0.0)
        notional = quantity * price
        if quantity < SMALLEST_AMOUNT or notional < SMALLEST_AMOUNT:
            return
        fee = notional * spec.taker_fee
        held = Position(side, quantity, price, notional, fee, index, time, highest=price, lowest=price)
        if side is Side.LONG:
            if spec.stop_loss is not None:
                held.stop = price * (1.0 - spec.stop_loss)
            if spec.take_profit is not None:
                held.target = price * (1.0 + spec.take_profit)
        else:
            if spec.stop_loss is not None:
                held.stop = price * (1.0 + spec.stop_loss)
            if spec.take_profit is not None:
                held.target = price * (1.0 - spec.take_profit)
            held.ruin = 2.0 * price
        self.move_trailing_level(held)
        self.position = held
        self.fees_paid += fee
        self.traded_notional += notional

    def exit(self, market: float, reason: ExitReason, index: int, time: int) -> None:
        """Close the position and write the ledger's line."""
        spec, held = self.spec, self.position
        assert held is not None
        if reason is ExitReason.TAKE_PROFIT:
            price, rate = market, spec.maker_fee
        else:
            worse = 1.0 - spec.slippage if held.side is Side.LONG else 1.0 + spec.slippage
            price, rate = market * worse, spec.taker_fee
        gain = held.gain_at(price)
        fee = held.quantity * price * rate
        profit = gain - (held.entry_fee + fee)
        if profit < -held.stake:
            profit = -held.stake
            fee = max(held.notional + gain, 0.0)
        self.cash += profit
        self.fees_paid += fee
        self.traded_notional += held.quantity * price

        rise = (max(held.highest, market) - held.entry_price) / held.entry_price
        fall = (held.entry_price - min(held.lowest, market)) / held.entry_price
        long = held.side is Side.LONG
        self.trades.append(
            Trade(
                side=1 if long else -1,
                exit_reason=reason,
                entry_index=held.entry_index,
                exit_index=index,
                entry_time=held.entry_time,
                exit_time=time,
                bars=held.bars,
                quantity=held.quantity,
                entry_price=held.entry_price,
                exit_price=price,
                profit=profit,
                profit_fraction=profit / held.stake,
                fees=held.entry_fee + fee,
                max_favorable=rise if long else fall,
                max_adverse=fall if long else rise,
                equity_after=self.cash,
            )
        )
        self.position = None

    def marked(self, close: float) -> float:
        """Cash if flat, otherwise what closing at this price without costs would leave."""
        if self.position is None:
            return self.cash
        return self.cash - self.position.entry_fee + self.position.gain_at(close)
