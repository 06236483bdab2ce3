"""The tools by which the GraphQL community judges a server, run against the product."""

import asyncio
import shutil
from pathlib import Path

import pytest

from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.runtime import Runtime
from tests.graphql_client import serve

CONFORMANCE = Path(__file__).parents[2] / "conformance"


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")
@pytest.mark.skipif(not (CONFORMANCE / "node_modules").is_dir(), reason="run npm ci in conformance/ first")
async def test_graphql_https_audits_and_graphql_wss_client(settings: Settings, runtime: Runtime) -> None:
    async with serve(create_app(settings, runtime)) as server:
        process = await asyncio.create_subprocess_exec(
            "node",
            "audit.mjs",
            f"http://{server.address}/graphql",
            cwd=CONFORMANCE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    assert output.splitlines()[-2:] == [
        "GraphQL over HTTP: 61 of 61 audits passed",
        "graphql-transport-ws: 3 of 3 checks passed",
    ]
