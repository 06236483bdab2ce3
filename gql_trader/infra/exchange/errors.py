"""What can go wrong with an exchange. Messages are for people, and have no secret and no address in them."""


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
    """The exchange could not be reached, did not answer in time or was out of order; nothing was changed."""


class ExchangeBusy(ExchangeUnavailable):
    """The exchange asks us to slow down; what was asked has not been done.

    Parameters
    ----------
    retry_after
        Seconds until trying again may succeed; None if the exchange did not say.
    """

    def __init__(self, exchange: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(exchange, message)
        self.retry_after = retry_after


class ClocksDisagree(ExchangeUnavailable):
    """The exchange still finds our clock wrong after it was set by the exchange's own."""


class AnswerUnreadable(ExchangeUnavailable):
    """The exchange answered in a form that neither ccxt nor we understand."""


class RequestRefused(ExchangeFailure):
    """The exchange understood the request and will not do it."""


class UnknownMarket(RequestRefused):
    """The exchange has no such market."""


class NotOffered(RequestRefused):
    """The exchange, or ccxt for it, cannot do this at all."""
