"""Live bots at a simulated exchange over HTTP: real fills, each order placed once, whatever happens."""

import asyncio
from decimal import Decimal

import pytest
from sqlalchemy import select, text, update

from gql_trader.bots import jobs
from gql_trader.bots.ledger.storing import write_ledger
from gql_trader.bots.live import jobs_orders
from gql_trader.bots.live.bots import closes as live_bots
from gql_trader.bots.live.bots import ending, watching
from gql_trader.bots.models import BotRow, OrderRow, SessionStateRow, TradeRow, TradingSessionRow
from gql_trader.bots.models_live import LiveOrderRow, LiveSessionRow
from gql_trader.bots.models_live_bot import LiveBotRow
from gql_trader.gql.relay import encode_id, parse_id
from tests.bots.live.bench import BOUGHT, DELETE_KEY, STOP, Bench, tell
from tests.bots.live.desk import KEY, LEASE_SECONDS, ORDER, KilledError, killing
from tests.bots.live.desk import STOP as STOP_SESSION
from tests.bots.live.test_contracts import told
from tests.factories.exchange_simulator import Hang, Refusal


async def test_a_bot_buys_and_sells_at_the_exchange_what_its_strategy_says(bench: Bench) -> None:
    await bench.begin()
    assert (await bench.bot()).state == "RUNNING"
    assert await bench.orders() == []
    await bench.bar(50_100.0)
    assert await bench.orders() == [BOUGHT]
    [trade] = await bench.rows(TradeRow)
    # 10,000 / (50,100 × 1.001), to five decimals; Binance takes its fee of what is bought.
    assert (trade.quantity, trade.entry_price) == (Decimal("0.1992006"), Decimal(50_100))
    await bench.bar(50_300.0)
    [state] = await bench.rows(SessionStateRow)
    assert (state.bars, state.last_close) == (2, 50_300.0)
    assert state.equity == pytest.approx(10_000 - 0.1994 * 50_100 + 0.1992006 * 50_300)
    await bench.bar(50_200.0)
    assert await bench.orders() == [BOUGHT, ("SELL", "FILLED", "SIGNAL")]
    closed = next(each for each in await bench.rows(TradeRow) if each.exit_time is not None)
    assert (closed.exit_reason, closed.quantity) == ("SIGNAL", Decimal("0.1992"))
    assert len(bench.desk.simulator.orders.orders) == bench.desk.sent() == 2
    # What was decided can be explained.
    query = """query($id: ID!) { tradingSession(id: $id) {
        mode decisions { totalCount nodes { entryLong exitLong } } } }"""
    headers = await bench.fresh()
    client = bench.desk.client
    found = (
        await client.execute(query, {"id": encode_id("TradingSession", bench.session_id)}, headers=headers)
    ).data["tradingSession"]
    assert (found["mode"], found["decisions"]["totalCount"]) == ("LIVE", 3)
    assert found["decisions"]["nodes"][0] == {"entryLong": False, "exitLong": True}


async def test_workers_that_race_and_are_killed_place_each_order_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.begin()
    await bench.bar(50_100.0, worked=False)
    with monkeypatch.context() as patched:
        # Killed before it commits: nothing is there, and nothing was sent.
        patched.setattr(live_bots, "write_ledger", killing(write_ledger))
        with pytest.raises(KilledError):
            await live_bots.step(bench.runtime, bench.session_id)
    assert await bench.orders() == []
    done = await asyncio.gather(*(live_bots.step(bench.runtime, bench.session_id) for _ in range(5)))
    assert sorted(done) == [False] * 4 + [True]
    assert await bench.orders() == [("BUY", "NEW", None)]
    # Killed after the commit: whoever comes next finds the order, and places none.
    await bench.work()
    await bench.work()
    assert await bench.orders() == [BOUGHT]
    await bench.bar(50_000.0, worked=False)
    await asyncio.gather(*(bench.work() for _ in range(3)))
    assert await bench.orders() == [BOUGHT, ("SELL", "FILLED", "SIGNAL")]
    assert bench.desk.sent() == 2


