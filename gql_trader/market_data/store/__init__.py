"""The store of candles: months as compressed columns in PostgreSQL, and as arrays on this machine.

`saving` is the way in, `loading` the way out; `paging` reads only what a page lies in.
"""
