"""The page behind the link in a mail: choosing another password."""

import base64
import hashlib
import re
from pathlib import Path

from gql_trader.gql.http import HtmlPage

_PAGE = Path(__file__).parent / "static" / "reset_password.html"
_INLINE = re.compile(rb"<(style|script)>(.*?)</\1>", re.DOTALL)


def reset_password_page() -> HtmlPage:
    """Return the page; its policy lets run its own script and style, told by their hashes, and no other."""
    body = _PAGE.read_bytes()
    hashes = {
        name.decode(): base64.b64encode(hashlib.sha256(content).digest()).decode()
        for name, content in _INLINE.findall(body)
    }
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src 'sha256-{hashes['script']}'",
            f"style-src 'sha256-{hashes['style']}'",
            "connect-src 'self'",
            "form-action 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
    )
    return HtmlPage(body, {"content-security-policy": policy, "cache-control": "no-store"})
