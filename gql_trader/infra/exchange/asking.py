"""Ask an exchange once, or again: how often it is worth, and no sooner than the exchange allows."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog

from gql_trader.infra.exchange.errors import (
    AnswerUnreadable,
    ClocksDisagree,
    ExchangeBusy,
    ExchangeFailure,
    ExchangeUnavailable,
    OutcomeUnknown,
)
from gql_trader.infra.exchange.loading import load_errors
from gql_trader.infra.exchange.pacing import Gate, Patience, Skew, Waits
from gql_trader.infra.exchange.records import Credentials
from gql_trader.infra.exchange.translation import CannotSign, translate

_log = structlog.get_logger(__name__)

T = TypeVar("T")


class Asker:
    """Sends one instance's requests.

    What a refusal for too many requests or a wrong clock kept from being done is always asked again. What
    failed otherwise is asked again only where asking twice does no harm.

    Parameters
    ----------
    ccxt
        An instance of ccxt's class, with the credentials in it.
    gate, skew
        Both are shared by all clients of this exchange.
    """

    def __init__(
        self,
        ccxt: Any,
        credentials: Credentials | None,
        gate: Gate,
        skew: Skew,
        waits: Waits,
        patience: Patience,
    ) -> None:
        self.waits = waits
        self.patience = patience
        self._ccxt = ccxt
        self._credentials = credentials
        self._gate = gate
        self._skew = skew

    @property
    def exchange(self) -> str:
        """The exchange's id."""
        return str(self._ccxt.id)

    @property
    def name(self) -> str:
        """The exchange's name for people."""
        return str(self._ccxt.name)

    async def ask(self, request: Callable[[], Awaitable[T]], *, changes: bool = False) -> T:
        """Return the answer to a request.

        Parameters
        ----------
        request
            Sends it, each time it is called.
        changes
            Whether sending it twice may do something twice.

        Raises
        ------
        OutcomeUnknown
            If it changes something, and may have been done although no answer said so.
        ExchangeFailure
            If it was refused, or could not be sent for as long as it was worth; nothing was done then.
        """
        give_up_at = self.waits.now() + self.patience.seconds
        try:
            async with asyncio.timeout(self.patience.seconds):
                return await self._attempts(request, give_up_at, changes)
        except TimeoutError:
            message = f"{self.name} did not answer in time; try again later."
            if changes:
                raise OutcomeUnknown(self.exchange, message) from None
            raise ExchangeUnavailable(self.exchange, message) from None

    async def _attempts(self, request: Callable[[], Awaitable[T]], give_up_at: float, changes: bool) -> T:
        synchronised = False
        attempt = 0
        while True:
            await self._pass_gate(give_up_at)
            failure = await self._attempt(request)
            if not isinstance(failure, ExchangeFailure):
                return failure
            if isinstance(failure, ClocksDisagree) and not synchronised:
                # Whatever was to be done has not been.
                await self.set_clock()
                synchronised = True
                continue
            attempt += 1
            if not isinstance(failure, ExchangeUnavailable):
                raise failure
            if changes and failure.sent:
                raise OutcomeUnknown(self.exchange, failure.message) from failure
            delay = self._delay(failure, attempt)
            if (
                isinstance(failure, AnswerUnreadable | ClocksDisagree)
                or attempt >= self.patience.attempts
                or self.waits.now() + delay > give_up_at
            ):
                raise failure
            _log.info(
                "exchange_asked_again",
                exchange=self.exchange,
                failure=type(failure).__name__,
                delay=round(delay, 3),
            )
            await self.waits.sleep(delay)

    def _delay(self, failure: ExchangeUnavailable, attempt: int) -> float:
        delay = self.waits.backoff(attempt - 1)
        return delay + (failure.retry_after or 0.0) if isinstance(failure, ExchangeBusy) else delay

    async def _pass_gate(self, give_up_at: float) -> None:
        remaining = self._gate.remaining()
        if self.waits.now() + remaining > give_up_at:
            raise self._busy(remaining)
        if remaining:
            await self.waits.sleep(remaining)

    async def _attempt(self, request: Callable[[], Awaitable[T]]) -> T | ExchangeFailure:
        ccxt = load_errors()
        closings = self._gate.closings
        self._ccxt.options["timeDifference"] = self._skew.milliseconds
        # ccxt would take Binance's "invalid key, address or permissions" for a ban once a key has been good.
        self._ccxt.options["hasAlreadyAuthenticatedSuccessfully"] = False
        try:
            return await request()
        except ccxt.InvalidNonce:
            return ClocksDisagree(
                self.exchange, f"{self.name} finds the clock of this server wrong; tell its operator."
            )
        except (ccxt.BaseError, CannotSign) as error:
            failure = translate(error, self.exchange, self.name, self._credentials)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            _log.exception("exchange_answer_unreadable", exchange=self.exchange)
            return AnswerUnreadable(self.exchange, f"{self.name} answered something that cannot be read.")
        if not isinstance(failure, ExchangeBusy):
            return failure
        if self._gate.closings == closings:
            # Told by other means than the status of HTTP.
            self._gate.close(None)
        return self._busy(self._gate.remaining() or None)

    async def set_clock(self) -> None:
        """Learn how far our clock is ahead of the exchange's, for all of its clients.

        Raises
        ------
        ClocksDisagree
            If the exchange does not tell the time.
        """
        answer = await self._attempt(self._ccxt.load_time_difference)
        if isinstance(answer, ExchangeFailure):
            raise ClocksDisagree(self.exchange, answer.message)
        self._skew.milliseconds = int(self._ccxt.options["timeDifference"])
        _log.info("exchange_clock_set", exchange=self.exchange, skew_ms=self._skew.milliseconds)

    def _busy(self, retry_after: float | None) -> ExchangeBusy:
        when = f"in {max(1, round(retry_after))} seconds" if retry_after else "later"
        return ExchangeBusy(
            self.exchange, f"{self.name} asks us to slow down; try again {when}.", retry_after
        )
