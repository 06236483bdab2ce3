"""GraphiQL from local files, under a content security policy that lets in nothing else."""

from pathlib import Path

from starlette.staticfiles import StaticFiles

from gql_trader.gql.http import HtmlPage

_STATIC = Path(__file__).parent / "static"

# GraphiQL's stylesheet embeds its fonts and pictures as data. Its dialogs and menus insert style
# elements; script is what matters, and of that only our own files run, without eval.
_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "font-src 'self' data:",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)


def graphiql_page() -> HtmlPage:
    """Return the page; it expects `static_files` at ``static/`` beside itself."""
    return HtmlPage((_STATIC / "graphiql.html").read_bytes(), {"content-security-policy": _POLICY})


def static_files() -> StaticFiles:
    """Return the application that serves the page's scripts and styles."""
    return StaticFiles(directory=_STATIC)
