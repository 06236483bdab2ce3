"""Accounts of live sessions: compared before the first order on a market, contracts, leverage."""

from decimal import Decimal

from sqlalchemy import text

from tests.accounts.accounts_api import refusals
from tests.bots.live_desk import KEY, STOP, LiveDesk
from tests.factories.exchange_simulator import Refusal

FOREIGN = {
    "newClientOrderId": "by another program",
    "side": "BUY",
    "type": "LIMIT",
    "quantity": "0.01",
    "price": "40000",
}
CONTRACT = "/fapi/v1/order"


def contracts_sent(desk: LiveDesk) -> list[dict[str, str]]:
    return [
        dict(each.params)
        for each in desk.simulator.received
        if each.path == CONTRACT and each.method == "POST"
    ]


async def test_a_foreign_order_keeps_a_session_from_trading_until_it_is_acknowledged(desk: LiveDesk) -> None:
    simulator, session = desk.simulator, await desk.start()
    simulator.orders.place(desk.account, simulator.markets["BTCUSDT"], FOREIGN, simulator.now())
    payload = await desk.place(session, "BUY", "MARKET", "0.1")
    assert (payload["order"], refusals(payload)) == (None, [("INVALID_STATE", ["acknowledgeMismatch"])])
    [error] = payload["errors"]
    assert error["__typename"] == "StateError"
    assert error["message"].startswith("1 open order on BTC/USDT at the exchange (buy 0.01) were not placed")
    assert (await desk.session(session))["orders"]["nodes"] == []
    order = await desk.done(session, "BUY", "MARKET", "0.1", acknowledgeMismatch=True)
    assert order["status"] == "FILLED"
    # Once is enough, and the log of audits has it.
    assert (await desk.done(session, "SELL", "MARKET", "0.0999"))["status"] == "FILLED"
    async with desk.runtime.unit_of_work() as uow:
        noted = await uow.session.scalars(
            text("SELECT metadata->>'mismatch' FROM audit_events WHERE action = 'LIVE_MISMATCH_ACKNOWLEDGED'")
        )
        assert [each.partition(" (")[0] for each in noted] == ["1 open order on BTC/USDT at the exchange"]


async def test_holdings_that_are_missing_keep_a_session_from_trading(desk: LiveDesk) -> None:
    await desk.done(await desk.start(), "BUY", "MARKET", "0.1")
    desk.account.free["BTC"] = Decimal("0.05")
    desk.trader.accounts.clock.move(seconds=30)
    other = await desk.start()
    payload = await desk.place(other, "BUY", "MARKET", "0.1")
    assert payload["errors"][0]["message"].startswith(
        "The account has 0.05 BTC; the sessions that trade now believe that they hold 0.0999."
    )
    # What is there besides is the user's own.
    desk.account.free["BTC"] = Decimal(7)
    assert (await desk.done(other, "BUY", "MARKET", "0.1"))["status"] == "FILLED"


async def test_own_orders_of_other_sessions_are_no_mismatch(desk: LiveDesk) -> None:
    await desk.done(await desk.start(), "BUY", "LIMIT", "0.1", price="49000")
    desk.trader.accounts.clock.move(seconds=30)
    assert (await desk.done(await desk.start(), "BUY", "MARKET", "0.1"))["status"] == "FILLED"


async def test_nothing_is_placed_while_the_account_cannot_be_compared(desk: LiveDesk) -> None:
    session = await desk.start()
    desk.simulator.faults.add("/api/v3/openOrders", Refusal(503), times=3)
    payload = await desk.place(session, "BUY", "MARKET", "0.1", acknowledgeMismatch=True)
    assert (payload["order"], refusals(payload)) == (None, [("EXCHANGE_ERROR", ["market"])])
    assert (await desk.done(session, "BUY", "MARKET", "0.1"))["status"] == "FILLED"


async def test_contracts_are_traded_with_the_leverage_that_was_set_before(desk: LiveDesk) -> None:
    session = await desk.start(leverage=5, marginMode="ISOLATED")
    assert refusals(await desk.place(session, "BUY", "MARKET", "1.1")) == [("INVALID_INPUT", ["quantity"])]
    order = await desk.done(session, "BUY", "MARKET", "0.5")
    assert (order["status"], order["fee"]) == ("FILLED", "12.5")
    paths = [each.path for each in desk.simulator.received]
    assert paths.index("/fapi/v1/leverage") < paths.index(CONTRACT)
    assert (desk.simulator.futures.leverage[KEY], desk.simulator.futures.margin[KEY]) == (5, "ISOLATED")
    found = await desk.session(session)
    # A fifth of 25,000 is bound.
    assert (found["cash"], found["equity"]) == ("4987.5", "9987.5")
    desk.simulator.futures.trade(Decimal(52_000))
    await desk.do(STOP, input={"id": session})
    await desk.advance(session)
    await desk.follow()
    await desk.advance(session)
    found = await desk.session(session)
    assert (found["status"], found["cash"], found["profit"]) == ("STOPPED", "10974.5", "974.5")
    assert [each.get("reduceOnly") for each in contracts_sent(desk)] == [None, "true"]
    assert (desk.simulator.futures.positions[KEY], desk.sent()) == (0, 0)


async def test_a_stop_on_a_contract_waits_at_the_exchange(desk: LiveDesk) -> None:
    session = await desk.start(leverage=2)
    await desk.done(session, "BUY", "MARKET", "0.2")
    stop = await desk.done(session, "SELL", "STOP", "0.2", stopPrice="45000")
    assert stop["status"] == "OPEN"
    desk.simulator.futures.trade(Decimal(44_900))
    await desk.follow()
    found = await desk.order(session, stop)
    assert (found["status"], found["averagePrice"]) == ("FILLED", "44900")
    assert (await desk.session(session))["positions"] == []


async def test_a_position_in_contracts_that_is_not_a_session_s_is_a_mismatch(desk: LiveDesk) -> None:
    session = await desk.start(leverage=2)
    desk.simulator.futures.positions[KEY] = Decimal("-0.3")
    payload = await desk.place(session, "BUY", "MARKET", "0.1")
    assert payload["errors"][0]["message"].startswith(
        "The position in BTC/USDT:USDT at the exchange is -0.3; the sessions that trade now believe that they hold 0."
    )
    assert (contracts_sent(desk), desk.simulator.futures.leverage) == ([], {})
    order = await desk.done(session, "BUY", "MARKET", "0.1", acknowledgeMismatch=True)
    assert (order["status"], desk.simulator.futures.leverage[KEY]) == ("FILLED", 2)


async def test_leverage_is_for_live_sessions(desk: LiveDesk) -> None:
    for given, path in (
        ({"mode": "PAPER", "leverage": 2}, ["leverage"]),
        ({"leverage": 0}, ["leverage"]),
        ({"leverage": 126}, ["leverage"]),
        ({"marginMode": "CROSS"}, ["marginMode"]),
    ):
        assert refusals(await desk.begin(**given)) == [("INVALID_INPUT", path)]
