"""Live bots: what strategies do with an account at an exchange.

`readying` compares the account first. At the `closes` of bars `deciding` says what the engine's `rules` ask
for, and `acting` does it with orders that are placed by `entering`; `stops` are held by the exchange through
`protection`. `watching` finds the bots that there is something to do for, `ending` lets them stop or fail.
"""
