"""Sessions by hand on paper, through GraphQL over HTTP, in-process, on real servers."""

from sqlalchemy import select, update

from gql_trader.accounts.models import UserRow
from gql_trader.accounts.models_credentials import AuditEventRow
from gql_trader.bots import jobs
from gql_trader.bots.models import SessionStateRow
from gql_trader.config import Settings
from gql_trader.core.actor import Role
from gql_trader.gql.relay import encode_id, parse_id
from tests.bots.by_hand.hand import CANCEL, PLACE, START, STOP, Hand
from tests.factories.actors import make_access_token, make_actor
from tests.factories.statements import counted_statements


async def test_a_session_by_hand_has_capital_and_no_strategy(hand: Hand) -> None:
    payload = await hand.do(START, input={"capital": "1000"})
    session = payload["tradingSession"]
    assert payload["errors"] == []
    assert (session["mode"], session["status"], session["bot"]) == ("PAPER", "ACTIVE", None)
    assert (session["capital"], session["cash"], session["equity"]) == ("1000", "1000", "1000")
    assert (session["market"], session["interval"], session["strategy"]) == (None, None, None)
    [error] = (await hand.do(START, input={"mode": "LIVE"}))["errors"]
    assert (error["code"], error["path"]) == ("FORBIDDEN", ["mode"])
    found = await hand.do(START, input={"capital": "0", "takerFee": 2.0, "slippage": -0.1})
    assert [error["path"] for error in found["errors"]] == [["capital"], ["takerFee"], ["slippage"]]


async def test_only_active_sessions_of_one_s_own_are_traded_by_hand(hand: Hand) -> None:
    session = await hand.start()
    order = await hand.placed(session, "BUY", "LIMIT", "1", price="90")
    actor = await make_actor(hand.bots.runtime, "other", Role.TRADER)
    stranger = hand.client.signed_in(await make_access_token(hand.bots.runtime, actor))
    given = {
        "market": "hand:BTC/USD",
        "side": "BUY",
        "type": "MARKET",
        "quantity": "1",
        "idempotencyKey": "k",
    }
    for document, variables in (
        (PLACE, {"input": given | {"sessionId": session}}),
        (CANCEL, {"id": order["id"]}),
        (STOP, {"input": {"id": session}}),
    ):
        [error] = (await hand.do(document, stranger, **variables))["errors"]
        assert error["code"] == "NOT_FOUND"
    assert (await hand.order(session, order))["status"] == "OPEN"
    _, of_bot = await hand.bots.begin()
    bots_session = encode_id("TradingSession", of_bot)
    assert await hand.refused(bots_session, "BUY", "MARKET", "1") == [("INVALID_STATE", ["sessionId"])]
    [error] = (await hand.do(STOP, input={"id": bots_session}))["errors"]
    assert (error["code"], error["path"]) == ("INVALID_STATE", ["id"])
    stopped = (await hand.do(STOP, input={"id": session}))["tradingSession"]
    assert stopped["status"] == "STOPPED"
    assert stopped["endedAt"] is not None
    cancelled = await hand.order(session, order)
    assert (cancelled["status"], cancelled["reason"]) == ("CANCELLED", "The session was stopped.")
    assert await hand.refused(session, "BUY", "MARKET", "1") == [("INVALID_STATE", ["sessionId"])]
    assert [error["code"] for error in (await hand.do(STOP, input={"id": session}))["errors"]] == [
        "INVALID_STATE"
    ]


async def test_a_session_may_end_with_what_it_holds(hand: Hand) -> None:
    session = await hand.start(takerFee=0.0)
    await hand.placed(session, "BUY", "MARKET", "1")
    await hand.bars((120.0, 120.0, 120.0, 120.0))
    await hand.do(STOP, input={"id": session, "closePositions": False})
    await hand.bars((500.0, 500.0, 500.0, 500.0))
    assert await hand.behind() == []
    await hand.match(session)
    found = await hand.session(session)
    assert (found["equity"], found["cash"], len(found["positions"])) == ("1020", "900", 1)


async def test_a_list_of_sessions_takes_as_many_statements_for_ten_as_for_one(hand: Hand) -> None:
    query = """
    query($first: Int) {
      tradingSessions(first: $first) {
        nodes {
          id market { symbol } positions { market { symbol } }
          orders { nodes { id market { symbol } session { id } } } trades { nodes { market { symbol } } }
        }
      }
    }
    """
    for _ in range(4):
        session = await hand.start()
        await hand.placed(session, "BUY", "MARKET", "1")
    counts = []
    for first in (1, 4):
        with counted_statements(hand.bots.desk.engine) as statements:
            found = await hand.do(query, first=first)
        assert len(found["nodes"]) == first
        counts.append(len(statements))
    assert counts[0] == counts[1]


