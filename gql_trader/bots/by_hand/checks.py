"""Checks of sessions and orders by hand."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from uuid import UUID

from gql_trader.backtests.execution import check_execution
from gql_trader.backtests.history import MAXIMUM_CAPITAL
from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.fills import closing_order, fee_of
from gql_trader.bots.types import OrderRequest, OrderSide, SessionRequest
from gql_trader.core.errors import DomainError, InvalidInput
from gql_trader.engine.execution import ExecutionSpec, Side
from gql_trader.engine.rules import is_plain_text
from gql_trader.market_data.types import MarketRecord
from gql_trader.settings.types import SessionMode

MAXIMUM_KEY = 200
MAXIMUM_LEVERAGE = 125
MAXIMUM_AMOUNT = Decimal(10) ** 15
_NOTHING = Decimal(0)


def check_session(capital: Decimal, costs: ExecutionSpec) -> list[DomainError]:
    """Return everything that is wrong with a session by itself."""
    problems: list[DomainError] = []
    if not (capital.is_finite() and 0 < capital <= MAXIMUM_CAPITAL):
        problems.append(InvalidInput(f"capital is above 0 and at most {MAXIMUM_CAPITAL}.", ("capital",)))
    problems += [InvalidInput(each.message, each.path[1:]) for each in check_execution(costs)]
    return problems


def check_contracts(request: SessionRequest, mode: SessionMode) -> list[DomainError]:
    """Return everything that is wrong with what a session says of leverage."""
    problems: list[DomainError] = []
    if request.leverage is not None and mode is SessionMode.PAPER:
        problems.append(InvalidInput("By hand, only live sessions have leverage.", ("leverage",)))
    if request.leverage is not None and not 1 <= request.leverage <= MAXIMUM_LEVERAGE:
        problems.append(InvalidInput(f"leverage is from 1 to {MAXIMUM_LEVERAGE}.", ("leverage",)))
    if request.margin_mode is not None and request.leverage is None:
        problems.append(InvalidInput("A margin mode needs a leverage.", ("marginMode",)))
    if request.auto_transfer_funds and request.leverage is None:
        problems.append(
            InvalidInput("Only contracts need funds in a wallet of theirs.", ("autoTransferFunds",))
        )
    if request.transfer_amount is not None and not _is_amount(request.transfer_amount):
        problems.append(InvalidInput("transferAmount is above 0.", ("transferAmount",)))
    return problems


def check_share(request: SessionRequest, mode: SessionMode) -> list[DomainError]:
    """Return what is wrong with a session's share of volumes."""
    share = request.max_volume_share
    if share is None:
        return []
    if mode is SessionMode.LIVE:
        return [InvalidInput("What fills live is the exchange's to say.", ("maxVolumeShare",))]
    if not 0 < share <= 1:
        return [InvalidInput("maxVolumeShare is above 0 and at most 1.", ("maxVolumeShare",))]
    return []


def check_key(key: str) -> None:
    """Raise InvalidInput unless this may be an idempotency key."""
    if not is_plain_text(key, MAXIMUM_KEY) or not key.strip():
        raise InvalidInput(f"A key has 1 to {MAXIMUM_KEY} printable characters.", ("idempotencyKey",))


def check_order(request: OrderRequest, *, contracts: bool) -> list[DomainError]:
    """Return everything that is wrong with an order by itself.

    Parameters
    ----------
    contracts
        Whether its session trades them.
    """
    return list(_problems(request, contracts))


def _problems(request: OrderRequest, contracts: bool) -> Iterator[DomainError]:
    if not _is_amount(request.quantity):
        yield InvalidInput("quantity is above 0.", ("quantity",))
    for name, price, wanted in (
        ("price", request.price, request.type.has_limit),
        ("stopPrice", request.stop_price, request.type.has_stop),
    ):
        if wanted and price is None:
            yield InvalidInput(f"An order of type {request.type.value} needs a {name}.", (name,))
        elif not wanted and price is not None:
            yield InvalidInput(f"An order of type {request.type.value} has no {name}.", (name,))
        elif price is not None and not _is_amount(price):
            yield InvalidInput(f"{name} is above 0.", (name,))
    if request.reduce_only and request.side is OrderSide.BUY and not contracts:
        yield InvalidInput(
            "Without contracts positions are long: buying never makes one smaller.", ("reduceOnly",)
        )


def _is_amount(number: Decimal) -> bool:
    return number.is_finite() and 0 < number <= MAXIMUM_AMOUNT


