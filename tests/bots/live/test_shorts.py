"""Short positions in contracts at a simulated exchange over HTTP, by hand and by live bots."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from gql_trader.bots import jobs
from gql_trader.bots.live import jobs_orders
from gql_trader.bots.live.bots import closes as live_bots
from gql_trader.bots.live.bots import entering
from gql_trader.bots.live.bots.protection import Protection, protect
from gql_trader.bots.live.orders.placing import submit
from gql_trader.bots.models import SessionStateRow, TradeRow
from gql_trader.bots.models_live_bot import LiveBotRow
from gql_trader.bots.types import OrderSide, OrderType
from gql_trader.bots.types_live import LiveOrderSpec
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import Direction, ExecutionSpec, Sizing, SizingKind
from gql_trader.engine.rules import Rules
from gql_trader.engine.signals import Signals
from gql_trader.gql.relay import encode_id, parse_id
from gql_trader.strategies import service as strategies
from gql_trader.strategies.types import NewStrategy
from tests.accounts.accounts_api import refusals
from tests.bots.live.bench import HOUR, Bench, tell
from tests.bots.live.desk import CONTRACT, KEY, STOP, KilledError, LiveDesk, contracts_sent, killing, quote
from tests.engine.reference_simulator import ReferenceSimulator
from tests.factories.exchange_simulator import Hang, Refusal

SESSION = """
query($id: ID!) {
  tradingSession(id: $id) {
    status cash equity profit
    positions { side quantity entryPrice markPrice unrealizedProfit }
    trades { nodes { side status quantity entryPrice exitPrice profit fees } }
  }
}
"""
SOLD, BOUGHT_BACK = ("SELL", "FILLED", None), ("BUY", "FILLED", "SIGNAL")


def sent(desk: LiveDesk) -> list[tuple[str, str | None]]:
    return [(each["side"], each.get("reduceOnly")) for each in contracts_sent(desk)]


async def test_by_hand_a_contract_is_sold_short_grows_and_is_bought_back_in_parts(desk: LiveDesk) -> None:
    session, futures = await desk.start(leverage=5), desk.simulator.futures
    # No more than five times the cash.
    refused = await desk.place(session, "SELL", "MARKET", "1.1")
    assert refusals(refused) == [("INVALID_INPUT", ["quantity"])]
    order = await desk.done(session, "SELL", "MARKET", "0.3")
    assert (order["status"], order["averagePrice"], order["fee"]) == ("FILLED", "50000", "7.5")
    await desk.done(session, "SELL", "LIMIT", "0.2", price="49000")
    assert futures.positions[KEY] == Decimal("-0.5")
    found = await desk.do(SESSION, id=session)
    assert found["positions"] == [
        {
            "side": "SHORT",
            "quantity": "0.5",
            "entryPrice": "50000",
            "markPrice": "50000",
            "unrealizedProfit": "-12.5",
        }
    ]
    assert (found["cash"], found["equity"], found["profit"]) == ("4987.5", "9987.5", "-12.5")
    # It is valued at the newest close, and gains as that falls.
    desk.trader.accounts.clock.move(seconds=120)
    await quote(desk.runtime, 48_000.0)
    await jobs.match_orders({"runtime": desk.runtime}, str(parse_id(session)[1]))
    found = await desk.do(SESSION, id=session)
    [position] = found["positions"]
    assert (position["markPrice"], position["unrealizedProfit"]) == ("48000", "987.5")
    assert (found["cash"], found["equity"]) == ("4987.5", "10987.5")
    futures.trade(Decimal(48_000))
    await desk.done(session, "BUY", "MARKET", "0.2")
    # What crosses nothing is two orders.
    [error] = (await desk.place(session, "BUY", "MARKET", "0.4"))["errors"]
    assert (error["code"], error["path"]) == ("INVALID_INPUT", ["quantity"])
    assert error["message"].startswith("0.3 of it can be bought back")
    assert refusals(await desk.place(session, "SELL", "MARKET", "0.1", reduceOnly=True)) == [
        ("INVALID_INPUT", ["reduceOnly"])
    ]
    await desk.done(session, "BUY", "MARKET", "0.299")
    # What is worth less than an order has to be is bought back all the same.
    assert (await desk.done(session, "BUY", "MARKET", "0.001", reduceOnly=True))["status"] == "FILLED"
    found = await desk.do(SESSION, id=session)
    assert [(each["side"], each["quantity"], each["profit"]) for each in found["trades"]["nodes"]] == [
        ("SHORT", "0.001", "1.951"),
        ("SHORT", "0.2", "390.2"),
        ("SHORT", "0.299", "583.349"),
    ]
    assert (found["positions"], found["cash"], found["profit"]) == ([], "10975.5", "975.5")
    assert sent(desk) == [("SELL", None)] * 2 + [("BUY", "true")] * 3
    assert futures.positions[KEY] == 0


async def test_currencies_themselves_are_not_sold_short(desk: LiveDesk) -> None:
    session = await desk.start()
    [error] = (await desk.place(session, "SELL", "MARKET", "0.1"))["errors"]
    assert (error["code"], error["path"]) == ("INVALID_INPUT", ["quantity"])
    assert "Only a session with a leverage, which trades contracts, sells short." in error["message"]
    assert refusals(await desk.place(session, "BUY", "MARKET", "0.1", reduceOnly=True)) == [
        ("INVALID_INPUT", ["reduceOnly"])
    ]
    assert (desk.sent(), contracts_sent(desk)) == (0, [])


async def test_no_order_waits_that_would_open_the_other_side_of_one_that_waits(desk: LiveDesk) -> None:
    session = await desk.start(leverage=2)
    waiting = await desk.done(session, "BUY", "LIMIT", "0.1", price="40000")
    assert refusals(await desk.place(session, "SELL", "LIMIT", "0.1", price="60000")) == [
        ("INVALID_INPUT", ["side"])
    ]
    desk.simulator.futures.trade(Decimal(40_000))
    await desk.follow()
    assert (await desk.order(session, waiting))["status"] == "FILLED"
    # Of a long position it closes.
    order = await desk.done(session, "SELL", "LIMIT", "0.1", price="60000")
    assert order["status"] == "OPEN"
    assert sent(desk) == [("BUY", None), ("SELL", "true")]


async def test_a_buy_stop_waits_at_the_exchange_for_a_short_and_is_rounded_to_the_safe_side(
    desk: LiveDesk,
) -> None:
    session, futures = await desk.start(leverage=2), desk.simulator.futures
    key, market = parse_id(session)[1], await desk.market()
    await desk.done(session, "SELL", "MARKET", "0.2")

    async def protected(price: str) -> Protection:
        async with desk.runtime.unit_of_work() as uow:
            return await protect(uow, key, market.id, Decimal(price))

    assert [await protected("52000.209"), await protected("52000.209")] == [Protection.PENDING] * 2
    await desk.follow()
    assert await protected("52000.209") is Protection.HELD
    stop = futures.orders[-1]
    # Reached earlier, not later.
    assert (stop.params["triggerPrice"], stop.params["side"]) == ("52000.2", "BUY")
    assert (stop.params["reduceOnly"], stop.quantity) == ("true", Decimal("0.2"))
    # What it buys back is promised.
    assert refusals(await desk.place(session, "BUY", "MARKET", "0.1")) == [("INVALID_INPUT", ["quantity"])]
    futures.trade(Decimal(52_100))
    await desk.follow()
    found = await desk.do(SESSION, id=session)
    assert (found["positions"], futures.positions[KEY]) == ([], 0)
    assert [(each["side"], each["exitPrice"]) for each in found["trades"]["nodes"]] == [("SHORT", "52100")]


async def test_a_session_that_is_stopped_buys_back_what_it_has_sold_short(desk: LiveDesk) -> None:
    session, futures = await desk.start(leverage=2), desk.simulator.futures
    await desk.done(session, "SELL", "MARKET", "0.2")
    await desk.do(STOP, input={"id": session})
    await desk.advance(session)
    await desk.follow()
    await desk.advance(session)
    found = await desk.do(SESSION, id=session)
    assert (found["status"], found["positions"], found["cash"]) == ("STOPPED", [], "9990")
    assert (sent(desk), futures.positions[KEY]) == ([("SELL", None), ("BUY", "true")], 0)


async def test_the_exchange_s_position_is_compared_with_its_sign(desk: LiveDesk) -> None:
    first, futures = await desk.start(leverage=2), desk.simulator.futures
    await desk.done(first, "SELL", "MARKET", "0.2")
    desk.trader.accounts.clock.move(seconds=30)
    second = await desk.start(leverage=2)
    futures.positions[KEY] = Decimal("0.2")
    [error] = (await desk.place(second, "SELL", "MARKET", "0.1"))["errors"]
    assert error["message"].startswith(
        "The position in BTC/USDT:USDT at the exchange is 0.2; the sessions that trade now believe that they "
        "hold -0.2."
    )
    futures.positions[KEY] = Decimal("-0.2")
    # An account has one position in a contract: nobody is long in it meanwhile.
    order = await desk.done(second, "BUY", "MARKET", "0.1")
    assert order["status"] == "REJECTED"
    assert order["reason"].startswith("Another session with this key is short in this contract")
    assert (await desk.done(second, "SELL", "MARKET", "0.1"))["status"] == "FILLED"
    assert (sent(desk), futures.positions[KEY]) == ([("SELL", None)] * 2, Decimal("-0.3"))


async def test_what_an_ended_session_has_left_is_not_closed_by_the_opening_of_another(desk: LiveDesk) -> None:
    futures, clock = desk.simulator.futures, desk.trader.accounts.clock
    second = await desk.start(leverage=2)
    for side in ("BUY", "SELL"):
        assert (await desk.done(second, side, "MARKET", "0.1"))["status"] == "FILLED"
    clock.move(seconds=30)
    first = await desk.start(leverage=2)
    await desk.done(first, "BUY", "MARKET", "0.2")
    await desk.do(STOP, input={"id": first, "closePositions": False})
    await desk.advance(first)
    assert (await desk.session(first))["status"] == "STOPPED"
    refused = await desk.done(second, "SELL", "MARKET", "0.1")
    assert refused["status"] == "REJECTED"
    assert refused["reason"].startswith("A session with this key has ended and left a long position")
    assert futures.positions[KEY] == Decimal("0.2")
    [error] = (await desk.place(second, "SELL", "MARKET", "0.1"))["errors"]
    assert error["message"].startswith("The position in BTC/USDT:USDT at the exchange is 0.2")
    # Its owner has closed it.
    futures.positions[KEY] = Decimal(0)
    assert (await desk.done(second, "SELL", "MARKET", "0.1"))["status"] == "FILLED"


async def test_too_little_to_be_closed_makes_no_closing_of_the_order_that_opens(desk: LiveDesk) -> None:
    session = await desk.start(leverage=2)
    market, key = await desk.market(), parse_id(session)[1]
    await desk.done(session, "BUY", "MARKET", "0.1")
    for held, expected in (("0.0004", None), ("0.1", "true")):
        async with desk.runtime.unit_of_work() as uow:
            await uow.session.execute(
                text("UPDATE trades SET quantity = :held WHERE exit_time IS NULL"), {"held": Decimal(held)}
            )
            spec = LiveOrderSpec(market.id, OrderSide.SELL, OrderType.LIMIT, Decimal("0.1"), Decimal(50_000))
            await submit(uow, key, replace(spec, price=Decimal(60_000)), f"{held} are held")
        desk.simulator.futures.positions[KEY] = Decimal(held)
        await desk.follow(0)
        assert sent(desk)[-1] == ("SELL", expected)


async def test_a_session_does_not_set_a_contract_otherwise_than_another_without_being_told(
    desk: LiveDesk,
) -> None:
    first, futures = await desk.start(leverage=5), desk.simulator.futures
    await desk.done(first, "BUY", "MARKET", "0.1")
    desk.trader.accounts.clock.move(seconds=30)
    second = await desk.start(leverage=2)
    payload = await desk.place(second, "BUY", "MARKET", "0.1")
    assert refusals(payload) == [("INVALID_STATE", ["acknowledgeMismatch"])]
    assert payload["errors"][0]["message"].startswith(
        "Another session with this key trades BTC/USDT with a leverage of 5; an account has one setting"
    )
    assert (futures.leverage[KEY], len(sent(desk))) == (5, 1)
    order = await desk.done(second, "BUY", "MARKET", "0.1", acknowledgeMismatch=True)
    assert (order["status"], futures.leverage[KEY]) == ("FILLED", 2)


async def test_what_an_order_fills_at_the_moment_of_a_comparison_is_no_mismatch(desk: LiveDesk) -> None:
    first = await desk.start(leverage=2)
    resting = await desk.done(first, "BUY", "LIMIT", "0.1", price="49000")
    desk.trader.accounts.clock.move(seconds=30)
    second = await desk.start(leverage=2)
    desk.simulator.futures.trade(Decimal(49_000))
    payload = await desk.place(second, "BUY", "MARKET", "0.1")
    assert refusals(payload) == [("EXCHANGE_ERROR", ["market"])]
    assert "are being filled at this moment" in payload["errors"][0]["message"]
    payload = await desk.place(second, "SELL", "MARKET", "0.1", acknowledgeMismatch=True)
    assert refusals(payload) == [("EXCHANGE_ERROR", ["market"])]
    await desk.follow()
    assert (await desk.order(first, resting))["status"] == "FILLED"
    assert (await desk.done(second, "BUY", "MARKET", "0.1"))["status"] == "FILLED"


@pytest.fixture
async def bench(desk: LiveDesk) -> Bench:
    """A desk with a strategy that goes long after a rising hour and short after a falling one."""
    rules = Rules(
        entry_long="close > open",
        exit_long="close < open - 1000",
        entry_short="close < open",
        exit_short="close > open + 1000",
    )
    async with desk.runtime.unit_of_work() as uow:
        made = await strategies.create_strategy(
            uow, desk.trader.member.actor, NewStrategy("Both ways", "", rules)
        )
    desk.simulator.futures.wallets[KEY] = Decimal(10_000)
    bench = Bench(desk, made.id)
    opening = Interval.H1.floor(int(desk.runtime.clock.now().timestamp() * 1000))
    for back in range(5, 0, -1):
        await bench.store(opening - back * HOUR, 50_000.0, 50_000.0)
    return bench


def execution(**changes: Any) -> dict[str, Any]:
    return {"direction": "BOTH", "takerFee": 0.0005, "sizing": {"equityFraction": 0.5}} | changes


async def test_a_bot_reverses_as_the_engine_does_exit_first(bench: Bench) -> None:
    # With a stop that is never met, but taken back before each exit.
    await bench.begin(execution=execution(leverage=2.0, stopLoss=0.2))
    closes = [49_900.0, 50_200.0, 48_000.0, 49_100.0]
    await bench.bar(closes[0])
    bench.desk.headers = await bench.fresh()
    found = await bench.desk.do(SESSION, id=encode_id("TradingSession", bench.session_id))
    [position] = found["positions"]
    assert (position["side"], position["quantity"]) == ("SHORT", "0.2")
    [state] = await bench.rows(SessionStateRow)
    assert state.equity == pytest.approx(10_000 - 0.2 * 49_900 * 0.0005)
    # Half of the notional is bound.
    assert state.cash == pytest.approx(10_000 - 0.1 * 49_900 - 0.2 * 49_900 * 0.0005)
    for close in closes[1:]:
        await bench.bar(close)
    await bench.stop()
    await bench.settle()
    rows = [row for row in await bench.rows(TradeRow) if row.exit_time is not None]
    # The engine on the same bars, which open where the last one closed, and so does what was filled.
    opens = np.array([50_000.0, *closes])
    prices = np.array([*closes, closes[-1]])
    bars = Bars(
        HOUR * np.arange(5, dtype=np.int64),
        opens,
        np.maximum(opens, prices),
        np.minimum(opens, prices),
        prices,
        np.ones(5),
        HOUR,
    )
    rises, falls = prices > opens, prices < opens
    signals = Signals(rises, prices < opens - 1000, falls, prices > opens + 1000)
    spec = ExecutionSpec(
        direction=Direction.BOTH,
        taker_fee=0.0005,
        sizing=Sizing(SizingKind.EQUITY_FRACTION, 0.5),
        stop_loss=0.2,
        leverage=2.0,
        amount_precision=3,
    )
    engine = ReferenceSimulator(spec, 10_000.0).run(bars, signals).trades
    assert [(row.side, row.exit_reason, float(row.quantity)) for row in rows] == [
        ("LONG" if each.side > 0 else "SHORT", each.exit_reason.value, each.quantity) for each in engine
    ]
    assert [row.side for row in rows] == ["SHORT", "LONG", "SHORT", "LONG"]
    for row, each in zip(rows, engine, strict=True):
        assert (float(row.entry_price), float(row.exit_price)) == (each.entry_price, each.exit_price)
        assert float(row.profit) == pytest.approx(each.profit, abs=1e-6)
    futures = bench.desk.simulator.futures
    assert (futures.positions[KEY], bench.desk.sent()) == (0, 0)
    assert [only for _, only in sent(bench.desk)] == [None, "true"] * 4
    [state] = await bench.rows(SessionStateRow)
    assert state.cash == state.equity == state.balance
    assert state.balance == pytest.approx(10_000 + sum(each.profit for each in engine))
    bench.desk.headers = await bench.fresh()
    told = await bench.desk.do("query { trades(side: SHORT) { nodes { side profit } } }")
    assert sorted(told["nodes"], key=lambda each: float(each["profit"])) == sorted(
        ({"side": "SHORT", "profit": f"{row.profit.normalize():f}"} for row in rows if row.side == "SHORT"),
        key=lambda each: float(each["profit"]),
    )


async def test_workers_that_race_and_are_killed_reverse_a_position_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.begin(execution=execution(), contracts=True)
    await bench.bar(49_900.0)
    assert await bench.orders() == [SOLD]
    await bench.bar(50_000.0, worked=False)
    await asyncio.gather(*(live_bots.step(bench.runtime, bench.session_id) for _ in range(3)))
    # Nothing is opened before it is known that nothing is held any more.
    assert await bench.orders() == [SOLD, ("BUY", "NEW", "SIGNAL")]
    [live] = await bench.rows(LiveBotRow)
    assert live.entering == "LONG"
    [order_id] = await bench.desk.due()
    await jobs_orders.live_order({"runtime": bench.runtime}, str(order_id))
    with monkeypatch.context() as patched:
        patched.setattr(entering, "place", killing(entering.place))
        with pytest.raises(KilledError):
            await bench.settle()
    assert await bench.orders() == [SOLD, BOUGHT_BACK]
    await asyncio.gather(*(bench.settle() for _ in range(3)))
    await bench.settle()
    assert await bench.orders() == [SOLD, BOUGHT_BACK, ("BUY", "FILLED", None)]
    assert sent(bench.desk) == [("SELL", None), ("BUY", "true"), ("BUY", None)]
    # Without leverage, too, it is a contract.
    futures = bench.desk.simulator.futures
    assert (futures.leverage[KEY], futures.positions[KEY]) == (1, Decimal("0.099"))
    [live] = await bench.rows(LiveBotRow)
    assert (live.entering, live.entering_at, live.exiting) == (None, None, None)


async def test_a_reversal_that_takes_too_long_ends_without_a_position(bench: Bench) -> None:
    await bench.begin(execution=execution(maxDailyTrades=5), contracts=True)
    await bench.bar(49_900.0)
    bench.desk.simulator.faults.add(CONTRACT, Hang(done=True), times=50)
    await bench.bar(50_000.0)
    assert await bench.orders() == [SOLD, ("BUY", "UNKNOWN", "SIGNAL")]
    bench.desk.simulator.faults.waiting.clear()
    bench.desk.trader.accounts.clock.move(minutes=16)
    await bench.desk.pass_time(130)
    await bench.settle()
    assert await bench.orders() == [SOLD, BOUGHT_BACK]
    [live] = await bench.rows(LiveBotRow)
    assert (live.entering, live.exiting) == (None, None)
    [state] = await bench.rows(SessionStateRow)
    assert state.day_entries == 1


async def test_guards_and_a_cooldown_keep_a_position_from_being_reversed(bench: Bench) -> None:
    await bench.begin(execution=execution(cooldownBars=1), contracts=True)
    await bench.bar(49_900.0)
    await bench.bar(50_000.0)
    assert await bench.orders() == [SOLD, BOUGHT_BACK]
    # On the bar after that of the exit, too, and then no more.
    await bench.bar(50_100.0)
    assert len(await bench.orders()) == 2
    await bench.bar(50_200.0)
    assert (await bench.orders())[2:] == [("BUY", "FILLED", None)]


async def test_a_bot_that_only_goes_short_leaves_by_its_exit_signal_and_by_its_table_of_returns(
    bench: Bench,
) -> None:
    table = {"0": 0.05, "119": 0.0}
    await bench.begin(execution=execution(direction="SHORT", minimalRoi=table), contracts=True)
    await bench.bar(49_900.0)
    # It rises by more than a thousand: exitShort, and an entryLong that says nothing here.
    await bench.bar(50_950.0)
    assert await bench.orders() == [SOLD, BOUGHT_BACK]
    await bench.bar(50_900.0)
    await bench.bar(50_950.0)
    assert (await bench.orders())[2:] == [SOLD]
    # Two hours old it need not gain any more; what falls at this close is no new position at this price.
    await bench.bar(50_850.0)
    assert (await bench.orders())[2:] == [SOLD, ("BUY", "FILLED", "ROI")]
    assert bench.desk.simulator.futures.positions[KEY] == 0


async def test_the_exchange_holds_the_stop_of_a_short_position_and_it_trails(bench: Bench) -> None:
    await bench.begin(execution=execution(leverage=2.0, stopLoss=0.01, trailingStop=0.015, direction="SHORT"))
    await bench.bar(49_900.0)
    assert await bench.orders() == [SOLD, ("BUY", "OPEN", "STOP_LOSS")]
    futures = bench.desk.simulator.futures
    assert futures.orders[-1].params["triggerPrice"] == "50399"
    # The trailing stop is the nearer one by now, in steps of the contract, reached earlier rather than later.
    await bench.bar(49_011.0)
    assert (await bench.orders())[1:] == [
        ("BUY", "CANCELLED", "STOP_LOSS"),
        ("BUY", "OPEN", "TRAILING_STOP"),
    ]
    assert futures.orders[-1].params["triggerPrice"] == "49746.1"
    [live] = await bench.rows(LiveBotRow)
    assert live.best == 49_011.0
    futures.trade(Decimal(49_800))
    await bench.desk.pass_time(60)
    await bench.settle()
    assert (await bench.orders())[-1] == ("BUY", "FILLED", "TRAILING_STOP")
    [trade] = await bench.rows(TradeRow)
    assert (trade.side, trade.exit_reason, trade.exit_price) == ("SHORT", "TRAILING_STOP", 49_800)
    assert futures.positions[KEY] == 0


async def test_a_stop_of_a_short_that_the_exchange_does_not_take_and_its_target_are_acted_on_between_closes(
    bench: Bench,
) -> None:
    await bench.begin(execution=execution(leverage=2.0, stopLoss=0.01, takeProfit=0.02, direction="SHORT"))
    for price, reason in ((50_500.0, "STOP_LOSS"), (48_800.0, "TAKE_PROFIT")):
        await bench.bar(49_900.0, worked=False)
        await live_bots.step(bench.runtime, bench.session_id)
        [order_id] = await bench.desk.due()
        await jobs_orders.live_order({"runtime": bench.runtime}, str(order_id))
        bench.desk.simulator.faults.add(
            "/fapi/v1/algoOrder", Refusal(400, body='{"code": -2010, "msg": "no stops here"}')
        )
        await bench.settle()
        assert (await bench.orders())[-2:] == [SOLD, ("BUY", "REJECTED", "STOP_LOSS")]
        bench.desk.trader.accounts.clock.move(seconds=61)
        await tell(bench, 49_950.0)
        assert await live_bots.check(bench.runtime, bench.session_id)
        assert (await bench.orders())[-1] == ("BUY", "REJECTED", "STOP_LOSS")
        bench.desk.trader.accounts.clock.move(seconds=61)
        bench.desk.simulator.futures.price = Decimal(str(price))
        await tell(bench, price)
        assert await live_bots.check(bench.runtime, bench.session_id)
        await bench.settle()
        assert (await bench.orders())[-1] == ("BUY", "FILLED", reason)
        bench.desk.simulator.markets["BTCUSDT"].price = Decimal(50_000)
    assert bench.desk.simulator.futures.positions[KEY] == 0


async def test_a_daily_guard_of_a_short_looks_at_what_it_owes(bench: Bench) -> None:
    await bench.begin(execution=execution(maxDrawdown=0.02), contracts=True)
    await bench.bar(49_900.0)
    # Half of the capital loses six percent: three of all of it. It is not reversed either.
    await bench.bar(52_900.0)
    assert await bench.orders() == [SOLD, ("BUY", "FILLED", "MAX_DRAWDOWN")]
    await bench.bar(52_000.0)
    assert len(await bench.orders()) == 2


async def test_shorts_without_contracts_are_refused_when_a_bot_is_made_or_changed(
    bench: Bench,
) -> None:
    for direction in ("SHORT", "BOTH"):
        refused = await bench.create(execution={"direction": direction})
        [error] = refused["errors"]
        assert (error["code"], error["path"]) == ("INVALID_INPUT", ["execution", "direction"])
        assert error["message"].startswith("Only contracts can be sold short")
    made = await bench.create(execution={"direction": "BOTH"}, contracts=True, autoTransferFunds=True)
    assert made["errors"] == []
    bench.bot_id = made["bot"]["id"]
    change = """mutation($id: ID!) { updateBot(input: {id: $id, contracts: false, autoTransferFunds: false}) {
      bot { contracts } errors { code path } } }"""
    refused = [{"code": "INVALID_INPUT", "path": ["execution", "direction"]}]
    assert await bench.desk.do(change, id=bench.bot_id) == {"bot": None, "errors": refused}
    found = await bench.desk.do("query($id: ID!) { bot(id: $id) { contracts } }", id=bench.bot_id)
    assert found == {"contracts": True}


async def test_what_is_owed_is_told_when_a_short_cannot_be_bought_back(bench: Bench) -> None:
    await bench.begin(execution=execution(), contracts=True)
    await bench.bar(49_900.0)
    # Somebody has closed it in the account.
    bench.desk.simulator.futures.positions[KEY] = Decimal(0)
    await bench.bar(50_000.0)
    await bench.insist()
    bot = await bench.bot()
    assert bot.state == "FAILED"
    assert bot.error is not None
    assert "a short position of 0.1 of BTC/USDT is what the bot took itself to hold" in bot.error
    assert [status for _, status, _ in await bench.orders()] == ["FILLED"] + ["REJECTED"] * 3
