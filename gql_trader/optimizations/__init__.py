"""Parameter searches: what is asked for, how it is spread over workers, and what came of it."""
