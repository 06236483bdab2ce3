"""Events of attempts at mutations, those that are refused before they begin too."""

from collections.abc import Callable, Iterable
from typing import Any

from strawberry.extensions.field_extension import AsyncExtensionResolver, FieldExtension
from strawberry.types import Info as StrawberryInfo

from gql_trader.core.errors import RateLimited
from gql_trader.gql.context import Context
from gql_trader.gql.errors import ApiError
from gql_trader.settings.attempts import attempted


def _nothing(_input: Any) -> Iterable[str]:
    return ()


class Noted(FieldExtension):
    """Write an event for every attempt at a mutation, once it is known how it ended.

    Parameters
    ----------
    given
        Returns the names of the fields that an input is about.
    """

    def __init__(self, given: Callable[[Any], Iterable[str]] = _nothing) -> None:
        self._given = given

    async def resolve_async(
        self, next_: AsyncExtensionResolver, source: Any, info: StrawberryInfo[Any, Any], **kwargs: Any
    ) -> Any:
        """Resolve, and write down how it ended."""
        context: Context = info.context
        user_id = context.actor.user_id if context.actor else None
        given = kwargs["input"]
        with attempted(info.field_name, user_id) as attempt:
            attempt.given = list(self._given(given))
            try:
                result = await next_(source, info, **kwargs)
            except RateLimited:
                attempt.refused(["RATE_LIMITED"])
                raise
            except ApiError as error:
                attempt.refused([str((error.extensions or {})["code"])])
                raise
            if result.errors:
                attempt.refused(error.code.value for error in result.errors)
            else:
                attempt.came_to(result.names_changed(), preview=bool(getattr(given, "preview", False)))
            return result
