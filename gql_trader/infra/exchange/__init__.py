"""The one way to exchanges: every request to one goes through `Exchanges`; only this package knows ccxt."""
