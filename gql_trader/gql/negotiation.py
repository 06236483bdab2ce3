"""Media types of requests and responses, by the GraphQL over HTTP specification."""

from functools import lru_cache

GRAPHQL_RESPONSE = "application/graphql-response+json"
JSON = "application/json"
EVENT_STREAM = "text/event-stream"
HTML = "text/html"

_REQUEST_TYPES = (JSON, "application/graphql+json")


@lru_cache(maxsize=256)
def is_json_body(content_type: str) -> bool:
    """Return whether a request body of this type is JSON in UTF-8.

    Nothing else is accepted: the types that a browser sends across origins without asking first
    (`text/plain`, forms) would let any page act with a user's cookies.
    """
    media_type, _, parameters = content_type.partition(";")
    if media_type.strip().lower() not in _REQUEST_TYPES:
        return False
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in ("utf-8", "utf8"):
            return False
    return True


@lru_cache(maxsize=256)
def accepted_types(accept: str | None) -> tuple[str, ...]:
    """Return which of our response types an Accept header admits, the most wanted first.

    Wildcards stand for `application/json`, which every client of GraphQL understands.
    """
    if accept is None or not accept.strip():
        return (JSON,)
    wanted: list[tuple[float, int, str]] = []
    for place, entry in enumerate(accept.split(",")):
        media_range, *parameters = (part.strip().lower() for part in entry.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                quality = _quality(parameter[2:])
        kind = JSON if media_range in ("*/*", "application/*") else media_range
        # A wildcard never outranks a type that is named with the same quality.
        rank = place + (1000 if "*" in media_range else 0)
        if quality > 0 and kind in (GRAPHQL_RESPONSE, JSON, EVENT_STREAM, HTML):
            wanted.append((-quality, rank, kind))
    return tuple(dict.fromkeys(kind for _, _, kind in sorted(wanted)))


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0
