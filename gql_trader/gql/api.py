"""Requests to responses, whatever the transport: prepare, execute, subscribe."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeGuard, cast

import strawberry
from graphql import ExecutionResult, GraphQLError, OperationDefinitionNode, OperationType, located_error
from graphql.execution import Executor, create_source_event_stream
from strawberry.execution import optimized_is_awaitable

from gql_trader.core.errors import RateLimited
from gql_trader.gql import nul
from gql_trader.gql.client import Client
from gql_trader.gql.context import Context, Services
from gql_trader.gql.cost import operation_cost
from gql_trader.gql.documents import Document, DocumentError, Documents
from gql_trader.gql.errors import ApiError
from gql_trader.gql.limits import Limits
from gql_trader.gql.masking import internal_error, present_errors, refusal
from gql_trader.gql.scalars import format_datetime
from gql_trader.gql.schema_builder import core_schema
from gql_trader.gql.scopes import refused_fields


@dataclass(frozen=True, slots=True)
class Request:
    """The parameters of a GraphQL request, by the GraphQL over HTTP specification."""

    query: str
    operation_name: str | None = None
    variables: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None


class MalformedRequestError(Exception):
    """The request's parameters are missing or of a wrong type; the message is for the client."""


def read_request(value: Any) -> Request:
    """Return the request in decoded JSON.

    Raises
    ------
    MalformedRequestError
        If it is not an object, or a parameter is missing or of a wrong type.
    """
    if isinstance(value, list):
        raise MalformedRequestError("Batches of requests are not supported; send one at a time.")
    if not isinstance(value, dict):
        raise MalformedRequestError("A request must be a JSON object with the key query.")
    query = value.get("query")
    if not isinstance(query, str) or not query.strip():
        raise MalformedRequestError("query must be a GraphQL document, as a string that is not empty.")
    if nul.document_has_nul(query):
        raise MalformedRequestError(nul.REFUSAL)
    name = value.get("operationName")
    if name is not None and not isinstance(name, str):
        raise MalformedRequestError("operationName must be a string or null.")
    for key in ("variables", "extensions"):
        if value.get(key) is not None and not isinstance(value[key], dict):
            raise MalformedRequestError(f"{key} must be an object or null.")
    return Request(query, name, value.get("variables"), value.get("extensions"))


_READING_COST = 5
"""Points for each character of a document that has to be parsed and validated. At the usual budget of ten
million a minute, what takes longest to validate keeps a process busy for about half of one."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A valid operation and its variables."""

    document: Document
    node: OperationDefinitionNode
    request: Request
    cost: int = 1

    @property
    def name(self) -> str | None:
        """Its name in the document."""
        return self.node.name.value if self.node.name else None

    @property
    def wants_cost(self) -> bool:
        """Whether the client asked to be told the cost: ``"extensions": {"cost": true}``."""
        return bool((self.request.extensions or {}).get("cost"))

    @property
    def is_query(self) -> bool:
        """Whether it only reads, once."""
        return self.node.operation is OperationType.QUERY

    @property
    def is_subscription(self) -> bool:
        """Whether it answers with a stream."""
        return self.node.operation is OperationType.SUBSCRIPTION


@dataclass(slots=True)
class Response:
    """One result.

    Attributes
    ----------
    data
        The result; None if a non-null root field failed, or if nothing was executed.
    errors
        As the client sees them.
    extensions
        Beside the result; None: nothing.
    executed
        Whether execution began; if not, the response has no ``data`` entry.
    """

    data: dict[str, Any] | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)
    executed: bool = True
    extensions: dict[str, Any] | None = None

    def payload(self) -> dict[str, Any]:
        """Return the response map of the GraphQL specification."""
        shown: dict[str, Any] = {"data": self.data} if self.executed else {}
        if self.errors:
            shown["errors"] = self.errors
        if self.extensions:
            shown["extensions"] = self.extensions
        return shown


