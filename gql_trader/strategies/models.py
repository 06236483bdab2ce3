"""Tables of the strategy domain."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base


class StrategyRow(Base):
    """A strategy; its definition is the row of ``strategy_versions`` with its version.

    Deleted strategies stay, without a claim to their slug, so that backtests keep what they ran.
    """

    __tablename__ = "strategies"
    __table_args__ = (
        CheckConstraint("version > 0", name="version"),
        CheckConstraint("owner_id IS NOT NULL OR code_ref IS NOT NULL", name="builtin"),
        Index(
            "uq_strategies_owner_id_slug",
            "owner_id",
            "slug",
            unique=True,
            postgresql_where="deleted_at IS NULL",
            postgresql_nulls_not_distinct=True,
        ),
        Index("ix_strategies_name_id", "name", "id", postgresql_where="deleted_at IS NULL"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    slug: Mapped[str]
    name: Mapped[str]
    description: Mapped[str]
    code_ref: Mapped[str | None]
    version: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class StrategyVersionRow(Base):
    """What a version of a strategy does; never changed."""

    __tablename__ = "strategy_versions"
    __table_args__ = (CheckConstraint("version > 0", name="version"),)

    strategy_id: Mapped[UUID] = mapped_column(
        ForeignKey("strategies.id", ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(primary_key=True)
    rules: Mapped[dict[str, Any]]
    parameters: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    created_at: Mapped[datetime]
