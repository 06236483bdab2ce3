"""GraphQL types of verifications: a backtest run again, and where the results differ."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from gql_trader.backtests import verification
from gql_trader.backtests.comparison import Difference
from gql_trader.backtests.schema_backtest import Backtest
from gql_trader.backtests.schema_enums import ResultPart, RunStatus
from gql_trader.backtests.schema_types import OWNER
from gql_trader.core.actor import Role, TokenScope
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import decode_id


@visible(OWNER)
@strawberry.type(description="Values of one column or metric that a second run did not give again.")
class BacktestDifference:
    """A difference."""

    part: ResultPart = strawberry.field(description="Which part of the result it is in.")
    name: str = strawberry.field(
        description="The column or metric; `rows` if one of the two has more rows than the other."
    )
    count: int = strawberry.field(description="How many values differ.")
    row: int | None = strawberry.field(
        description="The first row that differs, counted from 0; null for a metric."
    )
    stored: float | None = strawberry.field(description="The stored value there; null if it is undefined.")
    recomputed: float | None = strawberry.field(
        description="The second run's value there; null if it is undefined."
    )

    @classmethod
    def from_difference(cls, found: Difference) -> "BacktestDifference":
        """Return the GraphQL object of a difference."""
        return cls(
            part=found.part,
            name=found.name,
            count=found.count,
            row=found.row,
            stored=found.stored,
            recomputed=found.recomputed,
        )


@visible(OWNER)
@strawberry.type(
    description="A completed backtest run a second time by a worker, to compare ledger, equity and "
    "metrics with what is stored, bit for bit."
)
class BacktestVerification:
    """The last verification of a backtest."""

    status: RunStatus = strawberry.field(description="State of the second run.")
    identical: bool | None = strawberry.field(
        description="Whether every value is the same, to the last bit; null until the second run has "
        "completed."
    )
    differences: list[BacktestDifference] | None = strawberry.field(
        description="What is not the same; null until the second run has completed."
    )
    error: str | None = strawberry.field(
        description="Why there was no second run, such as candles that were imported anew; null unless it "
        "failed."
    )
    engine_version: str = strawberry.field(
        description="Version of the engine's semantics that ran the second time; results of another version "
        "than the backtest's own may rightly differ."
    )
    requested_at: datetime = strawberry.field(description="When it was asked for.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")

    @classmethod
    def from_row(cls, row: Row[Any]) -> "BacktestVerification":
        """Return the GraphQL object of a verification."""
        found = verification.differences_of(row) if row.differences is not None else None
        return cls(
            status=RunStatus(row.status),
            identical=None if found is None else not found,
            differences=None if found is None else list(map(BacktestDifference.from_difference, found)),
            error=row.error,
            engine_version=row.engine_version,
            requested_at=row.requested_at,
            finished_at=row.finished_at,
        )


@strawberry.input(description="A backtest to run again and compare.")
class VerifyBacktestInput:
    """Input of verifyBacktest."""

    id: strawberry.ID = strawberry.field(description="The backtest; it must have completed.")


@visible(OWNER)
@strawberry.type(description="Result of `verifyBacktest`.")
class VerifyBacktestPayload:
    """Payload of verifyBacktest."""

    backtest: Backtest | None = strawberry.field(
        default=None, description="The backtest; ask for its `verification` again until that has ended."
    )
    verification: BacktestVerification | None = strawberry.field(
        default=None, description="The verification, queued, or the one that is under way already."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why nothing is verified; empty on success."
    )


@strawberry.type
class VerificationMutation:
    """Mutations about verifications."""

    @mutation(
        VerifyBacktestPayload,
        Role.TRADER,
        "Run a completed backtest again on the same candles and compare the results bit for bit. A worker "
        "does it; the backtest's `verification` tells what came of it. Counts as a backtest of the hour.",
        TokenScope.BACKTEST,
    )
    async def verify_backtest(
        self,
        info: Info,
        input: Annotated[VerifyBacktestInput, strawberry.argument(description="What to verify.")],
    ) -> VerifyBacktestPayload:
        services = info.context.services
        key = decode_id(input.id, "Backtest")
        async with info.context.uow() as uow:
            backtest, row = await verification.request_verification(
                uow,
                services.rate_limits,
                info.context.viewer,
                key,
                services.settings.max_backtests_per_hour_per_user,
            )
        return VerifyBacktestPayload(
            backtest=Backtest.from_row(backtest), verification=BacktestVerification.from_row(row)
        )
