"""Figures over a user's sessions: profit, equity, days and trades."""