async def test_an_order_whose_outcome_is_unknown_is_waited_for(bench: Bench) -> None:
    await bench.begin()
    bench.desk.simulator.faults.add(ORDER, Hang(done=True), times=3)
    await bench.bar(50_100.0)
    [(side, status, _)] = await bench.orders()
    assert (side, status) in {("BUY", "UNKNOWN"), BOUGHT[:2]}
    await bench.bar(50_200.0)
    assert len(await bench.orders()) == 1
    await bench.desk.pass_time(LEASE_SECONDS)
    await bench.settle()
    assert await bench.orders() == [BOUGHT]
    assert len(bench.desk.simulator.orders.orders) == 1


async def test_the_exchange_holds_the_stop_of_a_position(bench: Bench) -> None:
    await bench.begin(execution={"stopLoss": 0.01, "trailingStop": 0.015})
    await bench.bar(50_100.0)
    assert await bench.orders() == [BOUGHT, ("SELL", "OPEN", "STOP_LOSS")]
    [_, stop] = await bench.rows(OrderRow)
    assert (stop.type, stop.stop_price, stop.quantity) == ("STOP", Decimal(49_599), Decimal("0.1992"))
    # The trailing stop is the nearer one by now: the other is taken back before it is placed.
    await bench.bar(51_000.0)
    assert await bench.orders() == [
        BOUGHT,
        ("SELL", "CANCELLED", "STOP_LOSS"),
        ("SELL", "OPEN", "TRAILING_STOP"),
    ]
    [*_, stop] = await bench.rows(OrderRow)
    assert stop.stop_price == Decimal(50_235)
    # Between closes it is left to the exchange.
    bench.desk.trader.accounts.clock.move(seconds=61)
    await tell(bench, 50_200.0)
    assert await live_bots.check(bench.runtime, bench.session_id)
    assert len(await bench.orders()) == 3
    market = bench.desk.simulator.markets["BTCUSDT"]
    bench.desk.simulator.orders.trade(market, Decimal(50_200))
    await bench.desk.pass_time(60)
    await bench.settle()
    assert (await bench.orders())[-1] == ("SELL", "FILLED", "TRAILING_STOP")
    trade = next(each for each in await bench.rows(TradeRow) if each.exit_time is not None)
    assert (trade.exit_reason, trade.exit_price) == ("TRAILING_STOP", Decimal(50_200))
    [live] = await bench.rows(LiveBotRow)
    assert (live.exiting, live.check_at, live.best) == (None, None, None)


async def test_a_stop_that_the_exchange_does_not_take_is_acted_on_between_closes(bench: Bench) -> None:
    await bench.begin(execution={"stopLoss": 0.01})
    await bench.bar(50_100.0, worked=False)
    await live_bots.step(bench.runtime, bench.session_id)
    [order_id] = await bench.desk.due()
    await jobs_orders.live_order({"runtime": bench.runtime}, str(order_id))
    bench.desk.simulator.faults.add(ORDER, Refusal(400, body='{"code": -2010, "msg": "no stops here"}'))
    await bench.settle()
    assert await bench.orders() == [BOUGHT, ("SELL", "REJECTED", "STOP_LOSS")]
    assert not await live_bots.check(bench.runtime, bench.session_id)
    bench.desk.trader.accounts.clock.move(seconds=61)
    await tell(bench, 49_900.0)
    async with bench.runtime.unit_of_work() as uow:
        assert len(await watching.due_jobs(uow)) == 1
    assert await live_bots.check(bench.runtime, bench.session_id)
    assert len(await bench.orders()) == 2
    bench.desk.trader.accounts.clock.move(seconds=61)
    bench.desk.simulator.markets["BTCUSDT"].price = Decimal(49_500)
    await tell(bench, 49_500.0)
    looked = await asyncio.gather(*(live_bots.check(bench.runtime, bench.session_id) for _ in range(3)))
    assert sorted(looked) == [False, False, True]
    await bench.settle()
    assert (await bench.orders())[2:] == [("SELL", "FILLED", "STOP_LOSS")]
    [live] = await bench.rows(LiveBotRow)
    assert (live.exiting, live.check_at) == (None, None)


