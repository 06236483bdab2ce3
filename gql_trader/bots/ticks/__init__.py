"""Strategies that trade bars as they close.

`shards` are what workers share among themselves; `ticking` trades one with the pure functions of `stepping`,
`hearing` keeps what strategies go on saying, `booking` writes what came of it in bulk, `marking` looks at
positions between the closes.
"""
