"""Backtests: requesting, running, storing and following them."""
