"""The simulation, compiled.

It is written twice over. `bar` does one bar exactly as the document orders it; it is the truth. Around it
`scans` passes over bars on which nothing can fill, which are nearly all, with the same arithmetic in
registers. Everything that outlives a bar is in two flat arrays, so that a chunk may end after any bar. Prices
are compared after multiplication by the side (1.0 long, −1.0 short), which is exact, so that one line serves
both sides: `side * price` grows as the trader gains.

A constant handed to a helper is wrapped in `np.int64` first, since numba compiles a helper anew for each
literal.
"""
