"""Signed messages from other services over HTTP: whom to believe, and how to answer."""

from collections.abc import Awaitable, Callable

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gql_trader.core.errors import DomainError
from gql_trader.gql.context import Services
from gql_trader.gql.http_request import HttpRefusal, read_body
from gql_trader.infra.webhook_signatures import InvalidSignature, WebhookSignatures

_MAX_BODY_BYTES = 262_144

_log = structlog.get_logger(__name__)

Receive = Callable[[Services, str, bytes], Awaitable[None]]
"""Follows a message: its id, by which a repeated one is known, and its body. Raises DomainError if it
cannot be understood."""


def webhook_endpoint(
    services: Callable[[], Services], signatures: WebhookSignatures, receive: Receive
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that follows messages whose signature is right.

    It answers 204 once a message is followed, now or before; senders repeat it after any other answer.
    """

    async def answer(request: Request) -> Response:
        try:
            body = await read_body(request.headers, request.receive, _MAX_BODY_BYTES)
        except HttpRefusal as refused:
            return _refusal(refused.status, refused.message, refused.headers)
        running = services()
        try:
            message_id = signatures.verify(request.headers, body, running.clock.now())
        except InvalidSignature as error:
            _log.warning("webhook_refused", reason=str(error))
            return _refusal(401, "The message is not signed as it should be.")
        try:
            await receive(running, message_id, body)
        except DomainError as error:
            _log.warning("webhook_not_understood", message_id=message_id, reason=error.message)
            return _refusal(400, error.message)
        except Exception:
            _log.exception("webhook_failed", message_id=message_id)
            return _refusal(500, "Internal error; send the message again later.")
        return Response(status_code=204)

    return answer


def _refusal(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": message}, status, headers)
