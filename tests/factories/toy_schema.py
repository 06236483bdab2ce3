"""A small schema with one of everything that the GraphQL plumbing has to handle."""

import asyncio
from collections.abc import AsyncGenerator, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, cast
from uuid import UUID

import numpy as np
import strawberry
from strawberry.dataloader import DataLoader

from gql_trader.config import Settings
from gql_trader.core.actor import Actor, Role
from gql_trader.core.clock import Clock, SystemClock
from gql_trader.core.errors import DomainErrors, ErrorCode, InvalidInput, NotFound, QuotaExceeded
from gql_trader.core.ids import UserId
from gql_trader.gql.context import Context, Info, Services
from gql_trader.gql.enums import register_enum
from gql_trader.gql.errors import ApiError, UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.permissions import public, requires, visible
from gql_trader.gql.relay import Node, encode_id
from gql_trader.gql.scalars import JSON, EpochSeries, FloatSeries
from gql_trader.gql.schema_builder import build_schema
from gql_trader.infra.cost_budget import CostBudget

USER = UserId(UUID("01890000-0000-7000-8000-000000000001"))
START = datetime(2026, 1, 31, 9, 30, 0, 123456, tzinfo=UTC)


def argument(description: str) -> Any:
    return strawberry.argument(description=description)


class Colour(Enum):
    """A colour whose values differ from its names."""

    RED = "r"
    GREEN = "g"


register_enum(Colour, "A colour.", {"RED": "Like blood.", "GREEN": "Like grass."})


@visible("everybody")
@strawberry.type(description="The maker of rows.")
class Maker:
    name: str = strawberry.field(description="Its name.")
    loaded: int = strawberry.field(description="How often it was loaded.")


@visible("everybody")
@strawberry.type(description="A row.")
class Row(Node):
    number: int = strawberry.field(description="An Int.")
    ratio: float = strawberry.field(description="A Float.")
    text: str = strawberry.field(description="A String.")
    good: bool = strawberry.field(description="A Boolean.")
    colour: Colour = strawberry.field(description="An enum.")
    price: Decimal = strawberry.field(description="A Decimal.")
    time: datetime = strawberry.field(description="A DateTime.")
    day: date = strawberry.field(description="A Date.")
    anything: JSON = strawberry.field(description="Any JSON.")
    tags: list[str] = strawberry.field(description="Strings.")
    maybe: float | None = strawberry.field(default=None, description="A Float or null.")
    maybe_colour: Colour | None = strawberry.field(default=None, description="An enum or null.")
    maybe_price: Decimal | None = strawberry.field(default=None, description="A Decimal or null.")

    @strawberry.field(description="Resolved by a method, with an argument.")
    def shouted(self, times: Annotated[int, argument("How often.")] = 1) -> str:
        return self.text.upper() * times

    @strawberry.field(description="Resolved later, through a loader.")
    async def maker(self, info: Info) -> Maker:
        return await info.context.loaders(ToyLoaders).maker.load(self.number % 3)

    @strawberry.field(description="The row itself.")
    def same(self) -> "Row":
        return self


@visible("everybody")
@strawberry.type(description="A pair without a node interface.")
class Pair:
    left: int = strawberry.field(description="Left.")
    right: int | None = strawberry.field(default=None, description="Right.")


def make_row(number: int, **changes: Any) -> Row:
    values: dict[str, Any] = {
        "id": encode_id("Row", UUID(int=number)),
        "number": number,
        "ratio": number / 3,
        "text": f"row {number}",
        "good": number % 2 == 0,
        "colour": Colour.RED if number % 2 else Colour.GREEN,
        "price": Decimal(number) / 8,
        "time": START + timedelta(hours=number),
        "day": (START + timedelta(days=number)).date(),
        "anything": {"n": number, "list": [1, None, "x"]},
        "tags": ["a", f"t{number}"],
        "maybe": None if number % 3 else 0.5,
    }
    return Row(**{**values, **changes})


class ToyLoaders:
    """Makers by number; remembers its batches."""

    def __init__(self, context: Context) -> None:
        self._services = cast("ToyServices", context.services)
        self.maker: DataLoader[int, Maker] = DataLoader(self._makers)

    async def _makers(self, keys: Sequence[int]) -> list[Maker]:
        self._services.batches.append(list(keys))
        return [Maker(name=f"maker {key}", loaded=len(self._services.batches)) for key in keys]


@dataclass
class ToyServices:
    """What the toy's resolvers reach."""

    settings: Settings | None = None
    clock: Clock = field(default_factory=SystemClock)
    rows: list[Any] = field(default_factory=lambda: [make_row(number) for number in range(5)])
    batches: list[list[int]] = field(default_factory=list)
    counter: int = 0
    open_streams: int = 0
    budget: CostBudget = field(default_factory=lambda: CostBudget(None, SystemClock(), 10**9))
    events: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)

    def unit_of_work(self) -> Any:
        raise AssertionError("the toy has no database")


def services(info: Info) -> ToyServices:
    return cast("ToyServices", info.context.services)


