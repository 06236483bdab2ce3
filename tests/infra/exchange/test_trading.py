"""Orders at a simulated exchange over HTTP: placed once, whatever happens on the way, and found again."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gql_trader.infra.exchange import trading
from gql_trader.infra.exchange.errors import (
    CredentialsRefused,
    DuplicateOrder,
    ExchangeBusy,
    ExchangeFailure,
    ExchangeUnavailable,
    InsufficientFunds,
    NotOffered,
    OrderForgotten,
    OrderMissing,
    OrderRejected,
    OutcomeUnknown,
    UnknownMarket,
)
from gql_trader.infra.exchange.exchanges import Exchanges
from gql_trader.infra.exchange.orders import (
    Balance,
    ExchangeOrder,
    ExchangePosition,
    Fee,
    MarginMode,
    OrderKind,
    OrderName,
    OrderRequest,
    OrderState,
    Side,
    Wallet,
)
from gql_trader.infra.exchange.pacing import IMPATIENT
from gql_trader.infra.exchange.records import Credentials
from gql_trader.infra.exchange.trading import TradingClient
from tests.factories.exchange_simulator import CutOff, ExchangeSimulator, Hang, Refusal
from tests.factories.exchange_simulator.faults import Fault
from tests.factories.waits import VirtualWaits
from tests.infra.exchange.conftest import KEY, SECRET, TIMEOUT

ORDER = "/api/v3/order"
BTC, PERPETUAL = "BTC/USDT", "BTC/USDT:USDT"


def an_order(kind: OrderKind = OrderKind.MARKET, **given: Any) -> OrderRequest:
    values = {"amount": Decimal("0.1"), "side": Side.BUY, "client_order_id": "ours", **given}
    return OrderRequest(symbol=BTC, kind=kind, **values)


def a_contract_order(kind: OrderKind = OrderKind.MARKET, **given: Any) -> OrderRequest:
    return replace(an_order(kind, **given), symbol=PERPETUAL)


def sent(simulator: ExchangeSimulator, method: str = "POST") -> int:
    """Return how many orders were sent, or with another method asked for or cancelled."""
    return sum(each.path == ORDER and each.method == method for each in simulator.received)


async def test_a_market_order_is_filled_at_once(client: TradingClient, simulator: ExchangeSimulator) -> None:
    order = await client.place(an_order())
    assert order == ExchangeOrder(
        id="1",
        client_order_id="ours",
        symbol=BTC,
        side=Side.BUY,
        state=OrderState.FILLED,
        amount=Decimal("0.1"),
        filled=Decimal("0.1"),
        price=None,
        stop_price=None,
        average=Decimal("50000"),
        fees=(Fee(Decimal("0.0001"), "BTC"),),
        created_at=order.created_at,
    )
    [fill] = await client.fills(order)
    assert (fill.price, fill.amount, fill.fee) == (Decimal(50000), Decimal("0.1"), order.fees[0])
    assert (fill.order_id, fill.side, fill.maker) == ("1", Side.BUY, False)
    assert await client.balances() == {
        "BTC": Balance(Decimal("1.0999"), Decimal(0)),
        "USDT": Balance(Decimal(95_000), Decimal(0)),
    }
    assert simulator.received[0].params["newClientOrderId"] == "ours"
    assert "price" not in simulator.received[0].params
    assert "quoteOrderQty" not in simulator.received[0].params


async def test_numbers_are_sent_as_they_are(client: TradingClient, simulator: ExchangeSimulator) -> None:
    await client.place(
        an_order(OrderKind.LIMIT, amount=Decimal("0.12345"), price=Decimal("49999.99"), side=Side.BUY)
    )
    sent_params = simulator.received[0].params
    assert (sent_params["quantity"], sent_params["price"]) == ("0.12345", "49999.99")


async def test_all_fills_of_an_order_are_told_however_small_they_are(
    client: TradingClient, simulator: ExchangeSimulator
) -> None:
    order = await client.place(an_order(OrderKind.LIMIT, price=Decimal(49_000)))
    for _ in range(501):
        simulator.orders.trade(simulator.markets["BTCUSDT"], Decimal(48_000), Decimal("0.0001"))
    fills = await client.fills(order)
    assert sum(each.amount for each in fills) == Decimal("0.0501")


async def test_a_limit_order_rests_is_filled_in_part_and_cancelled(
    client: TradingClient, simulator: ExchangeSimulator
) -> None:
    order = await client.place(an_order(OrderKind.LIMIT, price=Decimal(49_000)))
    assert (order.state, order.price, order.average) == (OrderState.OPEN, Decimal(49_000), None)
    assert await client.open_orders(BTC) == [order]
    assert (await client.balances())["USDT"] == Balance(Decimal(95_100), Decimal(4_900))
    market = simulator.markets["BTCUSDT"]
    simulator.orders.trade(market, Decimal(48_000), Decimal("0.03"))
    simulator.orders.trade(market, Decimal(47_000), Decimal("0.01"))
    found = await client.find(OrderName(BTC, "ours"))
    assert found is not None
    assert (found.state, found.filled) == (OrderState.PARTIALLY_FILLED, Decimal("0.04"))
    assert found.average == Decimal(47_750)
    cancelled = await client.cancel(OrderName(BTC, "ours"))
    assert (cancelled.state, cancelled.filled) == (OrderState.CANCELLED, Decimal("0.04"))
    assert [each.amount for each in await client.fills(cancelled)] == [Decimal("0.03"), Decimal("0.01")]
    assert await client.open_orders(BTC) == []
    # Cancelling again changes nothing and says the same.
    assert await client.cancel(OrderName(BTC, "ours")) == cancelled


@pytest.mark.parametrize("kind", [OrderKind.STOP, OrderKind.STOP_LIMIT])
async def test_a_stop_waits_for_its_price(
    client: TradingClient, simulator: ExchangeSimulator, kind: OrderKind
) -> None:
    limit = {"price": Decimal(44_000)} if kind.has_limit else {}
    request = an_order(kind, side=Side.SELL, stop_price=Decimal(45_000), **limit)
    order = await client.place(request)
    assert (order.state, order.stop_price) == (OrderState.OPEN, Decimal(45_000))
    market = simulator.markets["BTCUSDT"]
    simulator.orders.trade(market, Decimal("45000.01"))
    assert (await client.open_orders(BTC))[0].state is OrderState.OPEN
    simulator.orders.trade(market, Decimal(44_500))
    found = await client.find(request.name)
    assert found is not None
    assert (found.state, found.average) == (OrderState.FILLED, Decimal(44_500))


@pytest.mark.parametrize(
    "fault",
    [Hang(done=True), CutOff(done=True), Refusal(503, done=True), Refusal(504, done=True)],
    ids=["time-out", "disconnect", "503", "504"],
)
async def test_an_order_taken_without_an_answer_is_found_and_not_sent_again(
    client: TradingClient, simulator: ExchangeSimulator, fault: Fault
) -> None:
    simulator.faults.add(ORDER, fault)
    order = await client.place(an_order())
    assert (order.client_order_id, order.state) == ("ours", OrderState.FILLED)
    assert (sent(simulator), sent(simulator, "GET")) == (1, 1)
    assert len(simulator.orders.orders) == 1


async def test_the_silence_of_an_exchange_that_is_asked_by_its_own_ids_only_proves_nothing(
    client: TradingClient, simulator: ExchangeSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trading, "_ASKED_BY_OUR_ID", frozenset())
    simulator.faults.add(ORDER, Hang(done=True))
    order = await client.place(an_order(OrderKind.LIMIT, price=Decimal(49_000)))
    assert (order.id, order.state) == ("1", OrderState.OPEN)
    # It may have this one, although no list does.
    simulator.faults.add(ORDER, Hang())
    with pytest.raises(OutcomeUnknown):
        await client.place(an_order(client_order_id="lost"))
    for ask in (client.find, client.cancel):
        with pytest.raises(ExchangeFailure, match="cannot be asked for it by our id"):
            await ask(OrderName(BTC, "lost"))
    # What it has told the id of is followed and cancelled by that.
    name = OrderName(BTC, "dropped on the way", exchange_id="1")
    assert await client.find(name) == order
    assert (await client.cancel(name)).state is OrderState.CANCELLED
    assert await client.find(replace(name, exchange_id="7")) is None
    assert sent(simulator) == 2
    assert not any("origClientOrderId" in each.params for each in simulator.received)


@pytest.mark.parametrize("code", [-1006, -1007])
async def test_binances_own_words_for_an_unknown_outcome_are_understood(
    client: TradingClient, simulator: ExchangeSimulator, code: int
) -> None:
    said = f'{{"code": {code}, "msg": "Timeout. Send status unknown; execution status unknown."}}'
    simulator.faults.add(ORDER, Refusal(400, body=said, done=True))
    assert (await client.place(an_order())).state is OrderState.FILLED
    assert (sent(simulator), len(simulator.orders.orders)) == (1, 1)


async def test_an_order_that_never_arrives_is_looked_for_until_it_no_longer_can(
    client: TradingClient, simulator: ExchangeSimulator, waits: VirtualWaits
) -> None:
    simulator.faults.add(ORDER, Hang())
    with pytest.raises(ExchangeUnavailable) as raised:
        await client.place(an_order())
    assert raised.value.message == "Binance did not answer, and has not got the order."
    assert sent(simulator) == 1
    # Binance refuses what comes ten seconds after it was signed.
    assert 10 < sum(waits.slept) < 20
    assert simulator.orders.orders == []
    # It may be placed now.
    assert (await client.place(an_order())).state is OrderState.FILLED


async def test_an_order_that_arrives_late_is_found(simulator: ExchangeSimulator, exchange_list: Path) -> None:
    virtual = VirtualWaits()

    async def sleep(seconds: float) -> None:
        await virtual.waits.sleep(seconds)
        if len(virtual.slept) == 3:
            # Three seconds after the time-out it comes through.
            [late] = [each for each in simulator.received if each.method == "POST"]
            account, market = simulator.accounts[KEY], simulator.markets["BTCUSDT"]
            simulator.orders.place(account, market, late.params, simulator.now())

    slow = replace(virtual.waits, sleep=sleep)
    exchanges = Exchanges({"binance": simulator.url}, None, TIMEOUT, exchange_list, slow)
    simulator.faults.add(ORDER, Hang())
    async with exchanges.client("binance", Credentials(KEY, SECRET)) as client:
        order = await client.place(an_order())
    await exchanges.close()
    assert (order.client_order_id, order.state) == ("ours", OrderState.FILLED)
    assert (sent(simulator), len(simulator.orders.orders)) == (1, 1)


async def test_who_cannot_wait_is_told_that_the_outcome_is_unknown(
    exchanges: Exchanges, simulator: ExchangeSimulator
) -> None:
    simulator.faults.add(ORDER, Hang(done=True))
    simulator.faults.add(ORDER, Refusal(503), times=3)
    async with exchanges.client("binance", Credentials(KEY, SECRET), IMPATIENT) as client:
        with pytest.raises(OutcomeUnknown):
            await client.place(an_order())
        assert (sent(simulator), sent(simulator, "GET")) == (1, 3)
        # Whoever has its name finds it later, from another process too.
        found = await client.find(OrderName(BTC, "ours"))
    assert found is not None
    assert found.state is OrderState.FILLED


async def test_an_order_refused_for_being_too_many_is_sent_again(
    client: TradingClient, simulator: ExchangeSimulator, waits: VirtualWaits
) -> None:
    simulator.faults.add(ORDER, Refusal(429, retry_after="5"))
    assert (await client.place(an_order())).state is OrderState.FILLED
    assert (sent(simulator), len(simulator.orders.orders)) == (2, 1)
    assert sum(waits.slept) > 4.5


async def test_an_order_refused_for_its_time_is_sent_again_with_the_right_one(
    client: TradingClient, simulator: ExchangeSimulator
) -> None:
    simulator.ahead = 60_000
    assert (await client.place(an_order())).state is OrderState.FILLED
    assert simulator.paths() == [ORDER, "/api/v3/time", ORDER]
    assert len(simulator.orders.orders) == 1


async def test_a_ban_longer_than_patience_is_told_and_nothing_sent(
    client: TradingClient, simulator: ExchangeSimulator
) -> None:
    simulator.faults.add(ORDER, Refusal(418, retry_after="3600"))
    with pytest.raises(ExchangeBusy) as raised:
        await client.place(an_order())
    assert raised.value.retry_after == pytest.approx(3600, abs=5)
    with pytest.raises(ExchangeBusy):
        await client.place(an_order())
    assert sent(simulator) == 1
    assert simulator.orders.orders == []


async def test_what_never_left_is_no_unknown_outcome(
    client: TradingClient, simulator: ExchangeSimulator
) -> None:
    await simulator.stop()
    with pytest.raises(ExchangeUnavailable) as raised:
        await client.place(an_order())
    assert raised.value.sent is False
    assert simulator.received == []


@pytest.mark.parametrize(
    ("given", "kind", "failure"),
    [
        ({"amount": Decimal(3)}, OrderKind.MARKET, InsufficientFunds),
        ({"amount": Decimal("1.1"), "side": Side.SELL}, OrderKind.MARKET, InsufficientFunds),
    ],
)
async def test_an_order_that_the_exchange_rejects_is_sent_once(
    client: TradingClient,
    simulator: ExchangeSimulator,
    given: dict[str, Any],
    kind: OrderKind,
    failure: type[ExchangeFailure],
) -> None:
    with pytest.raises(failure):
        await client.place(an_order(kind, **given))
    assert sent(simulator) == 1
    assert sent(simulator, "GET") == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"amount": Decimal("0.000001")}, "An order on BTC/USDT is at least 0.00001 BTC."),
        ({"amount": Decimal("0.000015")}, "Amounts on BTC/USDT are multiples of 0.00001."),
        ({"price": Decimal("49000.001")}, "Prices on BTC/USDT are multiples of 0.01."),
        ({"amount": Decimal("0.0001")}, "An order on BTC/USDT is worth at least 5 USDT."),
        ({"amount": Decimal("9001")}, "An order on BTC/USDT is at most 9000 BTC."),
    ],
)
async def test_an_order_that_breaks_the_markets_rules_is_not_sent(
    client: TradingClient, simulator: ExchangeSimulator, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(OrderRejected) as raised:
        await client.place(an_order(OrderKind.LIMIT, **{"price": Decimal(49_000), **given}))
    assert raised.value.message == said
    assert simulator.received == []


async def test_a_key_that_may_not_trade_places_nothing(
    client: TradingClient, simulator: ExchangeSimulator
) -> None:
    await client.balances()
    simulator.accounts[KEY].trading = False
    with pytest.raises(CredentialsRefused):
        await client.place(an_order())
    assert (sent(simulator), simulator.orders.orders) == (1, [])


async def test_the_same_order_twice_is_one_order(client: TradingClient, simulator: ExchangeSimulator) -> None:
    request = an_order(OrderKind.LIMIT, price=Decimal(49_000))
    first = await client.place(request)
    assert await client.place(request) == first
    with pytest.raises(DuplicateOrder):
        await client.place(an_order(OrderKind.LIMIT, price=Decimal(49_000), amount=Decimal("0.2")))
    assert len(simulator.orders.orders) == 1


async def test_what_does_not_exist_is_not_found(client: TradingClient) -> None:
    assert await client.find(OrderName(BTC, "nobody's")) is None
    with pytest.raises(OrderMissing):
        await client.cancel(OrderName(BTC, "nobody's"))
    with pytest.raises(UnknownMarket):
        await client.find(OrderName("ETH/USDT", "ours"))


async def test_a_cancellation_without_an_answer_is_looked_up(
    client: TradingClient, simulator: ExchangeSimulator
) -> None:
    await client.place(an_order(OrderKind.LIMIT, price=Decimal(49_000)))
    simulator.faults.add(ORDER, Hang(done=True))
    assert (await client.cancel(OrderName(BTC, "ours"))).state is OrderState.CANCELLED


async def test_payments_are_told_only_where_it_is_certain_which_sign_they_have(
    client: TradingClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    assert await client.funding(PERPETUAL, since) == []
    monkeypatch.setattr(TradingClient, "exchange", "bybit")
    with pytest.raises(NotOffered):
        await client.funding(PERPETUAL, since)


async def test_settings_of_contracts_may_be_chosen_again(
    client: TradingClient, simulator: ExchangeSimulator
) -> None:
    for _ in range(2):
        await client.set_leverage(PERPETUAL, 5)
        await client.set_margin_mode(PERPETUAL, MarginMode.ISOLATED)
    assert (simulator.futures.leverage[KEY], simulator.futures.margin[KEY]) == (5, "ISOLATED")
    with pytest.raises(NotOffered):
        await client.set_leverage(BTC, 5)
    assert await client.positions([PERPETUAL]) == []
    simulator.futures.positions[KEY] = Decimal("-0.5")
    assert await client.positions([PERPETUAL]) == [
        ExchangePosition(
            symbol=PERPETUAL,
            amount=Decimal("-0.5"),
            entry_price=Decimal(49_000),
            unrealised_profit=Decimal(-500),
            leverage=None,
            margin_mode=MarginMode.ISOLATED,
            liquidation_price=Decimal(25_000),
        )
    ]


async def test_contracts_are_bought_and_sold_short(
    client: TradingClient, simulator: ExchangeSimulator
) -> None:
    order = await client.place(a_contract_order(side=Side.SELL))
    assert (order.symbol, order.state, order.average) == (PERPETUAL, OrderState.FILLED, Decimal(50_000))
    [fill] = await client.fills(order)
    assert (fill.amount, fill.fee) == (Decimal("0.1"), Fee(Decimal("2.5"), "USDT"))
    assert simulator.futures.positions[KEY] == Decimal("-0.1")
    closing = a_contract_order(
        OrderKind.LIMIT, client_order_id="close", price=Decimal(49_000), reduce_only=True
    )
    resting = await client.place(closing)
    assert (resting.state, resting.price) == (OrderState.OPEN, Decimal(49_000))
    assert simulator.received[-1].params["reduceOnly"] == "true"
    simulator.futures.trade(Decimal(48_900))
    found = await client.find(closing.name)
    assert found is not None
    assert (found.state, simulator.futures.positions[KEY]) == (OrderState.FILLED, 0)


async def test_a_contract_order_taken_without_an_answer_is_found(
    client: TradingClient, simulator: ExchangeSimulator
) -> None:
    simulator.faults.add("/fapi/v1/order", Hang(done=True))
    assert (await client.place(a_contract_order())).state is OrderState.FILLED
    assert simulator.futures.positions[KEY] == Decimal("0.1")
    simulator.faults.add("/fapi/v1/algoOrder", CutOff(done=True))
    stop = a_contract_order(
        OrderKind.STOP, client_order_id="stop", side=Side.SELL, stop_price=Decimal(45_000)
    )
    assert (await client.place(stop)).state is OrderState.OPEN
    assert [each.method for each in simulator.received] == ["POST", "GET", "POST", "GET"]


async def test_a_stop_on_contracts_is_followed_to_the_order_that_it_becomes(
    client: TradingClient, simulator: ExchangeSimulator
) -> None:
    stop = a_contract_order(
        OrderKind.STOP_LIMIT,
        client_order_id="stop",
        side=Side.SELL,
        stop_price=Decimal(45_000),
        price=Decimal(44_900),
    )
    placed = await client.place(stop)
    assert (placed.state, placed.stop_price) == (OrderState.OPEN, Decimal(45_000))
    limit = await client.place(
        a_contract_order(OrderKind.LIMIT, client_order_id="limit", price=Decimal(40_000))
    )
    # The exchange keeps those that wait for a stop apart; here they are together.
    assert {each.client_order_id for each in await client.open_orders(PERPETUAL)} == {"stop", "limit"}
    assert limit.state is OrderState.OPEN
    # Triggered, but the market is through the limit already: ccxt calls it closed, and it is not filled.
    simulator.futures.trade(Decimal(44_000))
    found = await client.find(stop.name)
    assert found is not None
    assert (found.client_order_id, found.state, found.filled) == ("stop", OrderState.OPEN, 0)
    assert (found.price, found.stop_price) == (Decimal(44_900), Decimal(45_000))
    simulator.futures.trade(Decimal(44_950))
    found = await client.find(stop.name)
    assert found is not None
    assert (found.state, found.average) == (OrderState.FILLED, Decimal(44_950))


async def test_a_stop_on_contracts_is_cancelled(client: TradingClient, simulator: ExchangeSimulator) -> None:
    stop = a_contract_order(OrderKind.STOP, side=Side.SELL, stop_price=Decimal(45_000))
    await client.place(stop)
    for _ in range(2):
        assert (await client.cancel(stop.name)).state is OrderState.CANCELLED
    simulator.futures.trade(Decimal(44_000))
    assert simulator.futures.positions == {}
    # After its stop it is another order of the exchange's, which is cancelled in its place.
    simulator.futures.trade(Decimal(50_000))
    reached = replace(stop, kind=OrderKind.STOP_LIMIT, client_order_id="reached", price=Decimal(44_900))
    await client.place(reached)
    simulator.futures.trade(Decimal(44_000))
    assert (await client.cancel(reached.name)).state is OrderState.CANCELLED
    simulator.futures.trade(Decimal(44_950))
    assert simulator.futures.positions == {}
    # An old one is cancelled, and from then on nothing is told of it.
    simulator.futures.untold = frozenset({"CANCELED"})
    old = replace(stop, client_order_id="old", stop_price=Decimal(40_000))
    await client.place(old)
    with pytest.raises(OrderForgotten) as told:
        await client.cancel(old.name)
    assert (told.value.filled, simulator.futures.orders[-1].status) == (0, "CANCELED")
    with pytest.raises(OrderMissing) as again:
        await client.cancel(old.name)
    assert type(again.value) is OrderMissing


async def test_funds_are_moved_once(client: TradingClient, simulator: ExchangeSimulator) -> None:
    assert await client.transfer("USDT", Decimal("100.5"), Wallet.SPOT, Wallet.FUTURES) == "1"
    assert (await client.balances(Wallet.FUTURES))["USDT"].total == Decimal("100.5")
    simulator.faults.add("/sapi/v1/asset/transfer", Hang(done=True))
    with pytest.raises(OutcomeUnknown):
        await client.transfer("USDT", Decimal(50), Wallet.FUTURES, Wallet.SPOT)
    assert simulator.futures.transfers == [
        ("MAIN_UMFUTURE", Decimal("100.5")),
        ("UMFUTURE_MAIN", Decimal(50)),
    ]
    assert (await client.balances(Wallet.FUTURES))["USDT"].total == Decimal("50.5")
