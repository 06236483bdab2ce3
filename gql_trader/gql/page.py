"""The page at `/`: a client of this API, from local files, under a policy that lets in nothing else."""

import os
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from gql_trader.gql.http import HtmlPage

_FILES = Path(__file__).parent / "static" / "page"

# Nothing inline, and no text becomes markup: the page builds what it shows from elements.
_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)

PAGE_FILES = "/static/page"
"""Where `page.html` expects `page_files`."""


def live_page() -> HtmlPage:
    """Return the page; it expects `page_files` at `PAGE_FILES`."""
    return HtmlPage(
        (_FILES / "page.html").read_bytes(), {"content-security-policy": _POLICY, "cache-control": "no-cache"}
    )


def page_files() -> StaticFiles:
    """Return the application that serves the page's scripts and styles."""
    return _FreshFiles(directory=_FILES)


class _FreshFiles(StaticFiles):
    """Files that browsers ask about before each use, so that modules of two versions never meet."""

    def file_response(
        self,
        full_path: "str | os.PathLike[str]",
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["cache-control"] = "no-cache"
        return response
