"""Live bots at the closes of bars and between them.

Once a bar has closed, its strategy's signals and the engine's rules say what to do, on what the account
really holds. That takes effect at once: at most one order, placed in the transaction that notes the bar as
traded.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import numpy as np
import structlog
from sqlalchemy import Row
from sqlalchemy.dialects.postgresql import insert

from gql_trader.backtests.execution import execution_from_json
from gql_trader.bots.explaining import Said, explained, note, signal_key
from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.fills import opening_order, sign_of
from gql_trader.bots.ledger.storing import lock_ledger, write_ledger
from gql_trader.bots.live.bots import acting, deciding, entering, positions, reading
from gql_trader.bots.live.bots import rules as position_rules
from gql_trader.bots.live.bots.ending import fail_session
from gql_trader.bots.live.bots.readying import make_ready
from gql_trader.bots.live.bots.rules import Wishes
from gql_trader.bots.live.bots.stops import is_held_there
from gql_trader.bots.live.checks import amounts
from gql_trader.bots.models import GuardRow, SessionStateRow
from gql_trader.bots.models_live_bot import LiveBotRow
from gql_trader.bots.quotes import Quote
from gql_trader.bots.ticks.hearing import ForgottenError
from gql_trader.bots.ticks.running import Window, load_window
from gql_trader.bots.types import ENGINE_FAILED, SessionStatus
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.errors import DomainError
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_float
from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import ExecutionSpec, ExitReason, Side
from gql_trader.engine.plugins import PluginError
from gql_trader.engine.results import GuardFigures
from gql_trader.engine.signals import Signals
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data
from gql_trader.market_data.feeds.forming import forming_bar, told_candles
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)


async def step(runtime: Runtime, session_id: UUID) -> bool:
    """Act on the bars that have closed since the last one; return whether there were any.

    May be called any number of times, by any number of workers, and be killed anywhere.
    """
    async with runtime.unit_of_work() as uow:
        row = await reading.read(uow, session_id)
    if row is None:
        return False
    # Its key may have been rotated since: the new one may be another account's.
    if (row.ready_at is None or not row.compared) and not await make_ready(runtime, row):
        return False
    try:
        return await _act(runtime, row, whole=False)
    except ForgottenError:
        return await _act(runtime, row, whole=True)


async def _act(runtime: Runtime, row: Row[Any], *, whole: bool) -> bool:
    """Act on new bars, on what this process knows of those before them or on the whole window.

    Raises
    ------
    ForgottenError
        If the whole window is needed.
    """
    try:
        async with runtime.unit_of_work() as uow:
            since = None if whole else await reading.wanted_since(uow, row)
            window = await load_window(uow, runtime, row, since)
        if window is None:
            return False
        stop = int(
            np.searchsorted(
                window.bars.time, to_milliseconds(runtime.clock.now()) - window.bars.interval, side="right"
            )
        )
        done = window.start
        if row.last_bar_time is not None:
            done = int(np.searchsorted(window.bars.time, row.last_bar_time, side="right"))
        if stop <= done:
            return False
        bars = window.bars.slice(0, stop)
        key = row.signal_key or signal_key(row, int(bars.time[0]))
        signals, said = await asyncio.to_thread(_think, key, window, bars, done, row.last_bar_time)
    except (DomainError, PluginError) as error:
        await fail_session(runtime, row.id, str(error))
        return False
    except _BrokenError:
        _log.exception("live_bot_broken", session_id=str(row.id))
        await fail_session(runtime, row.id, ENGINE_FAILED)
        return False
    async with runtime.unit_of_work() as uow:
        is_whole = window.hearing is None
        return await _trade(uow, row, bars, signals, done, key, said, is_whole=is_whole)


class _BrokenError(Exception):
    """A strategy cannot be computed."""


def _think(key: UUID, window: Window, bars: Bars, done: int, after: int | None) -> tuple[Signals, list[Said]]:
    """Return the signals of bars, which count from ``done`` on, and what explains those."""
    try:
        heard = window.hear(key, bars, after)
        new = done - (len(bars) - len(heard.bars))
        return heard.signals_over(len(bars)), explained(key, heard.lines, heard.bars, heard.signals, new)
    except (DomainError, PluginError, ForgottenError):
        raise
    except Exception as error:
        raise _BrokenError from error


async def _trade(
    uow: UnitOfWork,
    row: Row[Any],
    bars: Bars,
    signals: Signals,
    done: int,
    key: UUID,
    said: Sequence[Said],
    *,
    is_whole: bool,
) -> bool:
    locked = await lock_ledger(uow, row.id)
    if locked is None or (ledger := locked[1]) is None or locked[0].status != SessionStatus.ACTIVE.value:
        return False
    state = await uow.session.get_one(SessionStateRow, row.id, populate_existing=True)
    if state.last_bar_time != row.last_bar_time:
        # Another worker has acted on these bars.
        return False
    live = await uow.session.get_one(LiveBotRow, row.id, populate_existing=True)
    spec, last = execution_from_json(row.execution), len(bars) - 1
    opening = int(bars.time[last])
    closing, close = opening + bars.interval, float(bars.close[last])
    figures, leaves = _guard(spec, state, ledger, bars, done)
    figures = replace(figures, resting_bars=await _resting(uow, ledger, spec, closing))
    ledger.mark(row.market_id, Quote(close, closing, bars))
    state.anchor_time = state.anchor_time or int(bars.time[0])
    state.signal_key = state.signal_key or key
    state.last_bar_time, state.last_close = opening, close
    state.bars += len(bars) - done
    market, _ = await market_data.market_with_base(uow, row.market_id)
    quantity = await amounts.tradable(uow, market, ledger.held.get(row.market_id))
    wishes = Wishes.of(signals, spec.direction)
    held = None
    if quantity:
        # The best price that is known is that of the bars up to the last one traded.
        held = await positions.holding(uow, row.id, None if is_whole else live.best)
    if held is not None:
        if not is_whole and live.best is None and int(bars.time[0]) > held.entered_at:
            # It was not known yet that something was bought when the bars were read.
            raise ForgottenError
        live.best = deciding.after(held, bars, last + 1).best
    decision = deciding.decide(
        spec,
        wishes,
        bars,
        done,
        held,
        # What is being opened is closed once it is known what became of it.
        opening=_being_opened(ledger),
        stops=not is_held_there(ledger),
        guards=leaves,
    )
    entering.note_figures(state, position_rules.begin_day(spec, figures, to_float(ledger.equity), closing))
    live.entering = live.entering_at = None
    if decision.leaves is not None and (quantity or ledger.waiting):
        await acting.leave(uow, ledger, live, decision.leaves)
    if decision.enters is not None and live.exiting is not None:
        live.entering, live.entering_at = decision.enters.value, opening
    elif decision.enters is not None and not quantity and not ledger.waiting:
        await entering.enter(uow, ledger, live, market, decision.enters, opening)
    await acting.pursue(uow, ledger, live)
    figures = entering.figures_of(state)
    await uow.session.flush()
    await write_ledger(uow, ledger)
    await note(uow, said)
    await uow.session.execute(
        insert(GuardRow)
        .values(
            session_id=row.id,
            time=opening,
            day=figures.day,
            day_start_equity=figures.day_start_equity,
            day_entries=figures.day_entries,
            halted=figures.halted,
            resting_bars=figures.resting_bars,
            peak_equity=figures.peak_equity,
            drawn_down=figures.drawn_down,
            equity=to_float(ledger.equity),
        )
        .on_conflict_do_nothing()
    )
    return True


def _guard(
    spec: ExecutionSpec, state: SessionStateRow, ledger: HandLedger, bars: Bars, done: int
) -> tuple[GuardFigures, ExitReason | None]:
    """Let the guards look at the equity at each new close; return their figures, and what they ask for."""
    figures = entering.figures_of(state)
    assert ledger.session.market_id is not None
    trade, cash = ledger.held.get(ledger.session.market_id), to_float(ledger.cash)
    quantity = 0.0 if trade is None else sign_of(trade) * to_float(trade.quantity)
    equity, leaves = state.equity, None
    for at in range(done, len(bars)):
        opening = int(bars.time[at])
        figures = position_rules.begin_day(spec, figures, equity, opening)
        figures = position_rules.begin_day(spec, figures, equity, opening + bars.interval - 1)
        equity = cash + quantity * float(bars.close[at])
        figures, reason = position_rules.guard(spec, figures, equity)
        leaves = leaves or reason
    return figures, leaves


def _being_opened(ledger: HandLedger) -> Side | None:
    """Return the side of a position that an order is about to open."""
    for order in ledger.waiting:
        if not order.reduce_only:
            return Side.LONG if order.side == opening_order(Side.LONG).value else Side.SHORT
    return None


async def _resting(uow: UnitOfWork, ledger: HandLedger, spec: ExecutionSpec, opening: int) -> int:
    """Return on how many bars from one on the cooldown lets nothing be opened."""
    if not spec.cooldown_bars:
        return 0
    order = await positions.last_order(uow, ledger.session.id, closing=True)
    if order is None or order.filled_at is None:
        return 0
    assert ledger.session.interval is not None
    interval = Interval[ledger.session.interval]
    exit_bar = interval.floor(to_milliseconds(order.filled_at))
    ends = exit_bar + (spec.cooldown_bars + 1) * interval.milliseconds
    return max(0, (ends - opening) // interval.milliseconds)


async def check(runtime: Runtime, session_id: UUID) -> bool:
    """Look at a position between closes; close it if its levels were met. Return whether it was looked at.

    May be called any number of times, by any number of workers.
    """
    async with runtime.unit_of_work() as uow:
        row = await reading.read(uow, session_id)
    if row is None:
        return False
    interval = Interval[row.interval]
    told = await told_candles(runtime.events, row.market_id, interval)
    async with runtime.unit_of_work() as uow:
        bar = await forming_bar(uow, runtime.arrays, row.market_id, interval, told)
    async with runtime.unit_of_work() as uow:
        locked = await lock_ledger(uow, session_id)
        live = await uow.session.get(LiveBotRow, session_id, populate_existing=True)
        if locked is None or (ledger := locked[1]) is None or live is None:
            return False
        now = uow.clock.now()
        if locked[0].status != SessionStatus.ACTIVE.value or live.check_at is None or live.check_at > now:
            return False
        live.check_at = now + timedelta(seconds=row.check_seconds)
        market, _ = await market_data.market_with_base(uow, row.market_id)
        quantity = await amounts.tradable(uow, market, ledger.held.get(row.market_id))
        if not quantity:
            live.check_at = None
        elif bar is not None:
            held = await positions.holding(uow, session_id, live.best)
            close = float(bar.close[0])
            ledger.mark(row.market_id, Quote(close, int(bar.time[0]) + bar.interval, bar))
            spec = execution_from_json(row.execution)
            # What the exchange holds is its own to act on.
            stops = not is_held_there(ledger)
            reason = deciding.first_exit(spec, held, bar, 0, stops=stops)
            if not stops:
                spec = replace(spec, stop_loss=None, trailing_stop=None, trailing_activation=None)
            reason = reason or position_rules.exit_at(spec, held, close, to_milliseconds(now))
            if reason is not None:
                await acting.leave(uow, ledger, live, reason)
        await uow.session.flush()
        if ledger.valued_at is not None:
            await write_ledger(uow, ledger)
    return True
