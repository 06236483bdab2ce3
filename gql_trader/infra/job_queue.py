"""Jobs over arq: enqueueing from the API, and a worker that starts them within a millisecond or two."""

from typing import Any


class JobTransportError(Exception):
    """The queue cannot be reached; the job is not enqueued."""


class JobQueue:
    """Hand jobs to the workers."""

    def __init__(self, url: str) -> None: ...

    async def enqueue(self, name: str, *arguments: Any, queue: str, key: str) -> bool:
        """Enqueue a job and wake a worker; return False if a job with this key waits or runs already.

        Raises
        ------
        JobTransportError
            If Redis is away; raised within about a second.
        """
        raise NotImplementedError

    async def waiting(self, queue: str, keys: list[str]) -> set[str]:
        """Return those keys whose jobs wait in the queue and have not been started."""
        raise NotImplementedError

    async def close(self) -> None: ...
