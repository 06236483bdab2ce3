"""A small identity provider: it signs tokens, and serves its public keys over HTTP."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from starlette.types import Receive, Scope, Send

from tests.graphql_client import serve

ISSUER = "https://id.example"
AUDIENCE = "gql_trader.example"

# Making an RSA key takes a tenth of a second.
RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def public_jwk(key: PrivateKeyTypes, key_id: str, **more: Any) -> dict[str, Any]:
    """Return the public half of a key as an entry of a key set."""
    if isinstance(key, rsa.RSAPrivateKey):
        entry = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        entry = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    entry.pop("key_ops", None)
    return {**entry, "kid": key_id, "use": "sig", **more}


class IdentityProvider:
    """An identity provider.

    Attributes
    ----------
    keys
        The entries of its key set.
    status
        How it answers when asked for them.
    asked
        How often it was.
    """

    def __init__(self) -> None:
        self.url = ""
        self.keys = [public_jwk(RSA_KEY, "rsa-1"), public_jwk(EC_KEY, "ec-1")]
        self.status = 200
        self.asked = 0
        self.answering = asyncio.Event()
        self.answering.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the key set."""
        self.asked += 1
        await self.answering.wait()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": orjson.dumps({"keys": self.keys})})

    def token(
        self,
        subject: str = "user_1",
        *,
        key: Any = RSA_KEY,
        key_id: str | None = "rsa-1",
        algorithm: str = "RS256",
        headers: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Return a token; claims that are None are left out."""
        now = int(time.time())
        all_claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            **claims,
        }
        sent = {name: value for name, value in all_claims.items() if value is not None}
        # As bytes: PyJWT would not write what is malformed.
        return jwt.PyJWS().encode(
            json.dumps(sent).encode(),
            key,
            algorithm,
            {**({"kid": key_id} if key_id else {}), **(headers or {})},
        )


@asynccontextmanager
async def identity_provider() -> AsyncIterator[IdentityProvider]:
    """Run an identity provider on a port of its own."""
    provider = IdentityProvider()
    async with serve(provider) as served:
        provider.url = f"http://{served.address}/keys.json"
        yield provider
