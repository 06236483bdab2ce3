"""Fees of live orders in a currency that is neither of the market's two."""

from decimal import Decimal

from sqlalchemy import select

from gql_trader.bots.models_live import OrderFillRow
from tests.bots.live.desk import LiveDesk, quote
from tests.factories.exchange_simulator import Refusal, SimulatedMarket

TICKER = "/api/v3/ticker/24hr"
FEES = """
query($id: ID!) {
  tradingSession(id: $id) { cash orders { nodes { status fee otherFees { currency amount } } } }
}
"""


async def test_fees_in_a_third_currency_count_at_its_price_or_are_shown(desk: LiveDesk) -> None:
    simulator, session = desk.simulator, await desk.start()
    simulator.add_market(SimulatedMarket("BNB", "USDT", Decimal(600)))
    simulator.orders.fee = (Decimal("0.001"), "BNB")
    await desk.done(session, "BUY", "MARKET", "0.01")
    # Without an answer it is the last close that is stored, if there is one.
    simulator.faults.add(TICKER, Refusal(503), times=10)
    await desk.done(session, "BUY", "MARKET", "0.01")
    await quote(desk.runtime, 590.0, "binance:BNB/USDT")
    await desk.done(session, "BUY", "MARKET", "0.01")
    simulator.faults.waiting.clear()
    simulator.orders.fee = (Decimal("0.002"), "POINTS")
    await desk.done(session, "BUY", "MARKET", "0.01")
    found = await desk.do(FEES, id=session)
    assert found["orders"]["nodes"] == [
        {"status": "FILLED", "fee": "0.6", "otherFees": []},
        {"status": "FILLED", "fee": "0", "otherFees": [{"currency": "BNB", "amount": "0.001"}]},
        {"status": "FILLED", "fee": "0.59", "otherFees": []},
        {"status": "FILLED", "fee": "0", "otherFees": [{"currency": "POINTS", "amount": "0.002"}]},
    ]
    assert found["cash"] == "7998.81"
    [position] = (await desk.session(session))["positions"]
    assert (position["quantity"], position["unrealizedProfit"]) == ("0.04", "-1.19")
    async with desk.runtime.unit_of_work() as uow:
        fills = await uow.session.scalars(select(OrderFillRow).order_by(OrderFillRow.time))
        assert [(each.fee, each.fee_currency, each.fee_worth) for each in fills] == [
            (Decimal("0.001"), "BNB", Decimal("0.6")),
            (Decimal("0.001"), "BNB", None),
            (Decimal("0.001"), "BNB", Decimal("0.59")),
            (Decimal("0.002"), "POINTS", None),
        ]
