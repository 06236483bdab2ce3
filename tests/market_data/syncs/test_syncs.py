"""Fetching history from an exchange over HTTP: all of it, nothing twice, whatever goes wrong on the way."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select, update

from gql_trader.core.intervals import Interval
from gql_trader.core.runs import RunStatus
from gql_trader.gql.relay import encode_id
from gql_trader.infra.runs import MAXIMUM_CRASHES
from gql_trader.market_data.models_syncs import CandleSyncRow
from gql_trader.market_data.service import ensure_market, look_up_market, save_candles
from gql_trader.market_data.syncs import jobs, lifecycle
from gql_trader.market_data.syncs.jobs import sweep_syncs, sync_candles
from gql_trader.market_data.types_syncs import QUEUE
from tests.factories.candles import assert_same_bars, without
from tests.factories.exchange_simulator import CutOff, Pause, Refusal
from tests.factories.statements import counted_statements
from tests.market_data.feed_desk import KLINES, FeedDesk

PATH = "/api/v3/klines"


async def abandon(desk: FeedDesk) -> None:
    """Let the leases of dead workers run out."""
    async with desk.runtime.unit_of_work() as uow:
        past = func.now() - func.make_interval(0, 0, 0, 1)
        await uow.session.execute(update(CandleSyncRow).values(lease_expires_at=past, due_at=past))


def errors(payload: Any) -> list[tuple[str, list[str]]]:
    return [(error["code"], error["path"]) for error in payload["errors"]]


async def test_history_is_fetched_in_pages_and_the_market_made_from_the_exchanges_metadata(
    desk: FeedDesk,
) -> None:
    payload = await desk.sync(0, 2_500)
    sync = payload["sync"]
    assert (sync["status"], sync["progress"], sync["market"], sync["error"]) == ("QUEUED", 0.0, None, None)
    assert (sync["exchange"], sync["symbol"]) == ("binance", "BTC/USDT")
    assert desk.simulator.received == []
    row = await desk.run(await desk.asked(0, 2_500))
    assert (row.status, row.progress, row.fetched, row.refused) == (RunStatus.COMPLETED, 1.0, 2_500, 0)
    assert_same_bars(await desk.stored(), desk.bars)
    assert desk.pages() == [(0, 1000), (1000, 1000), (2000, 500)]
    query = """{ market(symbol: "BTC/USDT", exchange: "binance") {
        id pricePrecision amountPrecision minAmount minNotional base { type } quote { symbol } } }"""
    market = (await desk.client.execute(query)).data["market"]
    assert (market["pricePrecision"], market["amountPrecision"]) == (2, 5)
    assert (market["minAmount"], market["minNotional"]) == ("0.00001", "5")
    assert market["quote"] == {"symbol": "USDT"}
    assert (await desk.sync(0, 2_500))["sync"]["market"] == {"id": market["id"]}


async def test_only_candles_that_are_over_are_asked_for_and_stored(desk: FeedDesk) -> None:
    present = int(np.datetime64("now", "ms").astype(np.int64))
    opened = Interval.H1.floor(present)
    last = desk.bars.slice(2_499, 2_500)
    names = ("open", "high", "low", "close", "volume")
    doubled: dict[str, Any] = {name: np.repeat(getattr(last, name), 2) for name in names}
    tail = replace(
        last,
        time=np.array([opened - 3_600_000, opened], np.int64),
        **doubled,
    )
    desk.serve(tail)
    row = await desk.run(await desk.asked(2_490))
    assert row.status == RunStatus.COMPLETED
    stored = (await desk.stored()).time.tolist()
    # The hour may end while this runs.
    assert stored[0] == opened - 3_600_000
    assert opened not in stored or desk.simulator.now() >= opened + 3_600_000


async def test_the_same_range_is_fetched_once_for_two_users(desk: FeedDesk) -> None:
    other = await desk.other("bob")
    mine, theirs = await asyncio.gather(desk.sync(0, 500), other.sync(0, 500))
    assert mine["sync"]["id"] == theirs["sync"]["id"]
    key = await desk.asked(0, 500)
    await asyncio.gather(desk.run(key), desk.run(key))
    assert desk.pages() == [(0, 500)]
    # Nothing there may still be late: the sync that has done it serves everybody.
    third = await desk.other("eve")
    assert (await third.sync(0, 500))["sync"]["status"] == "COMPLETED"
    assert (await third.sync(0, 500))["sync"]["id"] == mine["sync"]["id"]


async def test_of_an_overlapping_range_only_what_is_missing_is_fetched(desk: FeedDesk) -> None:
    await desk.run(await desk.asked(500, 1_000))
    desk.simulator.received.clear()
    await desk.run(await desk.asked(400, 1_100))
    # One page would have both ends: it is asked for no more than from the first to the last missing.
    assert desk.pages() == [(400, 700)]
    desk.simulator.received.clear()
    await desk.run(await desk.asked(0, 2_400))
    assert desk.pages() == [(0, 400), (1_100, 1_000), (2_100, 300)]
    desk.simulator.received.clear()
    row = await desk.run(await desk.asked(100, 2_000))
    assert (row.status, row.progress, row.fetched, desk.pages()) == (RunStatus.COMPLETED, 1.0, 0, [])


async def test_syncs_of_one_series_run_one_after_the_other(desk: FeedDesk) -> None:
    first, second = await desk.asked(0, 1_500), await desk.asked(500, 2_000)
    pause = Pause()
    desk.simulator.faults.add(KLINES, pause)
    running = asyncio.create_task(desk.run(first))
    await pause.arrived.wait()
    assert (await desk.run(second)).status == RunStatus.QUEUED
    pause.released.set()
    assert (await running).status == RunStatus.COMPLETED
    # The first hands on to the second.
    key = lifecycle.job_key(second, 1)
    assert await desk.runtime.queue.waiting(QUEUE, [key]) == {key}
    assert (await desk.run(second)).fetched == 500
    assert desk.pages() == [(0, 1000), (1000, 500), (1500, 500)]


async def test_gaps_stay_gaps_and_are_not_asked_for_again(desk: FeedDesk) -> None:
    holed = without(desk.bars, slice(0, 100), slice(700, 720), slice(1_500, 1_501))
    desk.serve(holed)
    row = await desk.run(await desk.asked(0, 2_000))
    assert (row.status, row.fetched) == (RunStatus.COMPLETED, 2_000 - 121)
    assert_same_bars(await desk.stored(), holed.slice(0, 2_000 - 121))
    desk.simulator.received.clear()
    assert (await desk.run(await desk.asked(1, 2_000))).progress == 1.0
    assert desk.pages() == []


async def test_imported_candles_are_not_fetched(desk: FeedDesk) -> None:
    async with desk.runtime.unit_of_work() as uow:
        market = await ensure_market(uow, "binance", "BTC/USDT")
        await save_candles(uow, market.id, Interval.H1, desk.bars.slice(10, 990))
    assert (await desk.run(await desk.asked(0, 990))).fetched == 10
    assert desk.pages() == [(0, 10)]
    assert_same_bars(await desk.stored(), desk.bars.slice(0, 990))


async def test_what_is_no_candle_is_left_out_and_counted(desk: FeedDesk) -> None:
    odd = replace(desk.bars, high=desk.bars.high.copy(), volume=desk.bars.volume.copy())
    odd.high[3] = odd.low[3] / 2
    odd.volume[5] = -1.0
    desk.serve(odd)
    row = await desk.run(await desk.asked(0, 10))
    assert (row.status, row.fetched, row.refused) == (RunStatus.COMPLETED, 8, 2)
    assert_same_bars(await desk.stored(), without(desk.bars.slice(0, 10), slice(3, 4), slice(5, 6)))


async def test_a_sync_goes_on_where_a_killed_worker_has_stopped(desk: FeedDesk) -> None:
    key = await desk.asked(0, 2_500)
    pause = Pause()
    desk.simulator.faults.add(PATH, pause)
    worker = asyncio.create_task(desk.run(key))
    await pause.arrived.wait()
    # The next page never comes: between the two, the first page is saved.
    killed = Pause()
    desk.simulator.faults.add(PATH, killed)
    pause.released.set()
    await killed.arrived.wait()
    before = await desk.row(key)
    assert (before.status, before.fetched, before.progress) == (RunStatus.RUNNING, 1_000, 0.4)
    # Killed: it neither renews its lease nor hands anything back; what it still writes finds the fence.
    await abandon(desk)
    await sweep_syncs(desk.runtime)
    assert ((await desk.row(key)).status, (await desk.row(key)).crashes) == (RunStatus.QUEUED, 1)
    desk.simulator.received.clear()
    after = await desk.run(key)
    assert (after.status, after.fetched, after.crashes) == (RunStatus.COMPLETED, 2_500, 0)
    assert desk.pages() == [(1_000, 1_000), (2_000, 500)]
    killed.released.set()
    await worker
    assert (await desk.row(key)).attempt == after.attempt
    assert (await desk.row(key)).fetched == 2_500
    assert_same_bars(await desk.stored(), desk.bars)


async def test_a_stopping_worker_hands_its_sync_back(desk: FeedDesk) -> None:
    key = await desk.asked(0, 100)
    pause = Pause()
    desk.simulator.faults.add(PATH, pause)
    worker = asyncio.create_task(sync_candles({"runtime": desk.runtime}, str(key)))
    await pause.arrived.wait()
    worker.cancel()
    with suppress(asyncio.CancelledError):
        await worker
    pause.released.set()
    row = await desk.row(key)
    assert (row.status, row.crashes, row.dispatch) == (RunStatus.QUEUED, 0, 1)
    assert (await desk.run(key)).status == RunStatus.COMPLETED


async def test_a_sync_that_keeps_killing_its_workers_fails(desk: FeedDesk) -> None:
    key = await desk.asked(0, 100)
    for _ in range(MAXIMUM_CRASHES):
        async with desk.runtime.unit_of_work() as uow:
            assert await lifecycle.claim(uow, key, -1.0) is not None
        await sweep_syncs(desk.runtime)
    row = await desk.row(key)
    assert (row.status, row.error) == ("FAILED", "Gave up after 3 workers died in the middle of this sync.")


async def test_a_crash_between_commit_and_enqueue_is_swept_up(
    desk: FeedDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "STALE_SECONDS", 0.0)
    key = await desk.asked(0, 100)
    await desk.runtime.queue._redis.flushdb()
    await sweep_syncs(desk.runtime)
    again = lifecycle.job_key(key, 1)
    assert await desk.runtime.queue.waiting(QUEUE, [again]) == {again}
    # A job that waits is left alone.
    await sweep_syncs(desk.runtime)
    assert (await desk.row(key)).dispatch == 1


async def test_refusals_for_too_many_requests_and_broken_answers_are_waited_out(desk: FeedDesk) -> None:
    desk.simulator.faults.add(PATH, Refusal(429, "7"))
    desk.simulator.faults.add(PATH, Refusal(503))
    desk.simulator.faults.add(PATH, CutOff())
    row = await desk.run(await desk.asked(0, 1_500))
    assert (row.status, row.fetched, row.failures) == (RunStatus.COMPLETED, 1_500, 0)
    assert max(desk.waits.slept) >= 6.0
    assert desk.pages() == [(0, 1000)] * 4 + [(1_000, 500)]


async def test_a_sync_waits_for_an_exchange_that_is_away_and_says_so(desk: FeedDesk) -> None:
    key = await desk.asked(0, 1_500)
    pause = Pause()
    desk.simulator.faults.add(PATH, pause)
    worker = asyncio.create_task(desk.run(key))
    await pause.arrived.wait()
    desk.simulator.faults.add(PATH, Refusal(503), times=6)
    pause.released.set()
    row = await worker
    assert (row.status, row.failures, row.fetched) == (RunStatus.QUEUED, 1, 1_000)
    assert row.error == "Binance cannot be reached or is out of order; try again later."
    # Not before its time.
    assert (await desk.run(key)).status == RunStatus.QUEUED
    await abandon(desk)
    row = await desk.run(key)
    assert (row.status, row.error, row.failures, row.fetched) == (RunStatus.COMPLETED, None, 0, 1_500)


async def test_an_exchange_that_stays_away_fails_the_sync(desk: FeedDesk) -> None:
    key = await desk.asked(0, 100)
    async with desk.runtime.unit_of_work() as uow:
        last = lifecycle.MAXIMUM_FAILURES - 1
        await uow.session.execute(update(CandleSyncRow).values(failures=last))
    desk.simulator.faults.add(PATH, Refusal(503), times=6)
    row = await desk.run(key)
    assert (row.status, row.error) == (
        "FAILED",
        "Gave up after 12 attempts. Binance cannot be reached or is out of order; try again later.",
    )


async def test_a_market_that_the_exchange_does_not_have_fails_the_sync_and_is_not_made(
    desk: FeedDesk,
) -> None:
    row = await desk.run(await desk.asked(market="NO/SUCH"))
    assert (row.status, row.error) == ("FAILED", "Binance has no market NO/SUCH.")
    async with desk.runtime.unit_of_work() as uow:
        assert await look_up_market(uow, "NO/SUCH") is None
    # Asked for again, it is tried again.
    assert (await desk.sync(market="NO/SUCH"))["sync"]["status"] == "QUEUED"


async def test_everything_that_is_wrong_is_named_at_once(desk: FeedDesk) -> None:
    payload = await desk.sync(market="BTCUSDT", exchange="nowhere", start="1969-01-01T00:00:00Z")
    assert errors(payload) == [
        ("INVALID_INPUT", ["exchange"]),
        ("INVALID_INPUT", ["start"]),
        ("INVALID_INPUT", ["market"]),
    ]
    assert errors(await desk.sync(exchange="demo")) == [("INVALID_INPUT", ["exchange"])]
    assert errors(await desk.sync(market="kraken:BTC/USDT")) == [("INVALID_INPUT", ["market"])]
    assert errors(await desk.sync(5, 5)) == [("INVALID_INPUT", ["end"])]
    assert errors(await desk.sync(start="2999-01-01T00:00:00Z")) == [("INVALID_INPUT", ["start"])]
    assert errors(await desk.sync(start="1971-01-01T00:00:00Z", interval="M1")) == [
        ("INVALID_INPUT", ["start"])
    ]
    async with desk.runtime.unit_of_work() as uow:
        assert await uow.session.scalar(select(func.count()).select_from(CandleSyncRow)) == 0


async def test_a_user_has_no_more_syncs_than_may_be(desk: FeedDesk) -> None:
    for hour in range(10):
        await desk.asked(hour, hour + 10)
    refused = await desk.sync(50, 60)
    assert errors(refused) == [("QUOTA_EXCEEDED", [])]
    # What is theirs already is not counted again; others have a quota of their own.
    assert (await desk.sync(0, 10))["errors"] == []
    assert (await (await desk.other("bob")).sync(50, 60))["errors"] == []


async def test_a_sync_of_another_user_does_not_exist(desk: FeedDesk) -> None:
    key = encode_id("CandleSync", await desk.asked(0, 10))
    other = await desk.other("bob")
    query = f'{{ candleSync(id: "{key}") {{ id }} node(id: "{key}") {{ id }} candleSyncs {{ totalCount }} }}'
    assert (await desk.client.execute(query)).data == {
        "candleSync": {"id": key},
        "node": {"id": key},
        "candleSyncs": {"totalCount": 1},
    }
    assert (await other.client.execute(query)).data == {
        "candleSync": None,
        "node": None,
        "candleSyncs": {"totalCount": 0},
    }


async def test_a_list_of_syncs_takes_as_many_statements_for_one_as_for_ten(desk: FeedDesk) -> None:
    query = "{ candleSyncs(first: %d) { nodes { id market { symbol } } } }"
    for hour in range(10):
        key = await desk.asked(hour, hour + 10)
    await desk.run(key)
    counts = []
    for first in (1, 10):
        with counted_statements(desk.runtime.database.engine) as statements:
            nodes = (await desk.client.execute(query % first)).data["candleSyncs"]["nodes"]
        assert len(nodes) == first
        counts.append(len(statements))
    assert counts[0] == counts[1]


async def test_a_sync_is_followed_from_its_state_to_its_end_and_again_by_a_cursor(desk: FeedDesk) -> None:
    key = await desk.asked(0, 2_500)
    query = """subscription($id: ID!, $after: String) { candleSyncProgress(id: $id, after: $after) {
        cursor status progress fetched sync { status fetched market { symbol } } } }"""
    variables = {"id": encode_id("CandleSync", key)}
    async with desk.socket() as socket:
        results = socket.results(query, variables)
        told = [(await anext(results))["data"]["candleSyncProgress"]]
        running = asyncio.create_task(desk.run(key))
        told += [each["data"]["candleSyncProgress"] async for each in results]
        await running
        assert [(each["status"], each["progress"], each["fetched"]) for each in told] == [
            ("QUEUED", 0.0, 0),
            ("RUNNING", 0.0, 0),
            ("RUNNING", 0.4, 1_000),
            ("RUNNING", 0.8, 2_000),
            ("RUNNING", 1.0, 2_500),
            ("COMPLETED", 1.0, 2_500),
        ]
        final = {"status": "COMPLETED", "fetched": 2_500, "market": {"symbol": "BTC/USDT"}}
        assert [each["sync"] for each in told] == [None] * 5 + [final]
        after = {**variables, "after": told[2]["cursor"]}
        again = [each["data"]["candleSyncProgress"] async for each in socket.results(query, after)]
        assert [each["fetched"] for each in again] == [2_000, 2_500, 2_500]
    other = await desk.other("bob")
    async with other.socket() as socket:
        await socket.start(query, variables)
        message = await socket.receive()
        assert message["payload"]["errors"][0]["message"] == "There is no such sync."
