"""What may go wrong with an embedded server, in words for the person at the terminal."""


class EmbeddedServerError(Exception):
    """An embedded server cannot be found, started or recovered; the message says what to do."""
