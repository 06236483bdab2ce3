"""Live feeds: candles that are stored as they close, and the bars that are under way.

`states` says which feeds are wanted and who brings them in, `jobs` and `jobs_streams` do so from their
`sources`; `forming` and `following` are for who looks at them.
"""
