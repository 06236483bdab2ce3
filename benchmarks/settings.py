"""Measure reading and updating trading settings, as the server sees them: a whole request, without a network.

Run ``python -m benchmarks.settings`` from the repository; it starts servers of its own in a temporary
directory, which wait for the disk at each commit as in production. The aim: reading below 20 ms, updating
below 50 ms.
"""

import asyncio
import logging
import statistics
import time
from typing import Any

import httpx
import structlog
from rich.console import Console
from rich.table import Table

from benchmarks.own_servers import access_token, own_servers
from gql_trader.accounts import service
from gql_trader.accounts.types import SignupSpec
from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.core.actor import Role
from gql_trader.runtime import Runtime, open_runtime

REPEATS = 200
_FIELDS = """
    maxOpenTrades stakeCurrency stakeAmount { __typename } tradableBalanceRatio tradingMode marginMode dryRun
    dryRunWallet timeframe minimalRoi stoploss trailingStop trailingStopPositive trailingStopPositiveOffset
    fiatDisplayCurrency botName exchange { name keyMasked secretSet pairWhitelist pairBlacklist }
    telegram { enabled tokenSet chatId } isDefault updatedAt
"""
READ = f"query {{ me {{ settings {{ {_FIELDS} }} }} }}"
COMPLETE = "query { me { settings { freqtradeConfig } } }"
UPDATE = f"""mutation($input: UpdateSettingsInput!) {{
    updateSettings(input: $input) {{ settings {{ {_FIELDS} }} changes {{ field old new }} errors {{ code }} }}
}}"""
PREFERENCES = """mutation($input: UpdatePreferencesInput!) {
    updatePreferences(input: $input) { preferences { theme defaultCapital } errors { code } }
}"""


async def _token(runtime: Runtime) -> str:
    async with runtime.unit_of_work() as uow:
        spec = SignupSpec("ada", "ada@example.com", "Correct-horse-9-battery")
        user = await service.create_user(uow, runtime.passwords, spec, Role.TRADER)
    return await access_token(runtime, user.id)


def _inputs(name: str, number: int) -> dict[str, Any] | None:
    match name:
        case "updateSettings, two fields":
            return {"maxOpenTrades": number % 50, "stoploss": -0.01 - number / 1000}
        case "updateSettings, with secrets":
            return {"exchange": {"key": f"AbCdEfGhIjKlMnOp{number}", "secret": f"secret-{number}"}}
        case "updateSettings, preview":
            return {"maxOpenTrades": number % 50, "preview": True}
        case "updatePreferences":
            return {"defaultCapital": str(1000 + number)}
        case _:
            return None


async def _run(settings: Settings) -> list[tuple[str, float, float]]:
    async with open_runtime(settings) as runtime:
        app = create_app(settings, runtime)
        headers = {"authorization": f"Bearer {await _token(runtime)}"}
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://benchmark") as client:
            results = []
            for name, query in (
                ("read", READ),
                ("read freqtradeConfig", COMPLETE),
                ("updateSettings, two fields", UPDATE),
                ("updateSettings, with secrets", UPDATE),
                ("updateSettings, preview", UPDATE),
                ("updatePreferences", PREFERENCES),
            ):
                durations = []
                for number in range(REPEATS):
                    body = {"query": query, "variables": {"input": _inputs(name, number)}}
                    begin = time.perf_counter()
                    response = await client.post("/graphql", json=body, headers=headers)
                    durations.append((time.perf_counter() - begin) * 1000)
                    assert "errors" not in response.json(), response.text
                    [payload] = response.json()["data"].values()
                    assert payload.get("errors", []) == [], payload
                results.append(
                    (name, statistics.median(durations), statistics.quantiles(durations, n=20)[-1])
                )
            return results


def main() -> None:
    """Print a table of medians."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with own_servers() as settings:
        results = asyncio.run(_run(settings))
    table = Table("request", "ms (median)", "ms (95 %)", title=f"settings, {REPEATS} requests each")
    for name, median, slow in results:
        table.add_row(name, f"{median:.1f}", f"{slow:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
