"""ccxt's errors in our own types, with what the exchange says and without what was sent to it."""

import json
import re
from typing import Any

from gql_trader.infra.exchange.errors import (
    AlreadySo,
    CredentialsRefused,
    DuplicateOrder,
    ExchangeBusy,
    ExchangeFailure,
    ExchangeUnavailable,
    InsufficientFunds,
    NotOffered,
    OrderMissing,
    OrderRejected,
    PermissionMissing,
    RequestRefused,
    UnknownMarket,
)
from gql_trader.infra.exchange.loading import load_errors
from gql_trader.infra.exchange.records import Credentials

_LONGEST_REASON = 200
# Where exchanges put what they have to say.
_REASONS = ("msg", "message", "retMsg", "error_description", "errorMessage", "error", "errors")
# ccxt has one error for what a key may not do, and for where it may not be used from.
_ADDRESS = re.compile(r"\bip\b", re.IGNORECASE)
_NOT_LISTED = re.compile(r"\bip\b.*\bwhite[ -]?list", re.IGNORECASE)
_NOT_FOUND = re.compile(r" 404 ")
# Binance's -1006 and -1007, which ccxt takes for refusals on some of its markets.
_UNKNOWN = re.compile(r"(execution|send) status unknown", re.IGNORECASE)


class CannotSign(Exception):
    """The secret has not the form that the exchange's signatures need."""


def translate(error: Exception, exchange: str, name: str, credentials: Credentials | None) -> ExchangeFailure:
    """Return what an error of ccxt means.

    Parameters
    ----------
    exchange
        The exchange's id.
    name
        Its name for people.
    credentials
        What was sent, so that it is not repeated.
    """
    if isinstance(error, CannotSign):
        return CredentialsRefused(exchange, f"The secret has not the form that {name} needs.")
    ccxt = load_errors()
    said = reason(error, exchange, credentials)
    more = f": {said}" if said else "."
    # From the special to the general: ccxt's classes inherit from one another.
    if isinstance(error, ccxt.PermissionDenied) and said and _ADDRESS.search(said):
        # A key that is tied to other addresses opens nothing from here.
        return CredentialsRefused(exchange, f"{name} refused the key{more}")
    if isinstance(error, ccxt.PermissionDenied | ccxt.AccountNotEnabled):
        return PermissionMissing(exchange, f"{name} does not allow this key to do that{more}")
    if isinstance(error, ccxt.AuthenticationError):
        return CredentialsRefused(exchange, f"{name} refused the key{more}")
    if isinstance(error, ccxt.RateLimitExceeded | ccxt.DDoSProtection):
        return ExchangeBusy(exchange, f"{name} asks us to slow down; try again later.")
    if isinstance(error, ccxt.RequestTimeout) or _UNKNOWN.search(str(error)):
        return ExchangeUnavailable(exchange, f"{name} did not answer in time; try again later.")
    if isinstance(error, ccxt.ExchangeNotAvailable) and _NOT_FOUND.search(str(error)):
        return NotOffered(exchange, f"{name} has no such function at its address.")
    if isinstance(error, ccxt.OperationFailed) or _was_cut_off(error):
        message = f"{name} cannot be reached or is out of order; try again later."
        return ExchangeUnavailable(exchange, message, sent=not _never_connected(error))
    if isinstance(error, ccxt.NotSupported):
        return NotOffered(exchange, f"{name} does not offer this.")
    if isinstance(error, ccxt.BadSymbol):
        return UnknownMarket(exchange, f"{name} has no such market{more}")
    if isinstance(error, ccxt.NoChange):
        return AlreadySo(exchange, f"Nothing changes at {name}{more}")
    if isinstance(error, ccxt.InsufficientFunds):
        return InsufficientFunds(exchange, f"There is not enough in the account at {name}{more}")
    if isinstance(error, ccxt.OrderNotFound | ccxt.OrderNotCached):
        return OrderMissing(exchange, f"{name} has no such order{more}")
    if isinstance(error, ccxt.DuplicateOrderId) or (said and said.startswith("Duplicate order")):
        return DuplicateOrder(exchange, f"{name} has this order already{more}")
    if isinstance(error, ccxt.InvalidOrder):
        return OrderRejected(exchange, f"{name} does not take this order{more}")
    if said and _NOT_LISTED.search(said):
        # Binance's -1005, which ccxt knows on some of its markets only.
        return CredentialsRefused(exchange, f"{name} refused the key{more}")
    return RequestRefused(exchange, f"{name} refused the request{more}")


def reason(error: Exception, exchange: str, credentials: Credentials | None) -> str | None:
    """Return what the exchange said of a refusal; None if it cannot be told from what ccxt says.

    ccxt's texts may hold the address that was called, with key and signature; only the exchange's own words
    are taken from them.
    """
    text = str(error)
    start = text.find("{")
    found: str | None = None
    if start >= 0:
        try:
            answer, _ = json.JSONDecoder().raw_decode(text[start:])
        except ValueError:
            return None
        found = _said(answer)
    elif "://" not in text and text.startswith(f"{exchange} "):
        found = text.removeprefix(f"{exchange} ")
    if not found:
        return None
    found = credentials.hide(found) if credentials else found
    plain = " ".join("".join(each if each.isprintable() else " " for each in found).split())
    return f"{plain[:_LONGEST_REASON]}…" if len(plain) > _LONGEST_REASON else plain


def _never_connected(error: Exception) -> bool:
    import aiohttp

    return isinstance(error.__cause__, aiohttp.ClientConnectorError)


def _was_cut_off(error: Exception) -> bool:
    # A connection that breaks within the answer is no network error to ccxt, but a refusal. By now aiohttp
    # has come with ccxt; a process that talks to no exchange does not need it.
    import aiohttp

    return isinstance(error.__cause__, aiohttp.ClientError)


def _said(answer: Any) -> str | None:
    if isinstance(answer, str):
        return answer
    if isinstance(answer, list):
        return next((said for each in answer if (said := _said(each))), None)
    if isinstance(answer, dict):
        return next((said for name in _REASONS if (said := _said(answer.get(name)))), None)
    return None
