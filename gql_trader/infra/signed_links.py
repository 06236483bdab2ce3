"""Links that are their own credential: signed for one user and one thing, good for some minutes."""

import base64
import hmac
import re
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gql_trader.core.clock import Clock
from gql_trader.core.ids import UserId

_SECONDS = re.compile(r"\d{1,12}", re.ASCII)


class SignedLinks:
    """Sign what a link is for, and tell whether a link that comes back is good.

    Parameters
    ----------
    secret
        The server's signing secret. Links have a key of their own, which is derived from it, so that no
        signature of anything else is worth anything here.
    minutes
        For how long a link is good.
    """

    def __init__(self, secret: str, minutes: int, clock: Clock) -> None:
        derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"gql_trader signed links 1")
        self._key = derivation.derive(secret.encode())
        self._lifetime = timedelta(minutes=minutes)
        self._clock = clock

    def sign(self, path: str, user_id: UserId) -> str:
        """Return the query of a link to ``path`` for a user: ``user=…&expires=…&signature=…``."""
        expires = int((self._clock.now() + self._lifetime).timestamp())
        signature = self._signature(path, user_id, expires)
        return urlencode({"user": str(user_id), "expires": expires, "signature": signature})

    def verify(self, path: str, query: Mapping[str, str]) -> UserId | None:
        """Return whose link to ``path`` this is; None if it is not signed by this server, or has expired."""
        expires = query.get("expires", "")
        try:
            user_id = UserId(UUID(query.get("user", "")))
        except ValueError:
            return None
        if not _SECONDS.fullmatch(expires):
            return None
        expected = self._signature(path, user_id, int(expires))
        given = query.get("signature", "").encode(errors="surrogatepass")
        if not hmac.compare_digest(expected.encode(), given):
            return None
        return user_id if self._clock.now().timestamp() < int(expires) else None

    def _signature(self, path: str, user_id: UserId, expires: int) -> str:
        # The last two lines have no line break in them: no two links have one message.
        message = f"{path}\n{user_id}\n{expires}".encode()
        return base64.urlsafe_b64encode(hmac.digest(self._key, message, "sha256")).decode().rstrip("=")
