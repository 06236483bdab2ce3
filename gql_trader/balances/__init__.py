"""Balances by the clock: snapshots, days, heartbeats, and following them."""
