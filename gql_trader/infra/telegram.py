"""Messages by Telegram's Bot API."""

from typing import Any, NoReturn
from urllib.parse import quote

import httpx

from gql_trader.infra import json_codec
from gql_trader.infra.delivery import NotDeliveredError, RefusedError, TargetGoneError
from gql_trader.infra.lazy_http import LazyHttp

_SECONDS = 10.0
_LONGEST_TEXT = 4096
# The bot's token is wrong: unauthorized, or not even of the form of one.
_WRONG_TOKEN = frozenset({401, 404})
# What Telegram says of a chat in which a bot can never write again, besides status 403.
_NO_CHAT = (
    "chat not found",
    "user not found",
    "peer_id_invalid",
    "chat_id is empty",
    "group chat was deactivated",
)


class Telegram:
    """Sends as whatever bot a token belongs to.

    Parameters
    ----------
    base_url
        Where the Bot API is.
    """

    def __init__(self, base_url: str, seconds: float = _SECONDS) -> None:
        self._base_url = base_url.rstrip("/")
        self._http = LazyHttp(seconds)

    async def send(self, token: str, chat_id: str, text: str) -> None:
        """Write into a chat, as plain text.

        Raises
        ------
        NotDeliveredError
            If that failed for now.
        RefusedError
            If Telegram refuses the text.
        TargetGoneError
            If the bot may not write there any more, or the token is not one.
        """
        # The token is a part of the address: no error may show that.
        url = f"{self._base_url}/bot{quote(token, safe=':')}/sendMessage"
        sent = {
            "chat_id": chat_id,
            "text": text[:_LONGEST_TEXT],
            "link_preview_options": {"is_disabled": True},
        }
        try:
            answer = await self._http.client.post(url, json=sent)
        except httpx.HTTPError as error:
            raise NotDeliveredError(type(error).__name__) from None
        if not answer.is_success:
            _raise_for(answer)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


def _raise_for(answer: httpx.Response) -> NoReturn:
    try:
        found = json_codec.loads(answer.content)
    except ValueError:
        found = None
    body: dict[str, Any] = found if isinstance(found, dict) else {}
    description = str(body.get("description", ""))
    reason = f"status {answer.status_code}: {description}"
    # Without a description it was not Telegram that answered.
    if description:
        known = any(each in description.lower() for each in _NO_CHAT)
        if answer.status_code == httpx.codes.FORBIDDEN or answer.status_code in _WRONG_TOKEN or known:
            raise TargetGoneError(reason)
        if answer.status_code == httpx.codes.BAD_REQUEST:
            raise RefusedError(reason)
    parameters = body.get("parameters")
    pause = parameters.get("retry_after") if isinstance(parameters, dict) else None
    raise NotDeliveredError(reason, float(pause) if isinstance(pause, int) else None)
