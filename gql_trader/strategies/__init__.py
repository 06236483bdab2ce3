"""Strategies: built-in ones and those that users write in the rule language."""
