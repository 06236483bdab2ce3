"""Reading what a session needs to go on: where it stands, its rules and its bars."""

import asyncio
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from gql_trader.backtests.execution import execution_from_json
from gql_trader.backtests.history import SIGNAL_BARS
from gql_trader.bots.ticks.hearing import ForgottenError, Heard, Hearing, Source, go_on, hear, hearings
from gql_trader.bots.ticks.stepping import Standing, Terms
from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.ids import MarketId, TradingSessionId, UserId
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_float
from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.plugins import PluginRegistry, StrategyCode
from gql_trader.engine.results import GuardFigures
from gql_trader.engine.rules import compile_rules
from gql_trader.infra import json_codec
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data.store.loading import find_series, load_bars, load_newest
from gql_trader.market_data.types import PriceSeriesRecord
from gql_trader.runtime import Runtime
from gql_trader.strategies import service as strategies
from gql_trader.strategies.types import StrategyDefinition


@dataclass(frozen=True, slots=True)
class Window:
    """The bars that a session's signals are computed on.

    Attributes
    ----------
    start
        Index of the first bar that may trade.
    source
        The candles that it is made of.
    hearing
        What has listened to the strategy before these bars; None: they are all that it needs.
    """

    bars: Bars
    start: int
    rules: StrategyCode
    parameters: dict[str, Any]
    source: Source
    hearing: Hearing | None = None

    def hear(self, key: UUID, bars: Bars, after: int | None) -> Heard:
        """Return what the strategy says after a moment, given the window's bars up to one; see `hear`.

        Raises
        ------
        ForgottenError
            If the window has the newest bars only, and these are not enough.
        """
        if self.hearing is not None:
            assert after is not None, "it has been listened to"
            heard = go_on(key, self.hearing, bars, after)
            if heard is None:
                raise ForgottenError
            return heard
        return hear(self.rules, self.parameters, self.source, key, bars, after)


@lru_cache(maxsize=10_000)
def spec_of(text: str) -> ExecutionSpec:
    """Return the spec of an execution's JSON; texts that were read lately are not read again."""
    return execution_from_json(json_codec.loads(text))


def terms_of(row: Row[Any]) -> Terms:
    """Return what a session trades under, from its own columns.

    Its execution may be given as JSON or as its text; texts that were read lately are not read again.
    """
    given = row.execution
    return Terms(
        session_id=TradingSessionId(row.id),
        user_id=UserId(row.user_id),
        bot_id=row.bot_id,
        execution=spec_of(given) if isinstance(given, str) else execution_from_json(given),
        capital=to_float(row.capital),
        equity_every=row.equity_every,
    )


def guards_of(row: Row[Any]) -> GuardFigures:
    """Return what a session's guards look at, from the columns of its state."""
    return GuardFigures(
        row.day,
        row.day_start_equity,
        row.day_entries,
        row.halted,
        row.resting_bars,
        row.peak_equity,
        row.drawn_down,
    )


def standing(row: Row[Any]) -> Standing:
    """Return where a session stands, from its own columns, as for `terms_of`, and those of its state."""
    return Standing(
        terms=terms_of(row),
        revision=row.revision,
        state=row.state,
        last_bar_time=row.last_bar_time,
        bars=row.bars,
        guards=guards_of(row),
        signal_key=row.signal_key,
    )


# Compiling is pure, takes milliseconds, and is wanted again with the next bar.
_compiled = lru_cache(maxsize=1000)(compile_rules)


def code_of(definition: StrategyDefinition, plugins: PluginRegistry) -> StrategyCode:
    """Return what a definition runs; rules that were compiled lately are not compiled again."""
    if definition.plugin_ref is None:
        return _compiled(definition.rules, definition.parameters)
    return strategies.compiled(definition, plugins)


async def load_window(
    uow: UnitOfWork, runtime: Runtime, row: Row[Any], since: int | None = None
) -> Window | None:
    """Return the bars of a session up to the newest one stored; None if none may trade yet.

    Before the first step the window is that of a backtest from the same start: as many bars before it as
    the rules need, as far as the store has them. From then on it begins where it began.

    Parameters
    ----------
    since
        If this process has listened to the strategy, only the bars that are new to it or to the session are
        wanted, those before that have closed, and those from this one on: the opening time of a bar, Unix
        milliseconds. None: all.
    """
    definition = await strategies.load_version(uow, row.strategy_id, row.strategy_version)
    rules = await asyncio.to_thread(code_of, definition, runtime.plugins)
    series = await find_series(uow, MarketId(row.market_id), Interval[row.interval])
    if series is None:
        return None
    source = Source.of(series.source)
    if since is not None and (hearing := hearings.get(row.signal_key, source)) is not None:
        bars = await _newest(uow, runtime, series, min(hearing.until, row.last_bar_time, since))
        return Window(bars, 0, rules, row.parameters, source, hearing) if len(bars) else None
    lookback = rules.warmup(row.parameters, Interval[row.interval].milliseconds) + SIGNAL_BARS
    if row.anchor_time is None:
        loaded = await load_bars(uow, runtime.arrays, series, row.trade_from, row.replay_end, lookback)
        bars, start = loaded.bars, loaded.warmup
    else:
        begin = from_milliseconds(row.anchor_time)
        bars = (await load_bars(uow, runtime.arrays, series, begin, row.replay_end)).bars
        start = 0
    if len(bars) <= start:
        return None
    return Window(bars, start, rules, row.parameters, source)


async def _newest(uow: UnitOfWork, runtime: Runtime, series: PriceSeriesRecord, since: int) -> Bars:
    """Return the bars from one on, by a read of those alone if that is possible."""
    end = series.interval.floor(to_milliseconds(runtime.clock.now()))
    bars = await load_newest(uow, series, since, end)
    if bars is None:
        bars = (await load_bars(uow, runtime.arrays, series, from_milliseconds(since))).bars
    return bars
