"""What may come of handing something to another server, whatever the protocol."""


class NotDeliveredError(Exception):
    """It was not taken over; trying again may help.

    Parameters
    ----------
    reason
        For the operator; no secret is in it.
    retry_after
        Seconds that the server asks to wait; None if it does not say.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class RefusedError(Exception):
    """The server refuses it for good, or must not be spoken to."""
