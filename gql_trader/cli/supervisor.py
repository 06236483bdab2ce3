"""Keep processes running until a signal says to stop."""

import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gql_trader.infra.embedded import Child
from gql_trader.infra.embedded.processes import ChildRegister

_PAUSES = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
_STEADY_SECONDS = 30.0
_LOOK_SECONDS = 5.0


@dataclass(slots=True)
class _Kept:
    start: Callable[[], Child]
    child: Child | None
    started_at: float
    failures: int = 0
    due_at: float | None = None


@dataclass
class Supervisor:
    """Start children, and start again those that end, with growing pauses.

    Parameters
    ----------
    register
        Where the children are recorded for the next launcher.
    report
        Told in words what happens.
    """

    register: ChildRegister
    report: Callable[[str], None]
    _kept: dict[str, _Kept] = field(default_factory=dict)

    def keep(self, name: str, start: Callable[[], Child], child: Child | None = None) -> Child:
        """Start a child, or take over one that was started, and keep it running from now on."""
        child = child or start()
        self.register.add(child)
        self._kept[name] = _Kept(start, child, time.monotonic())
        return child

    def look(self) -> float:
        """Restart what has ended and is due; return the seconds until the next look."""
        now = time.monotonic()
        wait = _LOOK_SECONDS
        for name, kept in self._kept.items():
            if kept.child is not None and kept.child.exit_code is not None:
                if now - kept.started_at > _STEADY_SECONDS:
                    kept.failures = 0
                pause = _PAUSES[min(kept.failures, len(_PAUSES) - 1)]
                self.report(f"{name} ended with {kept.child.exit_code}; see {kept.child.log}")
                self.register.remove(name)
                kept.child, kept.due_at, kept.failures = None, now + pause, kept.failures + 1
            if kept.due_at is not None and kept.due_at <= now:
                kept.child, kept.due_at, kept.started_at = kept.start(), None, now
                self.register.add(kept.child)
                self.report(f"{name} started again")
            if kept.due_at is not None:
                wait = min(wait, kept.due_at - now)
        return wait

    def stop(self, names: list[str], seconds: float) -> None:
        """Stop these children together and forget them; kill those that take longer than ``seconds``."""
        children = [kept.child for name in names if (kept := self._kept.pop(name, None)) and kept.child]
        for child in children:
            child.ask_to_stop()
        deadline = time.monotonic() + seconds
        for child in children:
            if not child.wait_or_kill(max(0.0, deadline - time.monotonic())):
                self.report(f"{child.name} did not stop in {seconds:g} s and was killed")
            self.register.remove(child.name)

    @property
    def names(self) -> list[str]:
        """Names of the children kept."""
        return list(self._kept)


class Signals:
    """Turns SIGINT, SIGTERM and the end of a child into something one can wait for."""

    def __init__(self) -> None:
        self.stop_requested = False
        self._read, self._write = socket.socketpair()
        for end in (self._read, self._write):
            end.setblocking(False)
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._request_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _request_stop(self, *_: object) -> None:
        self.stop_requested = True

    def wait(self, seconds: float, descriptors: Sequence[int] = ()) -> None:
        """Return at the next signal, when one of the descriptors can be read, or after ``seconds``."""
        if self.stop_requested:
            return
        ours = self._read.fileno()
        if ours in select.select([ours, *descriptors], [], [], max(0.0, seconds))[0]:
            self._read.recv(4096)
