"""A self-hosted, multi-user GraphQL API server for trading strategies, backtests and bots."""

__version__ = "0.1.0"
