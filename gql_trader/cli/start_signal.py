"""What a launcher and its children tell each other: that one may begin, that one is ready."""

import os
import select
import time
from contextlib import suppress


class StartSignal:
    """The parent's end for children that import while the servers start.

    They get `read_fd` and wait until `give` is called.
    """

    def __init__(self) -> None:
        self.read_fd, self._write_fd = os.pipe()

    def give(self) -> None:
        """Let the child begin."""
        # A child that has died already is noticed by whoever watches it.
        try:
            os.write(self._write_fd, b"!")
        except BrokenPipeError:
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Close both ends; a child that still waits then exits."""
        for descriptor in (self.read_fd, self._write_fd):
            if descriptor >= 0:
                os.close(descriptor)
        self.read_fd = self._write_fd = -1


def await_start(start_fd: int | None) -> None:
    """Return when the parent gives the signal, at once if there is nothing to wait for.

    Raises
    ------
    SystemExit
        If the parent has gone.
    """
    if start_fd is None:
        return
    signal = os.read(start_fd, 1)
    os.close(start_fd)
    if not signal:
        raise SystemExit("the launcher is gone")


class ReadySignals:
    """The parent's ends for children that say by themselves when they are ready."""

    def __init__(self) -> None:
        self._read: dict[str, int] = {}
        self._awaited: set[str] = set()
        self._since = 0.0

    def open(self, name: str) -> int:
        """Expect a child to become ready; return the end to hand to it and close once it has started."""
        if (former := self._read.pop(name, None)) is not None:
            os.close(former)
        self._read[name], write_fd = os.pipe()
        if not self._awaited:
            self._since = time.monotonic()
        self._awaited.add(name)
        return write_fd

    @property
    def descriptors(self) -> list[int]:
        """What becomes readable when a child has something to say, or has ended."""
        return list(self._read.values())

    def look(self) -> float | None:
        """Take note of what the children have said.

        Returns
        -------
        float or None
            How many seconds it took, if all have become ready since the last look.
        """
        awaited = bool(self._awaited)
        for name, descriptor in list(self._read.items()):
            if select.select([descriptor], [], [], 0)[0]:
                # One that has ended says nothing, and is awaited until its successor is ready.
                if os.read(descriptor, 1):
                    self._awaited.discard(name)
                os.close(descriptor)
                del self._read[name]
        return time.monotonic() - self._since if awaited and not self._awaited else None

    def close(self) -> None:
        """Listen no more."""
        for descriptor in self._read.values():
            os.close(descriptor)
        self._read.clear()


def tell_ready(ready_fd: int | None) -> None:
    """Tell the parent that this process is ready, if it wants to know."""
    if ready_fd is None:
        return
    # A parent that has gone needs no answer.
    with suppress(BrokenPipeError):
        os.write(ready_fd, b"!")
    os.close(ready_fd)