async def test_a_user_trades_a_limited_number_of_sessions(hand: Hand, settings: Settings) -> None:
    for _ in range(settings.max_trading_sessions_per_user):
        session = await hand.start()
    [error] = (await hand.do(START, input={}))["errors"]
    assert error["code"] == "QUOTA_EXCEEDED"
    await hand.do(STOP, input={"id": session})
    assert (await hand.do(START, input={}))["errors"] == []


async def test_what_is_done_by_hand_is_audited(hand: Hand) -> None:
    session = await hand.start()
    order = await hand.placed(session, "BUY", "LIMIT", "1", price="90")
    await hand.do(CANCEL, id=order["id"])
    await hand.do(STOP, input={"id": session})
    async with hand.bots.runtime.unit_of_work() as uow:
        rows = (await uow.session.scalars(select(AuditEventRow).order_by(AuditEventRow.id))).all()
        assert await uow.session.scalar(select(SessionStateRow.state)) is None
    assert [row.action for row in rows] == [
        "TRADING_SESSION_STARTED",
        "ORDER_PLACED",
        "ORDER_CANCELLED",
        "TRADING_SESSION_STOPPED",
    ]
    assert {row.details["tradingSessionId"] for row in rows} == {str(parse_id(session)[1])}


async def test_the_sessions_of_a_user_who_may_not_trade_any_more_are_ended(hand: Hand) -> None:
    session = await hand.start(takerFee=0.0)
    await hand.placed(session, "BUY", "MARKET", "2")
    waiting = await hand.placed(session, "BUY", "LIMIT", "1", price="50")
    await hand.bars((110.0, 110.0, 110.0, 110.0))
    runtime = hand.bots.runtime
    await jobs.sweep(runtime)
    assert (await hand.session(session))["status"] == "ACTIVE"
    async with runtime.unit_of_work() as uow:
        await uow.session.execute(update(UserRow).values(role="VIEWER"))
    for _ in range(2):
        await jobs.sweep(runtime)
    found = await hand.session(session)
    assert (found["status"], found["positions"], found["cash"]) == ("STOPPED", [], "1020")
    assert len(found["trades"]["nodes"]) == 1
    [bought, cancelled, sold] = found["orders"]["nodes"]
    assert (bought["status"], sold["status"], sold["averagePrice"]) == ("FILLED", "FILLED", "110")
    assert (cancelled["id"], cancelled["status"]) == (waiting["id"], "CANCELLED")
    assert cancelled["reason"] == "You may not trade any more."
    async with runtime.unit_of_work() as uow:
        ends = await uow.session.scalars(
            select(AuditEventRow).where(AuditEventRow.action == "TRADING_SESSION_STOPPED")
        )
        assert [row.actor_id for row in ends] == [None]


async def test_equity_and_trades_by_hand_are_followed_live(hand: Hand) -> None:
    session = await hand.start(takerFee=0.0)
    async with hand.socket() as socket, hand.socket() as second:
        equity = socket.results(f'subscription {{ equity(sessionId: "{session}") {{ time equity }} }}')
        trades = second.results(
            f'subscription {{ trades(sessionId: "{session}") {{ trade {{ number status quantity }} }} }}'
        )
        assert (await anext(equity))["data"]["equity"]["equity"] == "1000"
        told, seen = [], []
        for side, price in (("BUY", 110.0), ("BUY", 120.0), ("SELL", 130.0)):
            await hand.placed(session, side, "MARKET", "1")
            told.append((await anext(equity))["data"]["equity"]["equity"])
            seen.append((await anext(trades))["data"]["trades"]["trade"])
            await hand.bars((price, price, price, price))
            await hand.match(session)
            last = (await anext(equity))["data"]["equity"]
            told.append(last["equity"])
            # What is told live is what is found when the database is asked again.
            assert last["time"] == (await hand.session(session))["lastBarTime"]
    assert told == ["1000", "1010", "1010", "1030", "1030", "1040"]
    assert seen == [
        {"number": 1, "status": "OPEN", "quantity": "1"},
        {"number": 1, "status": "OPEN", "quantity": "2"},
        {"number": 1, "status": "OPEN", "quantity": "1"},
    ]
