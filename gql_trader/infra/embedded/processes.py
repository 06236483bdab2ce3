"""Child processes that stop with their parent, and the ones an earlier parent left behind."""

import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gql_trader.infra.embedded.errors import EmbeddedServerError
from gql_trader.infra.embedded.identity import ON_LINUX, Identity

_POLL_SECONDS = 0.01
_PR_SET_PDEATHSIG = 1
_LOG_KEEP_BYTES = 16 * 1024**2


@dataclass(slots=True)
class Child:
    """A started process, its log and the signal that asks it to stop."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path
    stop_signal: signal.Signals

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code (negative: the signal that ended it), or None while it runs."""
        return self.process.poll()

    def wait_ready(self, probe: Callable[[], bool], seconds: float) -> None:
        """Return once ``probe`` says True.

        Raises
        ------
        EmbeddedServerError
            If the process exits before, or is not ready in time; the message ends with its log's tail.
        """
        deadline = time.monotonic() + seconds
        while True:
            code = self.exit_code
            if code is not None:
                raise EmbeddedServerError(f"{self.name} exited with {code}\n{self.log_tail()}")
            if probe():
                return
            if time.monotonic() > deadline:
                raise EmbeddedServerError(f"{self.name} was not ready in {seconds:g} s\n{self.log_tail()}")
            time.sleep(_POLL_SECONDS)

    def stop(self, seconds: float) -> bool:
        """Ask the process to stop and kill it if it has not within ``seconds``; say if it obeyed."""
        self.ask_to_stop()
        return self.wait_or_kill(seconds)

    def ask_to_stop(self) -> None:
        """Send the process its signal, if it runs."""
        if self.exit_code is None:
            self.process.send_signal(self.stop_signal)

    def wait_or_kill(self, seconds: float) -> bool:
        """Wait for the end, kill the process after ``seconds``; say if that was not needed."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False
        return True

    def log_tail(self, lines: int = 12) -> str:
        """Return where the log is and its last lines."""
        with suppress(FileNotFoundError):
            tail = self.log.read_bytes()[-8192:].decode(errors="replace").splitlines()[-lines:]
            return "\n".join([f"({self.log})", *tail])
        return f"({self.log})"


def spawn(
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path,
    stop_signal: signal.Signals = signal.SIGTERM,
    cwd: Path | None = None,
    identity: Identity | None = None,
    environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Child:
    """Start a child in a session of its own, with its output appended to a log.

    The session keeps a terminal's Ctrl-C from reaching the children before the parent has decided in
    which order they stop. On Linux the kernel sends ``stop_signal`` should the parent die first.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_KEEP_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 -- commands are built here, never from user input
            [os.fspath(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=dict(environment) if environment is not None else None,
            start_new_session=True,
            pass_fds=pass_fds,
            preexec_fn=_stop_with_parent(stop_signal),
            **(identity or Identity()).popen_arguments(),
        )
    return Child(name, process, log, stop_signal)


def _stop_with_parent(stop_signal: signal.Signals) -> Callable[[], None] | None:
    if not ON_LINUX:
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()
    number = int(stop_signal)

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return arrange


def start_moment(pid: int) -> str | None:
    """Return a mark that tells this process from a later one with the same id; None if it is gone."""
    if ON_LINUX:
        try:
            # The command may hold spaces and brackets; after its last ")" field 3 (the state) follows.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else fields[19]
    answer = subprocess.run(  # noqa: S603
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],  # noqa: S607 -- in /bin on every Unix
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return None if not answer or answer.startswith("Z") else answer.split(maxsplit=1)[1]


class ChildRegister:
    """The running children on disk, so that the next launcher finds those a killed one left behind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, tuple[int, str, int]] = {}

    def add(self, child: Child) -> None:
        """Record a child that was just started."""
        moment = start_moment(child.pid)
        if moment is not None:
            self._entries[child.name] = (child.pid, moment, int(child.stop_signal))
            self._write()

    def remove(self, name: str) -> None:
        """Forget a child that has ended."""
        if self._entries.pop(name, None) is not None:
            self._write()

    def stop_leftovers(self, seconds: float) -> list[str]:
        """Stop what an earlier launcher started and did not stop; return their names.

        A process is taken for a leftover only if its id *and* its moment of start are the recorded
        ones, so that a foreign process which has got the same id since is left alone.
        """
        try:
            recorded = json.loads(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return []
        alive = [
            (name, pid, moment, number)
            for name, (pid, moment, number) in recorded.items()
            if start_moment(pid) == moment
        ]
        for _, pid, _, number in alive:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + seconds
        for _, pid, moment, _ in alive:
            while start_moment(pid) == moment:
                if time.monotonic() > deadline:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                time.sleep(_POLL_SECONDS)
        self._path.unlink(missing_ok=True)
        return [name for name, *_ in alive]

    def _write(self) -> None:
        temporary = self._path.with_name(f"{self._path.name}.new")
        temporary.write_text(json.dumps(self._entries))
        temporary.replace(self._path)
