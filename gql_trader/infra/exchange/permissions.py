"""What a key may do, where the exchange tells: how it is asked, and how its answer is read.

Sources: the exchanges' own references of the functions named below. A permission that an exchange has no
word for is never listed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from gql_trader.infra.exchange.records import ExchangePermission

READ, TRADE = ExchangePermission.READ, ExchangePermission.TRADE
WITHDRAW, TRANSFER = ExchangePermission.WITHDRAW, ExchangePermission.TRANSFER

Allowed = frozenset[ExchangePermission]


@dataclass(frozen=True, slots=True)
class PermissionReader:
    """How to find out what a key may do.

    Attributes
    ----------
    method
        ccxt's method for the exchange's function.
    read
        Reads the answer.

    Raises
    ------
    LookupError, TypeError, AttributeError
        By ``read``, if the answer is not of the form that the exchange describes.
    """

    method: str
    read: Callable[[Any], Allowed]


def _binance(answer: Any) -> Allowed:
    trading = ("enableSpotAndMarginTrading", "enableFutures", "enablePortfolioMarginTrading")
    return _chosen(
        {
            READ: answer["enableReading"],
            TRADE: any(answer.get(name, False) for name in trading),
            WITHDRAW: answer["enableWithdrawals"],
            TRANSFER: answer.get("permitsUniversalTransfer") or answer.get("enableInternalTransfer"),
        }
    )


def _bybit(answer: Any) -> Allowed:
    result = answer["result"]
    granted = {each for group in result["permissions"].values() for each in group or ()}
    writes = int(result["readOnly"]) == 0
    trading = {"SpotTrade", "Order", "Position", "OptionsTrade", "DerivativesTrade"}
    return _chosen(
        {
            READ: True,
            TRADE: writes and bool(granted & trading),
            WITHDRAW: writes and "Withdraw" in granted,
            TRANSFER: writes and any(each.endswith(("Transfer", "TransferList")) for each in granted),
        }
    )


def _okx(answer: Any) -> Allowed:
    granted = set(answer["data"][0]["perm"].split(","))
    return _chosen({READ: "read_only" in granted, TRADE: "trade" in granted, WITHDRAW: "withdraw" in granted})


def _kraken(answer: Any) -> Allowed:
    granted = set(answer["result"]["permissions"])
    return _chosen(
        {
            READ: any(each.startswith("query-") for each in granted),
            TRADE: "modify-trades" in granted,
            WITHDRAW: "withdraw-funds" in granted,
        }
    )


def _coinbase(answer: Any) -> Allowed:
    # Transferring there is sending anywhere.
    return _chosen(
        {
            READ: answer["can_view"],
            TRADE: answer["can_trade"],
            WITHDRAW: answer["can_transfer"],
            TRANSFER: answer["can_transfer"],
        }
    )


def _chosen(each: Mapping[ExchangePermission, Any]) -> Allowed:
    # Some proxies and older versions spell truth as text.
    return frozenset(permission for permission, granted in each.items() if granted in (True, "true", "True"))


_BINANCE = PermissionReader("sapi_get_account_apirestrictions", _binance)
_BYBIT = PermissionReader("private_get_v5_user_query_api", _bybit)
_OKX = PermissionReader("private_get_account_config", _okx)

READERS: Mapping[str, PermissionReader] = MappingProxyType(
    {
        "binance": _BINANCE,
        "binancecoinm": _BINANCE,
        "binanceusdm": _BINANCE,
        "bybit": _BYBIT,
        "bybiteu": _BYBIT,
        "coinbase": PermissionReader("v3_private_get_brokerage_key_permissions", _coinbase),
        "kraken": PermissionReader("private_post_getapikeyinfo", _kraken),
        "myokx": _OKX,
        "okx": _OKX,
        "okxus": _OKX,
    }
)
"""By the exchange's id."""
