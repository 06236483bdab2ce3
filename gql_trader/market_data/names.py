"""Markets as people write them."""


def split_name(name: str) -> tuple[str | None, str]:
    """Return the venue, None if it is not said, and the pair of ``coinbase:BTC/USD``, as they are stored."""
    venue, separator, pair = name.strip().rpartition(":")
    return (venue.strip().lower() if separator else None), pair.strip().upper()