async def test_foreign_orders_keep_a_bot_from_trading_until_they_are_acknowledged(bench: Bench) -> None:
    session = await bench.desk.start()
    await bench.desk.done(session, "BUY", "LIMIT", "0.1", price="40000")
    async with bench.runtime.unit_of_work() as uow:
        # As if it had been placed elsewhere.
        await uow.session.execute(text("UPDATE orders SET client_order_id = 'other'"))
    bench.desk.trader.accounts.clock.move(seconds=30)
    bench.desk.account.free["USDT"] = Decimal(9_999)
    await bench.begin()
    failed = await bench.bot()
    assert failed.state == "FAILED"
    assert failed.error is not None
    assert "1 open order on BTC/USDT at the exchange (buy 0.1)" in failed.error
    assert await bench.rows(LiveSessionRow) == []

    async def acknowledge() -> BotRow:
        bench.desk.trader.accounts.clock.move(seconds=30)
        begun = await bench.start(acknowledgeMismatch=True)
        assert begun["errors"] == []
        bench.session_id = parse_id(begun["bot"]["session"]["id"])[1]
        await bench.work()
        return await bench.bot()

    # Money that is missing cannot be acknowledged away.
    poor = await acknowledge()
    assert (poor.state, poor.error) == (
        "FAILED",
        "The bot was given 10000 USDT, the account has 9999 free.",
    )
    bench.desk.account.free["USDT"] = Decimal(10_000)
    assert (await acknowledge()).state == "RUNNING"
    assert bench.desk.sent() == 1
    # That goes for what was there then, not for what differs after the key was rotated.
    await bench.bar(50_100.0)
    await bench.desk.set_key(version=2, rotated_at=bench.runtime.clock.now())
    await bench.work()
    assert ((await bench.bot()).state, len(await bench.orders())) == ("RUNNING", 1)
    bench.desk.account.free["BTC"] = Decimal(0)
    await bench.desk.set_key(version=3, rotated_at=bench.runtime.clock.now())
    await bench.work()
    failed = await bench.bot()
    assert (failed.state, failed.error is not None) == ("FAILED", True)
    assert "The account has 0 BTC" in str(failed.error)


async def test_a_daily_guard_looks_at_what_the_account_is_really_worth(bench: Bench) -> None:
    await bench.begin(execution={"maxDailyLoss": 0.02, "timezone": "UTC"})
    clock = bench.desk.trader.accounts.clock
    if (hour := clock.now().hour) > 18:
        # Not over midnight.
        for _ in range(25 - hour):
            await bench.bar(50_000.0)
    await bench.bar(50_100.0)
    # It closes above its open, but the equity has fallen by more than two percent since the day began.
    market = bench.desk.simulator.markets["BTCUSDT"]
    market.price = Decimal(48_000)
    await bench.bar(48_500.0)
    assert await bench.orders() == [BOUGHT, ("SELL", "FILLED", "DAILY_LIMIT")]
    await bench.bar(48_600.0)
    assert len(await bench.orders()) == 2


