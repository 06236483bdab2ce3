"""The strategies that come with the program."""

from dataclasses import replace

import numpy as np
import pytest
import talib

from gql_trader.core.intervals import HOUR
from gql_trader.engine.rules import check_parameters, compile_rules
from gql_trader.runtime import Runtime
from gql_trader.strategies import service
from gql_trader.strategies.builtin import BUILTIN_STRATEGIES, BuiltinStrategy
from gql_trader.strategies.definitions import check_rules, check_texts
from gql_trader.strategies.models import StrategyRow, StrategyVersionRow
from tests.factories.actors import make_actor
from tests.factories.random_bars import random_bars

ALL = pytest.mark.parametrize("strategy", BUILTIN_STRATEGIES.values(), ids=lambda each: each.slug)


@ALL
def test_a_built_in_strategy_is_what_a_user_could_write(strategy: BuiltinStrategy) -> None:
    assert not check_texts(strategy.name, strategy.description)
    assert not check_parameters(strategy.parameters)
    assert not check_rules(strategy.rules, strategy.parameters, ("parameters",))
    assert all(parameter.description for parameter in strategy.parameters)


@ALL
def test_a_built_in_strategy_trades(strategy: BuiltinStrategy) -> None:
    compiled = compile_rules(strategy.rules, strategy.parameters)
    signals = compiled.signals(random_bars(3000, seed=6))
    assert signals.entry_long.any()
    if strategy.slug != "buy-and-hold":
        assert signals.exit_long.any()
        assert signals.entry_short.any()
        assert signals.exit_short.any()
        assert not (signals.entry_long & signals.exit_long).any()
    assert len(compiled.plots(random_bars(300))) == len(strategy.rules.plots)


def test_the_catalogue_of_built_in_strategies() -> None:
    assert {strategy.slug: strategy.name for strategy in BUILTIN_STRATEGIES.values()} == {
        "golden-cross": "Golden cross",
        "ema-cross": "EMA cross",
        "ema-rsi": "EMA and RSI",
        "bollinger-reversion": "Mean reversion with Bollinger bands",
        "macd": "MACD",
        "donchian-breakout": "Donchian breakout",
        "supertrend": "SuperTrend",
        "buy-and-hold": "Buy and hold",
    }


def test_golden_cross_is_the_crossing_of_two_simple_averages() -> None:
    golden = BUILTIN_STRATEGIES["builtin:golden_cross"]
    compiled = compile_rules(golden.rules, golden.parameters)
    bars = random_bars(2000, seed=3)
    fast, slow = talib.SMA(bars.close, 50), talib.SMA(bars.close, 200)
    above = fast > slow
    rose = np.flatnonzero(above[200:] & ~above[199:-1]) + 200
    fell = np.flatnonzero(~above[200:] & above[199:-1]) + 200
    signals = compiled.signals(bars)
    np.testing.assert_array_equal(np.flatnonzero(signals.entry_long), rose)
    np.testing.assert_array_equal(np.flatnonzero(signals.exit_long), fell)
    assert compiled.warmup(None, HOUR) == 200


def test_donchian_breakout_leaves_the_range_of_the_bars_before() -> None:
    donchian = BUILTIN_STRATEGIES["builtin:donchian_breakout"]
    bars = random_bars(100, seed=8)
    signals = compile_rules(donchian.rules, donchian.parameters).signals(bars)
    for i in range(20, 100):
        assert signals.entry_long[i] == (bars.close[i] > bars.high[i - 20 : i].max())
        assert signals.exit_long[i] == (bars.close[i] < bars.low[i - 10 : i].min())


def test_buy_and_hold_enters_on_every_bar_and_never_leaves() -> None:
    strategy = BUILTIN_STRATEGIES["builtin:buy_and_hold"]
    signals = compile_rules(strategy.rules).signals(random_bars(5))
    assert signals.entry_long.all()
    assert not signals.exit_long.any()


async def test_synchronising_twice_changes_nothing(runtime: Runtime) -> None:
    async with runtime.unit_of_work() as uow:
        assert await service.sync_builtin_strategies(uow) == 8
    async with runtime.unit_of_work() as uow:
        assert await service.sync_builtin_strategies(uow) == 0


async def test_a_changed_built_in_strategy_becomes_a_new_version(runtime: Runtime) -> None:
    golden = BUILTIN_STRATEGIES["builtin:golden_cross"]
    actor = await make_actor(runtime, "alice")
    async with runtime.unit_of_work() as uow:
        await service.sync_builtin_strategies(uow)
    # An earlier release had other rules.
    async with runtime.unit_of_work() as uow:
        version = await uow.session.get_one(StrategyVersionRow, (golden.id, 1))
        version.rules = {**version.rules, "entryLong": "close > open"}
    async with runtime.unit_of_work() as uow:
        assert await service.sync_builtin_strategies(uow) == 1
    async with runtime.unit_of_work() as uow:
        assert (await service.load_version(uow, golden.id, 1)).rules == replace(
            golden.rules, entry_long="close > open"
        )
        present = await service.get_visible(uow, actor, golden.id)
        assert (present.version, present.rules, present.parameters) == (2, golden.rules, golden.parameters)


async def test_a_renamed_built_in_strategy_keeps_its_version(runtime: Runtime) -> None:
    golden = BUILTIN_STRATEGIES["builtin:golden_cross"]
    async with runtime.unit_of_work() as uow:
        await service.sync_builtin_strategies(uow)
    async with runtime.unit_of_work() as uow:
        (await uow.session.get_one(StrategyRow, golden.id)).name = "Old name"
    async with runtime.unit_of_work() as uow:
        assert await service.sync_builtin_strategies(uow) == 1
    async with runtime.unit_of_work() as uow:
        row = await uow.session.get_one(StrategyRow, golden.id)
        assert (row.name, row.version) == ("Golden cross", 1)
