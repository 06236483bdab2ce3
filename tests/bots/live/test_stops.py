"""Stops that the exchange holds for bots: they stay until what is to follow may really be sent."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from gql_trader.bots import jobs
from gql_trader.bots.live.bots import closes as live_bots
from gql_trader.bots.live.bots import watching
from gql_trader.bots.models_live import LiveSessionRow
from tests.bots.live.bench import BOUGHT, Bench, tell
from tests.bots.live.desk import KEY

HELD = ("SELL", "OPEN", "STOP_LOSS")
TAKEN_BACK = ("SELL", "CANCELLED", "STOP_LOSS")


async def _rotate(bench: Bench) -> None:
    await bench.desk.set_key(version=2, status="UNVERIFIED", rotated_at=bench.runtime.clock.now())


async def _least(bench: Bench, amount: int) -> None:
    """Let the pair's orders be worth so much at least."""
    async with bench.runtime.unit_of_work() as uow:
        await uow.session.execute(text("UPDATE markets SET min_notional = :amount"), {"amount": amount})


@pytest.mark.parametrize("told_to_stop", [False, True])
async def test_a_stop_stays_if_nothing_would_be_sent_in_its_place(bench: Bench, told_to_stop: bool) -> None:
    await bench.begin(execution={"stopLoss": 0.01})
    await bench.bar(50_100.0)
    if told_to_stop:
        await bench.stop()
        why = "This exchange key is not verified; verify it first."
        await bench.desk.set_key(status="INVALID")
        await bench.settle()
    else:
        why = "Live trading needs a second factor."
        await bench.desk.set_user(totp_enabled=False)
        await bench.bar(50_000.0)
    assert await bench.orders() == [BOUGHT, HELD]
    bot = await bench.bot()
    assert (bot.state, bot.error) == (
        "FAILED",
        f"The position could not be closed. {why} Nothing was sold: 0.1992 of BTC/USDT is still in the "
        "account. Its stop at 49599 stays at the exchange until it fills or you cancel it.",
    )


async def test_an_exit_waits_with_its_stop_until_a_rotated_key_is_verified(bench: Bench) -> None:
    await bench.begin(execution={"stopLoss": 0.01, "takeProfit": 0.02})
    await bench.bar(50_100.0)
    await _rotate(bench)
    bench.desk.trader.accounts.clock.move(seconds=61)
    await tell(bench, 51_200.0)
    assert await live_bots.check(bench.runtime, bench.session_id)
    await bench.settle()
    assert await bench.orders() == [BOUGHT, HELD]
    async with bench.runtime.unit_of_work() as uow:
        assert await watching.neglected(uow) == [bench.session_id]
    await bench.desk.set_key(status="VALID")
    await bench.work()
    assert await bench.orders() == [BOUGHT, TAKEN_BACK, ("SELL", "FILLED", "TAKE_PROFIT")]
    # The same for one that is told to stop.
    await bench.bar(50_900.0)
    await bench.bar(51_000.0)
    assert (await bench.orders())[3:] == [BOUGHT, HELD]
    await bench.desk.set_key(version=3, status="UNVERIFIED")
    await bench.stop()
    await jobs.sweep(bench.runtime)
    await bench.settle()
    assert ((await bench.bot()).state, (await bench.orders())[3:]) == ("STOPPING", [BOUGHT, HELD])
    await bench.desk.set_key(status="VALID")
    await bench.settle()
    assert (await bench.orders())[4:] == [TAKEN_BACK, ("SELL", "FILLED", "END_OF_DATA")]
    assert ((await bench.bot()).state, await bench.rows(LiveSessionRow)) == ("STOPPED", [])


async def test_a_position_that_has_become_too_small_for_the_market_keeps_its_stop(bench: Bench) -> None:
    await bench.begin(execution={"stopLoss": 0.01})
    await bench.bar(50_100.0)
    await _least(bench, 20_000)
    await bench.settle()
    # What falls asks for an exit, which the exchange would not take.
    await bench.bar(50_000.0)
    assert await bench.orders() == [BOUGHT, HELD]
    simulator = bench.desk.simulator
    simulator.orders.trade(simulator.markets["BTCUSDT"], Decimal(49_000))
    await bench.desk.pass_time(60)
    await bench.settle()
    assert await bench.orders() == [BOUGHT, ("SELL", "FILLED", "STOP_LOSS")]
    # Nor is anything bought that could not be sold again at its stop: 0.99 of about 9,700.
    await _least(bench, 9_680)
    await bench.bar(49_100.0)
    assert len(await bench.orders()) == 2


async def test_what_is_too_little_to_be_sold_keeps_its_stop_from_guards_and_as_the_bot_is_stopped(
    bench: Bench,
) -> None:
    await bench.begin(execution={"stopLoss": 0.01, "maxDailyLoss": 0.001})
    await bench.bar(50_100.0)
    await _least(bench, 20_000)
    await bench.settle()
    # The guard asks for an exit.
    await bench.bar(50_000.0)
    assert await bench.orders() == [BOUGHT, HELD]
    await bench.stop()
    await bench.settle()
    assert await bench.orders() == [BOUGHT, HELD]
    bot = await bench.bot()
    assert (bot.state, bot.error) == (
        "FAILED",
        "The position could not be closed. It is worth too little for an order of the market. Nothing was "
        "sold: 0.1992 of BTC/USDT is still in the account. Its stop at 49599 stays at the exchange until it "
        "fills or you cancel it.",
    )


async def test_a_contract_is_closed_however_little_it_is_worth(bench: Bench) -> None:
    futures = bench.desk.simulator.futures
    futures.wallets[KEY] = Decimal(20_000)
    execution: dict[str, Any] = {"leverage": 2.0, "stopLoss": 0.1, "sizing": {"equityFraction": 0.5}}
    await bench.begin(execution=execution)
    await bench.bar(50_100.0)
    await _least(bench, 20_000)
    await bench.bar(50_000.0)
    assert await bench.orders() == [BOUGHT, TAKEN_BACK, ("SELL", "FILLED", "SIGNAL")]
    assert futures.positions[KEY] == 0
