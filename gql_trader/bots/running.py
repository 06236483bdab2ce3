"""Reading what a session needs to go on: where it stands, its rules and its bars."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from gql_trader.backtests.execution import execution_from_json
from gql_trader.backtests.history import SIGNAL_BARS
from gql_trader.bots.stepping import Standing
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.ids import MarketId, TradingSessionId, UserId
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_float
from gql_trader.engine.bars import Bars
from gql_trader.engine.rules import CompiledRules
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data.loading import find_series, load_bars
from gql_trader.strategies import service as strategies


@dataclass(frozen=True, slots=True)
class Window:
    """The bars that a session's signals are computed on.

    Attributes
    ----------
    start
        Index of the first bar that may trade.
    """

    bars: Bars
    start: int
    rules: CompiledRules
    parameters: dict[str, Any]


def standing(row: Row[Any]) -> Standing:
    """Return where a session stands, from its own columns and those of its state."""
    return Standing(
        session_id=TradingSessionId(row.id),
        user_id=UserId(row.user_id),
        bot_id=row.bot_id,
        execution=execution_from_json(row.execution),
        capital=to_float(row.capital),
        revision=row.revision,
        state=row.state,
        last_bar_time=row.last_bar_time,
        bars=row.bars,
        equity_every=row.equity_every,
        halted=row.halted,
    )


async def load_rules(uow: UnitOfWork, row: Row[Any]) -> CompiledRules:
    """Return the compiled rules of a session's strategy."""
    definition = await strategies.load_version(uow, row.strategy_id, row.strategy_version)
    return strategies.compiled(definition)


async def load_window(uow: UnitOfWork, arrays: ArrayCache, row: Row[Any]) -> Window | None:
    """Return the bars of a session up to the newest one stored; None if none may trade yet.

    Before the first step the window is that of a backtest from the same start: as many bars before it as
    the rules need, as far as the store has them. From then on it begins where it began.
    """
    rules = await load_rules(uow, row)
    series = await find_series(uow, MarketId(row.market_id), Interval[row.interval])
    if series is None:
        return None
    lookback = rules.warmup(row.parameters, Interval[row.interval].milliseconds) + SIGNAL_BARS
    if row.anchor_time is None:
        loaded = await load_bars(uow, arrays, series, row.trade_from, row.replay_end, lookback)
        bars, start = loaded.bars, loaded.warmup
    else:
        begin = from_milliseconds(row.anchor_time)
        bars = (await load_bars(uow, arrays, series, begin, row.replay_end)).bars
        start = 0
    return Window(bars, start, rules, row.parameters) if len(bars) > start else None
