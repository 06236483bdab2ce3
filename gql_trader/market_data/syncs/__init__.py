"""Fetching candles from exchanges, a page at a time; a crash costs the page that was under way."""
