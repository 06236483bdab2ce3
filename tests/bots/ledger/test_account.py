"""The account of sessions by hand and live sessions: exact, whatever fills in whatever order."""

from decimal import Decimal
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.fills import Filled, sign_of
from gql_trader.bots.models import OrderRow, TradingSessionRow
from gql_trader.bots.quotes import Quote
from gql_trader.core.money import to_exact
from tests.factories.random_bars import random_bars

MARKET, CAPITAL = UUID(int=1), Decimal(10_000)
NOTHING = Decimal(0)


def ledger_of(leverage: int) -> HandLedger:
    session = TradingSessionRow(id=uuid4(), user_id=uuid4(), capital=CAPITAL)
    return HandLedger(session, CAPITAL, {}, [], 0, 0, leverage=leverage, contracts=True)


def order_of(side: str, *, reduce_only: bool = False) -> OrderRow:
    return OrderRow(
        side=side, market_id=MARKET, filled_quantity=NOTHING, fee=NOTHING, reduce_only=reduce_only
    )


def booked(ledger: HandLedger, side: str, quantity: str, price: str, fee: str = "0") -> Decimal:
    fill = Filled(Decimal(quantity), Decimal(price), 1000, Decimal(fee))
    return ledger.book(order_of(side), fill)


amounts = st.decimals("0.001", "3", places=3)
prices = st.decimals("0.5", "90000", places=2)
fees = st.decimals("-1", "5", places=8)


@given(st.lists(st.tuples(st.sampled_from(["BUY", "SELL"]), amounts, prices, fees), max_size=30))
@settings(max_examples=200, deadline=None)
def test_cash_profits_and_positions_are_exact_whatever_is_bought_and_sold_short(
    fills: list[tuple[str, Decimal, Decimal, Decimal]],
) -> None:
    ledger, net, paid = ledger_of(3), NOTHING, NOTHING
    for side, quantity, price, fee in fills:
        sign = 1 if side == "BUY" else -1
        change = ledger.book(order_of(side), Filled(quantity, price, 1000, fee))
        net, paid = net + sign * quantity, paid + change
        assert change == -sign * quantity * price - fee
        trade = ledger.held.get(MARKET)
        # The account is what was traded, and nothing else.
        assert (sign_of(trade) * trade.quantity if trade else NOTHING) == net
        assert ledger.cash == CAPITAL + paid
        realised = sum((each.profit or NOTHING for each in ledger.closed), NOTHING)
        assert ledger.balance == CAPITAL + realised
        mark = trade.mark_price if trade and trade.mark_price else NOTHING
        assert ledger.equity == ledger.cash + net * mark
        if trade is None:
            assert ledger.cash == ledger.free_cash == ledger.equity == CAPITAL + realised
    sides = {each.side for each in (*ledger.closed, *ledger.held.values())}
    assert sides <= {"LONG", "SHORT"}
    assert all(each.quantity > 0 and each.cost is not None and each.cost > 0 for each in ledger.added)


def test_a_short_position_gains_from_falling_prices_and_binds_its_margin() -> None:
    ledger = ledger_of(5)
    assert booked(ledger, "SELL", "0.5", "50000", "12.5") == Decimal("24987.5")
    trade = ledger.held[MARKET]
    assert (trade.side, trade.quantity, trade.entry_price, trade.cost) == (
        "SHORT",
        Decimal("0.5"),
        50_000,
        25_000,
    )
    # A fifth of 25,000 is bound, and the proceeds are no money to spend.
    assert (ledger.free_cash, ledger.balance, ledger.equity) == (
        Decimal("4987.5"),
        Decimal(10_000),
        Decimal("9987.5"),
    )
    quote = Quote(48_000.0, 2000, random_bars(2, seed=1))
    ledger.mark(MARKET, quote)
    assert ledger.equity == Decimal("10987.5")
    booked(ledger, "BUY", "0.2", "48000", "4.8")
    [part] = ledger.closed
    # 0.2 × 2,000, less both fees, of which two fifths of the first.
    assert (part.side, part.quantity, part.profit, part.fees) == (
        "SHORT",
        Decimal("0.2"),
        Decimal("390.2"),
        Decimal("9.8"),
    )
    booked(ledger, "BUY", "0.3", "51000", "7.65")
    assert (ledger.held, ledger.closed[1].profit) == ({}, Decimal("-315.15"))
    assert ledger.cash == CAPITAL + Decimal("390.2") - Decimal("315.15")


def test_a_fill_that_crosses_nothing_closes_one_position_and_opens_the_other() -> None:
    ledger = ledger_of(2)
    booked(ledger, "BUY", "0.1", "50000")
    booked(ledger, "SELL", "0.3", "51000", "3")
    [closed], held = ledger.closed, ledger.held[MARKET]
    assert (closed.side, closed.quantity, closed.profit) == ("LONG", Decimal("0.1"), Decimal(99))
    assert (held.side, held.quantity, held.fees) == ("SHORT", Decimal("0.2"), Decimal(2))


def test_which_orders_close_a_position_of_contracts_is_said_by_them_or_by_the_position() -> None:
    ledger = ledger_of(2)
    assert not ledger.closes(order_of("BUY"))
    assert ledger.closes(order_of("BUY", reduce_only=True))
    booked(ledger, "SELL", "0.1", "50000")
    assert ledger.closes(order_of("BUY"))
    assert not ledger.closes(order_of("SELL"))
    ledger.contracts = False
    assert ledger.closes(order_of("SELL"))
    assert to_exact(50_000.0) == ledger.held[MARKET].entry_price
