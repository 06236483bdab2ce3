"""Bots: strategies that trade a market bar after bar, on paper, live or over history; and trading by hand.

The domain's own files are as in every other. What they stand on, in the order in which they import:

- `by_hand`: sessions and orders of users that place each order themselves;
- `live`: what is sent to exchanges, and what is known of the accounts there;
- `ticks`: strategies that trade bars as they close, very many sessions at a time;
- `ledger`: the exact account of a session by hand, or live.
"""
