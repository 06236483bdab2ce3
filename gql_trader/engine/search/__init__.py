"""Searching a strategy's parameters: the space of combinations, their evaluation, and what they prove."""
