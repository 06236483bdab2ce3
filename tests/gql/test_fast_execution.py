"""The fast executor gives what graphql-core's own gives, on any query and any values."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
from graphql import ExecutionResult
from graphql.execution import Executor
from hypothesis import given, settings
from hypothesis import strategies as st
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from gql_trader.gql.api import GraphQLApi, Operation, Request
from gql_trader.gql.context import Context
from gql_trader.gql.fast_execution import FastExecutor
from gql_trader.gql.schema_builder import core_schema
from gql_trader.infra import json_codec
from tests.factories.toy_schema import Colour, Row, ToyServices, make_row, toy_schema

SCHEMA = toy_schema()
API = GraphQLApi(SCHEMA)

LEAVES = [
    "__typename", "id", "number", "ratio", "text", "good", "colour", "price", "time", "day", "anything",
    "tags", "maybe", "maybeColour", "maybePrice", "shouted", "shouted(times: 2)",
]  # fmt: skip
DIRECTIVES = ["", "", "", " @include(if: $yes)", " @skip(if: $yes)", " @include(if: $no)", " @skip(if: $no)"]
WEIRD: dict[str, list[Any]] = {
    "number": [None, True, 1.0, 1.5, 2**31, -(2**31), -(2**31) - 1, "7", ValueError("no number")],
    "ratio": [None, float("nan"), float("inf"), 3, 2**1100, "x", np.float64(1.5), Decimal("0.5")],
    "text": [None, 5, True, "", "é\u2028"],
    "good": [None, 1, 0, "yes"],
    "colour": [None, "r", "RED", "nothing", Colour.GREEN],
    "price": [None, Decimal("NaN"), "1.5", 2],
    "time": [None, datetime(2026, 1, 1), "2026-01-01"],
    "day": [None, "2026-01-01"],
    "anything": [None, {"a": [1]}, [], 0, RuntimeError("inside"), object()],
    "tags": [None, [], ["a", None], ("a", "b"), "ab", [1, 2], iter(["x"])],
    "maybe": [None, 1.25, float("nan"), 4],
    "maybe_colour": [None, Colour.RED, "g", 3],
    "maybe_price": [None, Decimal("1.50"), Decimal("1E+5"), object()],
}


class SpecialRow(Row):
    """A Python subclass, which is a Row as well."""


class NoRow:
    """Has a row's attributes, but is none."""

    def __init__(self) -> None:
        self.__dict__.update(make_row(3).__dict__)


class BrokenRow(Row):
    """A row with an attribute that fails."""

    def __getattribute__(self, name: str) -> Any:
        if name == "text":
            raise LookupError("the text is gone")
        return super().__getattribute__(name)


ROWS = st.lists(
    st.one_of(
        st.integers(0, 9).map(lambda number: lambda: make_row(number)),
        st.sampled_from(
            [(name, value) for name, values in WEIRD.items() for value in range(len(values))]
        ).map(lambda weird: lambda: _weird_row(*weird)),
        st.sampled_from([lambda: None, lambda: NoRow(), lambda: "row", lambda: ValueError("no row")]),
        st.sampled_from([SpecialRow, BrokenRow]).map(lambda kind: lambda: kind(**make_row(2).__dict__)),
    ),
    max_size=4,
)


def _weird_row(name: str, place: int) -> Row:
    row = make_row(1)
    value = WEIRD[name][place]
    setattr(row, name, iter(["x"]) if hasattr(value, "__next__") else value)
    return row


@st.composite
def selections(draw: st.DrawFn, depth: int = 2) -> str:
    """Return a selection set on Row."""
    parts = []
    for place in range(draw(st.integers(1, 6))):
        directive = draw(st.sampled_from(DIRECTIVES))
        kind = draw(st.sampled_from(["leaf"] * 6 + ["same", "maker", "inline", "spread"]))
        if kind == "leaf" or depth == 0:
            field = draw(st.sampled_from(LEAVES))
            plain = draw(st.booleans()) and "(" not in field
            parts.append(
                f"{field}{directive}" if plain else f"x{depth}{place}{_name(field)}: {field}{directive}"
            )
        elif kind == "same":
            parts.append(f"same{directive} {draw(selections(depth - 1))}")
        elif kind == "maker":
            parts.append(f"maker{directive} {{ name __typename }}")
        elif kind == "inline":
            on = draw(st.sampled_from(["on Row ", ""]))
            parts.append(f"...{on}{directive} {draw(selections(depth - 1))}".replace("...on", "... on"))
        else:
            parts.append(f"...F{directive}")
    return "{ " + " ".join(parts) + " }"


