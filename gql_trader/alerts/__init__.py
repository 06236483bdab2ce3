"""Conditions in the rule language that users are told of when they come true."""