async def test_stopping_sells_at_the_exchange_and_waits_for_it(bench: Bench) -> None:
    await bench.begin()
    await bench.bar(50_100.0)
    bench.desk.headers = await bench.fresh()
    refused = await bench.desk.do(DELETE_KEY, input={"id": bench.desk.key_id, "deleteBots": True})
    assert [error["code"] for error in refused["errors"]] == ["INVALID_STATE"]
    assert (await bench.desk.do(STOP, id=bench.bot_id))["bot"]["state"] == "STOPPING"
    await jobs.sweep(bench.runtime)
    await jobs_orders.live_session({"runtime": bench.runtime}, str(bench.session_id))
    assert await bench.orders() == [BOUGHT, ("SELL", "NEW", "END_OF_DATA")]
    assert (await bench.bot()).state == "STOPPING"
    await bench.settle()
    assert await bench.orders() == [BOUGHT, ("SELL", "FILLED", "END_OF_DATA")]
    [session] = await bench.rows(TradingSessionRow)
    assert ((await bench.bot()).state, session.status) == ("STOPPED", "STOPPED")
    assert await bench.rows(LiveSessionRow) == await bench.rows(LiveBotRow) == []
    assert (await bench.desk.do(DELETE_KEY, input={"id": bench.desk.key_id, "deleteBots": True}))[
        "errors"
    ] == []
    async with bench.runtime.unit_of_work() as uow:
        assert await uow.session.scalar(select(BotRow.id)) is None
        assert await uow.session.scalar(select(TradingSessionRow.bot_id)) is None


async def test_with_leverage_it_trades_contracts_with_funds_that_are_moved_before(bench: Bench) -> None:
    futures = bench.desk.simulator.futures
    futures.wallets[KEY] = Decimal(1000)
    execution = {"leverage": 3.0, "stopLoss": 0.1, "sizing": {"equityFraction": 0.5}}
    made = await bench.create(execution=execution, autoTransferFunds=True, transferAmount="12000")
    bench.bot_id = made["bot"]["id"]
    bench.session_id = parse_id((await bench.start())["bot"]["session"]["id"])[1]
    await asyncio.gather(*(bench.work() for _ in range(4)))
    assert (await bench.bot()).state == "RUNNING"
    assert futures.transfers == [("MAIN_UMFUTURE", Decimal(11_000))]
    assert (futures.leverage[KEY], futures.margin[KEY]) == (3, "ISOLATED")
    await bench.bar(50_000.1)
    assert await bench.orders() == [BOUGHT, ("SELL", "OPEN", "STOP_LOSS")]
    # Half of three times ten thousand, with the fee, in steps of the market.
    [trade] = await bench.rows(TradeRow)
    assert trade.quantity == futures.positions[KEY] == Decimal("0.299")
    await bench.bar(49_999.0)
    assert (await bench.orders())[1:] == [("SELL", "CANCELLED", "STOP_LOSS"), ("SELL", "FILLED", "SIGNAL")]
    assert (futures.positions[KEY], bench.desk.sent()) == (0, 0)


async def test_what_cannot_be_traded_live_is_refused(bench: Bench) -> None:
    for changes, path in (
        ({"exchangeKeyId": None}, ["exchangeKeyId"]),
        ({"execution": {"direction": "BOTH"}}, ["execution", "direction"]),
        ({"execution": {"leverage": 2.5}}, ["execution", "leverage"]),
        ({"autoTransferFunds": True}, ["autoTransferFunds"]),
        ({"transferAmount": "0"}, ["transferAmount"]),
        ({"feed": {"replay": {"start": "2024-01-01T00:00:00Z", "end": "2024-02-01T00:00:00Z"}}}, ["mode"]),
    ):
        refused = await bench.create(**changes)
        assert [(error["code"], error["path"]) for error in refused["errors"]] == [("INVALID_INPUT", path)]
    made = await bench.create()
    bench.bot_id = made["bot"]["id"]
    refused = await bench.start(totpCode=None)
    assert [(error["code"], error["path"]) for error in refused["errors"]] == [
        ("TOTP_REQUIRED", ["totpCode"])
    ]
    await bench.desk.set_key(permissions=["READ", "TRADE", "WITHDRAW"])
    refused = await bench.start()
    assert [(error["code"], error["path"]) for error in refused["errors"]] == [
        ("INVALID_STATE", ["exchangeKeyId"])
    ]
    assert bench.desk.sent() == 0
    # A key can be forgotten without the bots that have it.
    assert made["bot"]["exchangeKey"] == {"id": bench.desk.key_id}
    deleted = await bench.desk.do(DELETE_KEY, input={"id": bench.desk.key_id})
    assert deleted == {"deletedId": bench.desk.key_id, "errors": []}
    query = "query($id: ID!) { bot(id: $id) { exchangeKey { id } } }"
    assert await bench.desk.do(query, id=bench.bot_id) == {"exchangeKey": None}


