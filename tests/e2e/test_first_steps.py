"""The first steps in examples/, taken as their READMEs say, all at once on one server."""

import asyncio
import os
import re
import shutil
import sys
from asyncio.subprocess import PIPE, STDOUT, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.infra.work import run_queues
from gql_trader.runtime import Runtime
from gql_trader.seeding import demo_password, seed
from tests.graphql_client import graphql_client, serve
from workers import backtests, bots

_EXAMPLES = Path(__file__).parents[2] / "examples"
_SECONDS = 60

WHAT_CAME_OF_THEM = """{
  me { apiTokens { label scopes } }
  strategies(first: 5) { nodes { slug } }
  backtests(first: 1) { totalCount nodes { bars ledger(first: 5) { totalCount nodes {
    number side entryPrice exitPrice profit exitReason
  } } } }
  bots { nodes { name session { profit trades { nodes { number side entryPrice exitPrice profit } } } } }
}"""


@dataclass(frozen=True)
class Program:
    """One of the examples: its command, in which directory, and what is missing here to run it."""

    language: str
    directory: str
    command: tuple[str, ...]
    missing: str | None = None


def _programs() -> list[Program]:
    absent = [name for name in ("bash", "curl", "jq") if shutil.which(name) is None]
    no_packages = not (_EXAMPLES / "typescript" / "node_modules").is_dir()
    typescript = (
        "no npm on this machine"
        if shutil.which("npm") is None
        else "run npm ci in examples/typescript first"
        if no_packages
        else None
    )
    return [
        Program("Python", "python", (sys.executable, "first_steps.py")),
        Program("TypeScript", "typescript", ("npm", "start", "--silent"), typescript),
        Program("curl", "curl", ("./first_steps.sh",), f"no {', '.join(absent)} here" if absent else None),
    ]


async def _run(program: Program, url: str, password: str) -> str:
    process = await create_subprocess_exec(
        *program.command,
        cwd=_EXAMPLES / program.directory,
        env=os.environ | {"GQL_TRADER_URL": url, "GQL_TRADER_PASSWORD": password},
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            output = (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output
    return output


@asynccontextmanager
async def _workers(settings: Settings, runtime: Runtime) -> AsyncIterator[None]:
    queues = [backtests.queue(settings), bots.queue(settings)]
    working = asyncio.create_task(run_queues(queues, settings.redis_url.get_secret_value(), runtime))
    try:
        yield
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


async def test_the_first_steps_are_the_same_in_every_language(
    settings: Settings, runtime: Runtime, subtests: pytest.Subtests
) -> None:
    await seed(settings, demo=True)
    password = demo_password(settings.data_dir)
    programs = _programs()
    taken = [program for program in programs if program.missing is None]
    app = create_app(settings, runtime)
    async with serve(app) as server, _workers(settings, runtime):
        url = f"http://{server.address}/graphql"
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(_run(program, url, password)) for program in taken]
    async with graphql_client(app) as client:
        demo = await client.log_in("demo", password)
        found = (await demo.execute(WHAT_CAME_OF_THEM)).data
    bots_of = {bot["name"]: bot["session"] for bot in found["bots"]["nodes"]}
    for program in programs:
        with subtests.test(program.language):
            if program.missing is not None:
                pytest.skip(program.missing)
            output = running[taken.index(program)].result()
            _says_what_the_server_says(output, found, bots_of[f"First steps {_in(program.language)}"])
    assert len(bots_of) == len(taken)
    assert {bot["profit"] for bot in bots_of.values()} == {bots_of["First steps in Python"]["profit"]}
    scopes = {each["label"]: each["scopes"] for each in found["me"]["apiTokens"]}
    assert scopes == {f"first steps {_in(each.language)}": ["READ", "BACKTEST", "TRADE"] for each in taken}


def _in(language: str) -> str:
    return "with curl" if language == "curl" else f"in {language}"


def _says_what_the_server_says(output: str, found: dict[str, Any], session: dict[str, Any]) -> None:
    # What comes before is told by the tools that build it.
    lines = output[output.index("Strategies: ") :].splitlines()
    assert lines[0] == "Strategies: " + ", ".join(each["slug"] for each in found["strategies"]["nodes"])
    assert lines[1] == "Markets: demo:BTC/USD, demo:ETH/USD"
    assert lines[2].removesuffix(", computed before") == "Backtest of 20000 bars"
    told = [int(percent) for percent in re.findall(r"^  [A-Z]+ (\d+) ?%$", output, re.MULTILINE)]
    assert told == sorted(told)
    assert told[-1] == 100
    ledger = found["backtests"]["nodes"][0]["ledger"]
    assert lines[lines.index(f"The first of {ledger['totalCount']} trades:") + 1 :][:5] == [
        "  {number} {side} {entryPrice} -> {exitPrice}: {profit} ({exitReason})".format(**each)
        for each in ledger["nodes"]
    ]
    closed = [
        "  Trade {number} ({side}) closed at {exitPrice}: {profit}".format(**each)
        for each in session["trades"]["nodes"]
    ]
    live = [line for line in lines if " closed at " in line]
    assert live
    assert set(live) <= set(closed)
    assert lines[-2:] == ["Bot STOPPED", f"Profit on paper: {session['profit']}"]
