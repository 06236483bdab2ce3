"""What has become of a user's capital, whatever ran when."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from gql_trader.bots.models import BotRow, SessionStateRow, TradingSessionRow
from gql_trader.core.actor import Actor
from gql_trader.reports import service
from gql_trader.reports.service import choose_currency
from gql_trader.reports.types import Balance, Level, Scope
from gql_trader.reports.types_books import Account
from tests.factories.actors import make_actor
from tests.factories.books import most_at_work
from tests.factories.bots import BotDesk
from tests.factories.statements import counted_statements

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def _account(begin: float, end: float | None, capital: int, **changes: Any) -> Account:
    usual: dict[str, Any] = {
        "id": uuid4(),
        "currency": "USD",
        "capital": Decimal(capital),
        "equity": Decimal(capital),
        "started_at": T0 + timedelta(hours=begin),
        "ended_at": None if end is None else T0 + timedelta(hours=end),
        "since": 0,
        "until": None,
        "closed": Level(),
    }
    return Account(**usual | changes)


@pytest.mark.parametrize(
    ("accounts", "most"),
    [
        ([], 0),
        ([_account(0, None, 100)], 100),
        # One after another: the second can use the money of the first.
        ([_account(0, 1, 100), _account(1, 2, 80)], 100),
        ([_account(0, 1, 100), _account(1, 2, 150)], 150),
        ([_account(0, 2, 100), _account(1, 3, 80), _account(2.5, None, 70)], 180),
        ([_account(0, 0, 100), _account(0, 0, 50)], 150),
        ([_account(0, 0, 100), _account(1, None, 50)], 100),
    ],
)
def test_the_baseline_is_the_most_capital_that_was_at_work_at_one_time(
    accounts: list[Account], most: int
) -> None:
    assert most_at_work(accounts) == most


def test_without_a_currency_reports_are_in_the_stake_currency_or_that_of_the_newest_session() -> None:
    newest = {currency: UUID(int=at) for at, currency in enumerate(("USDT", "EUR", None))}
    assert choose_currency(newest, "USDT") == "USDT"
    assert choose_currency(newest, "BTC") == "EUR"
    assert choose_currency({None: UUID(int=1)}, "USDT") is None


async def _set_equity(bots: BotDesk, session_id: UUID, equity: float) -> None:
    async with bots.runtime.unit_of_work() as uow:
        await uow.session.execute(
            update(SessionStateRow).where(SessionStateRow.session_id == session_id).values(equity=equity)
        )


async def _balance(bots: BotDesk, actor: Actor, scope: Scope | None = None) -> Balance:
    async with bots.runtime.unit_of_work() as uow:
        return await service.balance(uow, actor.user_id, scope)


async def test_the_balance_is_the_baseline_and_the_profit_of_all_sessions(bots: BotDesk) -> None:
    bot_id, first = await bots.begin(initial_capital=Decimal(1000))
    other, second = await bots.begin(initial_capital=Decimal(500))
    await _set_equity(bots, first, 1100.5)
    await _set_equity(bots, second, 450.25)
    found = await _balance(bots, bots.trader, Scope(replays=True))
    assert (found.currency, found.baseline, found.profit) == ("USD", Decimal(1500), Decimal("50.75"))
    assert (found.balance, found.profit_fraction) == (Decimal("1550.75"), 50.75 / 1500)
    of_bot = await _balance(bots, bots.trader, Scope(bot_id=bot_id))
    assert (of_bot.balance, of_bot.baseline) == (Decimal("1100.5"), Decimal(1000))
    of_session = await _balance(bots, bots.trader, Scope(session_id=second))
    assert (of_session.balance, of_session.profit) == (Decimal("450.25"), Decimal("-49.75"))
    # A deleted bot's sessions still count.
    async with bots.runtime.unit_of_work() as uow:
        await uow.session.execute(
            update(TradingSessionRow).where(TradingSessionRow.bot_id == other).values(bot_id=None)
        )
        await uow.session.execute(BotRow.__table__.delete().where(BotRow.id == other))  # type: ignore[attr-defined]
    assert await _balance(bots, bots.trader, Scope(replays=True)) == found
    stranger = await make_actor(bots.runtime, "stranger")
    assert await _balance(bots, stranger, Scope(bot_id=bot_id)) == Balance(None, Decimal(0), Decimal(0))


async def test_a_balance_takes_as_many_statements_for_many_sessions_as_for_one(bots: BotDesk) -> None:
    await bots.begin()
    with counted_statements(bots.desk.engine) as one:
        await _balance(bots, bots.trader)
    for _ in range(3):
        await bots.begin()
    with counted_statements(bots.desk.engine) as many:
        await _balance(bots, bots.trader)
    assert len(many) == len(one) <= 4
