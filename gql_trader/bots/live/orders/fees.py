"""What fees in third currencies are worth: BNB for example, on a market of other currencies."""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal

import structlog

from gql_trader.bots.quotes import quotes
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.errors import DomainError
from gql_trader.core.money import to_exact
from gql_trader.infra.exchange.client import ExchangeClient
from gql_trader.infra.exchange.errors import ExchangeFailure
from gql_trader.infra.exchange.orders import Fill
from gql_trader.market_data import service as market_data
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

_STALE = timedelta(days=1)
"""The close of a bar that ended longer ago is no price of now."""


async def fee_prices(
    runtime: Runtime, client: ExchangeClient, symbol: str, fills: Iterable[Fill], *, contracts: bool
) -> dict[str, Decimal]:
    """Return what third currencies of fees are worth in a market's quote currency, as far as that is known.

    It is what the exchange says now or, if it does not, the last close that is stored, unless that is a day
    old. No transaction may be open.

    Parameters
    ----------
    symbol
        ``BASE/QUOTE``.
    contracts
        Whether contracts are traded: then the base currency is a third one.
    """
    base, _, quote = symbol.partition("/")
    own = {quote} if contracts else {base, quote}
    currencies = {each.fee.currency for each in fills if each.fee is not None and each.fee.amount}
    found = {}
    for currency in sorted(currencies - own):
        pair = f"{currency}/{quote}"
        try:
            found[currency] = await client.last_price(pair)
        except ExchangeFailure as failure:
            _log.info("fee_price_not_told", pair=pair, failure=type(failure).__name__)
            if (stored := await _stored(runtime, f"{client.exchange}:{pair}")) is not None:
                found[currency] = stored
    return found


async def _stored(runtime: Runtime, name: str) -> Decimal | None:
    async with runtime.unit_of_work() as uow:
        try:
            market = await market_data.find_market(uow, name)
        except DomainError:
            return None
        quote = (await quotes(uow, runtime.arrays, {market.id: None})).get(market.id)
    if quote is None or from_milliseconds(quote.until) < runtime.clock.now() - _STALE:
        return None
    return to_exact(quote.close)