async def test_a_position_that_cannot_be_sold_lets_the_bot_fail_and_say_so(bench: Bench) -> None:
    await bench.begin()
    await bench.bar(50_100.0)
    # Somebody has taken it out of the account.
    bench.desk.account.free["BTC"] = Decimal(0)
    await bench.bar(50_000.0)
    # It is asked again after a while: what is refused may be taken then.
    assert [status for _, status, _ in await bench.orders()] == ["FILLED", "REJECTED"]
    assert (await bench.bot()).state == "RUNNING"
    await bench.insist()
    bot = await bench.bot()
    assert bot.state == "FAILED"
    assert bot.error is not None
    assert "insufficient balance" in bot.error
    assert "0.1992 of BTC/USDT is what the bot took itself to hold" in bot.error
    assert [status for _, status, _ in await bench.orders()] == ["FILLED"] + ["REJECTED"] * 3
    assert await bench.rows(LiveSessionRow) == []


async def test_nothing_is_sold_for_somebody_who_may_not_trade_any_more(bench: Bench) -> None:
    await bench.begin()
    await bench.bar(50_100.0)
    await bench.desk.set_user(status="DISABLED")
    await jobs.sweep(bench.runtime)
    await bench.settle()
    assert await bench.orders() == [BOUGHT]
    assert (await bench.bot()).state == "STOPPED"
    assert await bench.rows(LiveBotRow) == []


async def test_a_server_that_does_not_trade_live_any_more_ends_its_live_bots(bench: Bench) -> None:
    await bench.begin(execution={"stopLoss": 0.01})
    await bench.bar(50_100.0)
    bench.desk = bench.desk.other_server(live_trading_enabled=False)
    await jobs.sweep(bench.runtime)
    await bench.settle()
    assert await bench.orders() == [BOUGHT, ("SELL", "CANCELLED", "STOP_LOSS")]
    assert (await bench.bot()).state == "STOPPED"
    assert [order.is_open for order in bench.desk.simulator.orders.orders] == [False, False]


async def test_a_signal_that_comes_late_is_not_traded_and_a_lost_queue_costs_nothing(bench: Bench) -> None:
    await bench.begin()
    await bench.bar(50_100.0, worked=False)
    # Another hour passes before anybody looks at it.
    bench.desk.trader.accounts.clock.move(hours=1)
    await bench.work()
    assert await bench.orders() == []
    [state] = await bench.rows(SessionStateRow)
    assert state.bars == 1
    await bench.bar(50_200.0, worked=False)
    await bench.runtime.queue._redis.flushdb()
    async with bench.runtime.unit_of_work() as uow:
        assert await watching.behind(uow) == [bench.session_id]
        await uow.session.execute(text("UPDATE live_bots SET ready_at = NULL"))
    await bench.work()
    assert await bench.orders() == [BOUGHT]


async def test_nothing_is_bought_once_a_bot_was_told_to_stop(bench: Bench) -> None:
    await bench.begin()
    await bench.bar(50_100.0, worked=False)
    await live_bots.step(bench.runtime, bench.session_id)
    [order_id] = await bench.desk.due()
    await bench.stop()
    # The worker that sends orders is faster than the one that ends the session.
    await jobs_orders.live_order({"runtime": bench.runtime}, str(order_id))
    await bench.settle()
    [order] = await bench.rows(OrderRow)
    assert (order.status, order.reason) == ("REJECTED", "Its session was told to stop. Nothing was sent.")
    assert ((await bench.bot()).state, bench.desk.sent()) == ("STOPPED", 0)