class GraphQLApi:
    """A schema with its limits, ready to answer requests.

    Parameters
    ----------
    introspection, suggestions
        See `Documents`.
    timeout
        Seconds that a query or mutation may take.
    max_cost
        Points that one operation may cost; see `operation_cost`.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        limits: Limits | None = None,
        *,
        introspection: bool = True,
        suggestions: bool = True,
        timeout: float = 30.0,
        max_cost: int = 20_000,
    ) -> None:
        self._schema = core_schema(schema)
        self._executor_class: type[Executor[Any]] = schema.execution_context_class
        self._suggestions = suggestions
        self._timeout = timeout
        self._max_cost = max_cost
        self.documents = Documents(
            self._schema, limits or Limits(), introspection=introspection, suggestions=suggestions
        )

    async def admit(
        self, request: Request, services: Services, client: Client, request_id: str
    ) -> Response | None:
        """Charge a client's network for the reading of a document that is not known; None if it may go on.

        Whoever sends ever new documents, valid or not, would otherwise keep the process busy for nothing.
        """
        if self.documents.knows(request.query):
            return None
        try:
            await services.budget.spend(f"documents:{client.network}", _READING_COST * len(request.query))
        except RateLimited as error:
            failure = located_error(error, None, None)
            return Response(errors=present_errors([failure], request_id), executed=False)
        return None

    def prepare(self, request: Request, request_id: str) -> Operation | Response:
        """Return the operation that a request names, or the response that refuses it."""
        try:
            document = self.documents.get(request.query)
            node = document.operation(request.operation_name)
            cost = self._cost(document, node, request.variables or {})
            if cost > self._max_cost:
                message = (
                    f"This may return too much: it costs {cost} points, and {self._max_cost} are allowed."
                )
                too_dear = ApiError(
                    message, "COST_LIMIT_EXCEEDED", cost={"requested": cost, "maximum": self._max_cost}
                )
                raise DocumentError([too_dear], "COST_LIMIT_EXCEEDED")
            return Operation(document, node, request, cost)
        except DocumentError as refused:
            return Response(
                errors=[refusal(error, refused.code, request_id) for error in refused.errors], executed=False
            )

    def _cost(self, document: Document, node: OperationDefinitionNode, variables: dict[str, Any]) -> int:
        name = node.name.value if node.name else None
        known = document.fixed_costs.get(name)
        if known is not None:
            return known
        cost = operation_cost(self._schema, document.fragments, node, variables)
        if cost.fixed:
            document.fixed_costs[name] = cost.points
        return cost.points

    async def execute(self, operation: Operation, context: Context) -> Response:
        """Execute a query or a mutation."""
        refused = await self._pay(operation, context)
        if refused is not None:
            return refused
        executor = self._executor(operation, context)
        if isinstance(executor, Response):
            return executor
        try:
            async with asyncio.timeout(self._timeout) as deadline:
                result = await _completed(executor.execute_operation())
        except TimeoutError as error:
            if not deadline.expired():
                return Response(errors=[internal_error(error, context.request_id)])
            message = f"The request took longer than {self._timeout:g} seconds and was stopped."
            timed_out = GraphQLError(message, extensions={"code": "TIMEOUT"})
            return Response(errors=[refusal(timed_out, "TIMEOUT", context.request_id)])
        return self._response(result, operation, context)

    async def subscribe(self, operation: Operation, context: Context) -> AsyncGenerator[Response, None]:
        """Execute a subscription: yield a response for each event.

        The first response has ``executed`` False, and is the only one, if the subscription was refused.
        Closing the generator closes the event source. The subscription is paid once, as it begins.
        """
        refused = await self._pay(operation, context)
        if refused is not None:
            yield refused
            return
        executor = self._executor(operation, context)
        if isinstance(executor, Response):
            yield executor
            return
        source = create_source_event_stream(executor)
        if executor.is_awaitable(source):
            source = await source
        if isinstance(source, ExecutionResult):
            yield Response(errors=present_errors(source.errors or (), context.request_id), executed=False)
            return
        events = aiter(cast("AsyncIterable[Any]", source))
        try:
            while True:
                try:
                    event = await anext(events)
                except StopAsyncIteration:
                    return
                except Exception as error:
                    # The stream itself broke, so this is its last response.
                    failure = located_error(error, None, None)
                    yield Response(errors=present_errors([failure], context.request_id))
                    return
                context.forget_loaded()
                result = await _completed(executor.build_per_event_executor(event).execute_operation(False))
                yield self._response(result, operation, context)
        finally:
            close = getattr(events, "aclose", None)
            if close is not None:
                await close()

    async def respond(self, operation: Operation, context: Context) -> AsyncGenerator[Response, None]:
        """Yield the responses of an operation of any kind: one, unless it is a subscription."""
        if not operation.is_subscription:
            yield await self.execute(operation, context)
            return
        async with aclosing(self.subscribe(operation, context)) as responses:
            async for response in responses:
                yield response

    async def _pay(self, operation: Operation, context: Context) -> Response | None:
        context.cost = operation.cost
        fragments = operation.document.fragments
        beyond = refused_fields(self._schema, fragments, operation.node, context.actor)
        if beyond is not None:
            return Response(
                errors=[refusal(beyond, "FORBIDDEN", context.request_id)],
                executed=False,
            )
        try:
            await context.services.budget.spend(context.payer, operation.cost)
        except RateLimited as error:
            failure = located_error(error, None, None)
            return Response(errors=present_errors([failure], context.request_id), executed=False)
        return None

    def _executor(self, operation: Operation, context: Context) -> "Executor[Any] | Response":
        executor = self._executor_class.build(
            self._schema,
            operation.document.ast,
            context_value=context,
            raw_variable_values=operation.request.variables,
            operation_name=operation.name,
            is_awaitable=_is_awaitable,
            hide_suggestions=not self._suggestions,
        )
        if isinstance(executor, list):
            return Response(
                errors=[refusal(error, "BAD_USER_INPUT", context.request_id) for error in executor],
                executed=False,
            )
        return executor

    def _response(self, result: ExecutionResult, operation: Operation, context: Context) -> Response:
        response = Response(result.data, present_errors(result.errors or (), context.request_id))
        if operation.wants_cost:
            budget = context.services.budget.status(context.payer)
            response.extensions = {
                "cost": {
                    "requested": operation.cost,
                    "maximum": self._max_cost,
                    "limit": budget.limit,
                    "remaining": budget.remaining,
                    "resetAt": format_datetime(budget.reset_at),
                }
            }
        return response


def _is_awaitable(value: Any) -> TypeGuard[Awaitable[Any]]:
    return optimized_is_awaitable(value)


async def _completed(result: Any) -> ExecutionResult:
    return cast("ExecutionResult", await result if _is_awaitable(result) else result)
