"""Push messages by Firebase Cloud Messaging (HTTP v1), with a service account.

The access token is got by the JWT bearer grant (RFC 7523) and kept until shortly before it ends.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import httpx
import jwt

from gql_trader.core.clock import Clock
from gql_trader.infra import json_codec
from gql_trader.infra.delivery import NotDeliveredError, RefusedError, TargetGoneError, retry_after
from gql_trader.infra.lazy_http import LazyHttp

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"

_SECONDS = 10.0
_ACCOUNT_FIELDS = ("project_id", "client_email", "token_uri", "private_key")
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_LIFETIME = timedelta(hours=1)
_RENEW_BEFORE = timedelta(minutes=1)
_LONGEST_TITLE, _LONGEST_BODY = 200, 1000
_UNREGISTERED = "UNREGISTERED"
_INVALID = "not a valid FCM registration token"


class ServiceAccountError(ValueError):
    """The file of the service account cannot be read or is none; the message shows nothing of it."""


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """What Google's key file of a service account says."""

    project_id: str
    client_email: str
    token_uri: str
    private_key: str = field(repr=False)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Return the account in a file.

        Raises
        ------
        ServiceAccountError
            If it cannot be read, or is no key file of a service account.
        """
        try:
            found = json_codec.loads(path.read_bytes())
            account = cls(
                **{
                    name: str(found[name])
                    for name in ("project_id", "client_email", "token_uri", "private_key")
                }
            )
            jwt.get_algorithm_by_name("RS256").prepare_key(account.private_key)
        except OSError as error:
            raise ServiceAccountError(f"{path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, jwt.PyJWTError):
            raise ServiceAccountError(f"{path} is not the key file of a service account") from None
        return account


@dataclass(frozen=True, slots=True)
class PushMessage:
    """What a device shows.

    Attributes
    ----------
    key
        Devices show one message of a key: one that is sent a second time replaces the first.
    data
        For the app.
    """

    key: str
    title: str
    body: str
    data: Mapping[str, str]


class PushTransport:
    """Hands messages to Firebase.

    Parameters
    ----------
    account_file
        Key file of the service account; read when it is first needed.
    base_url
        Where Firebase is.
    """

    def __init__(self, account_file: Path, base_url: str, clock: Clock, seconds: float = _SECONDS) -> None:
        self._file = account_file
        self._base_url = base_url.rstrip("/")
        self._clock = clock
        self._http = LazyHttp(seconds)
        self._lock = asyncio.Lock()
        self._account: ServiceAccount | None = None
        self._token: tuple[str, datetime] | None = None

    async def send(self, device_token: str, message: PushMessage) -> None:
        """Hand a message over.

        Raises
        ------
        NotDeliveredError
            If that failed for now.
        RefusedError
            If Firebase refuses the message.
        TargetGoneError
            If the device's token is not, or no longer, one.
        """
        account, access_token = await self._access()
        answer = await self._post(
            f"{self._base_url}/v1/projects/{account.project_id}/messages:send",
            headers={"authorization": f"Bearer {access_token}"},
            json=_request(device_token, message),
        )
        if answer.is_success:
            return
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._token = None
        _raise_for(answer, self._clock.now())

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _access(self) -> tuple[ServiceAccount, str]:
        async with self._lock:
            try:
                account = self._account = self._account or ServiceAccount.from_file(self._file)
            except ServiceAccountError as error:
                raise NotDeliveredError(str(error)) from error
            now = self._clock.now()
            if self._token is None or now >= self._token[1]:
                self._token = await self._grant(account, now)
            return account, self._token[0]

    async def _grant(self, account: ServiceAccount, now: datetime) -> tuple[str, datetime]:
        claims = {
            "iss": account.client_email,
            "scope": SCOPE,
            "aud": account.token_uri,
            "iat": int(now.timestamp()),
            "exp": int((now + _ASSERTION_LIFETIME).timestamp()),
        }
        assertion = jwt.encode(claims, account.private_key, algorithm="RS256")
        answer = await self._post(account.token_uri, data={"grant_type": _GRANT, "assertion": assertion})
        found = _body(answer)
        token, lifetime = found.get("access_token"), found.get("expires_in")
        if not answer.is_success or not isinstance(token, str) or not isinstance(lifetime, int):
            raise NotDeliveredError(f"no access token: status {answer.status_code} {found.get('error', '')}")
        return token, now + timedelta(seconds=lifetime) - _RENEW_BEFORE

    async def _post(self, url: str, **sent: Any) -> httpx.Response:
        try:
            return await self._http.client.post(url, **sent)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotDeliveredError(f"{type(error).__name__}: {error}") from error


def _request(device_token: str, message: PushMessage) -> dict[str, Any]:
    shown = {"title": message.title[:_LONGEST_TITLE], "body": message.body[:_LONGEST_BODY]}
    return {
        "message": {
            "token": device_token,
            "notification": shown,
            "data": dict(message.data),
            # Firebase knows no idempotency keys; these let the device show a repeated message once.
            "android": {"notification": {"tag": message.key}},
            "apns": {"headers": {"apns-collapse-id": message.key}},
            "webpush": {"notification": {"tag": message.key}},
        }
    }


def _body(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = json_codec.loads(answer.content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _raise_for(answer: httpx.Response, now: datetime) -> None:
    error = _body(answer).get("error")
    error = error if isinstance(error, dict) else {}
    details = [each for each in error.get("details") or () if isinstance(each, dict)]
    codes = {each.get("errorCode") for each in details}
    reason = f"status {answer.status_code} {error.get('status', '')}: {error.get('message', '')}"
    # Nothing else says that the token is none any more: another project's service account, say, is told
    # SENDER_ID_MISMATCH or a bare NOT_FOUND for every device.
    if _UNREGISTERED in codes:
        raise TargetGoneError(reason)
    if answer.status_code == httpx.codes.BAD_REQUEST:
        fields = {
            violation.get("field")
            for each in details
            for violation in each.get("fieldViolations") or ()
            if isinstance(violation, dict)
        }
        if "message.token" in fields or _INVALID in str(error.get("message")):
            raise TargetGoneError(reason)
        raise RefusedError(reason)
    raise NotDeliveredError(reason, retry_after(answer.headers.get("retry-after"), now))
