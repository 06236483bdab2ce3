"""Markets and candles of a simulated exchange over HTTP, and what is made of their rules."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gql_trader.core.intervals import Interval
from gql_trader.infra.exchange.errors import AnswerUnreadable, ExchangeUnavailable, NotOffered, UnknownMarket
from gql_trader.infra.exchange.exchanges import Exchanges
from gql_trader.infra.exchange.markets import MarketRules, read_market
from gql_trader.infra.exchange.orders import OrderKind, OrderRequest, Side
from gql_trader.infra.exchange.pacing import Patience
from gql_trader.infra.exchange.records import Credentials
from tests.factories.exchange_simulator import BTC_USDT, ExchangeSimulator, Pause, Refusal
from tests.factories.exchange_simulator.markets import Candle
from tests.factories.waits import VirtualWaits
from tests.graphql_client import until
from tests.infra.exchange.conftest import KEY, SECRET

MINUTE = 60_000
INFORMATION = "/api/v3/exchangeInfo"


def candle(time: int, close: str = "1.5", volume: str = "3") -> Candle:
    return (time, "1", "2", "0.5", close, volume)


def rules(**given: Any) -> MarketRules:
    """Return what is read of a market of ccxt's."""
    market = {
        "symbol": "BTC/USDT",
        "base": "BTC",
        "quote": "USDT",
        "settle": None,
        "contract": False,
        "active": True,
        "precision": {"price": 0.01, "amount": 0.00001},
        "limits": {"amount": {"min": 0.0001, "max": None}, "cost": {"min": 5.0}},
        "maker": 0.001,
        "taker": 0.001,
    }
    return read_market({**market, **given}, 4)


def test_amounts_are_rounded_down_and_prices_to_their_owners_side() -> None:
    market = rules()
    assert market.amount(Decimal("0.123459")) == Decimal("0.12345")
    assert market.amount(Decimal("0.12345")) == Decimal("0.12345")
    assert market.limit(Side.BUY, Decimal("49999.999")) == Decimal("49999.99")
    assert market.limit(Side.SELL, Decimal("49999.991")) == Decimal("50000.00")
    # A stop is not reached later than it was asked for.
    assert market.stop(Side.SELL, Decimal("44999.991")) == Decimal("45000.00")
    assert market.stop(Side.BUY, Decimal("55000.009")) == Decimal("55000.00")


def test_steps_may_be_places_ticks_or_digits() -> None:
    places = read_market(
        {
            **{"symbol": "A/B", "base": "A", "quote": "B", "settle": None, "contract": False},
            **{"active": None, "maker": None, "taker": None},
            "precision": {"price": 2, "amount": -1},
            "limits": {"amount": {"min": 0}, "cost": None},
        },
        2,
    )
    assert (places.price_tick, places.amount_step) == (Decimal("0.01"), Decimal(10))
    assert (places.minimum_amount, places.minimum_cost, places.active) == (None, None, True)
    assert places.amount(Decimal(19)) == Decimal(10)
    digits = rules(precision={"price": None, "amount": None})
    assert digits.amount(Decimal("0.123456789")) == Decimal("0.123456789")


def test_contracts_are_counted_in_the_base_currency() -> None:
    contract = rules(
        symbol="BTC/USDT:USDT",
        settle="USDT",
        contract=True,
        contractSize=0.001,
        precision={"price": 0.1, "amount": 1.0},
        limits={"amount": {"min": 1.0, "max": 1000.0}, "cost": {}},
    )
    assert contract.is_contract
    assert contract.amount_step == Decimal("0.001")
    assert (contract.minimum_amount, contract.maximum_amount) == (Decimal("0.001"), Decimal(1))


