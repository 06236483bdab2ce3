"""What exchanges are told and tell, in types of our own: exact decimals, no dictionaries of ccxt."""

from dataclasses import dataclass, field
from enum import StrEnum


class ExchangePermission(StrEnum):
    """What an exchange lets a key do."""

    READ = "READ"
    TRADE = "TRADE"
    WITHDRAW = "WITHDRAW"
    TRANSFER = "TRANSFER"


@dataclass(frozen=True, slots=True)
class KnownExchange:
    """An exchange that can be talked to.

    Attributes
    ----------
    id
        As ccxt names it, such as ``binance``.
    name
        For people.
    needs
        What it asks of an API key, in ccxt's words, such as ``apiKey``, ``secret``, ``password``.
    """

    id: str
    name: str
    needs: frozenset[str]

    @property
    def needs_passphrase(self) -> bool:
        """Whether its keys have a passphrase besides the secret."""
        return "password" in self.needs

    @property
    def needs_account_id(self) -> bool:
        """Whether it has to be told the account that a key belongs to."""
        return bool(self.needs & {"uid", "accountId"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API key with its secrets; its text form shows none of them.

    Attributes
    ----------
    api_key
        The key's public half; on exchanges that sign with a wallet, the wallet's address.
    secret
        What signs requests: a shared secret, or a private key in PEM or hexadecimal.
    """

    api_key: str = field(repr=False)
    secret: str = field(repr=False)
    passphrase: str | None = field(default=None, repr=False)
    account_id: str | None = field(default=None, repr=False)

    def for_ccxt(self, needs: frozenset[str]) -> dict[str, str]:
        """Return what ccxt is given, under its names."""
        given = {
            "apiKey": self.api_key,
            "walletAddress": self.api_key,
            "secret": self.secret,
            "privateKey": self.secret,
            "password": self.passphrase,
            "uid": self.account_id,
            "accountId": self.account_id,
        }
        return {name: value for name, value in given.items() if name in needs and value is not None}

    def hide(self, text: str) -> str:
        """Return a text without any of these, should an exchange have repeated one."""
        for secret in (self.api_key, self.secret, self.passphrase, self.account_id):
            if secret:
                text = text.replace(secret, "***")
        return text


@dataclass(frozen=True, slots=True)
class KeyPermissions:
    """What a key may do.

    Attributes
    ----------
    complete
        Whether the exchange told all; otherwise the key may do more than is listed.
    """

    allowed: frozenset[ExchangePermission]
    complete: bool
