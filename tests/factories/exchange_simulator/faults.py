"""What may go wrong with an exchange, to be injected by path."""

import asyncio
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Refusal:
    """Answer with an error of HTTP, without doing what was asked.

    Attributes
    ----------
    body
        As it is; Binance's proxies answer in HTML.
    """

    status: int
    retry_after: str | None = None
    body: str = "<html><body>the service is out of order</body></html>"
    done: bool = False
    """Do what was asked, and answer with the error all the same."""


@dataclass(frozen=True)
class Hang:
    """Never answer."""

    done: bool = False
    """Do what was asked first."""


@dataclass(frozen=True)
class CutOff:
    """Break the connection in the middle of the answer."""

    done: bool = False
    """Do what was asked first."""


@dataclass(frozen=True)
class Pause:
    """Answer once the test lets it.

    Attributes
    ----------
    arrived
        Set when the request is there.
    released
        To be set by the test.
    """

    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)


Failure = Refusal | Hang | CutOff
Fault = Failure | Pause


@dataclass
class Faults:
    """Faults that wait for a request to their path, or to one with its method before it: ``POST /order``."""

    waiting: dict[str, list[Fault]] = field(default_factory=dict)

    def add(self, path: str, fault: Fault, times: int = 1) -> None:
        """Let the next requests to a path fail."""
        self.waiting.setdefault(path, []).extend([fault] * times)

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault for a request to a path."""
        waiting = self.waiting.get(f"{method} {path}") or self.waiting.get(path)
        return waiting.pop(0) if waiting else None