def check_on_market(request: OrderRequest, market: MarketRecord, close: Decimal) -> list[DomainError]:
    """Return what of an order breaks the steps and minimums of its market."""
    problems: list[DomainError] = []
    for name, number, digits in (
        ("quantity", request.quantity, market.amount_precision),
        ("price", request.price, market.price_precision),
        ("stopPrice", request.stop_price, market.price_precision),
    ):
        if number is not None and number != round(number, digits):
            problems.append(
                InvalidInput(f"{market.name} takes {name} with at most {digits} decimals.", (name,))
            )
    if market.min_amount is not None and request.quantity < market.min_amount:
        problems.append(
            InvalidInput(f"{market.name} takes at least {market.min_amount.normalize():f}.", ("quantity",))
        )
    notional = request.quantity * (request.price or request.stop_price or close)
    if market.min_notional is not None and notional < market.min_notional:
        problems.append(
            InvalidInput(
                f"{market.name} takes orders of at least {market.min_notional.normalize():f} in all.",
                ("quantity",),
            )
        )
    return problems


def check_means(
    ledger: HandLedger,
    request: OrderRequest,
    market: MarketRecord,
    close: Decimal,
    costs: ExecutionSpec,
    references: Mapping[UUID, Decimal] | None = None,
) -> bool:
    """Return whether an order makes a position smaller; raise InvalidInput unless an account can pay for it.

    What waits counts as done. Of contracts either side may open a position or close one, but no order does
    both. On paper, orders that only reduce a position reserve nothing, so that a stop and a target can wait
    for the same. An exchange locks what each order closes.

    Parameters
    ----------
    references
        About what those of the waiting orders cost for one that are live, by order; None on paper.
    """
    held = ledger.held.get(market.id)
    if ledger.contracts:
        closes = held is not None and request.side is closing_order(Side(held.side))
    else:
        closes = request.side is OrderSide.SELL
    if request.reduce_only and not closes:
        side = "short" if request.side is OrderSide.BUY else "long"
        raise InvalidInput(f"There is no {side} position.", ("reduceOnly",))
    if closes:
        _check_holdings(ledger, request, market, is_live=references is not None)
        return True
    mine = [each for each in ledger.waiting if not ledger.closes(each)]
    if any(each.market_id == market.id and each.side != request.side.value for each in mine):
        raise InvalidInput(
            "An order waits that opens a position of the other side in this contract; cancel it first.",
            ("side",),
        )
    promised = sum(
        (
            _outlay(
                OrderSide(each.side),
                each.quantity - each.filled_quantity,
                each.price,
                each.stop_price,
                (references or {}).get(each.id, _NOTHING),
                costs,
            )
            for each in mine
        ),
        _NOTHING,
    )
    free = ledger.free_cash - promised / ledger.leverage
    outlay = _outlay(request.side, request.quantity, request.price, request.stop_price, close, costs)
    outlay /= ledger.leverage
    if outlay > free:
        raise InvalidInput(
            f"This costs about {outlay:.2f} with its fee; of the session's cash {max(free, _NOTHING):.2f} "
            "is not promised to other orders.",
            ("quantity",),
        )
    return False


def _check_holdings(
    ledger: HandLedger, request: OrderRequest, market: MarketRecord, *, is_live: bool
) -> None:
    held = ledger.quantity(market.id)
    if request.reduce_only and not held:
        raise InvalidInput("Nothing of it is held.", ("reduceOnly",))
    if request.reduce_only and not is_live:
        return
    free = held - sum(
        (
            each.quantity - each.filled_quantity
            for each in ledger.waiting
            if ledger.closes(each) and each.market_id == market.id and (is_live or not each.reduce_only)
        ),
        _NOTHING,
    )
    if request.quantity <= free:
        return
    verb = "bought back" if request.side is OrderSide.BUY else "sold"
    if ledger.contracts:
        more = "What is to open a position of the other side is an order of its own, once this one is closed."
    elif is_live:
        more = "Only a session with a leverage, which trades contracts, sells short."
    else:
        more = "Nothing is sold short on paper by hand."
    raise InvalidInput(
        f"{free.normalize():f} of it can be {verb}: what is held and not promised to other orders. {more}",
        ("quantity",),
    )


def _outlay(
    side: OrderSide,
    quantity: Decimal,
    price: Decimal | None,
    stop: Decimal | None,
    close: Decimal,
    costs: ExecutionSpec,
) -> Decimal:
    """Return what an order that opens a position costs at most, as far as is known, with its fee."""
    if price is None:
        # At the market: the worst of what is known by now.
        price = max(stop or close, close) * (1 + Decimal(repr(costs.slippage)))
    elif side is OrderSide.SELL:
        # It fills at its limit, or better.
        price = max(price, close)
    notional = quantity * price
    return notional + fee_of(notional, max(costs.taker_fee, costs.maker_fee))
