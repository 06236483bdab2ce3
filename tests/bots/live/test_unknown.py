"""Live orders of which it is not known for long what became of them: their users are told, once."""

import asyncio
from datetime import timedelta

from gql_trader.bots.live import jobs_orders
from gql_trader.bots.live.orders import unknown
from gql_trader.bots.types import status_stream
from gql_trader.gql.relay import parse_id
from tests.bots.live.bench import Bench
from tests.bots.live.desk import ORDER, LiveDesk
from tests.bots.live.test_contracts import told
from tests.factories.exchange_simulator import Hang, Refusal

NEWEST = "{ notifications(first: 1) { nodes { title payload } } }"


async def test_an_order_that_stays_unknown_is_told_once_and_not_before(desk: LiveDesk) -> None:
    session, faults = await desk.start(), desk.simulator.faults
    faults.add(ORDER, Hang(done=True))
    faults.add(ORDER, Refusal(503), times=60)
    order = await desk.done(session, "BUY", "MARKET", "0.1")
    assert order["status"] == "UNKNOWN"
    await desk.follow(200)
    await jobs_orders.sweep_sessions(desk.runtime)
    assert await told(desk) == []
    await desk.follow(100)
    key = parse_id(order["id"])[1]

    async def tell() -> bool:
        async with desk.runtime.unit_of_work() as uow:
            return await unknown.tell(uow, key)

    # Workers that sweep at once tell it once, and so do those after them.
    assert sorted(await asyncio.gather(tell(), tell())) == [False, True]
    await jobs_orders.sweep_sessions(desk.runtime)
    [(kind, body)] = await told(desk)
    assert kind == "ORDER_UNKNOWN"
    assert body.startswith("It is not known whether the exchange has taken your order to buy 0.1 of BTC/USDT")
    [newest] = (await desk.do(NEWEST))["nodes"]
    assert newest["title"] == "An order on binance:BTC/USDT is not accounted for"
    assert newest["payload"] == {"orderId": order["id"], "tradingSessionId": session}
    # It is still asked for, and sent no second time.
    faults.waiting.clear()
    await desk.follow(301)
    assert ((await desk.order(session, order))["status"], desk.sent()) == ("FILLED", 1)


async def test_an_order_that_is_settled_by_then_is_not_told(desk: LiveDesk) -> None:
    session = await desk.start()
    order = await desk.done(session, "BUY", "LIMIT", "0.1", price="40000")
    await desk.pass_time(3600)
    async with desk.runtime.unit_of_work() as uow:
        assert await unknown.long_unknown(uow, timedelta(minutes=5)) == []
        assert not await unknown.tell(uow, parse_id(order["id"])[1])
    assert await told(desk) == []


async def test_who_follows_a_bot_hears_of_its_unknown_order(bench: Bench) -> None:
    await bench.begin()
    faults = bench.desk.simulator.faults
    faults.add(ORDER, Hang(done=True))
    faults.add(ORDER, Refusal(503), times=60)
    await bench.bar(50_100.0)
    stream = status_stream(bench.desk.trader.member.actor.user_id)
    [before] = await bench.runtime.events.newest([stream])
    await bench.desk.pass_time(301)
    await jobs_orders.sweep_sessions(bench.runtime)
    [event] = await bench.runtime.events.newest([stream])
    assert event.cursor != before.cursor
    assert event.data == {"botId": str(parse_id(bench.bot_id)[1]), "state": "RUNNING"}
    assert [kind for kind, _ in await told(bench.desk)] == ["ORDER_UNKNOWN"]
    faults.waiting.clear()
