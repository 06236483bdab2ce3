"""What can go wrong with an exchange. Messages are for people, and have no secret and no address in them."""

from decimal import Decimal


class ExchangeFailure(Exception):
    """An exchange refused or did not answer.

    Parameters
    ----------
    exchange
        Its id.
    message
        One sentence for a person.
    """

    def __init__(self, exchange: str, message: str) -> None:
        super().__init__(message)
        self.exchange = exchange
        self.message = message


class CredentialsRefused(ExchangeFailure):
    """The key is unknown, revoked or expired, the signature is wrong, or the address is not allowed."""


class PermissionMissing(ExchangeFailure):
    """The key is good, but may not do this."""


class ExchangeUnavailable(ExchangeFailure):
    """The exchange could not be reached, did not answer in time or was out of order; nothing was changed.

    Parameters
    ----------
    sent
        Whether the request may have reached the exchange.
    """

    def __init__(self, exchange: str, message: str, *, sent: bool = True) -> None:
        super().__init__(exchange, message)
        self.sent = sent


class ExchangeBusy(ExchangeUnavailable):
    """The exchange asks us to slow down; what was asked has not been done.

    Parameters
    ----------
    retry_after
        Seconds until trying again may succeed; None if the exchange did not say.
    """

    def __init__(self, exchange: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(exchange, message, sent=False)
        self.retry_after = retry_after


class ClocksDisagree(ExchangeUnavailable):
    """The exchange still finds our clock wrong after it was set by the exchange's own, or it could not be."""

    def __init__(self, exchange: str, message: str) -> None:
        super().__init__(exchange, message, sent=False)


class AnswerUnreadable(ExchangeUnavailable):
    """The exchange answered in a form that neither ccxt nor we understand."""


class OutcomeUnknown(ExchangeFailure):
    """What was asked may have been done or not; only asking the exchange about it can tell.

    It is no `ExchangeUnavailable`: whoever tries again on that must not do so on this.
    """


class RequestRefused(ExchangeFailure):
    """The exchange understood the request and will not do it."""


class UnknownMarket(RequestRefused):
    """The exchange has no such market."""


class NotOffered(RequestRefused):
    """The exchange, or ccxt for it, cannot do this at all."""


class OrderRejected(RequestRefused):
    """The exchange will not take this order."""


class InsufficientFunds(OrderRejected):
    """There is not enough in the account for this order."""


class DuplicateOrder(OrderRejected):
    """The exchange has an open order with this client order id."""


class OrderMissing(RequestRefused):
    """The exchange knows no such order, or none that is open."""


class OrderForgotten(OrderMissing):
    """The exchange has just cancelled an order, and does not tell of it any more.

    Parameters
    ----------
    filled
        How much of it had been filled by then, in the base currency; None if the exchange did not say.
    """

    def __init__(self, exchange: str, message: str, filled: Decimal | None) -> None:
        super().__init__(exchange, message)
        self.filled = filled


class AlreadySo(RequestRefused):
    """What was asked for is so already."""
