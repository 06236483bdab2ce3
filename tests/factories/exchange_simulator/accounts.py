"""Accounts of the simulated exchange: a key, what it may do, and what is in the wallet."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


class Rejection(Exception):
    """What the exchange answers instead of doing what was asked: Binance's code and message."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass
class Account:
    """One account with one key.

    Attributes
    ----------
    reading, trading, withdrawing, transferring
        What the key may do.
    free
        Funds that no order holds, by asset.
    """

    api_key: str
    secret: str
    reading: bool = True
    trading: bool = True
    withdrawing: bool = False
    transferring: bool = False
    free: dict[str, Decimal] = field(default_factory=dict)
    locked: dict[str, Decimal] = field(default_factory=dict)

    def check_signature(self, signed: str, signature: str | None) -> None:
        """Refuse unless the text was signed with the account's secret."""
        if signature is None:
            raise Rejection(
                -1102, "Mandatory parameter 'signature' was not sent, was empty/null, or malformed."
            )
        expected = hmac.new(self.secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, signature):
            raise Rejection(-1022, "Signature for this request is not valid.")

    def restrictions(self) -> dict[str, Any]:
        """Return what the key may do, as `apiRestrictions` tells it."""
        return {
            "ipRestrict": False,
            "createTime": 1_623_840_271_000,
            "enableReading": self.reading,
            "enableSpotAndMarginTrading": self.trading,
            "enableWithdrawals": self.withdrawing,
            "enableInternalTransfer": False,
            "permitsUniversalTransfer": self.transferring,
            "enableMargin": False,
            "enableFutures": False,
            "enableVanillaOptions": False,
        }

    def balances(self) -> list[Mapping[str, str]]:
        """Return the wallet."""
        return [
            {
                "asset": asset,
                "free": str(self.free.get(asset, Decimal(0))),
                "locked": str(self.locked.get(asset, Decimal(0))),
            }
            for asset in sorted({*self.free, *self.locked})
        ]


def check_time(params: Mapping[str, str], now: int) -> None:
    """Refuse a request whose time is too far from the exchange's."""
    timestamp, window = int(params["timestamp"]), int(params.get("recvWindow", 5000))
    if timestamp > now + 1000:
        message = "Timestamp for this request was 1000ms ahead of the server's time."
        raise Rejection(-1021, message)
    if now - timestamp > window:
        raise Rejection(-1021, "Timestamp for this request is outside of the recvWindow.")
