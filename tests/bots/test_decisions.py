"""What a bot did at every bar can be explained afterwards: its strategy's values and signals, its guards."""

from typing import Any

from sqlalchemy import update

from gql_trader.accounts.models import UserRow
from gql_trader.bots import jobs, repository
from gql_trader.bots.guarding import GuardKind, guards_then
from gql_trader.bots.models import SignalRow
from gql_trader.bots.ticks import shards, ticking
from gql_trader.bots.types import Feed
from gql_trader.core.clock import to_milliseconds
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.infra.keyset import page_request
from gql_trader.strategies import service as strategies
from tests.factories.bots import LiveMarket

PARAMETERS = {"fast": 3, "slow": 7}


async def _tick(live: LiveMarket) -> None:
    async with live.bots.runtime.unit_of_work() as uow:
        behind = await shards.behind(uow)
    for each in behind:
        await ticking.tick(live.bots.runtime, each.shard)


async def _decisions(live: LiveMarket, *session_ids: Any) -> list[list[Any]]:
    async with live.bots.runtime.unit_of_work() as uow:
        pages = await repository.pages_of_decisions(
            uow.session, live.bots.trader.user_id, session_ids, page_request(first=100)
        )
        counts = await repository.counts_of_decisions(uow.session, session_ids)
    for session_id in session_ids:
        assert counts.get(session_id, 0) == len(pages[session_id].rows)
    return [list(reversed(pages[session_id].rows)) for session_id in session_ids]


async def test_every_bar_has_the_values_and_signals_that_its_strategy_had(live: LiveMarket) -> None:
    _, session_id = await live.bots.begin(market="LIVE/USD", feed=Feed(), parameters=PARAMETERS)
    for count in (2, 1, 30, 1):
        await live.close_bars(count)
        await _tick(live)
    [found] = await _decisions(live, session_id)
    session = await live.bots.session(session_id)
    first = int((live.bars.time >= to_milliseconds(session.trade_from)).argmax())
    assert [row.time for row in found] == live.bars.time[first : first + 33].tolist()
    async with live.bots.runtime.unit_of_work() as uow:
        definition = await strategies.load_version(uow, session.strategy_id, session.strategy_version)
    code = strategies.compiled(definition, live.bots.runtime.plugins)
    # The window that the session began with: its first bar, and as many before as the rules need.
    begin = int((live.bars.time >= session.anchor_time).argmax())
    bars = live.bars.slice(begin, live.stored)
    signals, lines = code.signals(bars, session.parameters), code.lines(bars, session.parameters)
    for row in found:
        at = int((bars.time == row.time).argmax())
        assert row.said == {line.text: line.values[at] for line in lines}
        held = (signals.entry_long, signals.exit_long, signals.entry_short, signals.exit_short)
        assert row.signals == sum(int(column[at]) << place for place, column in enumerate(held))
    assert len(lines) == 2
    assert len({row.signals for row in found}) > 2


async def test_the_guards_of_a_bar_are_those_of_then(live: LiveMarket) -> None:
    execution = ExecutionSpec(max_daily_trades=1, cooldown_bars=3)
    _, session_id = await live.bots.begin(
        market="LIVE/USD", feed=Feed(), parameters=PARAMETERS, execution=execution
    )
    for _ in range(60):
        await live.close_bars(1)
        await _tick(live)
    [found] = await _decisions(live, session_id)
    trades = await live.bots.trades(session_id)
    opened = {to_milliseconds(trade.entry_time) for trade in trades}
    day = 86_400_000
    spent = 0
    for row in found:
        by_kind = {guard.kind: guard for guard in guards_then(row)}
        today = [time for time in opened if time // day == row.time // day and time <= row.time]
        assert by_kind[GuardKind.MAX_DAILY_TRADES].used == len(today)
        assert (by_kind[GuardKind.MAX_DAILY_TRADES].tripped_by is not None) == (len(today) == 1)
        spent += len(today)
    closed = [to_milliseconds(trade.exit_time) for trade in trades if trade.exit_time is not None]
    assert spent > 5
    assert closed
    resting = {
        row.time: next(guard for guard in guards_then(row) if guard.kind is GuardKind.COOLDOWN).used
        for row in found
    }
    hour = live.bars.interval
    assert [resting[closed[0] + place * hour] for place in range(5)] == [3, 2, 1, 0, 0]


async def test_sessions_that_share_their_signals_share_what_is_kept(live: LiveMarket) -> None:
    made = [
        (await live.bots.begin(market="LIVE/USD", feed=Feed(), parameters=PARAMETERS))[1] for _ in range(3)
    ]
    await live.close_bars(5)
    await _tick(live)
    found = await _decisions(live, *made)
    assert [row[1:] for row in found[0]] == [row[1:] for row in found[1]] == [row[1:] for row in found[2]]
    assert len(found[0]) == 4
    async with live.bots.runtime.unit_of_work() as uow:
        assert await repository.counts_of_decisions(uow.session, []) == {}
        kept = (await uow.session.execute(SignalRow.__table__.select())).all()
    assert len(kept) == 4
    # The last bars before a stop are explained too.
    await live.close_bars(2)
    async with live.bots.runtime.unit_of_work() as uow:
        await uow.session.execute(update(UserRow).values(status="DISABLED"))
    await jobs.sweep(live.bots.runtime)
    await live.bots.close(made[0])
    [ended] = await _decisions(live, made[0])
    assert len(ended) == 6


async def test_what_was_said_is_forgotten_after_a_while_and_replays_keep_nothing(live: LiveMarket) -> None:
    _, session_id = await live.bots.begin(market="LIVE/USD", feed=Feed())
    _, replayed = await live.bots.begin()
    await live.bots.run(replayed)
    await live.close_bars(3)
    await _tick(live)
    found = await _decisions(live, session_id, replayed)
    assert [len(each) for each in found] == [2, 0]
    live.clock.move(days=6)
    await jobs.forget_signals(live.bots.runtime)
    assert len((await _decisions(live, session_id))[0]) == 2
    live.clock.move(days=2)
    await jobs.forget_signals(live.bots.runtime)
    assert await _decisions(live, session_id) == [[]]
