"""What live bots read at the closes of bars: the new ones alone, and the same comes of it."""

from decimal import Decimal
from typing import Any

import pytest

from gql_trader.bots.live.bots import closes, reading
from gql_trader.bots.models import OrderRow, SessionStateRow
from gql_trader.bots.models_live_bot import LiveBotRow
from gql_trader.bots.ticks import running
from gql_trader.bots.ticks.hearing import hearings
from gql_trader.engine.bars import Bars
from gql_trader.engine.rules.continuing import ContinuedSignals
from gql_trader.market_data.store import loading
from tests.bots.live.bench import BOUGHT, Bench
from tests.factories.exchange_simulator import Hang, Refusal
from tests.factories.statements import executed_statements, rows_read

ORDER = "/api/v3/order"


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bars strategies were computed on, each time."""
    counts: list[int] = []
    extend = ContinuedSignals.extend

    def counted(self: ContinuedSignals, bars: Bars) -> Any:
        counts.append(len(bars))
        return extend(self, bars)

    monkeypatch.setattr(ContinuedSignals, "extend", counted)
    return counts


async def _forget(bench: Bench) -> None:
    """Let this process be one that has not listened to the bot's strategy."""
    [state] = await bench.rows(SessionStateRow)
    if state.signal_key is not None:
        hearings.forget(state.signal_key)


async def test_a_bar_costs_a_bot_the_same_however_long_it_has_traded(
    bench: Bench, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole: list[int] = []
    newest: list[int] = []
    load_bars, load_newest = loading.load_bars, loading.load_newest

    async def counted_bars(*given: Any) -> Any:
        loaded = await load_bars(*given)
        whole.append(len(loaded.bars))
        return loaded

    async def counted_newest(*given: Any) -> Any:
        bars = await load_newest(*given)
        newest.append(len(bars or ()))
        return bars

    monkeypatch.setattr(running, "load_bars", counted_bars)
    monkeypatch.setattr(running, "load_newest", counted_newest)
    await bench.begin()
    # What is bought is sold again, but for a fee that leaves too little.
    await bench.bar(50_100.0)
    await bench.bar(50_000.0)
    engine, read = bench.runtime.database.engine, []
    for _ in range(6):
        # Nothing rises: nothing is bought.
        await bench.bar(50_000.0, worked=False)
        with executed_statements(engine) as executed:
            assert await closes.step(bench.runtime, bench.session_id)
        read.append(await rows_read(engine, executed))
    # Once all that the strategy's indicators need; after that one bar each, and the one before it.
    assert (whole, newest, computed) == ([0, 2], [2] * 7, [2, *[1] * 7])
    assert len(set(read)) == 1, read
    assert [row.bars for row in await bench.rows(SessionStateRow)] == [8]


@pytest.mark.parametrize("forgets", [False, True])
async def test_a_trailing_stop_follows_all_bars_since_the_entry_whether_they_are_read_again_or_not(
    bench: Bench, forgets: bool
) -> None:
    await bench.begin(execution={"trailingStop": 0.01})
    stops = []
    for close in (50_100.0, 50_400.0, 50_800.0, 50_900.0):
        if forgets:
            await _forget(bench)
        await bench.bar(close)
        [*_, stop] = await bench.rows(OrderRow)
        stops.append((stop.status, int(stop.stop_price)))
        [live] = await bench.rows(LiveBotRow)
    assert stops == [("OPEN", 49_599), ("OPEN", 49_896), ("OPEN", 50_292), ("OPEN", 50_391)]
    assert live.best == 50_900.0


@pytest.mark.parametrize("is_told_late", [False, True])
async def test_bars_before_it_was_known_that_something_was_bought_count_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, is_told_late: bool
) -> None:
    if is_told_late:

        async def as_of_nothing_held(_uow: Any, row: Any) -> int | None:
            last: int | None = row.last_bar_time
            return last

        # Each time only after the bars were read.
        monkeypatch.setattr(reading, "wanted_since", as_of_nothing_held)
    await bench.begin(execution={"trailingStop": 0.05})
    faults, market = bench.desk.simulator.faults, bench.desk.simulator.markets["BTCUSDT"]
    faults.add(ORDER, Hang(done=True))
    faults.add(ORDER, Refusal(503), times=100)
    await bench.bar(50_100.0)
    await bench.bar(50_800.0)
    assert [status for _, status, _ in await bench.orders()] == ["UNKNOWN"]
    # The next hours open lower, and rise.
    for opened in (50_200, 50_300):
        market.price = Decimal(opened)
        await bench.bar(opened + 100.0)
        faults.waiting.clear()
        await bench.desk.pass_time(400)
        await bench.settle()
    assert (await bench.orders())[0] == BOUGHT
    [live] = await bench.rows(LiveBotRow)
    assert live.best == 50_800.0