async def test_markets_are_read_once_for_all_clients(
    exchanges: Exchanges, simulator: ExchangeSimulator, waits: VirtualWaits
) -> None:
    public = await exchanges.public("binance")
    market = (await public.markets())["BTC/USDT"]
    assert (market.price_tick, market.amount_step) == (Decimal("0.01"), Decimal("0.00001"))
    assert (market.minimum_amount, market.minimum_cost) == (Decimal("0.00001"), Decimal(5))
    assert (await public.market("BTC/USDT:USDT")).settle == "USDT"
    for _ in range(2):
        async with exchanges.client("binance", Credentials(KEY, SECRET)) as client:
            assert (await client.balances())["BTC"].total == 1
    assert simulator.paths().count(INFORMATION) == 1
    await waits.waits.sleep(3601)
    await public.markets()
    assert simulator.paths().count(INFORMATION) == 2
    # Old ones are better than none.
    await waits.waits.sleep(3601)
    simulator.faults.add(INFORMATION, Refusal(503), times=6)
    assert "BTC/USDT" in await public.markets()


async def test_who_waits_for_the_markets_shares_one_reading_and_its_failure(
    exchanges: Exchanges, simulator: ExchangeSimulator
) -> None:
    pause = Pause()
    simulator.faults.add(INFORMATION, pause)
    simulator.faults.add(INFORMATION, Refusal(503), times=5)
    public = await exchanges.public("binance")
    asking = [asyncio.create_task(public.markets()) for _ in range(5)]
    await asyncio.wait_for(pause.arrived.wait(), 10)
    # Who came first may leave: the others still get what was asked for.
    asking[0].cancel()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    pause.released.set()
    assert isinstance(answers[0], asyncio.CancelledError)
    assert [type(each) for each in answers[1:]] == [ExchangeUnavailable] * 4
    assert simulator.paths().count(INFORMATION) == 6
    assert "BTC/USDT" in await public.markets()


async def test_nobody_waits_for_others_longer_than_it_is_worth_to_them(
    simulator: ExchangeSimulator, exchange_list: Path
) -> None:
    pause = Pause()
    simulator.faults.add(INFORMATION, pause)
    exchanges = Exchanges({"binance": simulator.url}, None, 30.0, exchange_list, VirtualWaits().waits)
    patient = asyncio.create_task((await exchanges.public("binance")).markets())
    await asyncio.wait_for(pause.arrived.wait(), 10)
    hasty = await exchanges.public("binance", Patience(seconds=0.2, attempts=1))
    with pytest.raises(ExchangeUnavailable, match="did not answer in time"):
        await hasty.markets()
    pause.released.set()
    assert "BTC/USDT" in await patient
    assert simulator.paths().count(INFORMATION) == 1
    await exchanges.close()


async def test_one_odd_market_does_not_hide_the_others(
    exchanges: Exchanges, simulator: ExchangeSimulator
) -> None:
    simulator.add_market(replace(BTC_USDT(), base="ODD", tick=Decimal("Infinity")))
    assert set(await (await exchanges.public("binance")).markets()) == {"BTC/USDT", "BTC/USDT:USDT"}


async def test_without_markets_there_is_nothing_to_ask_for(
    exchanges: Exchanges, simulator: ExchangeSimulator
) -> None:
    simulator.faults.add(INFORMATION, Refusal(503), times=6)
    public = await exchanges.public("binance")
    with pytest.raises(ExchangeUnavailable):
        await public.candles("BTC/USDT", Interval.M1, 0)
    with pytest.raises(UnknownMarket):
        await public.candles("ETH/USDT", Interval.M1, 0)


async def test_only_closed_candles_from_the_start_on_are_returned(
    exchanges: Exchanges, simulator: ExchangeSimulator
) -> None:
    now = simulator.now() // MINUTE * MINUTE
    times = [now - step * MINUTE for step in (4, 3, 2, 1, 0)]
    simulator.markets["BTCUSDT"].candles["1m"] = [
        candle(time, f"{place}.5") for place, time in enumerate(times)
    ]
    public = await exchanges.public("binance")
    page = await public.candles("BTC/USDT", Interval.M1, times[1])
    # The minute may end while this runs; what opened a minute before that is closed either way.
    assert page.time.tolist()[:3] == times[1:4]
    assert page.close.tolist()[:3] == [1.5, 2.5, 3.5]
    assert len(page) == 3 or simulator.now() >= now + MINUTE
    assert (page.open.dtype, page.volume.tolist()[0]) == (np.dtype(np.float64), 3.0)
    assert (await public.candles("BTC/USDT", Interval.M1, times[1], limit=1)).time.tolist() == [times[1]]


