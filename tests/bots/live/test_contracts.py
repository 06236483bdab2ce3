"""Contracts in live accounts: what is paid for holding them, and what is gone from there."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, text

from gql_trader.bots.live import jobs_orders
from gql_trader.bots.live.accounts import looks as account_looks
from gql_trader.bots.live.accounts.sharing import split
from gql_trader.bots.models import OrderRow, TradeRow
from gql_trader.bots.models_live import FundingRow, LiveAccountRow, LiveSessionRow
from gql_trader.core.clock import to_milliseconds
from gql_trader.gql.relay import parse_id
from tests.bots.live.bench import BOUGHT, Bench, make_bench
from tests.bots.live.desk import KEY, STOP, LiveDesk
from tests.factories.exchange_simulator import Refusal

INCOME, POSITIONS = "/fapi/v1/income", "/fapi/v3/positionRisk"
FORCED = "/fapi/v1/forceOrders"
NOT_ALLOWED = Refusal(401, body='{"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}')


def test_shares_add_up_exactly() -> None:
    cent = Decimal("0.01")
    assert split(Decimal("1.00"), [Decimal(1)] * 3, cent) == [
        Decimal(each) for each in ("0.33", "0.33", "0.34")
    ]
    assert split(Decimal("-1.00"), [Decimal(2), Decimal(0), Decimal(1)], cent) == [
        Decimal("-0.66"),
        Decimal(0),
        Decimal("-0.34"),
    ]
    assert split(Decimal("0.7"), [Decimal("0.3"), Decimal("0.4")], cent) == [Decimal("0.3"), Decimal("0.4")]


@pytest.fixture
async def bench(desk: LiveDesk) -> Bench:
    """A live bot on hours that the test writes."""
    return await make_bench(desk)


def wait(desk: LiveDesk, seconds: float) -> None:
    """Let time pass, here and at the exchange."""
    desk.trader.accounts.clock.move(seconds=seconds)
    desk.simulator.ahead += round(seconds * 1000)


async def look(desk: LiveDesk, times: int = 1, seconds: float = 61) -> None:
    """Let time pass, and workers look at the accounts that are due then."""
    for _ in range(times):
        wait(desk, seconds)
        async with desk.runtime.unit_of_work() as uow:
            await uow.session.execute(
                text("UPDATE live_accounts SET asked_at = asked_at - interval '30 min'")
            )
            due = await account_looks.due_jobs(uow)
        for job in due:
            await jobs_orders.live_account({"runtime": desk.runtime}, *map(str, job.arguments))
        await desk.follow(seconds)


def pay(desk: LiveDesk, amount: str) -> None:
    """Let the exchange pay funding at this moment."""
    desk.simulator.futures.pay(desk.account, Decimal(amount), to_milliseconds(desk.runtime.clock.now()))


async def rows(desk: LiveDesk, model: Any, session: str | None = None) -> list[Any]:
    """Return the rows of a session, or all."""
    statement = select(model)
    if session is not None:
        statement = statement.where(model.session_id == parse_id(session)[1])
    async with desk.runtime.unit_of_work() as uow:
        return list(await uow.session.scalars(statement))


async def told(desk: LiveDesk) -> list[tuple[str, str]]:
    """Return the notifications that there are: kind and body."""
    async with desk.runtime.unit_of_work() as uow:
        found = await uow.session.execute(text("SELECT kind, body FROM notifications ORDER BY created_at"))
        return [(row.kind, row.body) for row in found]


async def begin(desk: LiveDesk, quantity: str, **changes: Any) -> str:
    """Return a session that holds a contract."""
    wait(desk, 30)
    session = await desk.start(**{"leverage": 5} | changes)
    assert (await desk.done(session, "BUY", "MARKET", quantity))["status"] == "FILLED"
    return session


async def test_funding_is_booked_once_in_proportion_to_what_sessions_held_then(desk: LiveDesk) -> None:
    first, second = await begin(desk, "0.1"), await begin(desk, "0.2")
    pay(desk, "-1.00000001")
    # What comes after a payment does not count for it.
    third = await begin(desk, "0.3")
    await look(desk, times=3)
    paid = [[each.amount for each in await rows(desk, FundingRow, key)] for key in (first, second, third)]
    assert paid == [[Decimal("-0.33333333")], [Decimal("-0.66666668")], []]
    found = await desk.session(first)
    # 10,000, less the fee of 2.5 and the funding; a fifth of 5,000 is bound.
    assert (found["equity"], found["cash"]) == ("9997.16666667", "8997.16666667")
    assert found["positions"][0]["unrealizedProfit"] == "-2.83333333"
    pay(desk, "0.6")
    await look(desk, times=2)
    [trade] = await rows(desk, TradeRow, second)
    assert trade.funding == Decimal("0.46666668")
    # A part that is closed takes its share with it.
    sold = await desk.done(second, "SELL", "MARKET", "0.05")
    assert sold["status"] == "FILLED"
    closed, held = sorted(await rows(desk, TradeRow, second), key=lambda each: each.exit_time is None)
    assert (closed.funding, held.funding) == (Decimal("0.11666667"), Decimal("0.35000001"))
    # Fees of 1.25 each way.
    assert closed.profit == Decimal("-2.5") - closed.funding


async def test_funding_that_is_told_after_the_end_belongs_to_the_trade_that_bore_it(desk: LiveDesk) -> None:
    session = await begin(desk, "0.1")
    pay(desk, "-3")
    await desk.do(STOP, input={"id": session})
    await desk.advance(session)
    await desk.follow()
    await desk.advance(session)
    assert (await desk.session(session))["profit"] == "-5"
    await look(desk, seconds=840)
    found = await desk.session(session)
    assert (found["status"], found["profit"], found["cash"]) == ("STOPPED", "-8", "9992")
    async with desk.runtime.unit_of_work() as uow:
        kept = "SELECT profit FROM session_rollups JOIN trading_sessions ON id = session_id WHERE time > {}"
        # In a report it belongs to the end, too.
        late = text(kept.format("extract(epoch FROM ended_at) * 1000"))
        assert (await uow.session.execute(late)).all() == []
        assert await uow.session.scalar(text(kept.format("0") + " ORDER BY time DESC")) == -8
    [trade] = await rows(desk, TradeRow, session)
    assert (trade.funding, trade.profit) == (Decimal(3), Decimal(-8))
    async with desk.runtime.unit_of_work() as uow:
        totals = (await uow.session.execute(text("SELECT profit, trades, wins FROM session_totals"))).one()
    assert tuple(totals) == (Decimal(-8), 1, 0)
    # An hour after its end nobody looks any more.
    await look(desk, seconds=3601)
    await look(desk)
    assert await rows(desk, LiveAccountRow) == []


async def test_a_short_position_is_paid_for_and_liquidated_the_other_way_round(desk: LiveDesk) -> None:
    futures, session = desk.simulator.futures, await desk.start(leverage=5)
    assert (await desk.done(session, "SELL", "MARKET", "0.1"))["status"] == "FILLED"
    pay(desk, "1.5")
    await look(desk, times=2)
    [trade] = await rows(desk, TradeRow, session)
    assert (trade.side, trade.funding) == ("SHORT", Decimal("-1.5"))
    asked = desk.simulator.paths().count(INCOME)
    futures.close(desk.account, Decimal(60_000), to_milliseconds(desk.runtime.clock.now()))
    for _ in range(7):
        wait(desk, 21)
        async with desk.runtime.unit_of_work() as uow:
            due = await account_looks.due_jobs(uow)
        for job in due:
            await jobs_orders.live_account({"runtime": desk.runtime}, *map(str, job.arguments))
    # Payments are not asked for at every look: that is dear. To set a clock takes a second request.
    assert desk.simulator.paths().count(INCOME) - asked <= 2
    [order] = [each for each in await rows(desk, OrderRow, session) if each.exit_reason]
    assert (order.side, order.reduce_only, order.average_price) == ("BUY", True, Decimal(60_000))
    [trade] = await rows(desk, TradeRow, session)
    # Fees of 2.5 and 3.
    assert (trade.exit_reason, trade.profit) == (
        "LIQUIDATION",
        Decimal("-1000") - Decimal("5.5") + Decimal("1.5"),
    )
    assert (await desk.session(session))["equity"] == "8996"


async def test_what_the_account_holds_besides_bears_its_own_funding(desk: LiveDesk) -> None:
    futures = desk.simulator.futures
    futures.positions[KEY] = Decimal("0.3")
    session = await desk.start(leverage=5)
    order = await desk.done(session, "BUY", "MARKET", "0.1", acknowledgeMismatch=True)
    assert order["status"] == "FILLED"
    await look(desk)
    pay(desk, "-4")
    desk.simulator.faults.add(INCOME, Refusal(503), times=4)
    await look(desk, times=3)
    [payment] = await rows(desk, FundingRow)
    assert payment.amount == -1


async def test_a_liquidation_is_booked_at_the_exchange_s_price_and_lets_the_bot_fail(bench: Bench) -> None:
    desk, futures = bench.desk, bench.desk.simulator.futures
    futures.wallets[KEY] = Decimal(20_000)
    by_hand = await begin(desk, "0.1", leverage=3, marginMode="ISOLATED")
    wait(desk, 30)
    await bench.begin(execution={"leverage": 3.0, "stopLoss": 0.3, "sizing": {"equityFraction": 0.5}})
    await bench.bar(50_000.1)
    assert await bench.orders() == [BOUGHT, ("SELL", "OPEN", "STOP_LOSS")]
    await look(desk)
    # Half an answer is none, and once is not enough.
    desk.simulator.faults.add(POSITIONS, Refusal(503), times=4)
    # A key that may not be told of payments does not keep from the rest.
    desk.simulator.faults.add(INCOME, NOT_ALLOWED, times=20)
    # Without an answer whether it was the exchange nothing is called its owner's doing.
    desk.simulator.faults.add(FORCED, Refusal(503), times=4)
    futures.close(desk.account, Decimal(40_000), to_milliseconds(desk.runtime.clock.now()))
    await look(desk, times=3, seconds=21)
    assert ((await bench.bot()).state, await told(desk)) == ("RUNNING", [])
    await look(desk, times=5, seconds=21)
    await bench.settle()
    bot, reason = await bench.bot(), "The exchange has liquidated 0.399 of BTC/USDT at 40000."
    assert (bot.state, bot.error) == ("FAILED", reason)
    assert await bench.orders() == [
        BOUGHT,
        ("SELL", "CANCELLED", "STOP_LOSS"),
        ("SELL", "FILLED", "LIQUIDATION"),
    ]
    [trade] = await bench.rows(TradeRow)
    # 0.299 bought at 50,000.1, sold at 40,000, for five hundredths of a percent each.
    assert (trade.exit_price, trade.exit_reason) == (Decimal(40_000), "LIQUIDATION")
    assert trade.profit == Decimal("-2990.0299") - Decimal("7.47501495") - Decimal("5.98")
    assert await bench.rows(LiveSessionRow) == []
    desk.headers = await bench.fresh()
    [other] = (await desk.session(by_hand))["trades"]["nodes"]
    assert (other["exitReason"], other["exitPrice"], other["quantity"]) == ("LIQUIDATION", "40000", "0.1")
    assert sorted(kind for kind, _ in await told(desk)) == ["BOT_FAILED", "POSITION_CLOSED"]
    assert desk.sent() == 0


async def test_a_part_that_its_owner_has_closed_is_booked_and_not_called_a_liquidation(bench: Bench) -> None:
    desk, futures = bench.desk, bench.desk.simulator.futures
    futures.wallets[KEY] = Decimal(20_000)
    await bench.begin(execution={"leverage": 2.0, "stopLoss": 0.3, "sizing": {"equityFraction": 0.5}})
    await bench.bar(50_000.1)
    held = futures.positions[KEY]
    await look(desk)
    now = to_milliseconds(desk.runtime.clock.now())
    # Its owner sells more than that, and buys some back.
    futures.close(desk.account, Decimal(49_000), now, held - Decimal("0.05"), forced=False)
    futures.positions[KEY] += Decimal("0.05")
    await look(desk, times=7, seconds=21)
    await bench.settle()
    bot = await bench.bot()
    assert bot.error == (
        "0.099 of BTC/USDT was closed at the exchange at 49000, not from here. Nothing was "
        "sold: 0.1 of BTC/USDT is still in the account. Its stop at 35000.1 stays at the exchange until it "
        "fills or you cancel it."
    )
    closed, left = sorted(await bench.rows(TradeRow), key=lambda each: each.exit_time is None)
    assert (closed.exit_reason, closed.quantity, left.quantity) == (None, Decimal("0.099"), Decimal("0.1"))
    [*_, sold] = await bench.rows(OrderRow)
    # Five hundredths of a percent of 0.099 at 49,000: of the trade's fee as much.
    assert (sold.quantity, sold.fee) == (Decimal("0.099"), Decimal("2.4255"))


async def test_what_is_gone_is_booked_although_closing_it_was_refused_before(bench: Bench) -> None:
    desk, futures = bench.desk, bench.desk.simulator.futures
    futures.wallets[KEY] = Decimal(20_000)
    by_hand = await begin(desk, "0.1", leverage=3, marginMode="ISOLATED")
    wait(desk, 30)
    await bench.begin(execution={"leverage": 3.0, "sizing": {"equityFraction": 0.5}})
    await bench.bar(50_000.1)
    await look(desk)
    now = to_milliseconds(desk.runtime.clock.now())
    futures.close(desk.account, Decimal(49_000), now, forced=False)
    await bench.stop()
    await desk.do(STOP, input={"id": by_hand})
    for _ in range(4):
        await bench.settle()
        await desk.advance(by_hand)
        await desk.follow()
        wait(desk, 31)
    refused = ("SELL", "REJECTED", "END_OF_DATA")
    assert await bench.orders() == [BOUGHT, *[refused] * 3]
    bot, held = await bench.bot(), "0.299 of BTC/USDT"
    assert (bot.state, bot.error is not None) == ("FAILED", True)
    doubtful = f"{held} is what the bot took itself to hold; how much of it is in the account is not known."
    assert bot.error is not None
    assert bot.error.endswith(f"Nothing was sold: {doubtful}")
    assert (await desk.session(by_hand))["status"] != "STOPPED"
    await look(desk, times=6, seconds=21)
    await bench.settle()
    await desk.advance(by_hand)
    error = (await bench.bot()).error
    assert error == f"{bot.error} 0.399 of BTC/USDT was closed at the exchange at 49000, not from here."
    [trade] = await bench.rows(TradeRow)
    assert (trade.quantity, trade.exit_price) == (Decimal("0.299"), Decimal(49_000))
    [other] = (await desk.session(by_hand))["trades"]["nodes"]
    assert (other["quantity"], other["exitPrice"]) == ("0.1", "49000")
    assert (await desk.session(by_hand))["status"] == "STOPPED"
    assert await rows(desk, LiveSessionRow) == []


async def test_a_position_of_which_too_little_is_there_keeps_its_stop(bench: Bench) -> None:
    desk, futures = bench.desk, bench.desk.simulator.futures
    futures.wallets[KEY] = Decimal(20_000)
    await bench.begin(execution={"leverage": 2.0, "stopLoss": 0.3, "sizing": {"equityFraction": 0.5}})
    await bench.bar(50_000.1)
    await look(desk)
    futures.positions[KEY] -= Decimal("0.1")
    await look(desk, times=12)
    await bench.settle()
    assert (await bench.bot()).error == (
        "0.1 of BTC/USDT is missing at the exchange, and its trades do not tell why. Look at your account at "
        "the exchange. Nothing was sold: 0.199 of BTC/USDT is what the bot took itself to hold; how much of "
        "it is in the account is not known. Its stop at 35000.1 stays at the exchange until it fills or you "
        "cancel it."
    )
    assert await bench.orders() == [BOUGHT, ("SELL", "OPEN", "STOP_LOSS")]
    assert [each.status for each in futures.orders] == ["FILLED", "NEW"]
    futures.trade(Decimal(35_000))
    assert futures.positions[KEY] == 0


async def test_an_own_order_of_another_session_does_not_explain_what_is_gone(desk: LiveDesk) -> None:
    first, second = await begin(desk, "0.1"), await begin(desk, "0.1")
    await look(desk)
    now = to_milliseconds(desk.runtime.clock.now())
    desk.simulator.futures.close(desk.account, Decimal(49_000), now, Decimal("0.1"), forced=False)
    await look(desk, seconds=21)
    wait(desk, 5)
    assert (await desk.done(second, "SELL", "MARKET", "0.1"))["status"] == "FILLED"
    await desk.do(STOP, input={"id": second})
    await desk.advance(second)
    await look(desk, times=6, seconds=21)
    prices = [[each.exit_price for each in await rows(desk, TradeRow, key)] for key in (first, second)]
    assert prices == [[Decimal(49_000)], [Decimal(50_000)]]


async def test_an_order_that_the_exchange_had_not_got_may_still_explain_what_is_gone(desk: LiveDesk) -> None:
    session, simulator = await begin(desk, "0.1"), desk.simulator
    await look(desk)
    simulator.faults.add("/fapi/v1/order", Refusal(503, done=True))
    simulator.faults.add("/fapi/v1/order", Refusal(503), times=20)
    order = await desk.done(session, "SELL", "MARKET", "0.1")
    simulator.faults.waiting.clear()
    sold = simulator.futures.orders.pop()
    await desk.follow(130)
    assert (order["status"], (await desk.order(session, order))["status"]) == ("UNKNOWN", "REJECTED")
    await look(desk, times=6, seconds=21)
    assert len((await desk.session(session))["positions"]) == 1
    simulator.futures.orders.append(sold)
    await desk.follow(600)
    assert (await desk.order(session, order))["status"] == "FILLED"
    [trade] = await rows(desk, TradeRow, session)
    assert (trade.exit_price, len(await rows(desk, OrderRow, session))) == (Decimal(50_000), 2)


async def test_what_an_ended_session_has_left_bears_its_own_funding(desk: LiveDesk) -> None:
    first, second = await begin(desk, "0.1"), await begin(desk, "0.1")
    await look(desk)
    pay(desk, "-2")
    wait(desk, 5)
    await desk.do(STOP, input={"id": first, "closePositions": False})
    await desk.advance(first)
    assert (await desk.session(first))["status"] == "STOPPED"
    await look(desk)
    pay(desk, "-2")
    await look(desk, times=2)
    paid = [[each.amount for each in await rows(desk, FundingRow, key)] for key in (first, second)]
    assert paid == [[Decimal(-1)], [Decimal(-1)] * 2]
    # 10,000, less the fee of 2.5, a fifth of 5,000 and the funding.
    assert (await desk.session(first))["cash"] == "8996.5"


async def test_who_holds_nothing_since_a_rotation_does_not_keep_others_from_being_watched(
    desk: LiveDesk,
) -> None:
    idle, holder = await begin(desk, "0.1"), await begin(desk, "0.1")
    assert (await desk.done(idle, "SELL", "MARKET", "0.1"))["status"] == "FILLED"
    await desk.set_key(version=2)
    asked = desk.simulator.paths().count(POSITIONS)
    # Whose account that is is not known until who holds something was compared.
    await look(desk)
    assert desk.simulator.paths().count(POSITIONS) == asked
    assert (await desk.done(holder, "BUY", "MARKET", "0.1"))["status"] == "FILLED"
    asked = desk.simulator.paths().count(POSITIONS)
    await look(desk)
    assert desk.simulator.paths().count(POSITIONS) == asked + 1


async def test_what_nothing_explains_is_told_and_not_booked(desk: LiveDesk) -> None:
    session = await begin(desk, "0.1")
    await look(desk)
    desk.simulator.futures.positions[KEY] = Decimal(0)
    await look(desk, times=6)
    assert await told(desk) == []
    await look(desk, times=5)
    [(kind, body)] = await told(desk)
    assert (kind, body) == (
        "POSITION_CLOSED",
        "0.1 of BTC/USDT is missing at the exchange, and its trades do not tell why. Look at your account at "
        "the exchange.",
    )
    assert len((await desk.session(session))["positions"]) == 1
    # It was an error of theirs.
    desk.simulator.futures.positions[KEY] = Decimal("0.1")
    await look(desk)
    [account] = await rows(desk, LiveAccountRow)
    assert (account.missing, account.told) == (None, False)


async def test_a_stop_that_the_exchange_has_filled_is_no_liquidation(desk: LiveDesk) -> None:
    session = await begin(desk, "0.1")
    stop = await desk.done(session, "SELL", "STOP", "0.1", stopPrice="45000")
    assert stop["status"] == "OPEN"
    await look(desk)
    desk.simulator.futures.trade(Decimal(44_000))
    # Its account is looked at before the order is.
    async with desk.runtime.unit_of_work() as uow:
        await uow.session.execute(text("UPDATE live_orders SET due_at = due_at + interval '1 hour'"))
    await look(desk, times=4, seconds=21)
    found = await desk.order(session, stop)
    assert (found["status"], found["averagePrice"]) == ("FILLED", "44000")
    assert [each.exit_reason for each in await rows(desk, OrderRow, session)] == [None, None]
    assert await told(desk) == []
