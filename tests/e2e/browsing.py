"""A browser that uses the pages of a running server, driven by `conformance/browse.mjs`."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.chromium import find_chromium
from tests.e2e.launched import Launched

_CONFORMANCE = Path(__file__).parents[2] / "conformance"
PICTURES = os.environ.get("PICTURES")
"""Where to save screenshots; None for no screenshots."""


def reason_not_to() -> str | None:
    """Return why this machine cannot run it; None if it can."""
    if find_chromium() is None:
        return "no Chromium on this machine"
    if shutil.which("node") is None:
        return "no node on this machine"
    if not (_CONFORMANCE / "node_modules" / "playwright-core").is_dir():
        return "run npm ci in conformance/ first"
    return None


def browse(server: Launched) -> list[str]:
    """Do all steps as the demo user; return what they say, after asserting that nothing went wrong."""
    executable = find_chromium()
    assert executable is not None
    pictures = [str(Path(PICTURES).resolve())] if PICTURES else []
    done = subprocess.run(
        ["node", "browse.mjs", server.url, "demo", server.password, executable, *pictures],
        capture_output=True,
        text=True,
        cwd=_CONFORMANCE,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()