async def test_what_is_closed_is_told_by_the_exchanges_clock(
    exchanges: Exchanges, simulator: ExchangeSimulator
) -> None:
    simulator.ahead = -10 * MINUTE
    last = simulator.now() // MINUTE * MINUTE
    market = simulator.markets["BTCUSDT"]
    market.candles["1m"] = [candle(last - MINUTE), candle(last), candle(last + 2 * MINUTE)]
    public = await exchanges.public("binance")
    await public.set_clock()
    page = await public.candles("BTC/USDT", Interval.M1, last - MINUTE)
    assert page.time.tolist()[0] == last - MINUTE
    assert last + 2 * MINUTE not in page.time.tolist()


async def test_no_candles_are_no_error(exchanges: Exchanges) -> None:
    page = await (await exchanges.public("binance")).candles("BTC/USDT", Interval.D1, 0)
    assert len(page) == 0
    assert page.close.tolist() == []


async def test_candles_that_make_no_sense_are_refused(
    exchanges: Exchanges, simulator: ExchangeSimulator
) -> None:
    public = await exchanges.public("binance")
    market = simulator.markets["BTCUSDT"]
    for wrong in (candle(MINUTE + 1), candle(MINUTE, "NaN")):
        market.candles["1m"] = [wrong]
        with pytest.raises(AnswerUnreadable):
            await public.candles("BTC/USDT", Interval.M1, 0)


async def test_an_interval_that_the_exchange_lacks_is_not_asked_for(exchanges: Exchanges) -> None:
    public = await exchanges.public("binance")
    assert await public.candles("BTC/USDT", Interval.M3, 0) is not None
    public._ccxt.timeframes = {"1m": "1m"}
    with pytest.raises(NotOffered):
        await public.candles("BTC/USDT", Interval.M3, 0)


async def test_candles_are_streamed_as_they_form(exchanges: Exchanges, simulator: ExchangeSimulator) -> None:
    public = await exchanges.public("binance")
    market = simulator.markets["BTCUSDT"]
    start = simulator.now() // MINUTE * MINUTE
    async with aclosing(public.forming("BTC/USDT", Interval.M1)) as told:
        first = asyncio.ensure_future(anext(told))
        await until(lambda: bool(simulator.streams) or first.done())
        simulator.tell(market, "1m", candle(start, "1.25"), closed=False)
        page = await first
        assert (page.time.tolist(), page.close.tolist(), page.volume.tolist()) == ([start], [1.25], [3.0])
        second = asyncio.ensure_future(anext(told))

        def seen() -> bool:
            # What comes before somebody waits for it is seen with what comes next.
            simulator.tell(market, "1m", candle(start + MINUTE, "1.75"), closed=False)
            return second.done()

        await until(seen)
        assert (await second).time.tolist() == [start + MINUTE]
    assert simulator.subscribed == ["btcusdt@kline_1m"]
    await until(lambda: not simulator.streams)


async def test_a_stream_that_breaks_says_so(exchanges: Exchanges, simulator: ExchangeSimulator) -> None:
    public = await exchanges.public("binance")
    async with aclosing(public.forming("BTC/USDT", Interval.M1)) as told:
        first = asyncio.ensure_future(anext(told))
        await until(lambda: bool(simulator.streams) or first.done())
        await simulator.stop()
        with pytest.raises(ExchangeUnavailable):
            await first


def test_what_only_closes_a_position_may_be_worth_less_than_the_minimum() -> None:
    market = rules()
    order = OrderRequest(
        "BTC/USDT", "a", Side.SELL, OrderKind.MARKET, Decimal("0.0001"), reference_price=Decimal(40_000)
    )
    assert market.problem(order) == "An order on BTC/USDT is worth at least 5 USDT."
    assert market.problem(replace(order, reduce_only=True)) is None