async def test_an_exit_of_any_bar_that_comes_late_closes_the_position(bench: Bench) -> None:
    await bench.begin()
    await bench.bar(50_100.0)
    await bench.bar(50_000.0, worked=False)
    await bench.bar(50_050.0)
    # The newest bar asks for a position, as soon as that one is closed.
    assert await bench.orders() == [BOUGHT, ("SELL", "FILLED", "SIGNAL"), BOUGHT]


async def test_an_exit_while_it_is_not_known_what_was_bought_is_done_later(bench: Bench) -> None:
    await bench.begin()
    bench.desk.simulator.faults.add(ORDER, Hang(done=True), times=50)
    await bench.bar(50_100.0)
    assert await bench.orders() == [("BUY", "UNKNOWN", None)]
    await bench.bar(50_000.0)
    assert await bench.orders() == [("BUY", "UNKNOWN", None)]
    bench.desk.simulator.faults.waiting.clear()
    await bench.desk.pass_time(LEASE_SECONDS)
    await bench.settle()
    assert await bench.orders() == [BOUGHT, ("SELL", "FILLED", "SIGNAL")]


async def test_an_exchange_that_cannot_be_reached_for_a_sale_is_asked_until_it_can(bench: Bench) -> None:
    await bench.begin()
    await bench.bar(50_100.0)
    bench.desk.simulator.faults.add(ORDER, Refusal(418, retry_after="600"))
    await bench.bar(50_000.0)
    assert await bench.orders() == [BOUGHT, ("SELL", "REJECTED", "SIGNAL")]
    for _ in range(3):
        bench.desk.trader.accounts.clock.move(seconds=31)
        await bench.settle()
    assert (await bench.orders())[1:] == [("SELL", "REJECTED", "SIGNAL")] * 4
    assert (await bench.bot()).state == "RUNNING"
    # One that nobody came to try is no sign that the exchange is not reached.
    async with bench.runtime.unit_of_work() as uow:
        first = select(OrderRow.id).where(OrderRow.reduce_only).order_by(OrderRow.number).limit(1)
        untried = update(LiveOrderRow).where(LiveOrderRow.order_id == first.scalar_subquery())
        await uow.session.execute(untried.values(failures=0))
    # The same for one that is told to stop.
    await bench.stop()
    for each in range(9):
        assert len(await told(bench.desk)) == (each > 7)
        bench.desk.trader.accounts.clock.move(seconds=31)
        await bench.settle()
    assert (await bench.bot()).state == "STOPPING"
    # That is told, once.
    [(kind, body)] = await told(bench.desk)
    assert kind == "POSITION_NOT_CLOSED"
    assert body.startswith("It is to be closed, and the exchange has not been reached for some minutes")
    await bench.runtime.exchanges._waits.sleep(600)
    bench.desk.trader.accounts.clock.move(seconds=31)
    await bench.settle()
    assert (await bench.orders())[-1] == ("SELL", "FILLED", "END_OF_DATA")
    assert (await bench.bot()).state == "STOPPED"


async def test_a_sale_that_is_to_be_sent_again_soon_is_not_taken_back_for_another_one(bench: Bench) -> None:
    await bench.begin()
    await bench.bar(50_100.0)
    bench.desk.simulator.faults.add(ORDER, Refusal(429, retry_after="40"))
    await bench.stop()
    # Sweepers hand the session out again and again meanwhile.
    await bench.settle()
    assert await bench.orders() == [BOUGHT, ("SELL", "NEW", "END_OF_DATA")]
    assert (await bench.bot()).state == "STOPPING"
    await bench.runtime.exchanges._waits.sleep(40)
    await bench.desk.follow(41)
    await bench.settle()
    assert await bench.orders() == [BOUGHT, ("SELL", "FILLED", "END_OF_DATA")]
    assert (await bench.bot()).state == "STOPPED"


