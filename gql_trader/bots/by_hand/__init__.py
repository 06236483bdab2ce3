"""Trading by hand: sessions, their orders, and what fills those on paper."""
