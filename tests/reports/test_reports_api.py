"""Reports through GraphQL over HTTP: the user's own, in one currency, filtered and paged."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from starlette.types import ASGIApp

from gql_trader.app import create_app
from gql_trader.bots.by_hand import orders as hand_orders
from gql_trader.bots.by_hand import sessions as hand_sessions
from gql_trader.bots.types import Feed, OrderRequest, OrderSide, OrderType, Replay, SessionRequest
from gql_trader.config import Settings
from gql_trader.core.actor import Role
from gql_trader.core.intervals import Interval
from gql_trader.gql.relay import encode_id
from gql_trader.market_data.service import ensure_market, save_candles
from gql_trader.reports import service
from gql_trader.settings.models import PreferencesRow
from tests.factories.actors import make_access_token, make_actor
from tests.factories.bots import BotDesk, bar_time
from tests.factories.candles import random_bars
from tests.factories.statements import counted_statements
from tests.graphql_client import GraphQLClient, graphql_client

_SUMMARY = """
  currency balance baseline profit profitFraction realizedProfit unrealizedProfit fees winRate trades
  openTrades today bestDay { date profit color } worstDay { date profit color }
"""
PROFIT = f"""
query($botId: ID, $sessionId: ID, $currency: String, $mode: SessionMode, $replays: Boolean = true) {{
  profit(botId: $botId, sessionId: $sessionId, currency: $currency, mode: $mode, replays: $replays) {{
    {_SUMMARY}
  }}
}}
"""
CALENDAR = """
query($start: Date, $end: Date, $timezone: String, $botId: ID, $sessionId: ID, $replays: Boolean = true) {
  calendar(
    start: $start, end: $end, timezone: $timezone, botId: $botId, sessionId: $sessionId, replays: $replays
  ) {
    date profit realizedProfit profitFraction fees trades wins color
  }
}
"""
CURVE = """
query(
  $botId: ID, $sessionId: ID, $start: DateTime, $end: DateTime, $maxPoints: Int, $replays: Boolean = true
) {
  equityCurve(
    botId: $botId, sessionId: $sessionId, start: $start, end: $end, maxPoints: $maxPoints, replays: $replays
  ) {
    time equity drawdown
  }
}
"""
TRADES = """
query(
  $botId: ID, $sessionId: ID, $market: String, $side: Side, $status: TradeStatus,
  $start: DateTime, $end: DateTime, $replays: Boolean = true,
  $first: Int, $after: String, $last: Int, $before: String
) {
  trades(
    botId: $botId, sessionId: $sessionId, market: $market, side: $side, status: $status,
    start: $start, end: $end, replays: $replays, first: $first, after: $after, last: $last, before: $before
  ) {
    totalCount pageInfo { hasNextPage endCursor }
    nodes { id number entryTime exitTime profit status side market { symbol } session { id } bot { id name } }
  }
}
"""


@dataclass
class Reports:
    """A trader with two bots that have replayed a month, and a third on another currency."""

    bots: BotDesk
    app: ASGIApp
    client: GraphQLClient
    bot_ids: list[UUID]
    session_ids: list[UUID]

    async def ask(self, document: str, client: GraphQLClient | None = None, **variables: Any) -> Any:
        data = (await (client or self.client).execute(document, variables)).data
        return next(iter(data.values()))

    def bot(self, at: int) -> str:
        return encode_id("Bot", self.bot_ids[at])

    def session(self, at: int) -> str:
        return encode_id("TradingSession", self.session_ids[at])


@pytest.fixture
async def reports(bots: BotDesk, settings: Settings) -> AsyncIterator[Reports]:
    async with bots.runtime.unit_of_work() as uow:
        market = await ensure_market(uow, "test", "BTC/EUR")
        await save_candles(uow, market.id, Interval.H1, random_bars(400, seed=8))
    app = create_app(settings, bots.runtime)
    token = await make_access_token(bots.runtime, bots.trader)
    bot_ids, session_ids = [], []
    for name, pair, start, end in (
        ("EUR", "BTC/EUR", 100, 300),
        ("One", "BTC/USD", 0, 800),
        ("Two", "BTC/USD", 300, 700),
    ):
        bot_id, session_id = await bots.begin(
            name=name,
            market=f"test:{pair}",
            feed=Feed(Replay(bar_time(start), bar_time(end))),
            parameters={"fast": 2, "slow": 4},
        )
        await bots.run(session_id)
        bot_ids.append(bot_id)
        session_ids.append(session_id)
    async with graphql_client(app) as client:
        yield Reports(bots, app, client.signed_in(token), bot_ids, session_ids)


async def test_the_summary_is_over_the_sessions_of_one_currency(reports: Reports) -> None:
    bots = reports.bots
    # Without a currency: that of the newest session, since none is in the stake currency.
    both = await reports.ask(PROFIT)
    one, two = [await reports.ask(PROFIT, botId=reports.bot(at)) for at in (1, 2)]
    euro = await reports.ask(PROFIT, currency="eur ")
    assert (both["currency"], one["currency"], euro["currency"]) == ("USD", "USD", "EUR")
    for name in ("profit", "realizedProfit", "unrealizedProfit", "fees", "today"):
        assert Decimal(both[name]) == Decimal(one[name]) + Decimal(two[name]), name
    assert both["trades"] == one["trades"] + two["trades"]
    for found, at in ((one, 1), (two, 2), (euro, 0)):
        session = await bots.session(reports.session_ids[at])
        trades = await bots.trades(reports.session_ids[at])
        wins = sum((trade.profit or 0) > 0 for trade in trades)
        assert Decimal(found["balance"]) == round(Decimal(repr(session.equity)), 8)
        assert Decimal(found["baseline"]) == session.capital == Decimal(10_000)
        assert Decimal(found["profit"]) == Decimal(found["balance"]) - 10_000
        assert Decimal(found["realizedProfit"]) == sum(trade.profit or 0 for trade in trades)
        assert (found["trades"], found["openTrades"]) == (len(trades), 0)
        assert found["winRate"] == wins / len(trades)
        assert found["profitFraction"] == float(Decimal(found["profit"]) / 10_000)
        assert found == await reports.ask(PROFIT, sessionId=reports.session(at), currency=found["currency"])
    assert await reports.ask(PROFIT, mode="PAPER") == both
    live = await reports.ask(PROFIT, mode="LIVE")
    assert (live["currency"], live["balance"], live["trades"], live["winRate"]) == (None, "0", 0, None)
    assert (live["bestDay"], live["worstDay"]) == (None, None)


async def test_a_currency_in_which_nothing_was_traded_has_figures_of_nothing_and_an_unknown_one_is_refused(
    reports: Reports,
) -> None:
    # There is such an asset here; USDT is the stake currency, though no market here is quoted in it.
    for currency in ("BTC", "USDT"):
        found = await reports.ask(PROFIT, currency=currency.lower())
        assert (found["currency"], found["balance"], found["trades"]) == (currency, "0", 0)
    for kind, fields in (("profit", "profit"), ("equityCurve", "equity"), ("calendar", "profit")):
        answer = await reports.client.execute(f'{{ {kind}(currency: "DOGE") {{ {fields} }} }}')
        [error] = answer.errors
        assert (error["extensions"]["code"], error["path"]) == ("BAD_USER_INPUT", [kind])


async def test_best_and_worst_day_are_those_of_the_calendar_in_the_users_time_zone(reports: Reports) -> None:
    zone = "Asia/Kathmandu"
    async with reports.bots.runtime.unit_of_work() as uow:
        uow.session.add(
            PreferencesRow(
                user_id=reports.bots.trader.user_id,
                default_mode="PAPER",
                default_capital=Decimal(10_000),
                risk_per_trade=0.01,
                max_drawdown=0.2,
                notifications=True,
                theme="SYSTEM",
                timezone=zone,
                updated_at=uow.clock.now(),
            )
        )
    summary = await reports.ask(PROFIT)
    days = await reports.ask(CALENDAR, start="2023-12-31", end="2024-02-10")
    assert days == await reports.ask(CALENDAR, start="2023-12-31", end="2024-02-10", timezone=zone)
    assert days != await reports.ask(CALENDAR, start="2023-12-31", end="2024-02-10", timezone="UTC")
    shown = [{name: day[name] for name in ("date", "profit", "color")} for day in days]
    assert summary["bestDay"] == max(shown, key=lambda day: Decimal(day["profit"]))
    assert summary["worstDay"] == min(shown, key=lambda day: Decimal(day["profit"]))
    assert (summary["bestDay"]["color"], summary["worstDay"]["color"]) == ("GREEN", "RED")
    assert sum(Decimal(day["profit"]) for day in days) == Decimal(summary["profit"])
    assert sum(Decimal(day["realizedProfit"]) for day in days) == Decimal(summary["realizedProfit"])
    # Without a range: thirty days up to the present one of the zone.
    usual = await reports.ask(CALENDAR)
    today = reports.bots.runtime.clock.now().astimezone(ZoneInfo(zone)).date()
    assert [day["date"] for day in usual] == [str(today - timedelta(days=at)) for at in range(29, -1, -1)]
    assert {(day["profit"], day["trades"], day["color"]) for day in usual} == {("0", 0, "NEUTRAL")}


async def test_the_equity_curve_is_thinned_and_its_drawdown_is_from_the_peak_so_far(reports: Reports) -> None:
    given: dict[str, Any] = {"start": "2024-01-01T00:00:00Z", "end": "2024-02-10T00:00:00Z"}
    whole = await reports.ask(CURVE, **given)
    summary = await reports.ask(PROFIT)
    # One replay was over when the next began.
    assert whole["equity"][0] == float(summary["baseline"]) == 10_000.0
    assert whole["equity"][-1] == float(summary["balance"])
    peak = 10_000.0
    for equity, drawdown in zip(whole["equity"], whole["drawdown"], strict=True):
        peak = max(peak, equity)
        assert drawdown == pytest.approx(1 - equity / peak, abs=1e-12)
    thin = await reports.ask(CURVE, **given, maxPoints=40)
    assert len(thin["time"]) <= 40 < len(whole["time"])
    assert {*zip(thin["time"], thin["equity"], strict=True)} <= {
        *zip(whole["time"], whole["equity"], strict=True)
    }
    assert (max(thin["equity"]), min(thin["equity"])) == (max(whole["equity"]), min(whole["equity"]))
    euro = await reports.ask(CURVE, **given, sessionId=reports.session(0))
    assert euro["equity"][-1] == round((await reports.bots.session(reports.session_ids[0])).equity, 8)
    refused = await reports.client.execute(CURVE, {"start": given["end"], "end": given["start"]})
    assert [error["extensions"]["code"] for error in refused.errors] == ["BAD_USER_INPUT"]


async def test_trades_are_listed_by_their_opening_and_filtered(reports: Reports) -> None:
    bots = reports.bots
    stored = [trade for each in reports.session_ids for trade in await bots.trades(each)]
    stored.sort(key=lambda trade: (trade.entry_time, trade.id), reverse=True)
    expected = [encode_id("Trade", trade.id) for trade in stored]
    found: list[Any] = []
    after = None
    while True:
        page = await reports.ask(TRADES, first=100, after=after)
        found += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert [trade["id"] for trade in found] == expected
    assert page["totalCount"] == len(expected) > 100

    async def count(**wanted: Any) -> int:
        return int((await reports.ask(TRADES, first=1, **wanted))["totalCount"])

    of_one = len(await bots.trades(reports.session_ids[1]))
    of_euro = len(await bots.trades(reports.session_ids[0]))
    assert await count(botId=reports.bot(1)) == of_one
    assert await count(sessionId=reports.session(1)) == of_one
    assert await count(botId=reports.bot(0), sessionId=reports.session(1)) == 0
    assert await count(market="btc/eur") == await count(market="test:BTC/EUR") == of_euro
    assert await count(market="other:BTC/EUR") == 0
    assert await count(status="OPEN") == 0
    assert await count(status="CLOSED", side="LONG") == len(expected)
    assert await count(side="SHORT") == 0
    low, high = stored[50].entry_time, stored[10].entry_time
    within = sum(low <= trade.entry_time < high for trade in stored)
    assert await count(start=low.isoformat(), end=high.isoformat()) == within > 0


async def test_what_replays_gained_counts_only_where_it_is_asked_for(reports: Reports) -> None:
    days: dict[str, Any] = {"start": "2024-01-01", "end": "2024-02-28"}
    assert (await reports.ask(PROFIT))["trades"] > 0
    of_bot = await reports.ask(PROFIT, botId=reports.bot(1), replays=False)
    of_session = await reports.ask(PROFIT, sessionId=reports.session(1), replays=False)
    assert of_bot["trades"] == of_session["trades"] > 0
    assert await reports.ask(CALENDAR, botId=reports.bot(1), replays=False, **days) == await reports.ask(
        CALENDAR, botId=reports.bot(1), **days
    )
    nothing = await reports.ask(PROFIT, replays=False)
    assert (nothing["trades"], nothing["profit"], nothing["baseline"]) == (0, "0", "0")
    assert {day["profit"] for day in await reports.ask(CALENDAR, replays=False, **days)} == {"0"}
    assert (await reports.ask(TRADES, replays=False))["totalCount"] == 0
    async with reports.bots.runtime.unit_of_work() as uow:
        found = await service.balance(uow, reports.bots.trader.user_id)
    assert (found.baseline, found.profit) == (0, 0)


async def test_a_page_of_trades_costs_the_same_for_ten_as_for_a_hundred(reports: Reports) -> None:
    counts = []
    for first in (10, 100):
        with counted_statements(reports.bots.desk.engine) as statements:
            page = await reports.ask(TRADES, first=first)
        assert len(page["nodes"]) == first
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 9


async def test_what_is_somebody_elses_does_not_exist(reports: Reports) -> None:
    stranger = await make_actor(reports.bots.runtime, "stranger", Role.VIEWER)
    token = await make_access_token(reports.bots.runtime, stranger)
    client = reports.client.signed_in(token)
    for document in (PROFIT, CALENDAR, CURVE, TRADES):
        for scope in ({"botId": reports.bot(1)}, {"sessionId": reports.session(1)}):
            assert await reports.ask(document, client, **scope) is None
    assert (await reports.ask(PROFIT, client))["balance"] == "0"
    assert await reports.ask(CURVE, client) == {"time": [], "equity": [], "drawdown": []}
    assert (await reports.ask(TRADES, client))["totalCount"] == 0
    assert {day["profit"] for day in await reports.ask(CALENDAR, client)} == {"0"}


async def test_a_position_that_is_held_counts_at_its_value_and_is_no_closed_trade(reports: Reports) -> None:
    runtime, trader = reports.bots.runtime, reports.bots.trader
    async with runtime.unit_of_work() as uow:
        session = await hand_sessions.start_session(uow, trader, SessionRequest(), 5, 60)
    key = encode_id("TradingSession", session.id)
    unused = await reports.ask(PROFIT, sessionId=key)
    assert (unused["currency"], unused["balance"], unused["trades"]) == (None, "10000", 0)
    assert (unused["bestDay"], unused["worstDay"], unused["winRate"]) == (None, None, None)
    for number, (side, quantity) in enumerate(((OrderSide.BUY, 3), (OrderSide.SELL, 1))):
        order = OrderRequest(
            session_id=session.id,
            market="test:BTC/USD",
            side=side,
            type=OrderType.MARKET,
            quantity=Decimal(quantity),
            idempotency_key=str(number),
        )
        async with runtime.unit_of_work() as uow:
            await hand_orders.place_order(uow, runtime.arrays, trader, order)
    found = await reports.ask(PROFIT, sessionId=key)
    query = "query($id: ID!) { tradingSession(id: $id) { equity profit positions { unrealizedProfit } } }"
    shown = await reports.ask(query, id=key)
    [position] = shown["positions"]
    assert (found["currency"], found["trades"], found["openTrades"]) == ("USD", 1, 1)
    assert (found["balance"], found["profit"]) == (shown["equity"], shown["profit"])
    [trade] = (await reports.ask(TRADES, sessionId=key, status="CLOSED"))["nodes"]
    assert found["realizedProfit"] == trade["profit"]
    difference = Decimal(found["unrealizedProfit"]) - Decimal(position["unrealizedProfit"])
    assert abs(difference) < Decimal("0.0000001")
    assert Decimal(found["unrealizedProfit"]) < 0
    # All of it was made today, and is on top of what the bots have made.
    today = (await reports.ask(CALENDAR, sessionId=key, timezone="UTC"))[-1]
    assert (today["profit"], today["realizedProfit"], today["trades"]) == (
        found["profit"],
        found["realizedProfit"],
        1,
    )
    assert (found["today"], today["color"], found["worstDay"]["profit"]) == (
        found["profit"],
        "RED",
        found["profit"],
    )
