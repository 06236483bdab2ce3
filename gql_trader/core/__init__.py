"""Vocabulary every other package shares: ids, errors, time, money, intervals. No third-party I/O."""
