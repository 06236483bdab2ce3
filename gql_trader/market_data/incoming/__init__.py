"""Candles from outside: files as they are, and the checks that everything passes before it is stored."""
