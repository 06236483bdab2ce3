"""Whom the server believes to be who, where no operator has said otherwise.

Reading the certificates takes 20 ms, in which the event loop would stand still: they are read once.
"""

import ssl
from functools import cache

import certifi
import httpx


@cache
def trusted() -> ssl.SSLContext:
    """Return the context of whatever is asked with httpx; SSL_CERT_FILE and SSL_CERT_DIR are heeded."""
    return httpx.create_ssl_context()


@cache
def trusted_by_mozilla() -> ssl.SSLContext:
    """Return the context of the exchanges' connections."""
    return ssl.create_default_context(cafile=certifi.where())
