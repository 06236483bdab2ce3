"""How many trades there are, however they are chosen: as many as one by one, and soon found."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import insert, text, update

from gql_trader.bots.by_hand import sessions as hand_sessions
from gql_trader.bots.models import TradeRow, TradingSessionRow
from gql_trader.bots.types import Feed, SessionRequest, TradeStatus
from gql_trader.core.ids import uuid7
from gql_trader.engine.execution import Side
from gql_trader.market_data.service import ensure_market
from gql_trader.reports import service
from gql_trader.reports.jobs import keep_days
from gql_trader.reports.types import TradeFilter
from tests.factories.bots import BotDesk
from tests.factories.statements import executed_statements, rows_read

BEGIN = datetime(2015, 11, 17, 5, 15, tzinfo=UTC)
MARKETS = ("test:BTC/USD", "test:ETH/USD", "demo:BTC/USD")


@dataclass(frozen=True)
class Known:
    """A trade, as a test remembers it."""

    session_id: UUID
    market: str
    side: Side
    is_open: bool
    entry_time: datetime


class Trades:
    """Sessions of a replaying bot, of one of the present, and by hand, and trades of any time in them.

    Of these, a share ``held`` is open.
    """

    def __init__(self, bots: BotDesk, held: float) -> None:
        self.bots, self.random, self._held = bots, Random(11), held
        self.known: list[Known] = []
        self.sessions: dict[UUID, UUID | None] = {}
        self.at_work: list[UUID] = []
        self.replays: set[UUID] = set()
        self._markets: dict[str, UUID] = {}
        self._numbers: dict[UUID, int] = {}

    async def begin(self) -> None:
        """Begin the sessions."""
        async with self.bots.runtime.unit_of_work() as uow:
            for name in MARKETS:
                self._markets[name] = UUID(str((await ensure_market(uow, *name.split(":"))).id))
            request = SessionRequest(capital=Decimal(1000))
            hand = await hand_sessions.start_session(uow, self.bots.trader, request, 5, 60)
        replaying = await self.bots.begin()
        present = await self.bots.begin(feed=Feed())
        self.sessions = {hand.id: None, replaying[1]: replaying[0], present[1]: present[0]}
        self.replays, self.at_work = {replaying[1]}, list(self.sessions)

    async def trade(self, count: int, days: int, since: int = 0) -> None:
        """Open so many trades at any time of so many days; some are held."""
        rows = []
        for _ in range(count):
            session_id = self.random.choice(self.at_work)
            by_hand = self.sessions[session_id] is None
            market = self.random.choice(MARKETS) if by_hand else MARKETS[0]
            side, is_open = self.random.choice(list(Side)), self.random.random() < self._held
            at = BEGIN + timedelta(minutes=15 * self.random.randrange(96 * since, 96 * days))
            self.known.append(Known(session_id, market, side, is_open, at))
            number = self._numbers[session_id] = self._numbers.get(session_id, 0) + 1
            row: dict[str, Any] = {
                "id": uuid7(),
                "session_id": session_id,
                "number": number,
                "side": side.value,
            }
            row |= {
                "user_id": self.bots.trader.user_id,
                "market_id": self._markets[market] if by_hand else None,
            }
            row |= {"quantity": 1, "entry_price": 1, "fees": 0, "entry_time": at, "changed_at": at}
            closed = {"exit_time": at, "exit_price": 1, "exit_reason": "SIGNAL", "profit": 0}
            rows.append(row | (dict.fromkeys(closed) if is_open else closed))
        async with self.bots.runtime.unit_of_work() as uow:
            await uow.session.execute(insert(TradeRow), rows)

    async def look(self) -> None:
        """Do what a worker does when it is time to look at all of them again."""
        async with self.bots.runtime.unit_of_work() as uow:
            await uow.session.execute(text("UPDATE session_kept_days SET looked_at = '1970-01-01'"))
        await keep_days(self.bots.runtime)

    async def end(self, session_id: UUID) -> None:
        """Let a session be over, whatever it holds."""
        self.at_work.remove(session_id)
        async with self.bots.runtime.unit_of_work() as uow:
            values = {"status": "STOPPED", "ended_at": uow.clock.now()}
            named = TradingSessionRow.id == session_id
            await uow.session.execute(update(TradingSessionRow).where(named).values(values))

    def expected(self, wanted: TradeFilter) -> int:
        """Return how many trades there are, one by one."""
        return sum(
            (wanted.session_id in (None, each.session_id))
            and (wanted.bot_id in (None, self.sessions[each.session_id]))
            and (wanted.market is None or each.market.endswith(wanted.market))
            and (wanted.side in (None, each.side))
            and (wanted.status is None or each.is_open == (wanted.status is TradeStatus.OPEN))
            and (wanted.start is None or each.entry_time >= wanted.start)
            and (wanted.end is None or each.entry_time < wanted.end)
            and not (wanted.scope.leaves_replays_out and each.session_id in self.replays)
            for each in self.known
        )

    def filter(self) -> TradeFilter:
        """Return whatever may be asked for."""
        choose, times = self.random.choice, [each.entry_time for each in self.known]
        around = timedelta(minutes=15 * self.random.randrange(-1, 2))
        month = datetime(2016, self.random.randrange(1, 13), 1, tzinfo=UTC)
        return TradeFilter(
            bot_id=choose((None, None, *filter(None, self.sessions.values()))),
            session_id=choose((None, None, None, *self.sessions)),
            market=choose((None, None, "BTC/USD", *MARKETS, "test:XRP/USD")),
            side=choose((None, None, *Side)),
            status=choose((None, *TradeStatus)),
            start=choose((None, choose(times) + around, month)),
            end=choose((None, choose(times) + around, month)),
            replays=choose((False, True)),
        )

    async def compare(self, times: int) -> int:
        """Check so many ways to choose trades; return how many of them had any."""
        found = 0
        for _ in range(times):
            wanted = self.filter()
            async with self.bots.runtime.unit_of_work() as uow:
                count = await service.count_trades(uow, self.bots.trader.user_id, wanted)
            assert count == self.expected(wanted), wanted
            found += count > 0
        return found


async def test_trades_are_counted_as_one_by_one_however_they_are_chosen(bots: BotDesk) -> None:
    trades = Trades(bots, 0.2)
    await trades.begin()
    found = 0
    for _ in range(3):
        await trades.trade(60, 500)
        found += await trades.compare(20)
        await trades.look()
        found += await trades.compare(20)
        # Whatever it holds stays held.
        await trades.end(trades.at_work[-1])
        await trades.look()
        found += await trades.compare(20)
        if trades.at_work:
            await trades.trade(5, 500)
    assert found > 60


async def test_a_count_reads_as_many_rows_for_ten_years_as_for_two(bots: BotDesk) -> None:
    trades = Trades(bots, 0.01)
    await trades.begin()
    read: list[list[int]] = []
    engine, end = bots.runtime.database.engine, BEGIN + timedelta(days=700)
    filters = [
        TradeFilter(replays=True),
        TradeFilter(market="BTC/USD", side=Side.LONG),
        TradeFilter(status=TradeStatus.CLOSED, replays=True),
        TradeFilter(start=BEGIN + timedelta(days=40), end=end, replays=True),
        TradeFilter(end=end, status=TradeStatus.CLOSED, session_id=trades.at_work[-1]),
    ]
    for days, since in ((730, 0), (3650, 730)):
        await trades.trade(2 * (days - since), days, since)
        await trades.look()
        async with bots.runtime.unit_of_work() as uow:
            await uow.session.execute(text("ANALYZE"))
        read.append([])
        for wanted in filters:
            async with bots.runtime.unit_of_work() as uow:
                with executed_statements(engine) as executed:
                    count = await service.count_trades(uow, bots.trader.user_id, wanted)
            assert count == trades.expected(wanted) > 20
            read[-1].append(await rows_read(engine, executed))
    # A table of 600 rows is read as a whole, as a larger one never is.
    assert all(ten <= min(two, 250) + 60 for two, ten in zip(*read, strict=True)), read
