"""GraphQL types, queries and mutations of the alert domain."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import Row

from gql_trader.alerts import service
from gql_trader.alerts.loaders import AlertLoaders
from gql_trader.alerts.types import AlertSpec
from gql_trader.core.actor import Role, TokenScope
from gql_trader.core.intervals import Interval
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.pagination import After, Before, Connection, First, Last, connection
from gql_trader.gql.permissions import requires, visible
from gql_trader.gql.relay import Node, decode_id, encode_id
from gql_trader.infra.keyset import page_request
from gql_trader.market_data.loaders import MarketDataLoaders
from gql_trader.market_data.schema_types import Market

OWNER = "whoever made the alert"


@visible(OWNER)
@strawberry.type(
    description="A condition that you are told of, as a notification ALERT_TRIGGERED, when it comes to hold "
    "at the close of a bar. One that holds already is told of at the first close."
)
class Alert(Node):
    """An alert of the viewer's."""

    row: strawberry.Private[Row[Any]]
    interval: Interval = strawberry.field(description="Length of the bars that are looked at.")
    condition: str = strawberry.field(description="A condition in the rule language.")
    once: bool = strawberry.field(description="Whether it ends when it has told you once.")
    active: bool = strawberry.field(description="Whether it is looked at.")
    error: str | None = strawberry.field(
        description="Why it ended without telling you anything; null unless its condition is no longer valid."
    )
    last_triggered_at: datetime | None = strawberry.field(description="When you were told last.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @classmethod
    def from_row(cls, row: Row[Any]) -> "Alert":
        """Return the GraphQL object of an alert."""
        return cls(
            id=encode_id("Alert", row.id),
            row=row,
            interval=Interval[row.interval],
            condition=row.condition,
            once=row.once,
            active=row.active,
            error=row.error,
            last_triggered_at=row.last_triggered_at,
            created_at=row.created_at,
        )

    @strawberry.field(description="The market whose candles are looked at.")
    async def market(self, info: Info) -> Market:
        market = await info.context.loaders(MarketDataLoaders).market.load(self.row.market_id)
        assert market is not None, "the foreign key keeps it"
        return Market.from_record(market)


@visible(OWNER)
@strawberry.type(name="AlertConnection", description="One page of your alerts.")
class AlertConnection(Connection[Alert]):
    """Alerts of the viewer."""


@strawberry.input(description="Something to be told of.")
class CreateAlertInput:
    """Input of createAlert."""

    market: str = strawberry.field(description='"BTC/USD" or "coinbase:BTC/USD".')
    interval: Interval = strawberry.field(description="Length of the bars to look at.")
    condition: str = strawberry.field(
        description="A condition in the rule language without parameters, such as "
        "`crossover(close, sma(close, 200))`; up to 4,000 characters."
    )
    once: bool | None = strawberry.field(
        default=True, description="false: each time that the condition comes to hold."
    )

    def to_spec(self) -> AlertSpec:
        """Return the alert asked for, unchecked."""
        return AlertSpec(self.market, self.interval, self.condition, self.once is not False)


@visible(OWNER)
@strawberry.type(description="Result of `createAlert`.")
class CreateAlertPayload:
    """Payload of createAlert."""

    alert: Alert | None = strawberry.field(default=None, description="The new alert.")
    errors: list[UserError] = strawberry.field(
        default_factory=list,
        description="Why there is none, such as RULE_SYNTAX in the condition; empty on success.",
    )


@strawberry.input(description="An alert to delete.")
class DeleteAlertInput:
    """Input of deleteAlert."""

    id: strawberry.ID = strawberry.field(description="One of your alerts.")


@visible(OWNER)
@strawberry.type(description="Result of `deleteAlert`.")
class DeleteAlertPayload:
    """Payload of deleteAlert."""

    deleted_id: strawberry.ID | None = strawberry.field(default=None, description="Id of what is gone.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why it was not deleted; empty on success."
    )


@strawberry.type
class AlertQuery:
    """Queries of the alert domain."""

    @strawberry.field(description="Your alerts, the newest first.", extensions=requires(Role.VIEWER))
    async def alerts(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> AlertConnection | None:
        viewer = info.context.viewer
        async with info.context.uow() as uow:
            page = await service.list_alerts(uow, viewer, page_request(first, after, last, before))

        async def count() -> int:
            async with info.context.uow() as uow:
                return await service.count_alerts(uow, viewer)

        return connection(AlertConnection, page, Alert.from_row, count)


@strawberry.type
class AlertMutation:
    """Mutations of the alert domain."""

    @mutation(
        CreateAlertPayload,
        Role.TRADER,
        "Be told when a condition comes to hold at the close of a bar, from the next one on.",
        TokenScope.BACKTEST,
    )
    async def create_alert(
        self,
        info: Info,
        input: Annotated[CreateAlertInput, strawberry.argument(description="What to be told of.")],
    ) -> CreateAlertPayload:
        most = info.context.services.settings.max_alerts_per_user
        async with info.context.uow() as uow:
            row = await service.create_alert(uow, info.context.viewer, input.to_spec(), most)
        return CreateAlertPayload(alert=Alert.from_row(row))

    @mutation(DeleteAlertPayload, Role.TRADER, "Delete an alert.", TokenScope.BACKTEST)
    async def delete_alert(
        self,
        info: Info,
        input: Annotated[DeleteAlertInput, strawberry.argument(description="What to delete.")],
    ) -> DeleteAlertPayload:
        key = decode_id(input.id, "Alert")
        async with info.context.uow() as uow:
            await service.delete_alert(uow, info.context.viewer, key)
        return DeleteAlertPayload(deleted_id=encode_id("Alert", key))


async def resolve_alert_nodes(info: Info, ids: Sequence[UUID]) -> list[Alert | None]:
    """Return the viewer's alerts for ``node``."""
    rows = await info.context.loaders(AlertLoaders).alert.load_many(list(ids))
    return [Alert.from_row(row) if row else None for row in rows]
