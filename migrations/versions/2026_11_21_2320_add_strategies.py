"""Add strategies and their versions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "add_strategies"
down_revision = "add_market_data"
branch_labels = None
depends_on = None

UUID = postgresql.UUID(as_uuid=True)
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "strategies",
        sa.Column("id", UUID, nullable=False),
        sa.Column("owner_id", UUID, nullable=True),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("code_ref", sa.String(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("deleted_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_strategies")),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_strategies_owner_id_users"), ondelete="CASCADE"
        ),
        sa.CheckConstraint("version > 0", name=op.f("ck_strategies_version")),
        sa.CheckConstraint(
            "owner_id IS NOT NULL OR code_ref IS NOT NULL", name=op.f("ck_strategies_builtin")
        ),
    )
    # Built-in strategies have no owner, and their slugs are unique among themselves.
    op.create_index(
        op.f("uq_strategies_owner_id_slug"),
        "strategies",
        ["owner_id", "slug"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
        postgresql_nulls_not_distinct=True,
    )
    op.create_index(
        op.f("ix_strategies_name_id"),
        "strategies",
        ["name", "id"],
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "strategy_versions",
        sa.Column("strategy_id", UUID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("rules", postgresql.JSONB(), nullable=False),
        sa.Column("parameters", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("strategy_id", "version", name=op.f("pk_strategy_versions")),
        sa.ForeignKeyConstraint(
            ["strategy_id"],
            ["strategies.id"],
            name=op.f("fk_strategy_versions_strategy_id_strategies"),
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("version > 0", name=op.f("ck_strategy_versions_version")),
    )


def downgrade() -> None:
    op.drop_table("strategy_versions")
    op.drop_table("strategies")
