"""How long mails are tried."""

from datetime import timedelta

LEASE_SECONDS = 120.0
"""A worker that has not finished with a mail by then is taken for dead."""

RETRY_SECONDS = (10.0, 60.0, 300.0, 1800.0, 7200.0, 21_600.0, 43_200.0)
"""Pauses after each attempt; when there are no more, the mail has failed."""

FAILED_KEPT = timedelta(days=30)
"""How long the operator can see what could not be delivered."""

STALE_RESET = timedelta(minutes=30)
"""Whoever asked for a link this long ago has given up waiting, or asked again."""
