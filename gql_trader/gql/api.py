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

from gql_trader.gql import nul
from gql_trader.gql.context import Context
from gql_trader.gql.documents import Document, DocumentError, Documents
from gql_trader.gql.limits import Limits
from gql_trader.gql.masking import internal_error, present_errors, refusal
from gql_trader.gql.schema_builder import core_schema


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


@dataclass(frozen=True, slots=True)
class Operation:
    """A valid operation and its variables."""

    document: Document
    node: OperationDefinitionNode
    request: Request

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
    executed
        Whether execution began; if not, the response has no ``data`` entry.
    """

    data: dict[str, Any] | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)
    executed: bool = True

    def payload(self) -> dict[str, Any]:
        """Return the response map of the GraphQL specification."""
        if not self.executed:
            return {"errors": self.errors}
        return {"data": self.data, "errors": self.errors} if self.errors else {"data": self.data}


class GraphQLApi:
    """A schema with its limits, ready to answer requests.

    Parameters
    ----------
    introspection, suggestions
        See `Documents`.
    timeout
        Seconds that a query or mutation may take.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        limits: Limits | None = None,
        *,
        introspection: bool = True,
        suggestions: bool = True,
        timeout: float = 30.0,
    ) -> None:
        self._schema = core_schema(schema)
        self._executor_class: type[Executor[Any]] = schema.execution_context_class
        self._suggestions = suggestions
        self._timeout = timeout
        self.documents = Documents(
            self._schema, limits or Limits(), introspection=introspection, suggestions=suggestions
        )

    def prepare(self, request: Request, request_id: str) -> Operation | Response:
        """Return the operation that a request names, or the response that refuses it."""
        try:
            document = self.documents.get(request.query)
            return Operation(document, document.operation(request.operation_name), request)
        except DocumentError as refused:
            return Response(
                errors=[refusal(error, refused.code, request_id) for error in refused.errors], executed=False
            )

    async def execute(self, operation: Operation, context: Context) -> Response:
        """Execute a query or a mutation."""
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
        return self._response(result, context)

    async def subscribe(self, operation: Operation, context: Context) -> AsyncGenerator[Response, None]:
        """Execute a subscription: yield a response for each event.

        The first response has ``executed`` False, and is the only one, if the subscription was refused.
        Closing the generator closes the event source.
        """
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
                yield self._response(result, context)
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

    def _executor(self, operation: Operation, context: Context) -> "Executor[Any] | Response":
        name = operation.node.name.value if operation.node.name else None
        executor = self._executor_class.build(
            self._schema,
            operation.document.ast,
            context_value=context,
            raw_variable_values=operation.request.variables,
            operation_name=name,
            is_awaitable=_is_awaitable,
            hide_suggestions=not self._suggestions,
        )
        if isinstance(executor, list):
            return Response(
                errors=[refusal(error, "BAD_USER_INPUT", context.request_id) for error in executor],
                executed=False,
            )
        return executor

    def _response(self, result: ExecutionResult, context: Context) -> Response:
        return Response(result.data, present_errors(result.errors or (), context.request_id))


def _is_awaitable(value: Any) -> TypeGuard[Awaitable[Any]]:
    return optimized_is_awaitable(value)


async def _completed(result: Any) -> ExecutionResult:
    return cast("ExecutionResult", await result if _is_awaitable(result) else result)
