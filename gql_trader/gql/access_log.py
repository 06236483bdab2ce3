"""The access log: one record for each HTTP request and for each operation over a socket.

It says who did what, how it ended and what it took; never what was sent: no variables, no documents, no
query strings, no headers.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gql_trader.core.actor import Actor
from gql_trader.gql.api import Operation

_log = structlog.get_logger(__name__)

_SCOPE_KEY = "access"
_LONGEST_TEXT = 100
_QUIET_PATHS = ("/healthz", "/readyz", "/static/")


@dataclass(slots=True)
class AccessRecord:
    """What becomes known of a request while it is answered.

    Attributes
    ----------
    operation
        Name of the operation in its document.
    kind
        query, mutation or subscription.
    cost
        Points; see `gql_trader.gql.cost`.
    user_id
        Who is signed in.
    codes
        ``extensions.code`` of the errors in the answer.
    """

    operation: str | None = None
    kind: str | None = None
    cost: int | None = None
    user_id: str | None = None
    codes: list[str] = field(default_factory=list)
    _begun: float = field(default_factory=time.perf_counter)

    def of_operation(self, operation: Operation) -> None:
        """Take over what is known of a valid operation."""
        self.operation = operation.name[:_LONGEST_TEXT] if operation.name else None
        self.kind = operation.node.operation.value
        self.cost = operation.cost

    def of_actor(self, actor: Actor | None) -> None:
        """Take over who is signed in."""
        self.user_id = str(actor.user_id) if actor else None

    def of_errors(self, errors: Iterable[Mapping[str, Any]]) -> None:
        """Take over the errors' codes."""
        for error in errors:
            code = error.get("extensions", {}).get("code")
            if code is not None and code not in self.codes:
                self.codes.append(code)

    def write(self, event: str, status: int | str, **more: Any) -> None:
        """Write the record: an error if the server failed, a warning if it refused."""
        failed = "INTERNAL" in self.codes or (isinstance(status, int) and status >= 500)
        refused = bool(self.codes) or (isinstance(status, int) and status >= 400)
        write = _log.error if failed else _log.warning if refused else _log.info
        known = {"operation": self.operation, "kind": self.kind, "cost": self.cost, "codes": self.codes}
        write(
            event,
            status=status,
            duration_ms=round((time.perf_counter() - self._begun) * 1000, 2),
            user_id=self.user_id,
            **{name: value for name, value in known.items() if value},
            **more,
        )


class AccessLogMiddleware:
    """Write a record for each HTTP request once its answer is complete.

    Checks of health and files of the page have none unless they fail: they would hide the rest. Sockets
    write one for each operation themselves.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = access_record(scope)
        status = 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            path = scope["path"]
            if status >= 400 or not path.startswith(_QUIET_PATHS):
                record.write("request", status, method=scope["method"], path=path[:_LONGEST_TEXT])


def access_record(scope: Scope) -> AccessRecord:
    """Return the record of the request with this scope, which the endpoint fills in."""
    state = scope.setdefault("state", {})
    if _SCOPE_KEY not in state:
        state[_SCOPE_KEY] = AccessRecord()
    record = state[_SCOPE_KEY]
    assert isinstance(record, AccessRecord)
    return record
