"""Tables of the account domain."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base


class UserRow(Base):
    """A user.

    ``username_key`` and ``email_key`` are the lower-case forms, unique, so that two spellings of one
    name cannot both exist. ``token_version`` is carried by access tokens: raising it ends them all.
    """

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('VIEWER', 'TRADER', 'ADMIN')", name="role"),
        CheckConstraint("status IN ('PENDING', 'ACTIVE', 'DISABLED')", name="status"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    username: Mapped[str]
    username_key: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str]
    email_key: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    role: Mapped[str]
    status: Mapped[str]
    token_version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
