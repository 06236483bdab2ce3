"""Bots: strategies that trade a market bar after bar, on paper, live or over history."""
