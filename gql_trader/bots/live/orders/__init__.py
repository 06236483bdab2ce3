"""Live orders: placed, claimed by a worker, sent once, followed to their end.

`states` has what may become of one. `placing` stores it, `claiming` gives it to a worker, `sending` is what
talks to its exchange, `answers` writes down what that has said and `filling` what it has filled; `following`
knows which are still looked for, and `unknown` tells of those of which nothing was heard for long.
"""
