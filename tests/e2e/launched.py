"""`gql-trader up` as a process, for tests of the whole thing."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

_ROOT = Path(__file__).parents[2]
_READY_SECONDS = 90
_ADDRESS = re.compile(r"(http://\S+)/graphql")
_PASSWORD = re.compile(r"password (\S+)")


@dataclass
class Launched:
    """A running launcher.

    ``prefix`` goes before the command, ``python`` is the interpreter it runs with, ``variables`` are added
    to its environment. With ``hangs_up`` its output is closed once it is ready, as by a closed terminal.
    """

    data_dir: Path
    arguments: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    python: str = sys.executable
    variables: dict[str, str] = field(default_factory=dict)
    hangs_up: bool = False
    process: "subprocess.Popen[str]" = field(init=False)
    output: list[str] = field(default_factory=list)

    def start(self) -> "Launched":
        """Start it and return when it says that it is ready."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("DATABASE_URL", "REDIS_URL", "ENV", "GQL_TRADER_DATA_DIR")
        }
        self.process = subprocess.Popen(
            [
                *self.prefix,
                self.python,
                *("-m", "gql_trader", "up", "--port", "0", "--data-dir", str(self.data_dir)),
                *self.arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=_ROOT,
            env={**environment, **self.variables},
        )
        reader = threading.Thread(target=self._read, daemon=True)
        self._ready = threading.Event()
        reader.start()
        assert self._ready.wait(_READY_SECONDS), self.text
        assert "Ctrl-C" in self.text, self.text
        return self

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            if "Ctrl-C" in line:
                if self.hangs_up:
                    self.process.stdout.close()
                    break
                self._ready.set()
        self._ready.set()

    @property
    def text(self) -> str:
        """All it has printed."""
        return "".join(self.output)

    @property
    def url(self) -> str:
        """Where it serves, as it has printed."""
        match = _ADDRESS.search(self.text)
        assert match is not None
        return match[1]

    @property
    def password(self) -> str:
        """The demo user's password, as it has printed."""
        match = _PASSWORD.search(self.text)
        assert match is not None
        return match[1]

    def graphql(self, query: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
        """Run an operation; return its data, after asserting that there are no errors."""
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {}),
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            body = json.load(answer)
        assert "errors" not in body, body
        data: dict[str, Any] = body["data"]
        return data

    def log_in(self) -> str:
        """Return an access token of the demo user."""
        answer = self.graphql(
            'mutation($password: String!) { login(input: {login: "demo", password: $password})'
            " { accessToken errors { message } } }",
            password=self.password,
        )["login"]
        assert answer["errors"] == []
        token: str = answer["accessToken"]
        return token

    def family(self) -> list[psutil.Process]:
        """Return every process started below the launcher, and the launcher."""
        launcher = psutil.Process(self.process.pid)
        return [launcher, *launcher.children(recursive=True)]

    def child(self, *words: str) -> psutil.Process:
        """Return the launcher's child with these words in its command line."""
        for process in psutil.Process(self.process.pid).children():
            if all(word in " ".join(process.cmdline()) for word in words):
                return process
        raise AssertionError(f"no child with {words}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)
