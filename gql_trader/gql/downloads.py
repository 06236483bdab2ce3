"""Files downloaded over signed links."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from gql_trader.core.errors import RateLimited
from gql_trader.gql.access_log import access_record
from gql_trader.gql.context import Services

# The link is a credential, and the file somebody's own: neither is to be kept on the way.
_HEADERS = {"cache-control": "private, no-store"}

CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
HTML = "text/html"


@dataclass(frozen=True, slots=True)
class Download:
    """A file to send.

    Attributes
    ----------
    name
        What it is called where it is saved; letters, digits, hyphens and dots.
    media_type
        What it is, without a character set: text is UTF-8.
    pieces
        Its content; not more than a piece or two is in memory at a time.
    payer
        Whose it is: the id of the user whose budget of points it is paid from.
    cost
        How many points it costs.
    policy
        Content security policy with which a browser shows it; empty: it is only ever saved.
    """

    name: str
    media_type: str
    pieces: AsyncIterator[bytes]
    payer: str
    cost: int
    policy: str = field(default="")

    @property
    def headers(self) -> dict[str, str]:
        """What its answer carries."""
        shown = "inline" if self.policy else "attachment"
        named = _HEADERS | {"content-disposition": f'{shown}; filename="{self.name}"'}
        return named | ({"content-security-policy": self.policy} if self.policy else {})


FindFile = Callable[[Services, Mapping[str, str], Mapping[str, str]], Awaitable[Download | None]]
"""Finds the file that a link stands for, by the parameters of its path and of its query; None if the link
is not good, or what it is for is gone."""


def download_endpoint(
    services: Callable[[], Services], find: FindFile
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that sends files to whoever has a good link.

    It answers 404 to every other link, whatever is wrong with it, and 429 when the budget of points of the
    link's user is spent.
    """

    async def answer(request: Request) -> Response:
        running = services()
        file = await find(running, request.path_params, request.query_params)
        if file is None:
            return JSONResponse({"error": "There is no such file, or the link has expired."}, 404, _HEADERS)
        access_record(request.scope).user_id = file.payer
        try:
            await running.budget.spend(file.payer, file.cost)
        except RateLimited as error:
            waiting = {"retry-after": str(error.retry_after_seconds)}
            return JSONResponse({"error": str(error)}, 429, _HEADERS | waiting)
        if request.method == "HEAD":
            return Response(media_type=file.media_type, headers=file.headers)
        return StreamingResponse(file.pieces, media_type=file.media_type, headers=file.headers)

    return answer
