"""The exact account of a session by hand, or live: what fills do to it, and how it is stored."""
