"""The simulation once more: slow, obvious, one bar after another, in the order of the design document.

Plain Python floats and no tricks. The compiled kernel must equal it exactly, so where the order of float
operations matters it is the same: formulas are written as the document's sentences read.
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import ROUND_DOWN, Decimal, localcontext
from zoneinfo import ZoneInfo

from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import Direction, ExecutionSpec, ExitReason, FillModel, Side, SizingKind
from gql_trader.engine.signals import Signals

SMALLEST_AMOUNT = 1e-8
DAY = 86_400_000
MINUTE = 60_000


def day_of(milliseconds: int, zone: str | None) -> date:
    """The calendar day of a moment."""
    clocks = UTC if zone is None else ZoneInfo(zone)
    return datetime.fromtimestamp(milliseconds / 1000, clocks).date()


def rounded_down(quantity: float, decimals: int) -> float:
    """As a person would: cut off the decimals that are too many."""
    with localcontext(prec=80):
        return float(Decimal(repr(quantity)).quantize(Decimal(1).scaleb(-decimals), ROUND_DOWN))


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
    margin: float
    charged_until: int
    stop: float | None = None
    trailing: float | None = None
    target: float | None = None
    ruin: float = 0.0
    funding: float = 0.0
    bars: int = 0

    @property
    def stake(self) -> float:
        """What was put in, and the most that can be lost."""
        return self.margin + self.entry_fee

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
    funding: float


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
    funding_paid: float = 0.0
    marks: list[tuple[date, float]] = field(default_factory=list)
    entry_days: list[date] = field(default_factory=list)
    halted_on: date | None = None
    drawn_down: bool = False
    must_close: bool = False
    latest_day: date = date.min

    def run(self, bars: Bars, signals: Signals, start: int = 0) -> "ReferenceSimulator":
        """Simulate every bar from `start` and close what is open at the end."""
        self.cash = self.initial_capital
        for i in range(start, len(bars)):
            opening, closing = int(bars.time[i]), int(bars.time[i]) + bars.interval
            open_, high, low, close = (
                float(column[i]) for column in (bars.open, bars.high, bars.low, bars.close)
            )

            # 1. Funding.
            self.charge(open_, opening)

            # 2. At the open.
            reason = self.reason_at_open(open_, opening)
            if reason is not None:
                self.exit(open_, reason, i, opening)
            elif self.spec.fill is FillModel.NEXT_OPEN and i > 0:
                self.fill(self.flags(signals, i - 1), open_, i, opening, self.day_of(opening))

            # 3. Inside the bar.
            if self.position is not None:
                self.bars_in_position += 1
                self.position.bars += 1
                found = self.reason_inside(open_, high, low, opening)
                if found is not None:
                    self.exit(found[1], found[0], i, closing)

            # 4. At the close.
            if self.position is not None:
                self.position.highest = max(self.position.highest, high)
                self.position.lowest = min(self.position.lowest, low)
                self.move_trailing_level(self.position)
                self.charge(close, closing)
                if self.beyond(self.position.ruin, close, against=True):
                    self.exit(close, ExitReason.LIQUIDATION, i, closing)
            today = self.day_of(closing - 1)
            if self.spec.fill is FillModel.CLOSE:
                self.fill(self.flags(signals, i), close, i, closing, today)
            self.equity.append(self.marked(close))
            self.marks.append((today, self.equity[-1]))
            if not self.drawn_down and self.drawdown_is_reached():
                self.drawn_down = True
                self.must_close = self.position is not None
            elif not self.drawn_down and self.halted_on != today and self.limit_is_reached(today):
                self.halted_on = today
                self.must_close = self.position is not None
            self.free_cash.append(self.cash - (self.position.stake if self.position else 0.0))

        # 5. After the last bar.
        if self.position is not None:
            last = len(bars) - 1
            self.exit(
                float(bars.close[last]), ExitReason.END_OF_DATA, last, int(bars.time[last]) + bars.interval
            )
            self.equity[-1] = self.cash
        return self

    def day_of(self, time: int) -> date:
        """The day of the account; one that has begun does not begin again when clocks are set back."""
        self.latest_day = max(self.latest_day, day_of(time, self.spec.timezone))
        return self.latest_day

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

    def fill(self, flags: Flags, price: float, index: int, time: int, today: date) -> None:
        """What a daily guard closes, or a signal exit; then a signal entry. An opposite entry is an exit."""
        if self.position is not None and self.must_close:
            self.exit(
                price, ExitReason.MAX_DRAWDOWN if self.drawn_down else ExitReason.DAILY_LIMIT, index, time
            )
        if self.position is not None:
            if self.position.side is Side.LONG:
                leave = flags.exit_long or flags.enter_short
            else:
                leave = flags.exit_short or flags.enter_long
            if leave:
                self.exit(price, ExitReason.SIGNAL, index, time)
        if self.position is None and not self.refused(index, today):
            if flags.enter_long:
                self.enter(Side.LONG, price, index, time, today)
            elif flags.enter_short:
                self.enter(Side.SHORT, price, index, time, today)

    def refused(self, index: int, today: date) -> bool:
        """Whether a guard forbids an entry."""
        spec = self.spec
        if self.halted_on == today or self.drawn_down:
            return True
        if spec.max_daily_trades is not None and self.entry_days.count(today) >= spec.max_daily_trades:
            return True
        if spec.cooldown_bars > 0 and self.trades:
            return index <= self.trades[-1].exit_index + spec.cooldown_bars
        return False

    def limit_is_reached(self, today: date) -> bool:
        """Whether equity has changed as much as the daily guards allow since the day before ended."""
        spec, now = self.spec, self.equity[-1]
        before = (equity for day, equity in reversed(self.marks) if day < today)
        begun = next(before, self.initial_capital)
        if spec.max_daily_loss is not None and now <= begun * (1.0 - spec.max_daily_loss):
            return True
        return spec.daily_target is not None and now >= begun * (1.0 + spec.daily_target)

    def drawdown_is_reached(self) -> bool:
        """Whether equity has fallen from its highest close as far as it may."""
        if self.spec.max_drawdown is None:
            return False
        peak = max(self.initial_capital, *self.equity)
        return self.equity[-1] <= peak * (1.0 - self.spec.max_drawdown)

    def charge(self, price: float, time: int) -> None:
        """Take the cost of holding the position out of its margin."""
        held = self.position
        if held is None or self.spec.funding_rate_per_day == 0:
            return
        days = (time - held.charged_until) / DAY
        cost = self.spec.funding_rate_per_day * (held.quantity * price) * days
        held.charged_until = time
        held.funding += cost
        self.funding_paid += cost
        if held.side is Side.LONG:
            held.ruin += cost / held.quantity
        else:
            held.ruin -= cost / held.quantity

    def beyond(self, level: float | None, price: float, *, against: bool) -> bool:
        """Whether a price has reached a level against the position, or in its favour."""
        assert self.position is not None
        if level is None:
            return False
        falling = against == (self.position.side is Side.LONG)
        return price <= level if falling else price >= level

    def roi_target(self, time: int) -> float | None:
        """The price that the table of returns asks for at a position's age."""
        held = self.position
        assert held is not None
        reached = [step for step in self.spec.minimal_roi if step[0] * MINUTE <= time - held.entry_time]
        if not reached:
            return None
        distance = max(reached)[1]
        return held.entry_price * (1.0 + distance if held.side is Side.LONG else 1.0 - distance)

    def reason_at_open(self, open_: float, time: int) -> ExitReason | None:
        """The protective level that the open is beyond: liquidation, stop, trailing stop, then targets."""
        held = self.position
        if held is None:
            return None
        if self.beyond(held.ruin, open_, against=True):
            return ExitReason.LIQUIDATION
        if self.beyond(held.stop, open_, against=True):
            return ExitReason.STOP_LOSS
        if self.beyond(held.trailing, open_, against=True):
            return ExitReason.TRAILING_STOP
        if self.beyond(held.target, open_, against=False):
            return ExitReason.TAKE_PROFIT
        if self.beyond(self.roi_target(time), open_, against=False):
            return ExitReason.ROI
        return None

    def reason_inside(
        self, open_: float, high: float, low: float, opening: int
    ) -> tuple[ExitReason, float] | None:
        """The level met inside the bar and its price: liquidation, the nearer stop, the nearer target."""
        held = self.position
        assert held is not None
        wanted = [(held.target, ExitReason.TAKE_PROFIT), (self.roi_target(opening), ExitReason.ROI)]
        targets = [(level, reason) for level, reason in wanted if level is not None]
        if held.side is Side.LONG:
            if low <= held.ruin:
                return ExitReason.LIQUIDATION, min(open_, held.ruin)
            stops = [(held.stop, ExitReason.STOP_LOSS), (held.trailing, ExitReason.TRAILING_STOP)]
            set_ = [(level, reason) for level, reason in stops if level is not None]
            if set_:
                level, reason = max(set_, key=lambda stop: stop[0])  # the first of equal levels
                if low <= level:
                    return reason, min(open_, level)
            if targets:
                level, reason = min(targets, key=lambda target: target[0])
                if high >= level:
                    return reason, level
            return None
        if high >= held.ruin:
            return ExitReason.LIQUIDATION, max(open_, held.ruin)
        stops = [(held.stop, ExitReason.STOP_LOSS), (held.trailing, ExitReason.TRAILING_STOP)]
        set_ = [(level, reason) for level, reason in stops if level is not None]
        if set_:
            level, reason = min(set_, key=lambda stop: stop[0])
            if high >= level:
                return reason, max(open_, level)
        if targets:
            level, reason = max(targets, key=lambda target: target[0])
            if low <= level:
                return reason, level
        return None

    def move_trailing_level(self, held: Position) -> None:
        """Follow the best price since entry at its distance, once it is good enough."""
        if self.spec.trailing_stop is None:
            return
        needed = self.spec.trailing_activation
        if held.side is Side.LONG:
            if needed is not None and held.highest < held.entry_price * (1.0 + needed):
                return
            held.trailing = held.highest * (1.0 - self.spec.trailing_stop)
        else:
            if needed is not None and held.lowest > held.entry_price * (1.0 - needed):
                return
            held.trailing = held.lowest * (1.0 + self.spec.trailing_stop)

    def enter(self, side: Side, market: float, index: int, time: int, today: date) -> None:
        """Buy or sell short at the market, as much as the sizing says and the cash covers."""
        spec = self.spec
        worse = 1.0 + spec.slippage if side is Side.LONG else 1.0 - spec.slippage
        price = market * worse
        buying_power = self.cash * spec.leverage
        affordable = buying_power / (price * (1.0 + spec.taker_fee))
        if spec.sizing.kind is SizingKind.EQUITY_FRACTION:
            quantity = spec.sizing.value * buying_power / (price * (1.0 + spec.taker_fee))
        elif spec.sizing.kind is SizingKind.RISK_FRACTION:
            assert spec.stop_loss is not None
            if side is Side.LONG:
                out = price * (1.0 - spec.stop_loss) * (1.0 - spec.slippage)
                difference = price - out
            else:
                out = price * (1.0 + spec.stop_loss) * (1.0 + spec.slippage)
                difference = out - price
            quantity = spec.sizing.value * self.cash / (difference + (price + out) * spec.taker_fee)
        elif spec.sizing.kind is SizingKind.CASH:
            quantity = spec.sizing.value / price
        else:
            quantity = spec.sizing.value
        quantity = min(quantity, affordable)
        while quantity * price + quantity * price * spec.taker_fee > buying_power:
            quantity = math.nextafter(quantity, 0.0)
        if spec.amount_precision is not None:
            quantity = rounded_down(quantity, spec.amount_precision)
        notional = quantity * price
        if quantity < SMALLEST_AMOUNT or notional < SMALLEST_AMOUNT:
            return
        if quantity < spec.min_amount or notional < spec.min_notional:
            return
        fee = notional * spec.taker_fee
        margin = notional
        if spec.leverage > 1:
            margin = min(notional / spec.leverage, self.cash - fee)
            if margin <= spec.maintenance_margin * notional:
                return
        held = Position(
            side,
            quantity,
            price,
            notional,
            fee,
            index,
            time,
            highest=price,
            lowest=price,
            margin=margin,
            charged_until=time,
        )
        per_unit = margin / quantity
        short_of_margin = margin < notional / spec.leverage
        if side is Side.LONG:
            if spec.stop_loss is not None:
                held.stop = price * (1.0 - spec.stop_loss)
            if spec.take_profit is not None:
                held.target = price * (1.0 + spec.take_profit)
            if spec.leverage > 1:
                held.ruin = price * (1.0 - (1.0 / spec.leverage - spec.maintenance_margin))
                if short_of_margin:
                    held.ruin = max(held.ruin, price - per_unit)
        else:
            if spec.stop_loss is not None:
                held.stop = price * (1.0 + spec.stop_loss)
            if spec.take_profit is not None:
                held.target = price * (1.0 - spec.take_profit)
            held.ruin = 2.0 * price
            if spec.leverage > 1:
                held.ruin = price * (1.0 + (1.0 / spec.leverage - spec.maintenance_margin))
                if short_of_margin:
                    held.ruin = min(held.ruin, price + per_unit)
        self.move_trailing_level(held)
        self.position = held
        self.entry_days.append(today)
        self.fees_paid += fee
        self.traded_notional += notional

    def exit(self, market: float, reason: ExitReason, index: int, time: int) -> None:
        """Close the position and write the ledger's line."""
        spec, held = self.spec, self.position
        assert held is not None
        self.charge(market, time)
        if reason in (ExitReason.TAKE_PROFIT, ExitReason.ROI):
            price, rate = market, spec.maker_fee
        else:
            worse = 1.0 - spec.slippage if held.side is Side.LONG else 1.0 + spec.slippage
            price, rate = market * worse, spec.taker_fee
        gain = held.gain_at(price)
        fee = held.quantity * price * rate
        profit = gain - (held.entry_fee + fee + held.funding)
        if reason is ExitReason.LIQUIDATION or profit < -held.stake:
            profit = -held.stake
            fee = max(held.margin + gain - held.funding, 0.0)
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
                funding=held.funding,
            )
        )
        self.position = None
        self.must_close = False

    def marked(self, close: float) -> float:
        """Cash if flat, otherwise what closing at this price without costs, or liquidation, would leave."""
        if self.position is None:
            return self.cash
        if self.beyond(self.position.ruin, close, against=True):
            return self.cash - self.position.stake
        paid = self.cash - self.position.entry_fee - self.position.funding
        return paid + self.position.gain_at(close)