async def test_a_position_whose_job_was_lost_is_protected_and_closed(bench: Bench) -> None:
    await bench.begin(execution={"stopLoss": 0.05})
    await bench.bar(50_100.0, worked=False)
    await live_bots.step(bench.runtime, bench.session_id)
    [order_id] = await bench.desk.due()
    # Killed before it hands out what follows.
    await jobs_orders.live_order({"runtime": bench.runtime}, str(order_id))
    assert await bench.orders() == [BOUGHT]
    async with bench.runtime.unit_of_work() as uow:
        assert await watching.neglected(uow) == [bench.session_id]
    # Nor was the stop that follows sent: it could not be in time, and is tried again.
    await jobs_orders.live_session({"runtime": bench.runtime}, str(bench.session_id))
    bench.desk.trader.accounts.clock.move(seconds=61)
    await bench.settle()
    assert await bench.orders() == [BOUGHT, ("SELL", "REJECTED", "STOP_LOSS")]
    bench.desk.trader.accounts.clock.move(seconds=300)
    async with bench.runtime.unit_of_work() as uow:
        assert await watching.neglected(uow) == [bench.session_id]
    await bench.settle()
    assert (await bench.orders())[2:] == [("SELL", "OPEN", "STOP_LOSS")]
    async with bench.runtime.unit_of_work() as uow:
        assert await watching.neglected(uow) == []


async def test_a_bot_goes_on_with_a_key_that_was_rotated_once_it_is_verified(bench: Bench) -> None:
    await bench.begin()
    await bench.bar(50_100.0)
    await bench.bar(50_000.0, worked=False)
    now = bench.runtime.clock.now()
    await bench.desk.set_key(version=2, status="UNVERIFIED", rotated_at=now)
    await bench.work()
    assert await bench.orders() == [BOUGHT]
    async with bench.runtime.unit_of_work() as uow:
        assert await watching.behind(uow) == [bench.session_id]
    await bench.desk.set_key(status="VALID")
    await bench.work()
    assert await bench.orders() == [BOUGHT, ("SELL", "FILLED", "SIGNAL")]
    assert (await bench.bot()).state == "RUNNING"


async def test_long_after_a_close_nothing_is_bought_at_its_price(bench: Bench) -> None:
    await bench.begin()
    await bench.bar(50_100.0, worked=False)
    bench.desk.trader.accounts.clock.move(minutes=20)
    await bench.work()
    assert await bench.orders() == []


async def test_a_bot_that_waits_for_an_exchange_that_says_nothing_can_be_given_up(bench: Bench) -> None:
    await bench.begin()
    bench.desk.simulator.faults.add(ORDER, Hang(), times=500)
    await bench.bar(50_100.0)
    bench.desk.headers = await bench.fresh()
    abandon = {"id": encode_id("TradingSession", bench.session_id), "abandon": True}
    early = await bench.desk.do(STOP_SESSION, input=abandon)
    assert [error["code"] for error in early["errors"]] == ["INVALID_STATE"]
    await bench.desk.do(STOP, id=bench.bot_id)
    await bench.settle()
    assert ((await bench.bot()).state, await bench.orders()) == ("STOPPING", [("BUY", "UNKNOWN", None)])
    assert (await bench.desk.do(STOP_SESSION, input=abandon))["errors"] == []
    assert (await bench.bot()).state == "FAILED"
    assert await bench.rows(LiveSessionRow) == await bench.rows(LiveBotRow) == await bench.desk.due() == []


async def test_what_was_bought_when_a_bot_had_failed_is_told(bench: Bench) -> None:
    await bench.begin()
    bench.desk.simulator.faults.add(ORDER, Hang(done=True), times=50)
    await bench.bar(50_100.0)
    await ending.fail_session(bench.runtime, bench.session_id, "Its strategy is gone.")
    assert (await bench.bot()).error == "Its strategy is gone."
    bench.desk.simulator.faults.waiting.clear()
    await bench.desk.pass_time(LEASE_SECONDS)
    await bench.settle()
    assert await bench.orders() == [BOUGHT]
    error = "Its strategy is gone. 0.1992 of BTC/USDT is still in the account."
    assert ((await bench.bot()).state, (await bench.bot()).error) == ("FAILED", error)
    assert await bench.rows(LiveSessionRow) == []
