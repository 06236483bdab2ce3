"""One exchange, asked on behalf of nobody or of one key."""

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
    NotOffered,
    PermissionMissing,
)
from gql_trader.infra.exchange.loading import load_errors
from gql_trader.infra.exchange.pacing import Gate, Patience, Waits
from gql_trader.infra.exchange.permissions import READERS
from gql_trader.infra.exchange.records import Credentials, ExchangePermission, KeyPermissions
from gql_trader.infra.exchange.translation import CannotSign, translate

_log = structlog.get_logger(__name__)

T = TypeVar("T")


class ExchangeClient:
    """Asks an exchange, as often as it is worth and no sooner than the exchange allows.

    Every method raises `ExchangeFailure`. What a refusal for too many requests or a wrong clock kept from
    being done is asked again, and whatever failed on the way if asking twice does no harm.

    Parameters
    ----------
    ccxt
        An instance of ccxt's class, with the credentials in it.
    gate
        Shared by all clients of this exchange.
    """

    def __init__(
        self, ccxt: Any, credentials: Credentials | None, gate: Gate, waits: Waits, patience: Patience
    ) -> None:
        self._ccxt = ccxt
        self._credentials = credentials
        self._gate = gate
        self._waits = waits
        self._patience = patience

    @property
    def exchange(self) -> str:
        """The exchange's id."""
        return str(self._ccxt.id)

    @property
    def name(self) -> str:
        """The exchange's name for people."""
        return str(self._ccxt.name)

    @property
    def clock_skew(self) -> int:
        """Milliseconds by which our clock is ahead of the exchange's, as far as we have asked."""
        return int(self._ccxt.options.get("timeDifference") or 0)

    async def permissions(self) -> KeyPermissions:
        """Return what the key may do; where the exchange does not tell, whether it may read the balance.

        Raises
        ------
        CredentialsRefused
            If the key does not open anything.
        """
        reader = READERS.get(self.exchange)
        if reader is not None:

            async def read() -> KeyPermissions:
                return KeyPermissions(reader.read(await getattr(self._ccxt, reader.method)()), complete=True)

            try:
                return await self._ask(read)
            except (NotOffered, PermissionMissing, AnswerUnreadable) as failure:
                # A test net without this function, or a key that may not look at itself.
                _log.info("key_permissions_untold", exchange=self.exchange, reason=type(failure).__name__)
        try:
            await self._ask(self._ccxt.fetch_balance)
        except PermissionMissing:
            return KeyPermissions(frozenset(), complete=False)
        return KeyPermissions(frozenset({ExchangePermission.READ}), complete=False)

    async def _ask(self, request: Callable[[], Awaitable[T]]) -> T:
        give_up_at = self._waits.now() + self._patience.seconds
        try:
            async with asyncio.timeout(self._patience.seconds):
                return await self._attempts(request, give_up_at)
        except TimeoutError:
            raise ExchangeUnavailable(
                self.exchange, f"{self.name} did not answer in time; try again later."
            ) from None

    async def _attempts(self, request: Callable[[], Awaitable[T]], give_up_at: float) -> T:
        synchronised = False
        attempt = 0
        while True:
            await self._pass_gate(give_up_at)
            failure = await self._attempt(request)
            if not isinstance(failure, ExchangeFailure):
                return failure
            if isinstance(failure, ClocksDisagree):
                if synchronised:
                    raise failure
                await self._synchronise()
                synchronised = True
                continue
            attempt += 1
            again = isinstance(failure, ExchangeUnavailable) and not isinstance(failure, AnswerUnreadable)
            if not again or attempt >= self._patience.attempts:
                raise failure
            delay = self._waits.backoff(attempt - 1)
            if isinstance(failure, ExchangeBusy):
                delay += failure.retry_after or 0.0
            if self._waits.now() + delay > give_up_at:
                raise failure
            _log.info(
                "exchange_asked_again",
                exchange=self.exchange,
                failure=type(failure).__name__,
                delay=round(delay, 3),
            )
            await self._waits.sleep(delay)

    async def _pass_gate(self, give_up_at: float) -> None:
        remaining = self._gate.remaining()
        if self._waits.now() + remaining > give_up_at:
            raise self._busy(remaining)
        if remaining:
            await self._waits.sleep(remaining)

    async def _attempt(self, request: Callable[[], Awaitable[T]]) -> T | ExchangeFailure:
        ccxt = load_errors()
        closings = self._gate.closings
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

    async def _synchronise(self) -> None:
        answer = await self._attempt(self._ccxt.load_time_difference)
        if isinstance(answer, ExchangeFailure):
            raise answer
        _log.info("exchange_clock_set", exchange=self.exchange, skew_ms=self.clock_skew)

    def _busy(self, retry_after: float | None) -> ExchangeBusy:
        when = f"in {max(1, round(retry_after))} seconds" if retry_after else "later"
        return ExchangeBusy(
            self.exchange, f"{self.name} asks us to slow down; try again {when}.", retry_after
        )
