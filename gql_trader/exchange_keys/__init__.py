"""Users' keys to exchanges: kept sealed, verified, rotated and deleted."""
