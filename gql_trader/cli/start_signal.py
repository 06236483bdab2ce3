"""A child that is prepared before it may begin: it imports while the servers start, then waits."""

import os


class StartSignal:
    """The parent's end: children get `read_fd` and wait until `give` is called."""

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
