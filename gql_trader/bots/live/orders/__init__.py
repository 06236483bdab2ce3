"""Live orders: placed, claimed by a worker, sent once, followed to their end."""