def _name(field: str) -> str:
    # Only the same field under the same alias can be merged.
    return "".join(letter for letter in field if letter.isalnum())


@st.composite
def documents(draw: st.DrawFn) -> str:
    roots = draw(
        st.lists(st.sampled_from(["rows", "sparseRows", "row"]), min_size=1, max_size=2, unique=True)
    )
    body = " ".join(f"{root} {draw(selections())}" for root in roots)
    fragment = " ".join(draw(st.lists(st.sampled_from(LEAVES[:-1]), min_size=1, max_size=4)))
    return (
        f"query($yes: Boolean = true, $no: Boolean = false) {{ {body} used: row {{ ...F }} "
        f"hello @include(if: $yes) @skip(if: $no) }} fragment F on Row {{ {fragment} }}"
    )


async def execute(kind: type[Executor[Any]], operation: Operation, services: ToyServices) -> ExecutionResult:
    executor = kind.build(
        core_schema(SCHEMA),
        operation.document.ast,
        context_value=Context(services, "request"),  # type: ignore[arg-type]
        raw_variable_values=operation.request.variables,
    )
    assert not isinstance(executor, list), executor
    result: Any = executor.execute_operation()
    if executor.is_awaitable(result):
        result = await result
    # Siblings of a failed field are settled in the background.
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)
    return result  # type: ignore[no-any-return]


def shown(result: ExecutionResult) -> tuple[bytes, list[Any]]:
    """Return the result as it would be written, keys in order, and the errors."""
    errors = [
        (each.message, each.path, each.locations, str(each.original_error)) for each in result.errors or ()
    ]
    return json_codec.dumps(_written(result.data)), errors


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _written(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_written(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else type(value).__name__


def prepared(document: str) -> Operation:
    operation = API.prepare(Request(document), "request")
    assert isinstance(operation, Operation), (document, operation.errors)
    return operation


@settings(max_examples=250, deadline=None)
@given(documents(), ROWS)
def test_results_and_errors_equal_graphql_cores(document: str, makers: list[Callable[[], Any]]) -> None:
    operation = prepared(document)

    async def both() -> list[tuple[bytes, list[Any]]]:
        return [
            # Made anew for each: an iterator among the values can be read only once.
            shown(
                await execute(kind, operation, ToyServices(rows=[make() for make in makers] or [make_row(1)]))
            )
            for kind in (StrawberryGraphQLCoreExecutionContext, FastExecutor)
        ]

    slow, fast = asyncio.run(both())
    assert fast == slow


async def test_the_schema_executes_with_it() -> None:
    assert SCHEMA.execution_context_class is FastExecutor


async def test_root_fields_of_events_are_not_mixed_up() -> None:
    # Field sets of events are collected anew for each, and may be given the identity of an earlier one.
    services = ToyServices()
    context = Context(services, "request")  # type: ignore[arg-type]
    responses = [
        response.data async for response in API.subscribe(prepared("subscription { count(to: 50) }"), context)
    ]
    assert responses == [{"count": number} for number in range(1, 51)]


async def test_thousand_rows_take_a_fraction_of_the_time() -> None:
    services = ToyServices(rows=[make_row(number) for number in range(1000)])
    operation = prepared("{ rows { id number ratio text good } }")

    async def best(kind: type[Executor[Any]]) -> float:
        times = []
        for _ in range(3):
            started = time.perf_counter()
            await execute(kind, operation, services)
            times.append(time.perf_counter() - started)
        return min(times)

    assert await best(FastExecutor) < await best(StrawberryGraphQLCoreExecutionContext) / 5
