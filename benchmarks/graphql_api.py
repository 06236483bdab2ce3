"""What the GraphQL layer costs, against plain Strawberry on the same schema and data.

Usage: python -m benchmarks.graphql_api [--repeats 7]

Each line is one operation executed in-process, without a network or a database: the median of interleaved
repeats, plain Strawberry's time, ours, and the ratio. "plain" is `strawberry.asgi.GraphQL` over a schema
of the same types with Strawberry's defaults; "cached" is the same with its parser and validation caches.
Requests go through the whole ASGI application in all three cases: parsing the body, executing, writing.
"""

import argparse
import asyncio
import gc
import json
import statistics
import time
from typing import Any

import strawberry
from starlette.types import ASGIApp, Message
from strawberry.asgi import GraphQL
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig

from gql_trader.gql.api import GraphQLApi
from gql_trader.gql.context import Context
from gql_trader.gql.http import HttpEndpoint
from gql_trader.gql.scalars import SCALARS
from tests.factories.toy_schema import ToyQuery, ToyServices, authenticate, make_row, toy_schema

OPERATIONS = [
    ("one field", 1, "{ hello }"),
    ("one object, 5 fields", 1, "{ row { id number ratio text good } }"),
    ("50 rows × 10 fields", 50, "{ rows { id number ratio text good colour price time day maybe } }"),
    ("1,000 rows × 5 fields", 1000, "{ rows { id number ratio text good } }"),
    ("1,000 rows × 6, scalars", 1000, "{ rows { id number ratio time price colour } }"),
    ("5,000 rows × 6 floats", 5000, "{ rows { a: ratio b: ratio c: ratio d: ratio e: ratio f: ratio } }"),
    ("100 rows × 4 and a loader", 100, "{ rows { id number text maker { name } } }"),
]


class Plain(GraphQL[Context, None]):
    """Strawberry's own integration, with the toy's context."""

    services = ToyServices()

    async def get_context(self, request: Any, response: Any) -> Context:
        return Context(self.services, "request")  # type: ignore[arg-type]


def applications(services: ToyServices) -> dict[str, ASGIApp]:
    """Return the three contenders over the same resolvers and rows."""
    Plain.services = services
    config = StrawberryConfig(scalar_map=SCALARS)
    plain = strawberry.Schema(ToyQuery, config=config)
    cached = strawberry.Schema(
        ToyQuery, config=config, extensions=[lambda: ParserCache(100), lambda: ValidationCache(100)]
    )
    ours = HttpEndpoint(GraphQLApi(toy_schema()), lambda: services, authenticate)  # type: ignore[arg-type, return-value]
    return {"plain": Plain(plain), "cached": Plain(cached), "ours": ours}


async def call(app: ASGIApp, body: bytes) -> bytes:
    """Send one request to an application in-process and return the body of its answer."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/graphql",
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"accept", b"application/json")],
        "server": ("localhost", 80),
        "client": ("localhost", 1),
    }
    answer: list[bytes] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        answer.append(message.get("body", b""))

    await app(scope, receive, send)
    return b"".join(answer)


async def measure(repeats: int) -> None:
    """Print the table."""
    print(f"{'operation':<28}{'plain':>10}{'cached':>10}{'ours':>10}{'ratio to plain':>16}{'to cached':>11}")
    for title, rows, query in OPERATIONS:
        contenders = applications(ToyServices(rows=[make_row(number) for number in range(rows)]))
        body = json.dumps({"query": query}).encode()
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(2):
            answers = [json.loads(await call(app, body)) for app in contenders.values()]
            assert all("errors" not in answer and answer == answers[0] for answer in answers), title
        calls = max(2, 1000 // (rows + 10))
        for _ in range(repeats):
            for name, app in contenders.items():
                started = time.perf_counter()
                for _ in range(calls):
                    await call(app, body)
                times[name].append((time.perf_counter() - started) / calls * 1000)
        plain, cached, ours = (statistics.median(times[name]) for name in ("plain", "cached", "ours"))
        print(
            f"{title:<28}{plain:>7.3f} ms{cached:>7.3f} ms{ours:>7.3f} ms"
            f"{plain / ours:>15.1f}×{cached / ours:>10.1f}×"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
    asyncio.run(measure(arguments.repeats))
