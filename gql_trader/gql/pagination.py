"""Relay connections over keyset pages."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import strawberry

from gql_trader.gql.cost import costs
from gql_trader.gql.permissions import visible
from gql_trader.infra.keyset import Slice

T = TypeVar("T")
R = TypeVar("R")
K = TypeVar("K", bound="Connection[Any]")

First = Annotated[
    int | None,
    strawberry.argument(
        description="Take this many from the start, 1 to 100; 20 if neither first nor last is given."
    ),
]
After = Annotated[str | None, strawberry.argument(description="Start behind the item with this cursor.")]
Last = Annotated[int | None, strawberry.argument(description="Take this many from the end, 1 to 100.")]
Before = Annotated[str | None, strawberry.argument(description="Stop before the item with this cursor.")]


@visible("whoever may see the list")
@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    """Relay's PageInfo."""

    has_next_page: bool = strawberry.field(description="Whether more items follow.")
    has_previous_page: bool = strawberry.field(description="Whether items precede this page.")
    start_cursor: str | None = strawberry.field(
        description="Cursor of the first item; null on an empty page."
    )
    end_cursor: str | None = strawberry.field(description="Cursor of the last item; null on an empty page.")


@visible("whoever may see the list")
@strawberry.type(description="An item of a list with its cursor.")
class Edge(Generic[T]):
    """Relay's edge."""

    node: T = strawberry.field(description="The item.")
    cursor: str = strawberry.field(description="Where the item stands in the list, for `after` and `before`.")


@visible("whoever may see the list")
@strawberry.type(description="One page of a list, by Relay's cursor connections specification.")
class Connection(Generic[T]):
    """Relay's connection, with ``nodes`` as a shortcut and a count that is computed only when asked for."""

    items: strawberry.Private[Sequence[Any]]
    cursors: strawberry.Private[Sequence[str]]
    has_next: strawberry.Private[bool]
    has_previous: strawberry.Private[bool]
    count: strawberry.Private[Callable[[], Awaitable[int | None]]]

    @strawberry.field(description="The items of this page, each with its cursor.")
    def edges(self) -> list[Edge[T]]:
        return [Edge(node=item, cursor=cursor) for item, cursor in zip(self.items, self.cursors, strict=True)]

    @strawberry.field(description="The items of this page.")
    def nodes(self) -> list[T]:
        return list(self.items)

    @strawberry.field(description="Where this page stands in the list.")
    def page_info(self) -> PageInfo:
        return PageInfo(
            has_next_page=self.has_next,
            has_previous_page=self.has_previous,
            start_cursor=self.cursors[0] if self.cursors else None,
            end_cursor=self.cursors[-1] if self.cursors else None,
        )

    @strawberry.field(
        description="How many items the whole list has under these filters; counted only when asked for.",
        metadata=costs(5),
    )
    async def total_count(self) -> int | None:
        return await self.count()


def connection(
    kind: type[K],
    page: Slice[R],
    convert: Callable[[R], Any],
    count: Callable[[], Awaitable[int | None]],
) -> K:
    """Return the connection of a page of rows.

    Parameters
    ----------
    kind
        The concrete type, such as ``Connection[Backtest]``.
    convert
        Makes the GraphQL object of a row.
    count
        Counts the whole list; called only if ``totalCount`` is selected.
    """
    return kind(
        items=[convert(row) for row in page.rows],
        cursors=page.cursors,
        has_next=page.has_next,
        has_previous=page.has_previous,
        count=count,
    )
