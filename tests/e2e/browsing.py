"""A browser that uses the pages of a running server, driven by `conformance/browse.mjs`."""

import base64
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from gql_trader.infra.one_time_passwords import code_at, time_step
from tests.chromium import find_chromium
from tests.e2e.launched import Launched

_ROOT = Path(__file__).parents[2]
_CONFORMANCE = _ROOT / "conformance"
_PICTURES = os.environ.get("PICTURES")
"""Where to save screenshots; None for no screenshots."""
_ADMIN, _PASSWORD = "keeper", "Nine-Brass-Lanterns-4"


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
    """Do all steps as the demo user and an administrator; return them, after asserting that all went well."""
    given = {
        "server": server.url,
        "chromium": find_chromium(),
        "user": {"username": "demo", "password": server.password},
        "admin": {"username": _ADMIN, "password": _PASSWORD, "totpCode": _administrator(server)},
        "pictures": _PICTURES and str(Path(_PICTURES).resolve()),
    }
    done = subprocess.run(
        ["node", "browse.mjs", json.dumps(given)],
        capture_output=True,
        text=True,
        cwd=_CONFORMANCE,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def _administrator(server: Launched) -> str:
    """Make an administrator with a second factor; return a code of it that is good for half a minute."""
    made = subprocess.run(
        [
            *(sys.executable, "-m", "gql_trader", "users", "create", "--username", _ADMIN, "--role", "admin"),
            *("--email", "keeper@example.com", "--password-stdin", "--data-dir", str(server.data_dir)),
        ],
        input=_PASSWORD,
        capture_output=True,
        text=True,
        cwd=_ROOT,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    login = "mutation($input: LoginInput!) { login(input: $input) { accessToken } }"
    token = server.graphql(login, input={"login": _ADMIN, "password": _PASSWORD})["login"]["accessToken"]
    begin = "mutation($given: String!) { beginTotpEnrollment(input: {password: $given}) { otpauthUri } }"
    address = server.graphql(begin, token, given=_PASSWORD)["beginTotpEnrollment"]["otpauthUri"]
    text = parse_qs(urlsplit(address).query)["secret"][0]
    secret = base64.b32decode(text + "=" * (-len(text) % 8))
    # No code is good twice: that of the step before enrols, that of the next one is left for signing in.
    step = time_step(datetime.now(UTC))
    confirm = "mutation($code: String!) { confirmTotp(input: {code: $code}) { errors { message } } }"
    assert server.graphql(confirm, token, code=code_at(secret, step - 1))["confirmTotp"]["errors"] == []
    return code_at(secret, step + 1)