@strawberry.type
class ToyQuery:
    @strawberry.field(description="Says hello.", extensions=public())
    def hello(self, name: Annotated[str | None, argument("Whom to greet.")] = None) -> str:
        return f"hello {name or 'world'}"

    @strawberry.field(description="Rows.", extensions=public())
    async def rows(self, info: Info) -> list[Row]:
        return services(info).rows

    @strawberry.field(description="Rows, any of which may be missing.", extensions=public())
    def sparse_rows(self, info: Info) -> list[Row | None]:
        return services(info).rows

    @strawberry.field(description="Pairs, or nothing.", extensions=public())
    def pairs(self, info: Info) -> list[Pair] | None:
        return [Pair(left=number) for number in range(3)]

    @strawberry.field(description="The first row.", extensions=public())
    def row(self, info: Info) -> Row | None:
        return services(info).rows[0]  # type: ignore[no-any-return]

    @strawberry.field(description="For signed-in users.", extensions=requires(Role.VIEWER))
    def secret(self, info: Info) -> str | None:
        return str(info.context.viewer.user_id)

    @strawberry.field(description="For traders.", extensions=requires(Role.TRADER))
    def deal(self) -> str | None:
        return "done"

    @strawberry.field(description="Refuses.", extensions=public())
    def refuse(self, how: Annotated[str, argument("How.")]) -> str | None:
        match how:
            case "one":
                raise InvalidInput("first must be positive.", ("first",))
            case "many":
                raise DomainErrors([InvalidInput("a"), NotFound("b", ("x", "y"))])
            case "api":
                raise ApiError("Slow down.", "RATE_LIMITED", retryAfterSeconds=7)
            case "quota":
                raise QuotaExceeded("Enough.", retry_after_seconds=3)
            case _:
                raise RuntimeError("password is hunter2")

    @strawberry.field(description="Waits until it is stopped.", extensions=public())
    async def wait(self, info: Info) -> str | None:
        services(info).open_streams += 1
        try:
            await asyncio.Event().wait()
            return None
        finally:
            services(info).open_streams -= 1

    @strawberry.field(description="Whole columns.", extensions=public())
    def prices(self) -> FloatSeries:
        return FloatSeries(np.array([1.5, np.nan, 2.25]))

    @strawberry.field(description="Times of columns.", extensions=public())
    def times(self) -> EpochSeries:
        return EpochSeries(np.array([0, 60_000], dtype=np.int64))

    @strawberry.field(description="Gives its arguments back.", extensions=public())
    def echo(
        self,
        value: Annotated[JSON | None, argument("Anything.")] = None,
        price: Annotated[Decimal | None, argument("A price.")] = None,
        colour: Annotated[Colour, argument("A colour.")] = Colour.RED,
    ) -> JSON | None:
        return JSON({"value": value, "price": price, "colour": colour.name})


@strawberry.input(description="How much to add.")
class AddInput:
    amount: int = strawberry.field(description="Added to the counter.")
    note: str | None = strawberry.field(default=None, description="Nothing.")


@visible("everybody")
@strawberry.type(description="Result of `add`.")
class AddPayload:
    counter: int | None = strawberry.field(default=None, description="The new value.")
    errors: list[UserError] = strawberry.field(default_factory=list, description="Why nothing was added.")


@strawberry.type
class ToyMutation:
    @mutation(AddPayload, None, "Add to the counter.")
    async def add(self, info: Info, input: Annotated[AddInput, argument("How much.")]) -> AddPayload:
        if input.amount < 0:
            raise InvalidInput("amount must not be negative.", ("amount",))
        if input.amount > 100:
            raise QuotaExceeded("Too much.", ("amount",), retry_after_seconds=60)
        if input.amount == 13:
            raise InvalidInput("Unlucky.", code=ErrorCode.RULE_TYPE)
        services(info).counter += input.amount
        return AddPayload(counter=services(info).counter)


@strawberry.type
class ToySubscription:
    @strawberry.subscription(description="Counts.", extensions=public())
    async def count(self, to: Annotated[int, argument("Last number.")]) -> AsyncGenerator[int, None]:
        for number in range(1, to + 1):
            yield number

    @strawberry.subscription(description="Rows as they come, until None.", extensions=requires(Role.VIEWER))
    async def row_events(self, info: Info) -> AsyncGenerator[Row, None]:
        services(info).open_streams += 1
        try:
            while (row := await services(info).events.get()) is not None:
                if isinstance(row, Exception):
                    raise row
                yield row
        finally:
            services(info).open_streams -= 1

    @strawberry.subscription(description="Large texts without end.", extensions=public())
    async def flood(self, info: Info) -> AsyncGenerator[str, None]:
        services(info).open_streams += 1
        try:
            while True:
                yield "x" * 100_000
        finally:
            services(info).open_streams -= 1


async def resolve_row_nodes(info: Info, ids: Sequence[UUID]) -> list[Row | None]:
    services(info).batches.append([key.int for key in ids])
    return [make_row(key.int) if key.int < 5 else None for key in ids]


def toy_schema() -> strawberry.Schema:
    """Return the toy schema."""
    return build_schema([ToyQuery], [ToyMutation], [ToySubscription], {"Row": resolve_row_nodes})


@dataclass(frozen=True)
class ToyCredentials:
    """What a header amounts to."""

    actor: Actor | None = None
    problem: str | None = None
    expires_at: datetime | None = None
    grant: Hashable | None = None


async def authenticate(_services: Services, header: str | None) -> ToyCredentials:
    """Accept ``Bearer viewer``, ``Bearer trader``, and either of them with ``until <ISO time>``."""
    if header is None:
        return ToyCredentials()
    scheme, _, token = header.partition(" ")
    name, _, until = token.partition(" until ")
    if scheme != "Bearer" or name not in ("viewer", "trader"):
        return ToyCredentials(problem="The access token is not valid.")
    expires_at = datetime.fromisoformat(until) if until else None
    if expires_at is not None and expires_at <= datetime.now(UTC):
        return ToyCredentials(problem="The access token has expired.")
    return ToyCredentials(Actor(USER, Role(name.upper())), None, expires_at)
